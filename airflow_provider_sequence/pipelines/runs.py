"""Table of runs: a row for each try of a task that moves or compares data, in a table of the user's own database."""

from __future__ import annotations

import datetime as dt
import logging
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from sqlalchemy import Table, and_, false, func, not_, or_, select
from sqlalchemy.engine import Connection, Engine

from airflow_provider_sequence.api.resources import USAGE_EVENTS
from airflow_provider_sequence.api.windows import Window
from airflow_provider_sequence.exceptions import WarehouseError
from airflow_provider_sequence.pipelines.runs_table import make_table
from airflow_provider_sequence.warehouse.ddl import (
    create_if_missing,
    create_indexes,
    missing_columns,
    table_name_in,
    wrong_table,
)
from airflow_provider_sequence.warehouse.engine import connect, require_transactions, transaction

log = logging.getLogger(__name__)

#: Name of the table that is made beside a delivery log.
DEFAULT_TABLE = "sequence_runs"
#: Seconds between two signs of life, and after how many without one a task is not at work: it may be paused.
BEAT_SECONDS, AT_WORK_SECONDS = 5.0, 20.0
#: After so long without one, a try is over.
SILENT = dt.timedelta(minutes=10)

#: Operations that post usage events, which the account limits by themselves.
_POSTS = ("push", "void")

Counts = Mapping[str, int | None]


class RunOutcome(StrEnum):
    """How a try ended; until then it is running."""

    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"
    #: It was told to end, or left no word.
    KILLED = "killed"


@dataclass(frozen=True, slots=True)
class TaskTry:
    """
    What a try is about, and which one it is.

    :param account: hash of the API client and its base URL.
    :param operation: ``push``, ``void``, ``pull``, ``reconcile`` or ``metric``.
    :param window: the times that it is about, or None.
    """

    account: str
    operation: str
    resource: str
    sequence_conn_id: str
    window: Window | None
    dag_id: str | None = None
    task_id: str | None = None
    run_id: str | None = None
    map_index: int | None = None
    try_number: int | None = None


class RunRow:
    """
    Row of one try: made at the start, kept alive by a thread, and closed at the end.

    Each statement has a connection of its own, which is closed at once: between two of them nothing is held that a
    pooler or a timeout could end, or that other writers would wait for.

    :param engine: the database.
    :param table: ``table`` or ``schema.table``; it is made when missing.
    :param task_try: which try.
    :param counts: gives the counts so far; called in a thread of its own, too.
    :param on_peers: told at the start, and with each sign of life, how many tries of the account send to the same limit, this
        one included.
    """

    def __init__(
        self,
        engine: Engine,
        table: str,
        task_try: TaskTry,
        counts: Callable[[], Counts],
        on_peers: Callable[[int], object] = lambda _: None,
    ) -> None:
        self._engine, self._name, self._try, self._counts = engine, table, task_try, counts
        self._on_peers = on_peers
        self._id = str(uuid.uuid4())
        self._table: Table
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._keep_alive, name="sequence-run", daemon=True)

    def open(self) -> None:
        """
        Make the table where it is missing, close the rows of tries that left no word, and write this one's.

        :raises SequenceConfigurationError: if the table is there, and is none of runs; or if the database has no
            transactions.
        :raises WarehouseError: if it can't be written.
        """
        try:
            with connect(self._engine) as connection:
                require_transactions(
                    connection, "a table of runs", "Name another table in runs_table, or another database"
                )
                self._table = _make_table(connection, self._name)
                with transaction(connection):
                    self._close_abandoned(connection)
                    connection.execute(self._table.insert().values(self._first_values()))
                    peers = self._count_peers(connection)
        except WarehouseError as e:
            message = (
                f"the table of runs {self._name} can't be written: {e}. Allow this user to make it and to write it, or "
                "name another in runs_table"
            )
            raise WarehouseError(message, e.permanent) from None
        self._on_peers(peers)
        self._thread.start()

    def close(self, outcome: RunOutcome, error: str | None = None) -> None:
        """Write how the try ended. It is over whether or not that can be written, so a failure is only a warning."""
        self._done.set()
        self._thread.join()
        now = dt.datetime.now(dt.UTC)
        self._update(ended_at=now, seen_at=now, outcome=outcome.value, error=error)

    def _first_values(self) -> dict[str, Any]:
        now, given = dt.datetime.now(dt.UTC), self._try
        names = {column.name for column in self._table.columns}
        return {
            **{field.name: getattr(given, field.name) for field in fields(given) if field.name in names},
            "id": self._id,
            "window_start": given.window and given.window.start,
            "window_end": given.window and given.window.end,
            "started_at": now,
            "seen_at": now,
            "outcome": RunOutcome.RUNNING.value,
            **self._counts(),
        }

    def _close_abandoned(self, connection: Connection) -> None:
        """Close what no process will: earlier tries of this very task, and tries of the account that are silent."""
        c, given = self._table.c, self._try
        silent = and_(c.account == given.account, c.seen_at < dt.datetime.now(dt.UTC) - SILENT)
        same = (
            and_(*(c[name] == getattr(given, name) for name in ("dag_id", "task_id", "run_id", "map_index")))
            if given.run_id is not None
            else false()
        )
        connection.execute(
            self._table
            .update()
            .where(c.ended_at.is_(None), or_(silent, same))
            .values(outcome=RunOutcome.KILLED.value, ended_at=c.seen_at)
        )

    def _count_peers(self, connection: Connection) -> int:
        """Count the tries that are at work, and send, or are about to: one that reads its query for long has no share."""
        c, since = self._table.c, dt.datetime.now(dt.UTC) - dt.timedelta(seconds=AT_WORK_SECONDS)
        same_limit = and_(c.operation.in_(_POSTS), c.resource == USAGE_EVENTS.name)
        if not (self._try.operation in _POSTS and self._try.resource == USAGE_EVENTS.name):
            same_limit = not_(same_limit)
        query = (
            select(func.count())
            .select_from(self._table)
            .where(c.account == self._try.account, c.ended_at.is_(None), c.seen_at > since, same_limit)
            .where(or_(c.requests > 0, c.started_at > since, c.id == self._id))
        )
        return connection.execute(query).scalar_one()

    def _keep_alive(self) -> None:
        while not self._done.wait(BEAT_SECONDS):
            # Another try may have closed the row, if this process was asleep; its own end is the last word.
            peers = self._update(seen_at=dt.datetime.now(dt.UTC))
            if peers is not None:
                self._on_peers(peers)

    def _update(self, **values: Any) -> int | None:
        """Change the row; return how many tries share the limit, or None at the end, or if it could not be written."""
        c = self._table.c
        where = [c.id == self._id]
        if "ended_at" not in values:
            where.append(c.ended_at.is_(None))
        try:
            with connect(self._engine) as connection, transaction(connection):
                connection.execute(self._table.update().where(*where).values({**values, **self._counts()}))
                return None if "ended_at" in values else self._count_peers(connection)
        except Exception as e:  # noqa: BLE001  whatever a driver or a hook raises: the events were sent all the same
            # Only a WarehouseError's text is known to hold no data.
            reason = str(e) if isinstance(e, WarehouseError) else type(e).__name__
            log.warning("The table of runs %s can't be written: %s", self._name, reason)
            return None


def _make_table(connection: Connection, name: str) -> Table:
    schema, plain = table_name_in(connection, name)
    table = make_table(plain, schema)
    with transaction(connection):
        create_if_missing(connection, table)
    with connection.begin():
        missing = missing_columns(connection, table)
    if missing:
        raise wrong_table(name, "table of runs", missing)
    create_indexes(connection, table)
    return table
