"""Processes that are killed at random instants, or told to end, and the try after that."""

from __future__ import annotations

import random
import signal
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from airflow_provider_sequence.exceptions import SequenceClientClosedError
from airflow_provider_sequence.hooks.sql_engine import create_sql_engine
from airflow_provider_sequence.transfers.sql_to_sequence import SqlToSequenceUsageEventsOperator
from tests.faults.account import old_table
from tests.faults.figures import CAMPAIGN, measured
from tests.faults.world import Row, World, make_rows

CONCURRENCY = 8


def direct(world: World) -> dict[str, str]:
    """Past whatever stands before the server."""
    return {"host": world.server.api_url}


#: Ids from here on have three rows, and the last one has to win. A run sends all three whenever it is tried again.
TWICE = "e-00160"


def mixed_rows() -> list[Row]:
    several = make_rows(20, versions=3, start=160)
    rows = [*several[:20], *make_rows(160), *several[20:]]
    return [replace(row, number=number) for number, row in enumerate(rows)]


@pytest.mark.quick
def test_killed_pushes(world: World, dice: random.Random):
    took = 0.0
    killed, repeats, most = 0, 0, 0
    while killed < CAMPAIGN.kills:
        world.drop()
        world.start_over()
        world.server.settings(latency_ms=15)
        world.put(mixed_rows())
        options = world.push_options(concurrency=CONCURRENCY)
        record_after = dice.choice([None, 7, 40])  # None: the log is written once in so short a push
        running = world.start_and_wait("push", options, record_after=record_after)
        began = time.monotonic()
        if not took:  # the first one shows how long it takes
            assert running.wait().is_right
            took = time.monotonic() - began
            world.check_complete()
            continue
        running.is_over(dice.uniform(0, took))
        running.signal(signal.SIGKILL)
        run = running.wait()
        if not run.was_killed:
            continue
        killed += 1
        world.check_secrets(run)
        time.sleep(0.1)  # what was under way arrives
        world.server.settings(latency_ms=0)
        before = world.ledger()
        log = world.delivery_log()
        unlogged = [
            item for item in before if log.get(item["customerEventId"], {}).get("sequence_id") != item["id"]
        ]
        for event_id, entry in log.items():
            if entry["status"] == "delivered":
                assert any(item["id"] == entry["sequence_id"] for item in before), (
                    f"{event_id} is claimed to be there"
                )

        run = world.push(direct(world), concurrency=CONCURRENCY)
        assert run.is_right, run.said
        world.check_summary(run)
        world.check_complete()
        single = {row.id for row in world.rows} - {row.id for row in world.rows if row.id >= TWICE}
        again = sum(item["customerEventId"] in single for item in world.ledger()) - len(single)
        unknown = sum(item["customerEventId"] in single for item in unlogged)
        assert again <= unknown, "more was sent again than the log did not know"
        repeats, most = repeats + max(0, again), max(most, again)
    measured("push", "SIGKILL", tried=killed, repeats=repeats, most=most)


def test_pushes_told_to_end(world: World, dice: random.Random):
    """What Airflow does: SIGTERM, and the operator's on_kill. The log holds all that was answered."""
    ended = 0
    took = 0.0
    while ended < CAMPAIGN.terms:
        world.drop()
        world.start_over()
        world.server.settings(latency_ms=20)
        world.put(make_rows(150))
        options = world.push_options(concurrency=CONCURRENCY)
        running = world.start_and_wait("push", options, record_after=dice.choice([None, 20]))
        began = time.monotonic()
        if not took:
            assert running.wait().is_right
            took = time.monotonic() - began
            continue
        running.is_over(dice.uniform(0.02, took))
        running.signal(signal.SIGTERM)
        told = time.monotonic()
        run = running.wait(30)
        if run.is_right:
            continue
        ended += 1
        assert time.monotonic() - told < 10, "it took its time to end"
        assert not run.was_killed
        world.check_secrets(run)
        assert "SequenceClientClosedError" in run.classes, run.said
        time.sleep(0.1)
        stored = len(world.ledger())
        world.check_log_against_ledger()  # to the last answer

        world.server.settings(latency_ms=0)
        run = world.push(direct(world), concurrency=CONCURRENCY)
        assert run.is_right, run.said
        assert run.value["unchanged"] == stored
        assert set(world.check_complete().values()) == {1}
    measured("push", "SIGTERM", tried=ended, repeats=0)


@pytest.mark.quick
@pytest.mark.parametrize("concurrency", [1, 8])
def test_killed_pulls(concurrency: int, old: World, dice: random.Random):
    took = 0.0
    killed, complete = 0, 0
    whole = old.snapshot(old.bases["usage_events"], with_time=False)
    while killed < CAMPAIGN.kills:
        old.drop()
        old.new_tables()
        before = old_table(old, "usage_events")
        running = old.start_and_wait("pull", old.pull_options(concurrency=concurrency))
        began = time.monotonic()
        if not took:
            assert running.wait().is_right
            took = time.monotonic() - began
            continue
        running.is_over(dice.uniform(0, took))
        running.signal(signal.SIGKILL)
        run = running.wait()
        if not run.was_killed:
            continue
        killed += 1
        old.check_secrets(run)
        time.sleep(0.05)
        now = old.snapshot()
        is_complete = old.snapshot(with_time=False) == whole
        assert now == before or is_complete, "half a load is in the table"
        complete += is_complete
        run = old.pull(how=direct(old), concurrency=concurrency)
        assert run.is_right, run.said
        assert old.snapshot(with_time=False) == whole
        tables = {name for name in old.warehouse.tables() if old.staged in name}
        assert tables == {old.staged}, "something was left behind"
    measured("pull" if concurrency == 1 else "pull, 8 side by side", "SIGKILL", tried=killed)


@pytest.mark.parametrize("concurrency", [1, 8])
@pytest.mark.parametrize("page", [0, 1], ids=["first page", "last page"])
def test_pull_told_to_end(page: int, concurrency: int, old: World):
    before = old_table(old, "usage_events")
    old.server.fault(kind="hang", method="GET", path="/usage-events", after_n=page, seconds=2)
    running = old.start_and_wait("pull", old.pull_options(concurrency=concurrency), host=old.proxy.api_url)
    while old.proxy.requests <= page and not running.is_over():
        time.sleep(0.01)
    time.sleep(0.2)
    running.signal(signal.SIGTERM)
    run = running.wait(20)
    old.check_secrets(run)
    if page == 1 and run.is_right:  # it had all it wanted
        assert old.snapshot(with_time=False) == old.snapshot(old.bases["usage_events"], with_time=False)
        return
    assert "SequenceClientClosedError" in run.classes, run.said
    assert old.snapshot() == before


def test_push_told_to_end_before_it_sends(world: World, monkeypatch: pytest.MonkeyPatch):
    world.put(make_rows(10))
    for name, value in world.environment().items():
        monkeypatch.setenv(name, value)
    operator = SqlToSequenceUsageEventsOperator(
        task_id="push", sequence_conn_id="sequence", **world.push_options()
    )
    monkeypatch.setattr(
        "airflow_provider_sequence.utils.sql_push_operator.create_sql_engine",
        lambda conn_id: operator.on_kill() or create_sql_engine(conn_id),
    )
    with pytest.raises(SequenceClientClosedError):
        operator.execute({"ti": SimpleNamespace(dag_id="faults", task_id="push", run_id="run")})
    assert world.ledger() == []
