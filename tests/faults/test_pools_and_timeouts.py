"""Databases that take sessions away: a transaction pooler, a standby, and each of PostgreSQL's timeouts at its smallest."""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.pooler import pgbouncer
from tests.faults.standby import standby, wait_until_replayed
from tests.faults.world import World, make_rows


@pytest.fixture
def pooled(world: World) -> Iterator[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="pgb") as folder:
        Path(folder).chmod(0o755)
        with pgbouncer(world.warehouse_connection, Path(folder)) as connection:
            yield {"environment": {"AIRFLOW_CONN_WAREHOUSE": connection}}


def temporary_tables(world: World) -> list[Any]:
    return world.warehouse.rows("SELECT relname FROM pg_class WHERE relpersistence = 't' AND relkind = 'r'")


def test_push_and_pull_through_pgbouncer(world: World, pooled: dict[str, Any]):
    """More statements than make psycopg prepare one, and more transactions than meet one session only."""
    world.put(make_rows(6000))
    run = world.push(pooled)
    assert run.is_right, run.said
    world.check_complete()

    for _ in range(2):
        run = world.pull(how=pooled)
        assert run.is_right, run.said
    assert len(world.snapshot()) == 6000
    assert temporary_tables(world) == []


#: Milliseconds that are enough for each statement, and not for a wait between two of them.
TIMEOUTS = {
    "idle_in_transaction_session_timeout": 300,
    "transaction_timeout": 1000,
    "idle_session_timeout": 300,
    "statement_timeout": 1000,
}


@pytest.mark.parametrize("name", TIMEOUTS)
def test_push_and_pull_that_wait_longer_than_a_timeout(name: str, world: World):
    world.put(make_rows(300))
    fields = json.loads(world.warehouse_connection)
    extra = {"options": f"-c {name}={TIMEOUTS[name]}"}
    how = {"environment": {"AIRFLOW_CONN_WAREHOUSE": json.dumps(fields | {"extra": extra})}}
    seconds = 2 * TIMEOUTS[name] / 1000
    world.server.fault(kind="hang", method="POST", path="/usage-events", after_n=50, seconds=seconds, times=8)
    run = world.push(how)
    assert run.is_right, run.said
    world.check_complete()

    world.server.fault(kind="hang", method="GET", path="/usage-events", after_n=1, seconds=seconds, times=1)
    run = world.pull(how=how)
    assert run.is_right, run.said
    assert len(world.snapshot()) == 300


def test_push_from_a_standby_that_has_to_replay(world: World):
    """What is read is changed and vacuumed on the primary while it is sent: the standby ends whoever still reads it."""
    world.put(make_rows(300))
    with (
        tempfile.TemporaryDirectory(prefix="pgs") as folder,
        standby(world.warehouse_connection, Path(folder)) as connection,
    ):
        wait_until_replayed(world.warehouse_connection, connection)
        environment = {
            "AIRFLOW_CONN_WAREHOUSE": connection,
            "AIRFLOW_CONN_PRIMARY": world.warehouse_connection,
        }
        world.server.fault(kind="hang", method="POST", path="/usage-events", after_n=50, seconds=3, times=4)
        change = threading.Thread(target=_change_what_is_read, args=(world,))
        change.start()
        run = world.push({"environment": environment}, delivery_log_conn_id="primary")
        change.join(60)
    assert run.is_right, run.said
    world.check_complete()


def _change_what_is_read(world: World) -> None:
    until = time.monotonic() + 60
    while len(world.server.ledger()["items"]) < 50 and time.monotonic() < until:
        time.sleep(0.05)
    world.warehouse.execute(f"UPDATE {world.usage} SET number = number + 1")
    with world.warehouse.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(f"VACUUM {world.usage}")
