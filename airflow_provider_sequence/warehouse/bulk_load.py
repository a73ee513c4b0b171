"""Bulk load of rows into a table: COPY, or whatever is fastest with the database's driver."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import IO, Any

from sqlalchemy import Table
from sqlalchemy.engine import Connection

from airflow_provider_sequence.warehouse.dialects import dialect_of
from airflow_provider_sequence.warehouse.loaders import Row
from airflow_provider_sequence.warehouse.staging_location import STAGING
from airflow_provider_sequence.warehouse.transactions import join_transaction
from airflow_provider_sequence.warehouse.types import JsonText, LongText


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
    #: Bytes of text after which rows are many, however few they are.
    BYTES = 2_000_000

    def __init__(self, connection: Connection, table: Table) -> None:
        self._connection = connection
        self._table = table
        self._rows: list[Row] = []
        self._bytes = 0
        # Where in a row there may be much text.
        self._wide = [
            place
            for place, column in enumerate(table.columns)
            if isinstance(column.type, (JsonText, LongText))
        ]
        self._file: IO[bytes] | None = None
        staged = STAGING in connection.get_execution_options()
        self._loader = dialect_of(connection).loader(connection.dialect.driver, staged=staged)
        self._thread = ThreadPoolExecutor(1, "sequence-loader") if self._loader.threaded else None
        self._in_flight: Future[None] | None = None

    def add(self, rows: Iterable[Row]) -> None:
        """
        Add rows.

        :param rows: values in the order of the table's columns.
        """
        wide = self._wide
        for row in rows:
            self._rows.append(row)
            for place in wide:
                if row[place] is not None:
                    self._bytes += len(row[place])
            if len(self._rows) >= self.ROWS or self._bytes >= self.BYTES:
                self._put()

    def flush(self) -> None:
        """Load what was added; return when it is in the table."""
        self._put()
        self._load_file()
        self._wait()

    def close(self) -> None:
        """End the thread, and remove the file; what was added last is not loaded."""
        if self._thread is not None:
            self._thread.shutdown()
        if self._file is not None:
            self._file.close()

    def _put(self) -> None:
        rows, self._rows, self._bytes = self._rows, [], 0
        if not rows:
            return
        if self._loader.to_file is not None:
            # Without a name: nothing is left of it, even if the process is killed.
            self._file = self._file or tempfile.TemporaryFile()  # noqa: SIM115
            given: Any = rows
            if self._loader.named:
                given = [dict(zip(self._table.columns.keys(), row, strict=True)) for row in rows]
            self._file.write(self._loader.to_file(given))
            if self._file.tell() >= self._loader.file_bytes:
                self._load_file()
        elif self._thread is not None:
            self._wait()
            taken = Event()
            self._in_flight = self._thread.submit(self._load, _until_taken(rows, taken))
            self._in_flight.add_done_callback(lambda _: taken.set())
            # Without it, the next rows' making would hold the interpreter until the database had nothing to do.
            taken.wait()
        else:
            self._load(rows)

    def _load_file(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            with file:
                file.flush()
                file.seek(0)
                self._load(file)

    def _wait(self) -> None:
        if self._in_flight is not None:
            in_flight, self._in_flight = self._in_flight, None
            in_flight.result()

    def _load(self, rows: Any) -> None:
        with join_transaction(self._connection):
            self._loader.load(self._connection, self._table, rows)


def _until_taken(rows: Iterable[Row], taken: Event) -> Iterator[Row]:
    """Give the rows, and tell when the driver has them all: from then on it waits for the database."""
    yield from rows
    taken.set()
