"""Reading the user's database for a page: read-only, in bounded time, a few queries at a time, remembered for a minute."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy.engine import Connection

from airflow_provider_sequence.hooks.sql_engine import create_sql_engine
from airflow_provider_sequence.warehouse.dialects import dialect_of
from airflow_provider_sequence.warehouse.engine import connect

#: Seconds that all queries of a page may take; each of them has five where the database counts that by itself.
PATIENCE = 10.0

T = TypeVar("T")


@contextmanager
def reading(conn_id: str) -> Iterator[Connection]:
    """
    Open a connection that reads, in a transaction, and ends its query when :data:`PATIENCE` is over.

    :raises SequenceConfigurationError: if the connection can't be used.
    :raises WarehouseError: if the database can't be reached, refuses a query, or takes too long.
    """
    engine = create_sql_engine(conn_id)
    dialect = dialect_of(engine)
    with connect(engine) as connection, connection.begin():
        for statement in dialect.read_only:
            connection.exec_driver_sql(statement)
        watchdog = threading.Timer(PATIENCE, dialect.cancel, [connection.connection.dbapi_connection])
        watchdog.daemon = True
        watchdog.start()
        try:
            yield connection
        finally:
            watchdog.cancel()


class Cache:
    """
    What was found lately, by all that it depends on; nothing in it is for one user only.

    :param seconds: how long it is remembered.
    :param entries: how many are, at most.
    """

    def __init__(
        self, seconds: float = 60, entries: int = 256, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds, self._entries, self._clock = seconds, entries, clock
        self._found: OrderedDict[Hashable, tuple[float, Any]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, find: Callable[[], T]) -> T:
        """Return what is remembered of a key, or find it anew."""
        now = self._clock()
        with self._lock:
            until, value = self._found.get(key, (now, None))
        if until > now:
            found: T = value
            return found
        found = find()
        with self._lock:
            self._found[key] = (now + self._seconds, found)
            self._found.move_to_end(key)
            while len(self._found) > self._entries:
                self._found.popitem(last=False)
        return found
