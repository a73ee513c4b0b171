"""Starts the BigQuery emulator, in the environment that has it.

It is changed twice: it does not download DuckDB's extension, and it answers a wrong query with an error, as BigQuery
does, and not with a table of no columns.
"""

from __future__ import annotations

from bqemulator import cli
from bqemulator.api.routes import jobs
from bqemulator.storage import engine

for each in vars(engine).values():
    if isinstance(each, type) and hasattr(each, "_load_spatial"):
        each._load_spatial = lambda self: None
jobs._SQL_EXECUTION_DOMAIN_ERRORS = ()

(getattr(cli, "main", None) or cli.cli)()
