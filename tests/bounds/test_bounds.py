"""
What has to work with the oldest packages that the project's metadata lets in, and with those that Airflow's constraints name.

``make test-bounds`` runs it in an environment for each; it needs few packages of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import importlib
import json
import os
import pkgutil
import re
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import airflow_provider_sequence
from airflow_provider_sequence.hooks.sequence import SequenceHook
from airflow_provider_sequence.operators.reconcile import SequenceReconcileOperator
from airflow_provider_sequence.sensors.sequence import SequenceEventsSensor
from airflow_provider_sequence.transfers.sequence_to_sql import SequenceToSqlOperator
from airflow_provider_sequence.transfers.sql_to_sequence import SqlToSequenceUsageEventsOperator
from airflow_provider_sequence.triggers import sequence as triggers
from tests.integration.support.airflow import airflow_db, interval_dag, manual_dag, run_dag

__all__ = ["airflow_db", "run_dag"]

DAY = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
NEXT = DAY + dt.timedelta(days=1)
WINDOW = {"window_start": "{{ data_interval_start }}", "window_end": "{{ data_interval_end }}"}
ROWS = 5
QUERY = """SELECT id AS customer_event_id, 'acme' AS customer_alias, 'api-call' AS event_type, at AS event_timestamp, quantity
           FROM usage"""
#: They need a driver that no extra installs, and what Airflow has since 3.1.
NOT_IMPORTED = {
    "airflow_provider_sequence.warehouse.databases.clickhouse_cursor",
    "airflow_provider_sequence.plugins.deliveries.app",
    "airflow_provider_sequence.plugins.deliveries.security",
}


@pytest.fixture
def connections(sequence_sandbox: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The connections to an empty sandbox and to a warehouse of a few rows; the warehouse's file."""
    path = tmp_path / "warehouse.db"
    monkeypatch.setenv("AIRFLOW_CONN_SEQUENCE_DEFAULT", sequence_sandbox.connection)
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({"conn_type": "sqlite", "host": str(path)}))
    with sqlite3.connect(path) as warehouse:
        warehouse.execute("CREATE TABLE usage (id TEXT, at TEXT, quantity INTEGER)")
        rows = [(f"e-{n}", (DAY + dt.timedelta(hours=n)).isoformat(), n) for n in range(ROWS)]
        warehouse.executemany("INSERT INTO usage VALUES (?, ?, ?)", rows)
    return path


def test_every_module_can_be_imported():
    package = airflow_provider_sequence
    modules = [module.name for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
    assert set(modules) >= NOT_IMPORTED
    for name in modules:
        if name not in NOT_IMPORTED and not name.endswith("__main__"):
            importlib.import_module(name)


def test_airflow_loads_the_plugin():
    setting = json.dumps({"acme": {"conn_id": "warehouse", "delivery_log_table": "log"}})
    done = subprocess.run(
        [sys.executable, "-m", "airflow", "plugins", "--output", "json"],
        env=os.environ | {"AIRFLOW__SEQUENCE__DELIVERIES": setting, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "sequence_deliveries" in done.stdout
    assert not re.search("(?i)failed to import plugin", done.stdout + done.stderr)


def test_push_twice_pull_and_reconcile(run_dag, connections):
    query = {"sql_conn_id": "warehouse", "sql": QUERY}
    with interval_dag(DAY, NEXT) as dag:
        push = SqlToSequenceUsageEventsOperator(task_id="push", delivery_log_table="log", **query)
        pull = SequenceToSqlOperator(
            task_id="pull", resource="usage_events", sql_conn_id="warehouse", table="staged", **WINDOW
        )
        reconcile = SequenceReconcileOperator(task_id="reconcile", resource="usage_events", **query, **WINDOW)
        push >> pull >> reconcile
    for sent in (ROWS, 0):
        result = run_dag(dag, NEXT)
        assert set(result.states.values()) == {"success"}, result.errors
        assert (result.xcoms["push"]["delivered"], result.xcoms["push"]["unchanged"]) == (sent, ROWS - sent)
        assert result.xcoms["pull"]["loaded"] == ROWS
        reconciled = result.xcoms["reconcile"]
        assert (reconciled["found"], reconciled["missing"], reconciled["unexpected"]) == (ROWS, 0, 0)
    with sqlite3.connect(connections) as warehouse:
        assert warehouse.execute("SELECT count(*) FROM staged").fetchone() == (ROWS,)


def create_event(at: dt.datetime) -> None:
    with contextlib.closing(SequenceHook()) as hook:
        hook.create_usage_event(
            customer_event_id="e", customer_alias="acme", event_type="api-call", event_timestamp=at
        )


def test_sensor_is_deferred_and_its_trigger_runs(run_dag, connections, monkeypatch):
    run = triggers.ConditionTrigger.run

    async def late(trigger: Any) -> AsyncIterator[Any]:
        """Run the trigger, and only then have what it waits for."""
        creating = asyncio.create_task(asyncio.to_thread(create_event, DAY))
        async for event in run(trigger):
            yield event
        await creating

    monkeypatch.setattr(triggers.ConditionTrigger, "run", late)
    with interval_dag(DAY, NEXT) as dag:
        SequenceEventsSensor(
            task_id="wait",
            resource="usage_events",
            min_count=1,
            poke_interval=0.1,
            timeout=60,
            deferrable=True,
            **WINDOW,
        )
    result = run_dag(dag, NEXT)
    assert result.states == {"wait": "success"}, result.errors
    assert result.xcoms["wait"] == {"count": 1}


def test_watcher_announces_new_events(run_dag, connections, monkeypatch):
    async def in_place(function: Any, *arguments: Any, **options: Any) -> Any:
        return function(*arguments, **options)

    # What stands for the supervisor in `dag.test()` takes requests from one thread only.
    monkeypatch.setattr(
        "airflow_provider_sequence.triggers.state.sync_to_async",
        lambda function: lambda *arguments, **options: in_place(function, *arguments, **options),
    )

    async def first_event() -> Any:
        run = triggers.SequenceNewEventsTrigger(poll_interval=0.1).run()
        announced = asyncio.ensure_future(anext(run))
        await asyncio.sleep(1)  # it takes note of what there is
        assert not announced.done()
        # a request waits for its answer, so it goes beside the loop
        await asyncio.to_thread(create_event, dt.datetime.now(dt.UTC))
        payload = (await asyncio.wait_for(announced, 30)).payload
        await run.aclose()
        return payload

    with manual_dag() as dag:

        @dag.task
        def watch() -> Any:
            return asyncio.run(first_event())

        watch()
    result = run_dag(dag, DAY)
    assert result.states["watch"] == "success", result.errors
    assert result.xcoms["watch"]["count"] == 1
