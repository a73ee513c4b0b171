"""Cursor of ClickHouse's driver that streams its rows; the driver's own reads them all at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import chain, islice
from typing import Any

from clickhouse_connect.dbapi.cursor import Cursor


class StreamingCursor(Cursor):  # type: ignore[misc]
    """
    Cursor that keeps one block of rows at a time.

    :param client: the driver's client.
    """

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        self._stream = ExitStack()
        self._rows: Iterator[Sequence[Any]] = iter(())

    def execute(self, operation: str, parameters: Any = None, *_: Any, **__: Any) -> None:
        """Run a query; the driver puts the parameters into it, and takes a percent sign for one without."""
        self._stream.close()
        # Arguments beside the two are SQLAlchemy's settings of a query, of which there are none.
        stream = self._stream.enter_context(
            self.client.query_row_block_stream(operation, parameters, tz_mode="aware")
        )
        # Without rows, it does not tell the columns; for this query the driver asks for them.
        told = stream.source
        if not told.column_names:
            told = self.client.query(f"SELECT * FROM (\n{operation}\n) LIMIT 0", parameters)  # noqa: S608
        self.names = told.column_names
        self.types = [each.name for each in told.column_types]
        self._rows = chain.from_iterable(stream)

    def fetchone(self) -> Sequence[Any] | None:
        """Next row."""
        return next(self._rows, None)

    def fetchmany(self, size: int = 1) -> list[Sequence[Any]]:
        """Next rows."""
        return list(islice(self._rows, size))

    def fetchall(self) -> list[Sequence[Any]]:
        """All rows that are left."""
        return list(self._rows)

    def close(self) -> None:
        """End the query."""
        self._stream.close()
