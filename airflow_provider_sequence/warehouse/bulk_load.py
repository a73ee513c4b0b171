"""Bulk load of rows into a table: COPY, or whatever is fastest with the database's driver."""

from __future__ import annotations

import io
import re
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Table
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

Row = Sequence[Any]


class BulkInsert:
    """
    Bulk load of rows into a table, many at a time.

    Where the driver lets another thread use its connection, a thread loads rows while the next ones are made. The
    connection is the caller's again after :meth:`flush` and after :meth:`close`.

    :param connection: the database.
    :param table: the table.
    """

    #: Rows that are kept until they are many: a round trip for each few would cost more than the rows.
    ROWS = 2000

    def __init__(self, connection: Connection, table: Table) -> None:
        self._connection = connection
        self._table = table
        self._rows: list[Row] = []
        self._loader = LOADERS.get((connection.dialect.name, connection.dialect.driver), Loader(_insert))
        self._thread = ThreadPoolExecutor(1, "sequence-loader") if self._loader.threaded else None
        self._in_flight: Future[None] | None = None

    def add(self, rows: Iterable[Row]) -> None:
        """
        Add rows.

        :param rows: values in the order of the table's columns.
        """
        self._rows += rows
        if len(self._rows) >= self.ROWS:
            self._begin()

    def flush(self) -> None:
        """Load what was added; return when it is in the table."""
        self._begin()
        self._wait()

    def close(self) -> None:
        """End the thread; what was added last is not loaded."""
        if self._thread is not None:
            self._thread.shutdown()

    def _begin(self) -> None:
        prepared = self._loader.prepare(self._rows) if self._rows else None
        self._rows = []
        self._wait()
        if prepared is None:
            return
        if self._thread is None:
            self._put(prepared)
        else:
            csv = _Csv(prepared)
            self._in_flight = self._thread.submit(self._put, csv)
            self._in_flight.add_done_callback(lambda _: csv.taken.set())
            # Without it, the next rows' making would hold the interpreter until the database had nothing to do.
            csv.taken.wait()

    def _wait(self) -> None:
        if self._in_flight is not None:
            in_flight, self._in_flight = self._in_flight, None
            in_flight.result()

    def _put(self, prepared: Any) -> None:
        with self._connection.begin():
            self._loader.load(self._connection, self._table, prepared)


class _Csv(io.BytesIO):
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


def _insert(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    names = [column.name for column in table.columns]
    connection.execute(table.insert(), [dict(zip(names, row, strict=True)) for row in rows])


def _copy_psycopg(connection: Connection, table: Table, csv: _Csv) -> None:
    with _driver_cursor(connection) as cursor, cursor.copy(_copy_statement(connection, table)) as copy:
        copy.write(csv.read())


def _copy_psycopg2(connection: Connection, table: Table, csv: _Csv) -> None:
    with _driver_cursor(connection) as cursor:
        cursor.copy_expert(_copy_statement(connection, table), csv, csv.getbuffer().nbytes)


def _read_csv_file(connection: Connection, table: Table, csv: bytes) -> None:
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


def _insert_many(parameters: int) -> Callable[[Connection, Table, Sequence[Row]], None]:
    """Put many rows into each statement, as far as the parameters that one may have."""

    def insert(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
        names = [column.name for column in table.columns]
        step = parameters // len(names)
        for start in range(0, len(rows), step):
            values = [dict(zip(names, row, strict=True)) for row in rows[start : start + step]]
            connection.execute(table.insert().values(values))

    return insert


def _csv(rows: Sequence[Row]) -> bytes:
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

# Elsewhere the driver makes one statement of many, or the database is near enough for one a row.
LOADERS: dict[tuple[str, str], Loader] = {
    ("postgresql", "psycopg"): Loader(_copy_psycopg, _csv, threaded=True),
    ("postgresql", "psycopg2"): Loader(_copy_psycopg2, _csv, threaded=True),
    ("duckdb", "duckdb_engine"): Loader(_read_csv_file, _csv),
    ("redshift", "psycopg2"): Loader(_insert_many(32_000)),
    ("redshift", "redshift_connector"): Loader(_insert_many(32_000)),
    ("bigquery", "bigquery"): Loader(_insert_many(10_000)),
    ("databricks", "databricks"): Loader(_insert_many(255)),
    ("databricks", "databricks-sql-python"): Loader(_insert_many(255)),  # its name before SQLAlchemy 2
}


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
