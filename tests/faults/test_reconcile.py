"""A reconciliation while things go wrong: what it says is true, or it says nothing."""

from __future__ import annotations

import random
import signal
from dataclasses import replace
from typing import Any

import pytest

from tests.faults.catalogue import FAULTS, Fault, check_error, noticed
from tests.faults.figures import CAMPAIGN, measured
from tests.faults.proxy import ByteProxy
from tests.faults.runner import Run
from tests.faults.world import World

#: What the query is made to say of the 120 events that there are.
TRUTH = {"expected": 119, "found": 120, "missing": 2, "different": 4, "unexpected": 3, "voided": 0}


def options(world: World, **more: Any) -> dict[str, Any]:
    """A query that lacks three of the account's events, has two more, and says something else of four."""
    base = world.bases["usage_events"]
    columns = "customer_event_id, event_type, event_timestamp, event_properties"
    sql = (
        f"SELECT CASE WHEN customer_event_id IN ('u-20', 'u-40', 'u-60', 'u-80') THEN 'other' ELSE customer_alias END"
        f" AS customer_alias, {columns} FROM {base} WHERE customer_event_id NOT IN ('u-3', 'u-50', 'u-119')"
        f" UNION ALL SELECT 'acme', 'new-' || customer_event_id, event_type, event_timestamp, event_properties"
        f" FROM {base} WHERE customer_event_id IN ('u-1', 'u-2')"
    )
    window = {"window_start": "2026-03-01T00:00:00Z", "window_end": "2026-03-02T00:00:00Z"}
    found = {"differences_table": world.staged, "max_differences": 100}
    return {"sql": sql, "sql_conn_id": "warehouse"} | window | found | more


def reconcile(world: World, how: dict[str, Any] | None = None, **more: Any) -> Run:
    return world.run("reconcile", options(world, **more), **(how or {}))


def differences(world: World) -> list[tuple[str, str]]:
    if world.staged not in world.warehouse.tables():
        return []
    return sorted(world.warehouse.rows(f"SELECT customer_event_id, difference FROM {world.staged}"))


def check_truth(world: World, run: Run) -> None:
    assert run.is_right, run.said
    assert {name: run.value[name] for name in TRUTH} == TRUTH
    counts = {name: sum(said == name for _, said in differences(world)) for name in TRUTH}
    assert counts == TRUTH | {"expected": 0, "found": 0}


@pytest.mark.parametrize("after_n", [0, 1] if CAMPAIGN.full else [1])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_fault_that_lasts(fault: Fault, after_n: int, old: World):
    """Half a list is no reason to call the other half missing."""
    fault.install(old, "GET", "/usage-events", after_n=after_n)
    run = reconcile(old, {"deadline": 0.6} | fault.how)
    if noticed(run, fault):
        check_error(run, replace(fault, error="SequenceError"))
    elif fault.error is None:
        check_truth(old, run)
    else:
        check_error(run, fault)
    if not run.is_right:
        assert differences(old) == []
    old.server.clear_faults()
    old.proxy.rules.clear()
    check_truth(old, reconcile(old))
    measured("reconciliation", "faults")


def test_too_many_differences_fail_and_are_kept(old: World):
    run = reconcile(old, max_differences=8)
    assert "DifferencesError" in run.classes
    assert len(differences(old)) == 9


@pytest.mark.parametrize("after", [False, True], ids=["before it was heard", "after it was heard"])
@pytest.mark.parametrize("words", ["FETCH", "DELETE", "INSERT", "COMMIT"])
def test_database_goes_away(words: str, after: bool, old: World, byte_proxy: ByteProxy):
    """The differences of an earlier look stay, or those of this one are there."""
    check_truth(old, reconcile(old))
    old.warehouse.execute(f"UPDATE {old.staged} SET sequence_id = 'earlier'")
    byte_proxy.cut_at(words.encode(), after=after)
    run = reconcile(old, {"environment": {"AIRFLOW_CONN_WAREHOUSE": byte_proxy.connection}})
    assert byte_proxy.trapped.is_set(), f"{words} was not said"
    assert "WarehouseError" in run.classes, run.said
    whose = old.warehouse.rows(
        f"SELECT sequence_id IS NOT DISTINCT FROM 'earlier', count(*) FROM {old.staged} GROUP BY 1"
    )
    assert whose in ([(True, 9)], [(False, 9)])
    check_truth(old, reconcile(old))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["SIGKILL", "SIGTERM"])
def test_interrupted(number: signal.Signals, old: World, dice: random.Random):
    old.server.settings(latency_ms=50)
    try:
        done = 0
        while done < CAMPAIGN.others:
            old.drop()
            running = old.start_and_wait("reconcile", options(old))
            old.wait_for_request(running)
            running.is_over(dice.uniform(0, 0.15))
            running.signal(number)
            run = running.wait()
            old.check_secrets(run)
            if run.is_right:
                continue
            done += 1
            if not run.was_killed:
                assert "SequenceClientClosedError" in run.classes, run.said
            assert len(differences(old)) in {0, 9}
            check_truth(old, reconcile(old, {"host": old.server.api_url}))
    finally:
        old.server.settings(latency_ms=0)
    measured("reconciliation", number.name, tried=done)
