"""Loaders: how the rows of a bulk load go into a table, one for each way that a driver has."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

import msgspec
from sqlalchemy import Table
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

Row = Sequence[Any]


@dataclass(frozen=True, slots=True)
class Loader:
    """
    Way to load rows, by database and driver.

    :param load: loads rows, or a file of them where there is ``to_file``.
    :param threaded: whether another thread may use the connection.
    :param to_file: writes rows for a file. Rows are gathered in one then, because each load costs seconds, or as much as
        thousands of rows.
    :param named: whether ``to_file`` takes each row as a mapping by the columns' names.
    :param file_bytes: bytes after which such a file is loaded.
    """

    load: Callable[[Connection, Table, Any], None]
    threaded: bool = False
    to_file: Callable[[Sequence[Any]], bytes] | None = None
    named: bool = False
    file_bytes: int = 32_000_000


def insert(connection: Connection, table: Table, rows: Iterable[Row]) -> None:
    names = [column.name for column in table.columns]
    connection.execute(table.insert(), [dict(zip(names, row, strict=True)) for row in rows])


def copy_psycopg(connection: Connection, table: Table, rows: Iterable[Row]) -> None:
    with driver_cursor(connection) as cursor, cursor.copy(_copy_statement(connection, table)) as copy:
        for row in rows:
            copy.write_row(row)


def copy_psycopg2(connection: Connection, table: Table, rows: Iterable[Row]) -> None:
    csv = to_csv(list(rows))
    options = "(FORMAT csv, ENCODING 'UTF8', NULL 'null', ESCAPE E'\\\\')"
    with driver_cursor(connection) as cursor:
        cursor.copy_expert(f"{_copy_statement(connection, table)} WITH {options}", io.BytesIO(csv), len(csv))


def read_csv_file(connection: Connection, table: Table, file: IO[bytes]) -> None:
    """Load a CSV file into DuckDB: two hundred times as fast as its statements, and without Arrow."""
    types = ", ".join(
        f"'{column.name}': '{column.type.compile(connection.dialect)}'" for column in table.columns
    )
    connection.exec_driver_sql(
        f"INSERT INTO {connection.dialect.identifier_preparer.format_table(table)} SELECT * FROM read_csv(?,"  # noqa: S608
        f" columns = {{{types}}}, header = false, auto_detect = false, delim = ',', quote = '\"', escape = '\\',"
        f" nullstr = 'null', allow_quoted_nulls = false, parallel = false, new_line = '\\n',"
        f" max_line_size = {os.path.getsize(file.name) + 1})",
        (file.name,),
    )


def insert_many(parameters: int) -> Callable[[Connection, Table, Sequence[Row]], None]:
    """Put many rows into each statement, as far as the parameters that one may have."""

    def insert(connection: Connection, table: Table, rows: Iterable[Row]) -> None:
        names = [column.name for column in table.columns]
        rows = list(rows)
        step = parameters // len(names)
        for start in range(0, len(rows), step):
            values = [dict(zip(names, row, strict=True)) for row in rows[start : start + step]]
            connection.execute(table.insert().values(values))

    return insert


def put_snowflake(connection: Connection, table: Table, file: IO[bytes]) -> None:
    """
    Load a file of :func:`to_plain_csv` into Snowflake, over the table's own stage, which goes with the table.

    Snowflake reads a file that it can't find as an empty one, unless FILES names it.
    """
    quote = connection.dialect.identifier_preparer
    name = quote.format_table(table)
    stage = f"@{name.removesuffix(table.name)}%{table.name}"
    connection.exec_driver_sql(f"PUT 'file://{file.name}' {stage} SOURCE_COMPRESSION = NONE")
    connection.exec_driver_sql(
        f"COPY INTO {name} FROM {stage} FILES = ('{os.path.basename(file.name)}.gz') PURGE = TRUE FILE_FORMAT ="
        " (TYPE = CSV FIELD_OPTIONALLY_ENCLOSED_BY = '\"' ESCAPE_UNENCLOSED_FIELD = NONE NULL_IF = ())"
    )


def to_csv(rows: Sequence[Row], *, quote: bytes = rb"\"", backslash: bytes = rb"\\") -> bytes:
    """
    Write rows as CSV: text in quotes, with a backslash before its quotes and backslashes, and ``null`` without.

    That is JSON without the lines' brackets, and with the characters themselves that JSON spells. Each step takes all
    rows at once: a step for each row, or each escape, would take twenty times as long.

    :param quote: what stands for a quote in text.
    :param backslash: what stands for a backslash in text.
    """
    csv = _json.encode_lines(rows)[1:-2].replace(b"]\n[", b"\n") + b"\n"
    if b"\\" in csv:
        csv = csv.replace(rb"\\", _BACKSLASH).replace(rb"\"", quote)
        for spelled, character in _SPELLED.items():
            csv = csv.replace(spelled, character)
        csv = _CONTROL.sub(lambda match: bytes([int(match[1], 16)]), csv).replace(_BACKSLASH, backslash)
    return csv


def to_plain_csv(rows: Sequence[Row]) -> bytes:
    """Write rows as CSV of RFC 4180: quotes are doubled, nothing else is special, and NULL is an empty field."""
    return to_csv(
        [[_EMPTY if value is None else value for value in row] for row in rows],
        quote=b'""',
        backslash=b"\\",
    )


_json = msgspec.json.Encoder()
_SPELLED = {rb"\b": b"\b", rb"\f": b"\f", rb"\n": b"\n", rb"\r": b"\r", rb"\t": b"\t"}
_CONTROL = re.compile(rb"\\u00([0-9a-f]{2})")
_EMPTY = msgspec.Raw(b"")
#: Stands for an escaped backslash meanwhile: no UTF-8 holds this byte.
_BACKSLASH = b"\xff"


@contextmanager
def driver_cursor(connection: Connection) -> Iterator[Any]:
    """A cursor of the driver's own, whose errors are SQLAlchemy's."""
    driver_connection: Any = connection.connection.driver_connection
    dialect: Any = connection.dialect
    try:
        with driver_connection.cursor() as cursor:
            yield cursor
    except dialect.dbapi.Error as e:
        raise DBAPIError.instance(
            "COPY", None, e, dialect.dbapi.Error, hide_parameters=True, dialect=dialect
        ) from None


def _copy_statement(connection: Connection, table: Table) -> str:
    quote = connection.dialect.identifier_preparer
    columns = ", ".join(quote.format_column(column) for column in table.columns)
    return f"COPY {quote.format_table(table)} ({columns}) FROM STDIN"
