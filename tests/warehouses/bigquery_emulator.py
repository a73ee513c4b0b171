"""Starts the BigQuery emulator, in the environment that has it, without the DuckDB extension that it would download."""

from __future__ import annotations

from bqemulator import cli
from bqemulator.storage import engine

for each in vars(engine).values():
    if isinstance(each, type) and hasattr(each, "_load_spatial"):
        each._load_spatial = lambda self: None

(getattr(cli, "main", None) or cli.cli)()
