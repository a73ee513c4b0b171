"""What a push may be told to do besides pushing, while things go wrong: a dry run, guards, rows at odds."""

from __future__ import annotations

import datetime as dt
import json
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.faults.catalogue import FAULTS, Fault, check_error
from tests.faults.proxy import ByteProxy
from tests.faults.world import Row, World, make_rows

#: Of each way to lose an answer, and of each way to get none, one; each happens a few times, and passes.
PASSING = [
    fault for fault in FAULTS if fault.name in {"500", "reset-before", "reset-after", "truncated", "garbage"}
]
LASTING = [fault for fault in FAULTS if fault.name in {"401", "500", "reset-after"}]


def everything(world: World) -> dict[str, Any]:
    """All that the database holds."""
    return {
        table: sorted(world.warehouse.rows(f'SELECT t::text FROM "{table}" t'))
        for table in world.warehouse.tables()
    }


def dry_run_changes_nothing(world: World, run: Callable[[], object]) -> None:
    before, requests = everything(world), world.server.summary()["requests"]
    run()
    assert everything(world) == before
    assert world.server.summary()["requests"] == requests


def with_a_past(world: World) -> None:
    """Rows of which some were delivered, some rejected and some corrected."""
    rows = make_rows(40)
    world.put(rows[:30])
    refused = [row.id for row in rows[20:30]]
    for event_id in refused:
        world.server.fault(status=400, match={"customerEventId": event_id})
    assert world.push(max_rejected=10).is_right
    world.server.clear_faults()
    world.warehouse.execute(f"DROP TABLE {world.usage}")
    world.put([replace(row, properties='{"v": "corrected"}') if row.number < 5 else row for row in rows])


@pytest.mark.parametrize("log", [True, False], ids=["log", "no log"])
def test_dry_run_while_sequence_is_away(log: bool, world: World):
    with_a_past(world)
    world.proxy.refuse()

    def run() -> None:
        run = world.push(dry_run=True, retry_rejected=log, **({} if log else {"delivery_log_table": None}))
        assert run.is_right, run.said
        value = run.value
        assert (value["dry_run"], value["rows"], value["rejected"]) == (True, 40, 0)
        assert (value["delivered"], value["unchanged"], value["corrected"]) == (
            (25, 15, 5) if log else (40, 0, 0)
        )

    dry_run_changes_nothing(world, run)


@pytest.mark.parametrize("words", ["SELECT", "FETCH"])
def test_dry_run_while_the_database_goes_away(words: str, world: World, byte_proxy: ByteProxy):
    with_a_past(world)
    byte_proxy.cut_at(words.encode())

    def run() -> None:
        through = {"environment": {"AIRFLOW_CONN_WAREHOUSE": byte_proxy.connection}}
        run = world.push(through, dry_run=True)
        assert byte_proxy.trapped.is_set(), f"{words} was not said"
        assert "WarehouseError" in run.classes, run.said

    dry_run_changes_nothing(world, run)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["SIGKILL", "SIGTERM"])
def test_dry_run_that_is_interrupted(number: signal.Signals, world: World):
    with_a_past(world)

    def run() -> None:
        slow = world.push_options(dry_run=True)
        slow["sql"] = slow["sql"].replace("SELECT ", "SELECT pg_sleep(0.05)::text AS slow, ", 1)
        running = world.start_and_wait("push", slow)
        time.sleep(0.5)
        running.signal(number)
        world.check_secrets(running.wait())

    dry_run_changes_nothing(world, run)


def times() -> list[Row]:
    """Of 40 rows, ten are late and ten too far ahead."""
    now = dt.datetime.now(dt.UTC)
    days = {0: -40, 1: 2}
    return [
        replace(row, at=f"{now + dt.timedelta(days=days.get(row.number % 4, -1)):%Y-%m-%dT%H:%M:%SZ}")
        for row in make_rows(40)
    ]


GUARDS = {"late_after": 35, "max_future": 1}


@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: fault.name)
@pytest.mark.parametrize("late", ["report", "reject"])
def test_guards_count_each_row_once(late: str, fault: Fault, world: World):
    world.put(times())
    fault.install(world, "POST", "/usage-events", after_n=3, times=3)
    run = world.push({"deadline": 25}, **GUARDS, late=late, max_rejected=40)
    assert run.is_right, run.said
    world.check_summary(run)
    check_guarded(world, late)
    assert run.value["rejected"] == (20 if late == "reject" else 10)
    assert run.value["late"] == (0 if late == "reject" else 10)

    again = world.push(**GUARDS, late=late, max_rejected=40)
    assert (again.value["delivered"], again.value["late"]) == (0, 0), "what was delivered is not late"


@pytest.mark.parametrize("fault", LASTING, ids=lambda fault: fault.name)
@pytest.mark.parametrize("late", ["report", "reject"])
def test_guards_over_two_tries(late: str, fault: Fault, world: World):
    world.put(times())
    fault.install(world, "POST", "/usage-events", after_n=6)
    run = world.push(fault.how, **GUARDS, late=late, max_rejected=40)
    check_error(run, fault)
    world.check_log_against_ledger(in_flight=world.faults_applied())
    world.server.clear_faults()
    run = world.push(**GUARDS, late=late, max_rejected=40)
    assert run.is_right, run.said
    world.check_summary(run)
    check_guarded(world, late)


def check_guarded(world: World, late: str) -> None:
    refused = {
        row.id for row in world.rows if row.number % 4 == 1 or (late == "reject" and row.number % 4 == 0)
    }
    world.check_complete(rejected=refused)
    log = world.delivery_log()
    assert all(
        "late_after" in log[row.id]["reason"]
        for row in world.rows
        if row.id in refused and row.number % 4 == 0
    )
    assert all("max_future" in log[row.id]["reason"] for row in world.rows if row.number % 4 == 1)


@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: fault.name)
def test_rows_at_odds_are_told_and_the_last_one_wins(fault: Fault, world: World):
    world.put(make_rows(20, versions=2))
    fault.install(world, "POST", "/usage-events", after_n=3, times=4)
    run = world.push({"deadline": 25}, concurrency=8)
    assert run.is_right, run.said
    assert (run.value["conflicting"], run.value["corrected"], run.value["delivered"]) == (20, 0, 40)
    named = {each["customer_event_id"] for each in run.value["conflicting_rows"]}
    assert len(named) == 10
    assert named <= {row.id for row in world.rows}
    world.check_complete()


@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: fault.name)
def test_corrections_are_counted(fault: Fault, world: World):
    world.put(make_rows(20))
    assert world.push().is_right
    world.warehouse.execute(f"DROP TABLE {world.usage}")
    world.put([replace(row, properties=json.dumps({"v": row.number})) for row in make_rows(20)])
    fault.install(world, "POST", "/usage-events", after_n=3, times=4)
    run = world.push({"deadline": 25})
    assert run.is_right, run.said
    assert (run.value["corrected"], run.value["conflicting"], run.value["delivered"]) == (20, 0, 20)
    world.check_complete()


def test_refused_correction_leaves_what_was_delivered(world: World):
    """Sequence holds it still; once the correction is taken back, every event says so again."""
    rows = make_rows(20)
    world.put(rows)
    assert world.push().is_right
    world.warehouse.execute(f"DROP TABLE {world.usage}")
    world.put([replace(row, properties='{"v": "wrong"}') for row in rows])
    world.server.fault(status=400, method="POST", after_n=10)
    run = world.push(max_rejected=20)
    assert (run.value["corrected"], run.value["rejected"]) == (10, 10)
    world.server.clear_faults()
    world.warehouse.execute(f"DROP TABLE {world.usage}")
    world.put(rows)
    run = world.push()
    assert run.is_right, run.said
    world.check_complete()
    assert world.push().value["unchanged"] == 20
