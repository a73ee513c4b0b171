"""Tables of the page of deliveries, and rows in them for what no task would write within a test."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import Any

import sqlalchemy as sa

from airflow_provider_sequence.pipelines import delivery_log_table, runs_table
from airflow_provider_sequence.pipelines.reconcile import differences
from airflow_provider_sequence.warehouse.ddl import create_if_missing, create_indexes
from airflow_provider_sequence.warehouse.dialects import dialect_of
from airflow_provider_sequence.warehouse.engine import connect, transaction

ACCOUNT, OTHER = "a" * 32, "b" * 32
#: The day that the pages end with.
TODAY = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
NOW = TODAY + dt.timedelta(hours=15)

_ids = itertools.count()


def make_tables(engine: sa.engine.Engine, *, old_log: bool = False) -> dict[str, sa.Table]:
    """Make the delivery log, the runs and the differences, as tasks make them; the log perhaps as earlier releases did."""
    partial_indexes = dialect_of(engine).partial_indexes
    log = delivery_log_table.make_table("sequence_delivery_log", None, partial_indexes=partial_indexes)
    if old_log:
        kept = [
            sa.Column(c.name, c.type) for c in log.columns if c.name not in delivery_log_table.ADDED_LATER
        ]
        log = sa.Table(log.name, sa.MetaData(), *kept)
    tables = {
        "log": log,
        "runs": runs_table.make_table("sequence_runs", None),
        "differences": differences.make_table("sequence_differences", None),
    }
    with connect(engine) as connection:
        for table in tables.values():
            with transaction(connection):
                create_if_missing(connection, table)
            create_indexes(connection, table)
    return tables


def entry(used_at: dt.datetime | None, **fields: Any) -> dict[str, Any]:
    """An entry of the log: a delivered event, if no field says otherwise."""
    at = fields.get("last_at", (used_at or TODAY) + dt.timedelta(days=1))
    return {
        "account": ACCOUNT,
        "resource": "usage_events",
        "customer_event_id": f"event-{next(_ids):06}",
        "status": "delivered",
        "previous_hash": None,
        "voided_hash": None,
        "body_hash": "0" * 32,
        "sequence_id": "019c0000-0000-7000-8000-000000000000",
        "reason": None,
        "rejected_body": None,
        "http_status": None,
        "attempts": 1,
        "first_at": at,
        "last_at": at,
        "dag_id": "usage",
        "task_id": "push",
        "run_id": "scheduled__1",
        "customer_alias": "acme",
        "event_type": "api-call",
        "event_timestamp": used_at,
        **fields,
    }


def try_of(operation: str, day: dt.datetime, started_at: dt.datetime, **fields: Any) -> dict[str, Any]:
    """A try of a task that is about a day, and took a minute."""
    ended_at = started_at + dt.timedelta(minutes=1)
    counts = dict.fromkeys(runs_table.COUNTS)
    figures = {
        "push": {"rows": 10, "delivered": 8, "unchanged": 2, "corrected": 0, "rejected": 0, "late": 1},
        "reconcile": {"expected": 10, "found": 10, "missing": 0, "different": 0, "unexpected": 0},
    }.get(operation, {})
    return {
        "id": f"{next(_ids):036}",
        "account": ACCOUNT,
        "operation": operation,
        "resource": "usage_events",
        "sequence_conn_id": "sequence_default",
        "dag_id": "usage",
        "task_id": operation,
        "run_id": f"scheduled__{day:%Y-%m-%d}",
        "map_index": -1,
        "try_number": 1,
        "window_start": day,
        "window_end": day + dt.timedelta(days=1),
        "started_at": started_at,
        "seen_at": ended_at,
        "ended_at": ended_at,
        "outcome": "success",
        "error": None,
        **counts,
        **figures,
        "requests": 6000,
        "per_minute": 12000,
        **fields,
    }


def difference(day: dt.datetime, event_id: str, kind: str = "missing") -> dict[str, Any]:
    """A difference of a day."""
    return {
        "account": ACCOUNT,
        "resource": "usage_events",
        "window_start": day,
        "window_end": day + dt.timedelta(days=1),
        "customer_event_id": event_id,
        "difference": kind,
        "sequence_id": None,
        "found_at": day + dt.timedelta(days=1, hours=2),
    }
