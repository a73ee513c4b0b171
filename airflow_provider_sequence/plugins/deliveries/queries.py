"""Queries of the page: parameters are bound, ranges and numbers of rows are bounded. Nothing here knows of the web."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import (
    Integer,
    String,
    Table,
    and_,
    case,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy.engine import Connection
from sqlalchemy.sql import ColumnElement, Select

from airflow_provider_sequence.pipelines import delivery_log_table, runs_table
from airflow_provider_sequence.pipelines.reconcile import differences
from airflow_provider_sequence.warehouse.ddl import existing_columns, table_name_in

#: Kinds of events that are pushed.
RESOURCES = ("usage_events", "seat_events")
#: Rows, runs, reasons and windows that are shown at most.
MAX_SHOWN = 200
#: Runs of the days of a page that are looked at, at most: the newest ones.
MAX_RUNS = 20_000
_MAX_ACCOUNTS = 50
#: How much earlier than its usage an event may have been tried.
_CLOCKS_DIFFER = dt.timedelta(days=1)

#: Not a parameter: so a partial index of the rejected rows is seen to fit.
_REJECTED = literal_column(f"'{delivery_log_table.REJECTED}'", String)


@dataclass(frozen=True, slots=True)
class Scope:
    """
    What a page is about.

    :param account: whose events.
    :param resource: of :data:`RESOURCES`.
    :param start: midnight of the first day, in UTC.
    :param end: midnight after the last day.
    """

    account: str
    resource: str
    start: dt.datetime
    end: dt.datetime

    @property
    def days(self) -> list[dt.datetime]:
        """Midnights of the days, in their order."""
        return [self.start + dt.timedelta(days=n) for n in range((self.end - self.start).days)]


@dataclass(frozen=True, slots=True)
class Source:
    """
    A table of the user's, or what is wrong with it.

    :param name: as the setting has it.
    :param table: the table, or None if it is not there.
    :param missing: columns that it lacks.
    """

    name: str
    table: Table | None
    missing: frozenset[str] = frozenset()


def find_log(connection: Connection, name: str) -> Source:
    """Find the delivery log."""
    return _find(connection, name, partial(delivery_log_table.make_table, partial_indexes=False))


def find_runs(connection: Connection, name: str) -> Source:
    """Find the table of runs."""
    return _find(connection, name, runs_table.make_table)


def find_differences(connection: Connection, name: str) -> Source:
    """Find the table of differences."""
    return _find(connection, name, differences.make_table)


def _find(connection: Connection, name: str, make_table: Callable[[str, str | None], Table]) -> Source:
    schema, plain = table_name_in(connection, name)
    there = existing_columns(connection, schema, plain)
    if there is None:
        return Source(name, None)
    table = make_table(plain, schema)
    return Source(name, table, frozenset(column.name for column in table.columns) - there)


def accounts(connection: Connection, tables: Sequence[Table]) -> list[str]:
    """Find the accounts that have rows: by their index, one at a time, and not by a look at each row."""
    found: set[str] = set()
    for table in tables:
        column = table.c.account
        account: str | None = ""
        while account is not None and len(found) < _MAX_ACCOUNTS:
            account = connection.execute(select(func.min(column)).where(column > account)).scalar()
            if account is not None:
                found.add(account)
    return sorted(found)


def day_counts(connection: Connection, log: Table, scope: Scope) -> Sequence[Any]:
    """Count entries as ``(day, status, is_corrected, entries)``, the day by its place in the scope."""
    c = log.c
    rows = (
        select(
            _day(c.event_timestamp, scope.days).label("day"),
            c.status,
            case((c.previous_hash.is_not(None), literal_column("1")), else_=literal_column("0")).label(
                "corrected"
            ),
        )
        .where(_mine(log, scope), c.event_timestamp >= scope.start, c.event_timestamp < scope.end)
        .subquery()
    )
    by = (rows.c.day, rows.c.status, rows.c.corrected)
    return connection.execute(select(*by, func.count()).group_by(*by)).all()


def _day(time: ColumnElement[Any], days: Sequence[dt.datetime], first: int = 0) -> ColumnElement[Any]:
    """The place of a time's day, by halves: five comparisons for a month, in every database's SQL."""
    if len(days) == 1:
        return literal_column(str(first), Integer)
    half = len(days) // 2
    return case(
        (time < days[half], _day(time, days[:half], first)), else_=_day(time, days[half:], first + half)
    )


def has_entries_without_time(connection: Connection, log: Table, scope: Scope) -> bool:
    """Whether entries have no time of usage: those that an earlier release wrote, or whose rows have no time."""
    query = select(log.c.status).where(_mine(log, scope), log.c.event_timestamp.is_(None)).limit(1)
    return connection.execute(query).first() is not None


def reasons(connection: Connection, log: Source, scope: Scope) -> Sequence[Any]:
    """Count rejected entries as ``(reason, entries, first_at, last_at)``, the most frequent reasons first."""
    table = _table(log)
    number = func.count().label("entries")
    query = (
        select(table.c.reason, number, func.min(table.c.first_at), func.max(table.c.last_at))
        .where(_rejected(log, scope))
        .group_by(table.c.reason)
        .order_by(number.desc(), table.c.reason)
        .limit(MAX_SHOWN)
    )
    return connection.execute(query).all()


def rejected_rows(connection: Connection, log: Source, scope: Scope, reason: str | None) -> Sequence[Any]:
    """List the newest rejected entries, without their bodies."""
    columns = _entry_columns(log)
    table = _table(log)
    query = select(*columns).where(_rejected(log, scope))
    if reason is not None:
        query = query.where(table.c.reason == reason)
    query = query.order_by(table.c.last_at.desc(), table.c.customer_event_id).limit(MAX_SHOWN)
    return connection.execute(query).all()


def entries(connection: Connection, log: Source, account: str, event_id: str) -> Sequence[Any]:
    """Find the entries of an event id, of each kind of event at most one, without their bodies."""
    table = _table(log)
    return connection.execute(
        select(*_entry_columns(log)).where(_of_event(table, account, RESOURCES, event_id))
    ).all()


def rejected_body(
    connection: Connection, log: Table, account: str, resource: str, event_id: str
) -> str | None:
    """Find the body that was rejected last."""
    query = select(log.c.rejected_body).where(_of_event(log, account, [resource], event_id))
    body: str | None = connection.execute(query).scalar()
    return body


def difference_windows(connection: Connection, table: Table, scope: Scope) -> Sequence[Any]:
    """Count differences as ``(window_start, window_end, difference, events, found_at)``, the newest windows first."""
    c = table.c
    by = (c.window_start, c.window_end, c.difference)
    query = (
        select(*by, func.count().label("events"), func.max(c.found_at).label("found_at"))
        .where(_mine(table, scope), c.window_start < scope.end, c.window_end > scope.start)
        .group_by(*by)
        .order_by(c.window_start.desc(), c.window_end.desc(), c.difference)
        .limit(MAX_SHOWN)
    )
    return connection.execute(query).all()


def difference_rows(connection: Connection, table: Table, scope: Scope) -> Sequence[Any]:
    """List the events that differ in windows that touch the scope."""
    c = table.c
    query = (
        select(c.window_start, c.window_end, c.customer_event_id, c.difference, c.sequence_id, c.found_at)
        .where(_mine(table, scope), c.window_start < scope.end, c.window_end > scope.start)
        .order_by(c.window_start.desc(), c.customer_event_id)
        .limit(MAX_SHOWN)
    )
    return connection.execute(query).all()


def runs_of_days(connection: Connection, runs: Table, scope: Scope) -> Sequence[Any]:
    """List the tries whose window touches the scope, the newest first. None of them began before the usage was there."""
    c = runs.c
    query = (
        select(runs)
        .where(_mine(runs, scope), c.started_at >= scope.start)
        .where(c.operation.in_(["push", "void", "reconcile"]))
        .where(or_(c.window_start.is_(None), and_(c.window_start < scope.end, c.window_end > scope.start)))
        .order_by(c.started_at.desc())
        .limit(MAX_RUNS)
    )
    return connection.execute(query).all()


def newest_runs(connection: Connection, runs: Table, **wanted: Any) -> Sequence[Any]:
    """List the newest tries with these values in columns; None for any."""
    query: Select[Any] = select(runs)
    for name, value in wanted.items():
        if value is not None:
            query = query.where(runs.c[name] == value)
    return connection.execute(query.order_by(runs.c.started_at.desc()).limit(MAX_SHOWN)).all()


def _mine(table: Table, scope: Scope) -> ColumnElement[bool]:
    return and_(table.c.account == scope.account, table.c.resource == scope.resource)


def _rejected(log: Source, scope: Scope) -> ColumnElement[bool]:
    """
    Rejected entries of usage in the scope; without a time of usage, those that were tried last in it.

    They are found by the time of their last try, which has an index, and which is after the usage.
    """
    c = _table(log).c
    tried = and_(c.last_at >= scope.start, c.last_at < scope.end)
    if "event_timestamp" not in log.missing:
        used = and_(c.event_timestamp >= scope.start, c.event_timestamp < scope.end)
        tried = and_(
            c.last_at >= scope.start - _CLOCKS_DIFFER,
            or_(used, and_(c.event_timestamp.is_(None), tried)),
        )
    return and_(_mine(_table(log), scope), c.status == _REJECTED, tried)


def _of_event(log: Table, account: str, kinds: Sequence[str], event_id: str) -> ColumnElement[bool]:
    c = log.c
    return and_(c.account == account, c.resource.in_(kinds), c.customer_event_id == event_id)


def _entry_columns(log: Source) -> list[ColumnElement[Any]]:
    unread = {"account", "rejected_body", *log.missing}
    return [column for column in _table(log).columns if column.name not in unread]


def _table(source: Source) -> Table:
    if source.table is None:
        raise LookupError(source.name)
    return source.table
