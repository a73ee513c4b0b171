"""
A month, day by day: whatever the order, and however often, the table is that of one pull of the whole month.

A day costs two or three seconds, so the month has ten days, unless ``SEQUENCE_LIVE_DAYS`` says otherwise (30 at most).
"""

from __future__ import annotations

import datetime as dt
import os
import time
from typing import Any

import pytest

from tests.integration.support.databases import Warehouse
from tests.live.support.airflow import Airflow
from tests.live.support.events import TICK, send, usage
from tests.support.server import Server

FIRST, DAYS = dt.datetime(2026, 3, 1, tzinfo=dt.UTC), int(os.environ.get("SEQUENCE_LIVE_DAYS", "10"))
DAY = dt.timedelta(days=1)
LOOKBACK = dt.timedelta(days=1, hours=6)
START, END = FIRST - LOOKBACK, FIRST + DAYS * DAY
LAST = END - DAY


def times() -> list[dt.datetime]:
    """On each midnight and beside it, where the lookbacks begin, and on many times of each day, a week more included."""
    midnights = [FIRST + day * DAY for day in range(-3, DAYS + 4)]
    bounds = midnights + [midnight - LOOKBACK for midnight in midnights]
    around = [bound + shift for bound in bounds for shift in (-TICK, 0 * TICK, TICK)]
    return around + [
        midnight + dt.timedelta(minutes=18 * n, seconds=n) for midnight in midnights for n in range(1, 79)
    ]


def table(warehouse: Warehouse, name: str) -> dict[str, tuple[Any, ...]]:
    """The rows by their ids, but for the time at which they were loaded."""
    columns = (
        "id, customer_event_id, customer_alias, sequence_account_id, event_type, event_timestamp,"
        " event_properties::text, _extra::text"
    )
    rows = warehouse.rows(f"SELECT {columns} FROM {name}")
    found = {row[0]: row for row in rows}
    assert len(found) == len(rows)
    return found


def columns(warehouse: Warehouse, name: str) -> set[tuple[Any, ...]]:
    return set(
        warehouse.rows(
            f"SELECT column_name, data_type FROM information_schema.columns WHERE table_name = '{name}'"
        )
    )


def backfill(airflow: Airflow, dag_id: str, *options: str) -> float:
    """Run every day of the month; return how long it took. Each day has to succeed at the first try."""
    airflow.eventually(f"the DAG {dag_id} is known", lambda: airflow.has_dag(dag_id))
    before = {backfill["id"] for backfill in airflow.get("/backfills", dag_id=dag_id)["backfills"]}
    started = time.monotonic()
    airflow.cli(
        "backfill", "create", f"--dag-id={dag_id}", f"--from-date={FIRST:%Y-%m-%d}", f"--to-date={LAST:%Y-%m-%d}",
        "--max-active-runs=4", *options,
    )  # fmt: skip

    def completed() -> bool:
        # The runs that have failed are reported at once: the others don't have to be waited for.
        assert "failed" not in airflow.run_states(dag_id), airflow.story()
        new = [
            each for each in airflow.get("/backfills", dag_id=dag_id)["backfills"] if each["id"] not in before
        ]
        return len(new) == 1 and new[0]["completed_at"] is not None

    airflow.eventually(f"the backfill of {dag_id} is completed", completed, patience=300, every=1)
    took = time.monotonic() - started
    runs = airflow.runs(dag_id)
    assert {run["state"] for run in runs} == {"success"}
    assert {run["run_type"] for run in runs} == {"backfill"}
    assert sorted(dt.datetime.fromisoformat(run["data_interval_start"]) for run in runs) == [
        FIRST + day * DAY for day in range(DAYS)
    ]
    print(f"\nbackfill of {dag_id} {' '.join(options)}: {DAYS} runs in {took:.1f} s")
    return took


@pytest.fixture(scope="module")
def month(airflow: Airflow, sequence_server: Server, live_warehouse: Warehouse) -> dict[str, tuple[Any, ...]]:
    """Events in the sandbox, and the table that one pull makes of them."""
    sequence_server.start_over()
    events = [usage(f"m-{n}", at, quantity=n) for n, at in enumerate(times())]
    # Some are sent a second time with another body: the sandbox lists both.
    events += [event | {"customerAlias": "other"} for event in events[:50]]
    ids = send(sequence_server, events)
    run_id = airflow.trigger("month_at_once", window_start=START.isoformat(), window_end=END.isoformat())
    airflow.wait_for_run("month_at_once", run_id)
    found = table(live_warehouse, "month_at_once")
    assert set(found) == {
        event_id
        for event_id, event in zip(ids, events, strict=True)
        if START <= dt.datetime.fromisoformat(event["eventTimestamp"]) < END
    }
    assert airflow.xcom("month_at_once", run_id, "pull")["loaded"] == len(found)
    assert len(found) > 80 * DAYS
    return found


def test_a_month_is_backfilled_and_backfilled_again(
    airflow: Airflow, sequence_server: Server, live_warehouse: Warehouse, month: dict[str, tuple[Any, ...]]
) -> None:
    backfill(airflow, "month_forwards")
    assert table(live_warehouse, "month_forwards") == month
    assert columns(live_warehouse, "month_forwards") == columns(live_warehouse, "month_at_once")

    ((first_time,),) = live_warehouse.rows("SELECT max(_loaded_at) FROM month_forwards")
    backfill(airflow, "month_forwards", "--reprocess-behavior=completed")
    assert table(live_warehouse, "month_forwards") == month
    assert live_warehouse.rows(
        f"SELECT count(*) FROM month_forwards WHERE _loaded_at <= '{first_time.isoformat()}'"
    ) == [(0,)]
    assert sequence_server.violations() == []


def test_a_month_is_backfilled_backwards(
    airflow: Airflow, sequence_server: Server, live_warehouse: Warehouse, month: dict[str, tuple[Any, ...]]
) -> None:
    backfill(airflow, "month_backwards", "--run-backwards")
    assert table(live_warehouse, "month_backwards") == month
    assert sequence_server.violations() == []
