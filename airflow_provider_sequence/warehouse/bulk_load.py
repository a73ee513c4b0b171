"""Bulk load of rows into a table: COPY, or whatever is fastest with the database's driver."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from sqlalchemy import Table
from sqlalchemy.engine import Connection

from airflow_provider_sequence.warehouse.dialects import dialect_of
from airflow_provider_sequence.warehouse.loaders import Csv, Row


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
        self._loader = dialect_of(connection).loader(connection.dialect.driver)
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
            csv = Csv(prepared)
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
