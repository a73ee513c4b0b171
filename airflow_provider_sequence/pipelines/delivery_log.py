"""Delivery log: what was delivered and what was rejected, in a table of the user's own database."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from hashlib import blake2b
from itertools import groupby
from typing import Any, ParamSpec, TypeVar

import msgspec
from sqlalchemy import (
    Integer,
    String,
    Text,
    and_,
    any_,
    bindparam,
    case,
    func,
    literal_column,
    null,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.engine import Connection
from sqlalchemy.sql import ColumnElement, Select

from airflow_provider_sequence.api.events import EventFacts
from airflow_provider_sequence.api.timestamps import parse_timestamp
from airflow_provider_sequence.pipelines.delivery_log_table import (
    ADDED_LATER,
    DELIVERED,
    FACTS,
    IN_DOUBT,
    REJECTED,
    VOIDED,
    make_table,
)
from airflow_provider_sequence.pipelines.push.outcomes import Outcome, Status
from airflow_provider_sequence.warehouse.ddl import (
    add_columns,
    create_if_missing,
    create_indexes,
    existing_columns,
    table_name_in,
    wrong_table,
)
from airflow_provider_sequence.warehouse.dialects import dialect_of
from airflow_provider_sequence.warehouse.engine import reconnect_once, require_transactions, transaction
from airflow_provider_sequence.warehouse.upsert import Upserter, Values

#: What stands for the body of an event that was voided without the log having known it.
_ANY = "*"
# No parameters: MySQL's drivers make one statement of many, if only the values that it inserts are such.
_ONE, _ANY_BODY = literal_column("1", Integer), literal_column(f"'{_ANY}'", String)
#: Entries that are read at a time.
_PAGE = 500

P = ParamSpec("P")
T = TypeVar("T")


class KnownDelivery(msgspec.Struct, frozen=True):
    """
    What is known of an event id that was sent before.

    :param body_hash: hash of the body that was sent last; of a voided event, the one before; None if it is not known.
    :param is_current: whether that is what Sequence holds; not so if it was rejected.
    :param this_run: whether it was sent since this log was opened.
    :param voided: whether the event was voided.
    """

    body_hash: str | None
    is_current: bool
    this_run: bool = False
    voided: bool = False


def hash_body(body: bytes) -> str:
    """Hash of an event's body; stored in logs, so it never changes."""
    return blake2b(body, digest_size=16).hexdigest()


def _idempotent(method: Callable[P, T]) -> Callable[P, T]:
    """Make a method that is run once more, over a new connection, if its connection is lost."""

    @wraps(method)
    def call(*args: P.args, **options: P.kwargs) -> T:
        return reconnect_once(lambda: method(*args, **options))

    return call


class DeliveryLog:
    """
    Lookup and store of outcomes: an entry for each account, resource and event id.

    An entry keeps the hash of the body that was delivered last also when a later body is rejected. Each call is a
    transaction of its own (atomic): what was stored stays stored, whatever happens afterwards.

    :param connection: the database; nothing else may use it meanwhile.
    :param table: ``table`` or ``schema.table``; it is made when missing.
    :param account: whose events; entries of other accounts are not seen.
    :param resource: what kind of events.
    :param task: ``{"dag_id", "task_id", "run_id"}`` of the task that stores entries.
    :param voiding: whether what is delivered voids events.
    :param read_only: make no table, leave one that lacks columns as it is, and store nothing.
    :raises SequenceConfigurationError: if the table is there, and is not a delivery log; or if the database has no
        transactions.
    """

    def __init__(
        self,
        connection: Connection,
        table: str,
        *,
        account: str,
        resource: str,
        task: Mapping[str, str | None],
        voiding: bool = False,
        read_only: bool = False,
    ) -> None:
        require_transactions(
            connection, "a delivery log", "Name a connection to another database in delivery_log_conn_id"
        )
        self._connection = connection
        #: How long an id may be that the log can keep, and what that is counted in; None without a limit.
        self.longest_id = dialect_of(connection).longest_key
        schema, name = table_name_in(connection, table)
        self._table = make_table(name, schema, partial_indexes=dialect_of(connection).partial_indexes)
        self._constant = {"account": account, "resource": resource, **task}
        self._voiding = voiding
        self._opened_at = dt.datetime.now(dt.UTC)
        if not read_only:
            with transaction(connection):
                create_if_missing(connection, self._table)
        with connection.begin():
            there = existing_columns(connection, schema, name)
        self._is_there = there is not None
        missing = {column.name for column in self._table.columns} - (there or set())
        if self._is_there and missing - ADDED_LATER:
            raise wrong_table(table, "delivery log of this release", sorted(missing))
        if missing and not read_only:
            add_columns(connection, self._table, sorted(missing))
        if not read_only:
            create_indexes(connection, self._table)
        self._look_up = self._write_look_up(has_voided=not (read_only and "voided_hash" in missing))
        names = [column.name for column in self._table.columns if column.name != "previous_hash"]
        self._delivered = Upserter(
            connection,
            self._table,
            names,
            keep={"first_at", "attempts", "voided_hash"},
            change=self._when_delivered,
        )
        # What was delivered before is what Sequence still holds.
        self._rejected = Upserter(
            connection,
            self._table,
            names,
            keep={"first_at", "attempts", "body_hash", "voided_hash", "sequence_id"},
            change=self._when_rejected,
        )

    def _when_delivered(self, new: Values) -> dict[str, ColumnElement[Any]]:
        c = self._table.c
        other = case((c.body_hash != new["body_hash"], c.body_hash), else_=null())
        return {
            "attempts": c.attempts + _ONE,
            "previous_hash": func.coalesce(other, c.previous_hash),
            # What is delivered otherwise than to void is voided no more.
            "voided_hash": func.coalesce(other, c.voided_hash, _ANY_BODY) if self._voiding else null(),
            # What voids an event says nothing of it.
            **({name: func.coalesce(c[name], new[name]) for name in FACTS} if self._voiding else {}),
        }

    def _when_rejected(self, new: Values) -> dict[str, ColumnElement[Any]]:
        c = self._table.c
        # A row that became no event may lack what is known of an earlier one.
        known = {name: func.coalesce(new[name], c[name]) for name in FACTS}
        return {"attempts": c.attempts + _ONE, **known}

    def _write_look_up(self, *, has_voided: bool) -> Select[Any]:
        c = self._table.c
        this_run = c.last_at >= self._opened_at
        if dialect_of(self._connection).array_parameters:
            # One parameter, however many ids: a third of the work.
            wanted = c.customer_event_id == any_(bindparam("ids", type_=ARRAY(Text)))
        else:
            wanted = c.customer_event_id.in_(bindparam("ids", expanding=True))
        return select(
            c.customer_event_id,
            c.status,
            c.body_hash,
            c.voided_hash if has_voided else null().label("voided_hash"),
            case((this_run, 1), else_=0),
            # What was rejected counts only against other rows of the same run.
            case((this_run, c.rejected_body), else_=null()),
        ).where(self._mine(), c.status != IN_DOUBT, wanted)

    @_idempotent
    def known(self, event_ids: Sequence[str]) -> dict[str, KnownDelivery]:
        """Look up what is known of each of these ids, in one query; ids of which nothing is known are left out."""
        if not event_ids or not self._is_there:
            return {}
        with self._connection.begin():
            found = self._connection.execute(self._look_up, {"ids": list(event_ids)}).all()
        known = {}
        for event_id, status, hashed, voided, this_run, body in found:
            if voided is not None and not self._voiding:
                known[event_id] = KnownDelivery(
                    None if voided == _ANY else voided, is_current=True, voided=True
                )
            elif status != REJECTED:
                known[event_id] = KnownDelivery(hashed, is_current=True, this_run=bool(this_run))
            elif body:
                known[event_id] = KnownDelivery(hash_body(body.encode()), is_current=False, this_run=True)
        return known

    def rejected(self) -> Iterator[tuple[str, str]]:
        """
        List what was rejected before this log was opened and is not delivered since, page by page.

        :return: ids and bodies, in the order of the ids; what was not even sent has no body, and is left out.
        """
        c = self._table.c
        after = ""
        while True:
            query = (
                select(c.customer_event_id, c.rejected_body)
                .where(self._mine(), c.status == REJECTED, c.rejected_body.is_not(None))
                .where(c.last_at < self._opened_at, c.customer_event_id > after)
                .order_by(c.customer_event_id)
                .limit(_PAGE)
            )
            page = self._read(query)
            if not page:
                return
            yield from ((row.customer_event_id, row.rejected_body) for row in page)
            after = page[-1].customer_event_id

    @_idempotent
    def _read(self, query: Select[Any]) -> Sequence[Any]:
        with self._connection.begin():
            return self._connection.execute(query).all()

    def prune_delivered(self, age: dt.timedelta) -> int:
        """
        Delete the entries of this account and resource that are delivered, and were last sent longer ago than that.

        :return: how many there were.
        """
        pruned, after = 0, ""
        while ids := self._delete_page(self._opened_at - age, after):
            pruned, after = pruned + len(ids), ids[-1]
        return pruned

    @_idempotent
    def _delete_page(self, before: dt.datetime, after: str) -> list[str]:
        c, dialect = self._table.c, dialect_of(self._connection)
        page = (
            select(c.customer_event_id)
            .where(self._mine(), c.status == DELIVERED, c.last_at < before, c.customer_event_id > after)
            .order_by(c.customer_event_id)
            .limit(_PAGE)
        )
        if dialect.insert is not None and not dialect.stage_upserts:
            # Where rows are locked: what another task is about to store stays, and nobody waits for anybody.
            page = page.with_for_update(skip_locked=True)
        with transaction(self._connection):
            ids = [row.customer_event_id for row in self._connection.execute(page).all()]
            if ids:
                self._connection.execute(
                    self._table.delete().where(self._mine(), c.customer_event_id.in_(ids))
                )
        return ids

    def query_for_rejected(self) -> str:
        """SQL that lists what this run rejected, for people to run."""
        table = ".".join(filter(None, [self._table.schema, self._table.name]))
        wanted = {
            name: self._constant[name] for name in ("account", "resource", "dag_id", "task_id", "run_id")
        }
        where = " AND ".join(
            f"{name} = {_literal(value)}" for name, value in wanted.items() if value is not None
        )
        return (
            f"SELECT customer_event_id, reason, rejected_body FROM {table} "  # noqa: S608  for people to read
            f"WHERE {where} AND status = '{REJECTED}'"
        )

    @_idempotent
    def mark_in_doubt(self, event_ids: Sequence[str]) -> None:
        """
        Record that it is not known which body Sequence holds of these ids, because another one is about to be sent.

        Else a body whose response is lost would leave the log with the hash of the body before; a row that goes back
        to that one would be taken for delivered.
        """
        c = self._table.c
        # One id at a time where rows are locked, so that tasks that mark the same ids cannot deadlock.
        size = len(event_ids) if dialect_of(self._connection).stage_upserts else 1
        for start in range(0, len(event_ids), size or 1):
            ids = event_ids[start : start + size]
            with transaction(self._connection):
                self._connection.execute(
                    self._table
                    .update()
                    .where(self._mine(), c.customer_event_id.in_(ids), c.status.in_([DELIVERED, VOIDED]))
                    .values(status=IN_DOUBT)
                )

    @_idempotent
    def record_voided_hash(self, event_id: str, body_hash: str) -> None:
        """Record which body was voided, where the log did not know it: the first one that is seen."""
        c = self._table.c
        with transaction(self._connection):
            self._connection.execute(
                self._table
                .update()
                .where(self._mine(), c.customer_event_id == event_id, c.voided_hash == _ANY)
                .values(voided_hash=body_hash)
            )

    def _mine(self) -> ColumnElement[bool]:
        c = self._table.c
        return and_(c.account == self._constant["account"], c.resource == self._constant["resource"])

    @_idempotent
    def store(self, outcomes: Sequence[Outcome]) -> None:
        """Store the outcomes of delivered and rejected events, in order."""
        now = dt.datetime.now(dt.UTC)
        for rejected, group in groupby(outcomes, key=lambda outcome: outcome.status is Status.REJECTED):
            # The last outcome of an id counts, and some drivers refuse a key twice in a statement. In the order of the
            # ids, so that tasks that store the same ids cannot deadlock.
            last = {outcome.event_id: outcome for outcome in group if outcome.event_id is not None}
            rows = [self._row(event_id, last[event_id], now) for event_id in sorted(last)]
            (self._rejected if rejected else self._delivered).store(rows)

    def _row(self, event_id: str, outcome: Outcome, now: dt.datetime) -> dict[str, Any]:
        delivered = outcome.status is not Status.REJECTED
        return {
            **self._constant,
            "customer_event_id": event_id,
            "status": REJECTED if not delivered else VOIDED if self._voiding else DELIVERED,
            "body_hash": outcome.body_hash if delivered else None,
            "voided_hash": _ANY if self._voiding and delivered else None,
            "sequence_id": outcome.sequence_id,
            "http_status": outcome.http_status,
            "reason": outcome.reason,
            "rejected_body": None if outcome.body is None else outcome.body.decode(),
            "attempts": 1,
            "first_at": now,
            "last_at": now,
            **self._facts(outcome.facts),
        }

    def _facts(self, facts: EventFacts | None) -> dict[str, Any]:
        facts = facts or EventFacts()
        time = facts.eventTimestamp
        return {
            "customer_alias": None if self._voiding else facts.customerAlias,
            "event_type": None if self._voiding else facts.eventType or facts.seatType,
            "event_timestamp": None if time is None else parse_timestamp(time),
        }


def _literal(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"
