"""Loaders: how the rows of a bulk load go into a table, one for each way that a driver has."""

from __future__ import annotations

import io
import re
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Table
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

Row = Sequence[Any]


class Csv(io.BytesIO):
    """File of CSV that tells when the driver has read it: from then on the driver waits for the database."""

    def __init__(self, csv: bytes) -> None:
        super().__init__(csv)
        self.taken = threading.Event()

    def read(self, size: int | None = -1, /) -> bytes:
        self.taken.set()
        return super().read(size)


@dataclass(frozen=True, slots=True)
class Loader:
    """
    Way to load rows, by database and driver.

    :param load: loads what ``prepare`` made.
    :param prepare: turns rows into what is loaded.
    :param threaded: whether another thread may use the connection; what is loaded is a file of CSV then.
    """

    load: Callable[[Connection, Table, Any], None]
    prepare: Callable[[list[Row]], Any] = lambda rows: rows
    threaded: bool = False


def insert(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    names = [column.name for column in table.columns]
    connection.execute(table.insert(), [dict(zip(names, row, strict=True)) for row in rows])


def copy_psycopg(connection: Connection, table: Table, csv: Csv) -> None:
    with _driver_cursor(connection) as cursor, cursor.copy(_copy_statement(connection, table)) as copy:
        copy.write(csv.read())


def copy_psycopg2(connection: Connection, table: Table, csv: Csv) -> None:
    with _driver_cursor(connection) as cursor:
        cursor.copy_expert(_copy_statement(connection, table), csv, csv.getbuffer().nbytes)


def read_csv_file(connection: Connection, table: Table, csv: bytes) -> None:
    """Load a CSV file into DuckDB: two hundred times as fast as its statements, and without Arrow."""
    types = ", ".join(
        f"'{column.name}': '{column.type.compile(connection.dialect)}'" for column in table.columns
    )
    with tempfile.NamedTemporaryFile(suffix=".csv") as file:  # for nobody else to read
        file.write(csv)
        file.flush()
        connection.exec_driver_sql(
            f"INSERT INTO {connection.dialect.identifier_preparer.format_table(table)} SELECT * FROM read_csv(?,"  # noqa: S608
            f" columns = {{{types}}}, header = false, auto_detect = false, delim = ',', quote = '\"', escape = '\\',"
            f" nullstr = 'null', allow_quoted_nulls = false, parallel = false, new_line = '\\n',"
            f" max_line_size = {len(csv) + 1})",
            (file.name,),
        )


def insert_many(parameters: int) -> Callable[[Connection, Table, Sequence[Row]], None]:
    """Put many rows into each statement, as far as the parameters that one may have."""

    def insert(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
        names = [column.name for column in table.columns]
        step = parameters // len(names)
        for start in range(0, len(rows), step):
            values = [dict(zip(names, row, strict=True)) for row in rows[start : start + step]]
            connection.execute(table.insert().values(values))

    return insert


def to_csv(rows: Sequence[Row]) -> bytes:
    """
    Write rows as CSV: text in quotes, with a backslash before its quotes and backslashes, and ``null`` without.

    That is JSON without the lines' brackets, which is written six times as fast. Rows with what else JSON spells, or
    may, are written slowly.
    """
    lines = _json.encode_lines(rows)
    if _SPELLED.search(lines):
        return b"".join(map(_csv_line, rows))
    return lines[1:-2].replace(b"]\n[", b"\n") + b"\n"


def _csv_line(row: Row) -> bytes:
    values = [
        f'"{_TO_ESCAPE.sub(_ESCAPED, value)}"'.encode() if type(value) is str else _json.encode(value)
        for value in row
    ]
    return b",".join(values) + b"\n"


_json = msgspec.json.Encoder()
_SPELLED = re.compile(rb"\\[bfnrtu]")
_TO_ESCAPE, _ESCAPED = re.compile(r'["\\]'), r"\\\g<0>"


@contextmanager
def _driver_cursor(connection: Connection) -> Iterator[Any]:
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
    return (
        f"COPY {quote.format_table(table)} ({columns}) FROM STDIN"
        " WITH (FORMAT csv, ENCODING 'UTF8', NULL 'null', ESCAPE E'\\\\')"
    )
