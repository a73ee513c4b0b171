"""A push whose process is killed, and one that is told to end: what the table of runs has of them."""

from __future__ import annotations

import datetime as dt
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from airflow_provider_sequence.pipelines import runs
from airflow_provider_sequence.transfers.sql_to_sequence import SqlToSequenceUsageEventsOperator
from tests.integration.support.airflow import interval_dag, run

START, END = dt.datetime(2026, 3, 1, tzinfo=dt.UTC), dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
ROWS = 2_000


def push_slowly() -> None:
    """Run the DAG in a process of its own: a try of the same task of the same run each time."""
    from airflow.utils.db import initdb

    initdb()  # Airflow 2 imports what its tables need here
    runs.BEAT_SECONDS = 0.1
    with interval_dag(START, END) as dag:
        SqlToSequenceUsageEventsOperator(
            task_id="push",
            sql_conn_id="warehouse",
            sql="SELECT * FROM usage",
            concurrency=1,
            runs_table="sequence_runs",
        )
    run(dag, END, run_after=END)


def start_push() -> subprocess.Popen[bytes]:
    code = f"from {__name__} import push_slowly; push_slowly()"
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def eventually(there: Callable[[], Any], process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 120
    while not there():
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.1)


def delivers(warehouse: Any, tries: int) -> bool:
    """Whether there are so many tries, and the one that runs has delivered something."""
    if "sequence_runs" not in warehouse.tables():
        return False
    rows = warehouse.rows("SELECT outcome = 'running' AND delivered > 0 FROM sequence_runs")
    return len(rows) == tries and (1,) in rows


def test_tries_that_end_early_are_killed_ones_with_their_counts(
    airflow_db, sandbox, sequence_conn, warehouse
):
    sandbox.settings(latency_ms=20)
    warehouse.execute(
        "CREATE TABLE usage (customer_event_id TEXT, customer_alias TEXT, event_type TEXT, event_timestamp TEXT)"
    )
    warehouse.execute(
        "INSERT INTO usage VALUES (:id, 'acme', 'call', '2026-03-01T12:00:00Z')",
        *({"id": f"e{n}"} for n in range(ROWS)),
    )
    for tries, signal_number in enumerate((signal.SIGKILL, signal.SIGTERM), 1):
        process = start_push()
        try:
            eventually(partial(delivers, warehouse, tries), process)
            process.send_signal(signal_number)
            code = process.wait(60)
        finally:
            process.kill()
            process.wait()
        if signal_number == signal.SIGKILL:
            assert code == -signal.SIGKILL
            assert warehouse.rows("SELECT outcome, ended_at FROM sequence_runs") == [("running", None)]

    found = warehouse.rows(
        "SELECT outcome, error, rows, delivered > 0 AND not_tried > 0, delivered + not_tried, requests > 0, ended_at = seen_at"
        " FROM sequence_runs ORDER BY started_at"
    )
    assert found == [
        ("killed", None, ROWS, 1, ROWS, 1, 1),
        ("killed", found[1][1], ROWS, 1, ROWS, 1, 1),
    ]
    # Airflow 2 raises an error of its own in the task.
    assert found[1][1] in {"SequenceClientClosedError", "AirflowTaskTerminated"}
    assert len(warehouse.rows("SELECT DISTINCT dag_id, task_id, run_id, map_index FROM sequence_runs")) == 1
