"""Starts Snowflake's emulator, in the environment that has it, with what it lacks of Snowflake."""

from __future__ import annotations

import re
from typing import Any

import fakesnow.copy_into
import uvicorn
from fakesnow.cursor import FakeSnowflakeCursor
from fakesnow.transforms import stage
from sqlglot import exp

_source_urls, _read_csv, _execute = (
    fakesnow.copy_into._source_urls,
    fakesnow.copy_into.ReadCSV.read_expression,
    FakeSnowflakeCursor.execute,
)


def source_urls(source: str, files: list[str]) -> list[str]:
    """A file may be named of an internal stage, too."""
    return [source + file for file in files] if stage.is_internal(source) else _source_urls(source, files)


def read_csv(self: Any, url: str) -> exp.Expression:
    """Text stays text until it is in its column, and what is in quotes is not NULL for being empty."""
    read = _read_csv(self, url)
    for option, value in {
        "all_varchar": "true",
        "allow_quoted_nulls": "false",
        "escape": "'\"'",
        "delim": "','",
        "parallel": "false",
        "max_line_size": "64000000",
    }.items():
        read.append("expressions", exp.EQ(this=exp.Var(this=option), expression=exp.Var(this=value)))
    return read


def execute(self: Any, command: str, *args: Any, **kwargs: Any) -> Any:
    """DuckDB has no temporary tables outside a schema of its own: one with a schema is an ordinary one."""
    command = re.sub(r"(?i)^(\s*create )temporary (table [^\s(]+\.)", r"\1\2", command)
    return _execute(self, command, *args, **kwargs)


fakesnow.copy_into._source_urls = source_urls
fakesnow.copy_into.ReadCSV.read_expression = read_csv
FakeSnowflakeCursor.execute = execute

uvicorn.main()
