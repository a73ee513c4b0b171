"""Tables of the page of deliveries, and rows in them, without the code that keeps them in earnest."""

from __future__ import annotations

import datetime as dt
import itertools
import random
from typing import Any

import sqlalchemy as sa

from airflow_provider_sequence.warehouse.types import UtcTimestamp

ACCOUNT, OTHER = "a" * 32, "b" * 32
#: The day that the pages end with.
TODAY = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
NOW = TODAY + dt.timedelta(hours=15)

_ids = itertools.count()


def _texts(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Text) for name in names]


def _times(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, UtcTimestamp()) for name in names]


def _numbers(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.BigInteger) for name in names]


def tables(*, old_log: bool = False) -> dict[str, sa.Table]:
    """The delivery log, the runs and the differences."""
    metadata = sa.MetaData()
    added = [] if old_log else [*_texts("customer_alias", "event_type"), *_times("event_timestamp")]
    log = sa.Table(
        "sequence_delivery_log",
        metadata,
        *(
            sa.Column(name, sa.String(255), primary_key=True)
            for name in ("account", "resource", "customer_event_id")
        ),
        *_texts(
            "status", "previous_hash", "voided_hash", "body_hash", "sequence_id", "reason", "rejected_body"
        ),
        *_numbers("http_status", "attempts"),
        *_times("first_at", "last_at"),
        *_texts("dag_id", "task_id", "run_id"),
        *added,
    )
    runs = sa.Table(
        "sequence_runs",
        metadata,
        sa.Column("id", sa.String(36), primary_key=True),
        *_texts("account", "operation", "resource", "sequence_conn_id", "dag_id", "task_id", "run_id"),
        *_numbers("map_index", "try_number"),
        *_times("window_start", "window_end", "started_at", "seen_at", "ended_at"),
        *_texts("outcome", "error"),
        *_numbers(
            "rows", "delivered", "unchanged", "corrected", "rejected", "late", "conflicting", "not_tried"
        ),
        *_numbers("read", "loaded", "throttled", "requests", "per_minute"),
        *_numbers("expected", "found", "missing", "different", "unexpected"),
    )
    differences = sa.Table(
        "sequence_differences",
        metadata,
        *_texts("account", "resource"),
        *_times("window_start", "window_end"),
        *_texts("customer_event_id", "difference", "sequence_id"),
        *_times("found_at"),
    )
    return {"log": log, "runs": runs, "differences": differences}


#: Indexes that the tables have on PostgreSQL.
INDEXES = (
    "CREATE INDEX log_by_usage ON sequence_delivery_log (account, resource, event_timestamp)",
    "CREATE INDEX log_rejected ON sequence_delivery_log (account, resource, last_at) WHERE status = 'rejected'",
    "CREATE INDEX runs_by_start ON sequence_runs (account, started_at)",
)


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
    counts = dict.fromkeys(
        (*("rows", "delivered", "unchanged", "corrected", "rejected", "late", "conflicting", "not_tried", "read"),
         *("loaded", "throttled", "expected", "found", "missing", "different", "unexpected")),
    )  # fmt: skip
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


def month(end: dt.datetime) -> dict[str, list[dict[str, Any]]]:
    """Rows of a month that ends with a day: one of it differs, one is not checked, one was pushed since, one failed."""
    chance = random.Random(end.toordinal())
    rows: dict[str, list[dict[str, Any]]] = {"log": [], "runs": [], "differences": []}
    for back in range(31):
        day, next_day = end - dt.timedelta(days=back), end - dt.timedelta(days=back - 1)
        run = {"run_id": f"scheduled__{next_day:%Y-%m-%dT%H:%M:%S}+00:00"}
        size = 420 if day.weekday() > 4 else chance.randrange(800, 1100)
        corrected, bad = (
            chance.randrange(5, 60),
            chance.randrange(40, 120) if back == 5 else chance.randrange(4),
        )
        for n in range(size):
            at = day + dt.timedelta(seconds=chance.randrange(86_400))
            rows["log"].append(
                entry(
                    at,
                    **run,
                    last_at=next_day,
                    previous_hash="1" * 32 if n < corrected else None,
                    event_type="api-call",
                )
            )
        for n in range(bad):
            reason = (
                "400 BadRequest: customerAlias must have 255 characters at most, not 300",
                "the column quantity is NaN",
            )[n % 2]
            rows["log"].append(
                entry(day, **run, last_at=next_day, first_at=next_day, status="rejected", reason=reason, sequence_id=None,
                      rejected_body='{"customerEventId":"…","eventType":"api-call"}' if n % 2 == 0 else None)
            )  # fmt: skip
        pushed = next_day + dt.timedelta(minutes=10)
        counts = {
            "rows": size + bad,
            "delivered": size,
            "corrected": corrected,
            "unchanged": 0,
            "rejected": bad,
            "late": back % 4,
        }
        if back == 8:
            failed = {"outcome": "failed", "error": "SequenceUnavailableError", **dict.fromkeys(counts)}
            rows["runs"].append(
                try_of("push", day, pushed - dt.timedelta(minutes=5), **run, **failed, requests=412)
            )
        rows["runs"].append(
            try_of(
                "push",
                day,
                pushed,
                **run,
                **counts,
                requests=size + bad + 3,
                try_number=2 if back == 8 else 1,
            )
        )
        checked = pushed + dt.timedelta(minutes=50)
        missing = 3 if back == 3 else 0
        if back not in {0, 6}:
            found = {
                "expected": size,
                "found": size - missing,
                "missing": missing,
                "requests": size // 100 + 1,
            }
            ended = {"outcome": "failed", "error": "DifferencesError"} if missing else {}
            rows["runs"].append(try_of("reconcile", day, checked, **run, **found, **ended))
        if back == 4:
            rows["runs"].append(
                try_of(
                    "push",
                    day,
                    checked + dt.timedelta(hours=9),
                    run_id="manual__again",
                    **(counts | {"unchanged": size, "delivered": 0, "corrected": 0}),
                )
            )
        if missing:
            rows["differences"] += [
                difference(day, each["customer_event_id"]) for each in rows["log"][-missing:]
            ]
    return rows
