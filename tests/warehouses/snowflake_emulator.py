"""Starts Snowflake's emulator, in the environment that has it, with what it lacks of Snowflake."""

from __future__ import annotations

import re
from typing import Any

import fakesnow.copy_into
import uvicorn
from fakesnow.cursor import FakeSnowflakeCursor
from fakesnow.transforms import stage
from snowflake.connector.errors import Error, ProgrammingError
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
        "allow_quoted_nulls": str(self.null_if != [""]),  # NULL_IF is for what is in quotes, too
        "escape": "'\"'",
        "delim": "','",
        "parallel": "false",
        "max_line_size": "64000000",
    }.items():
        read.append("expressions", exp.EQ(this=exp.Var(this=option), expression=exp.Var(this=value)))
    return read


def execute(self: Any, command: str, *args: Any, **kwargs: Any) -> Any:
    """
    Statements that the emulator can't run, but Snowflake can.

    DuckDB has no temporary tables outside a schema of its own: one with a schema is an ordinary one. The emulator keeps
    its own tables in the session's database and schema: where it has none, in those of a table that is named in full.
    """
    command = re.sub(r"(?i)^(\s*create )temporary (table [^\s(]+\.)", r"\1\2", command)
    session = self._conn
    named = re.search(r'"?(\w+)"?\."?(\w+)"?\.[%"\w]', command)
    before = session.database, session._schema
    if named and not session.schema_set:
        session.database, session._schema = named[1].upper(), named[2].upper()
        self._duck_conn.execute(f"SET schema = '{session.database}.{session._schema}'")
    try:
        return _execute(self, command, *args, **kwargs)
    except Error:
        raise
    except Exception as e:
        # The server would answer 500, which the connector repeats for ever.
        raise ProgrammingError(msg=repr(e), errno=9999, sqlstate="99999") from e
    finally:
        if not session.schema_set:
            session.database, session._schema = before


fakesnow.copy_into._source_urls = source_urls
fakesnow.copy_into.ReadCSV.read_expression = read_csv
FakeSnowflakeCursor.execute = execute

uvicorn.main()
