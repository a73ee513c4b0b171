"""What was delivered and what was rejected, in a table of the user's own database."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sqlalchemy import Column, Integer, MetaData, String, Table, Text, and_, select
from sqlalchemy.engine import Connection
from sqlalchemy.sql import ColumnElement

from airflow_provider_sequence.exceptions import SequenceConfigurationError
from airflow_provider_sequence.warehouse.database import (
    KEY_TEXT,
    UtcTimestamp,
    columns_there,
    create_if_missing,
    split_table_name,
    transaction,
)
from airflow_provider_sequence.warehouse.upsert import upsert_values

DELIVERED, REJECTED, IN_DOUBT = "delivered", "rejected", "in_doubt"


@dataclass(frozen=True, slots=True)
class LogEntry:
    """
    What became of one event.

    :param event_id: its ``customerEventId``.
    :param delivered: whether it was delivered; else it was rejected.
    :param body_hash: names its body by its content.
    :param sequence_id: the id that Sequence gave it.
    :param http_status: the answer's status.
    :param reason: why it was rejected.
    :param rejected_body: its JSON, where it was rejected.
    """

    event_id: str
    delivered: bool
    body_hash: str | None
    sequence_id: str | None = None
    http_status: int | None = None
    reason: str | None = None
    rejected_body: str | None = None


class DeliveryLog:
    """
    Looks up and stores what became of events; an entry for each account, resource and event id.

    An entry keeps the hash of the body that was delivered last also when a later body is rejected. Each call is a
    transaction of its own: what was stored stays stored, whatever happens afterwards.

    :param connection: the database; no other use may be made of it meanwhile.
    :param table: ``table`` or ``schema.table``; it is made when missing.
    :param account: whose events; entries of other accounts are not seen.
    :param resource: what kind of events.
    :param task: ``{"dag_id", "task_id", "run_id"}`` of the task that stores entries.
    :raises SequenceConfigurationError: if the table is there, and is not a delivery log.
    """

    def __init__(
        self,
        connection: Connection,
        table: str,
        *,
        account: str,
        resource: str,
        task: Mapping[str, str | None],
    ) -> None:
        self._connection = connection
        schema, name = split_table_name(table)
        self._table = Table(
            name,
            MetaData(),
            Column("account", String(64), primary_key=True),
            Column("resource", String(64), primary_key=True),
            Column("customer_event_id", KEY_TEXT, primary_key=True),
            Column("status", String(16), nullable=False),
            Column("body_hash", String(64)),
            Column("sequence_id", Text),
            Column("http_status", Integer),
            Column("reason", Text),
            Column("rejected_body", Text),
            Column("attempts", Integer, nullable=False),
            Column("first_at", UtcTimestamp(), nullable=False),
            Column("last_at", UtcTimestamp(), nullable=False),
            Column("dag_id", Text),
            Column("task_id", Text),
            Column("run_id", Text),
            schema=schema,
        )
        self._constant = {"account": account, "resource": resource, **task}
        with transaction(connection):
            create_if_missing(connection, self._table)
            there = columns_there(connection, schema, name) or set()
        if missing := [column.name for column in self._table.columns if column.name not in there]:
            raise SequenceConfigurationError(
                f"the table {table} is there, but is no delivery log of this release: it has no column "
                f"{', '.join(missing)}. Name another table; one that is missing is made"
            )
        names = [column.name for column in self._table.columns]
        attempts = {"attempts": self._table.c.attempts + 1}
        self._store = {
            True: upsert_values(
                connection.dialect.name, self._table, names, keep={"first_at", "attempts"}, change=attempts
            ),
            # What was delivered before is what Sequence still holds.
            False: upsert_values(
                connection.dialect.name,
                self._table,
                names,
                keep={"first_at", "attempts", "body_hash", "sequence_id"},
                change=attempts,
            ),
        }

    def delivered_hashes(self, event_ids: Sequence[str]) -> dict[str, str]:
        """Find the hash of the body last delivered, for each of these ids whose last body was delivered."""
        if not event_ids:
            return {}
        c = self._table.c
        query = select(c.customer_event_id, c.body_hash).where(self._delivered(event_ids))
        with self._connection.begin():
            return {row.customer_event_id: row.body_hash for row in self._connection.execute(query)}

    def doubt(self, event_ids: Sequence[str]) -> None:
        """
        Note that it is not known which body Sequence holds of these ids, because another one is about to be sent.

        Without that, a body that is sent and whose answer is lost would leave the log with the one before it; a row
        that goes back to that one would then be taken for delivered.
        """
        for event_id in event_ids:
            with transaction(self._connection):
                self._connection.execute(
                    self._table.update().where(self._delivered([event_id])).values(status=IN_DOUBT)
                )

    def _delivered(self, event_ids: Sequence[str]) -> ColumnElement[bool]:
        c = self._table.c
        return and_(
            c.account == self._constant["account"],
            c.resource == self._constant["resource"],
            c.status == DELIVERED,
            c.customer_event_id.in_(event_ids),
        )

    def store(self, entries: Sequence[LogEntry]) -> None:
        """Store entries, in order."""
        now = dt.datetime.now(dt.UTC)
        for delivered, group in groupby(entries, key=lambda entry: entry.delivered):
            # The last entry of an id counts, and some drivers refuse to store one twice in a statement. Tasks that
            # store the same ids in the same order don't wait for each other in a circle.
            last = {entry.event_id: entry for entry in group}
            values = [self._row(last[event_id], now) for event_id in sorted(last)]
            with transaction(self._connection):
                for statement in self._store[delivered]:
                    self._connection.execute(statement, values)

    def _row(self, entry: LogEntry, now: dt.datetime) -> dict[str, Any]:
        return {
            **self._constant,
            "customer_event_id": entry.event_id,
            "status": DELIVERED if entry.delivered else REJECTED,
            "body_hash": entry.body_hash if entry.delivered else None,
            "sequence_id": entry.sequence_id,
            "http_status": entry.http_status,
            "reason": entry.reason,
            "rejected_body": entry.rejected_body,
            "attempts": 1,
            "first_at": now,
            "last_at": now,
        }
