"""The table of runs in a real database: a row for each try, also of one that is killed."""

from __future__ import annotations

import datetime as dt
import logging
import subprocess
import sys
import threading
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from airflow_provider_sequence.api.windows import Window
from airflow_provider_sequence.exceptions import SequenceConfigurationError, WarehouseError
from airflow_provider_sequence.pipelines import runs
from airflow_provider_sequence.pipelines.runs import RunOutcome, RunRow, TaskTry
from tests.integration.support.databases import every_database, on_postgres, sqlite_and_postgres

DAY = Window(dt.datetime(2026, 3, 1, tzinfo=dt.UTC), dt.datetime(2026, 3, 2, tzinfo=dt.UTC))
TRY = TaskTry("acc", "push", "usage_events", "sequence_default", DAY, "billing", "push", "manual__1", -1, 1)


def open_row(engine: sa.Engine, task_try: TaskTry = TRY, counts: Any = dict) -> RunRow:
    row = RunRow(engine, "sequence_runs", task_try, counts)
    row.open()
    return row


@every_database
def test_a_try_has_one_row_from_its_start_to_its_end(engine, warehouse):
    counts = {"rows": 0, "delivered": None}
    row = open_row(engine, counts=lambda: counts)
    quote = engine.dialect.identifier_preparer.quote
    query = (
        f"SELECT outcome, error, {quote('rows')}, delivered, dag_id, try_number, ended_at FROM sequence_runs"
    )
    assert warehouse.rows(query) == [("running", None, 0, None, "billing", 1, None)]

    counts.update(rows=3, delivered=2)
    row.close(RunOutcome.FAILED, "RejectedRowsError")
    ((*entry, ended_at),) = warehouse.rows(query)
    assert entry == ["failed", "RejectedRowsError", 3, 2, "billing", 1]
    assert ended_at is not None


@every_database
def test_tries_that_send_to_one_limit_are_told_how_many_they_are(engine, warehouse, monkeypatch):
    """Usage events have a limit of their own. One that has read its query for longer than a while, and sent nothing, has none."""
    monkeypatch.setattr(runs, "BEAT_SECONDS", 3600.0)

    def open_peer(counts: dict[str, int | None], **changes: Any) -> tuple[RunRow, list[int]]:
        told: list[int] = []
        row = RunRow(engine, "sequence_runs", replace(TRY, **changes), lambda: counts, told.append)
        row.open()
        return row, told

    first, of_first = open_peer({"requests": 0}, run_id="1")
    second, of_second = open_peer({"requests": 9}, run_id="2", operation="void")
    others = [
        open_peer({"requests": 9}, run_id="3", operation="pull"),
        open_peer({"requests": 9}, run_id="4", resource="seat_events"),
        open_peer({"requests": 9}, run_id="5", account="another"),
    ]
    assert (of_first, of_second, [told for _, told in others]) == ([1], [2], [[1], [2], [1]])
    long_ago = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=1)
    with engine.begin() as connection:
        connection.execute(first._table.update().values(started_at=long_ago))
    assert second._update() == 1
    assert first._update() == 2
    second.close(RunOutcome.SUCCESS)
    assert first._update() == 1
    for row in (first, *(row for row, _ in others)):
        row.close(RunOutcome.SUCCESS)


@every_database
def test_a_heartbeat_writes_counts_and_is_no_end(engine, warehouse, monkeypatch):
    monkeypatch.setattr(runs, "BEAT_SECONDS", 0.05)
    asked = threading.Semaphore(0)

    def counts() -> dict[str, int | None]:
        asked.release()
        return {"delivered": 7}

    row = open_row(engine, counts=counts)
    for _ in range(
        3
    ):  # the first one is the row's own; the second heartbeat is only begun after the first one's end
        assert asked.acquire(timeout=30)
    assert warehouse.rows("SELECT outcome, delivered FROM sequence_runs") == [("running", 7)]
    row.close(RunOutcome.SUCCESS)


@every_database
@pytest.mark.parametrize(
    ("next_try", "seen_ago", "outcome"),
    [
        (replace(TRY, try_number=2), 0, "killed"),
        (replace(TRY, map_index=3), 0, "running"),
        (replace(TRY, run_id="manual__2"), 0, "running"),
        (replace(TRY, run_id="manual__2"), 11, "killed"),
        (replace(TRY, run_id="manual__2", account="other"), 11, "running"),
        (replace(TRY, run_id=None, dag_id=None, task_id=None, map_index=None), 0, "running"),
    ],
)
def test_a_row_that_nobody_closed_is_closed_by_others(engine, warehouse, next_try, seen_ago, outcome):
    first = open_row(engine)
    first._done.set()
    first._thread.join()  # as if it were killed
    if seen_ago:
        with engine.begin() as connection:
            then = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=seen_ago)
            connection.execute(first._table.update().values(seen_at=then))
    open_row(engine, next_try).close(RunOutcome.SUCCESS)

    assert warehouse.rows(f"SELECT outcome FROM sequence_runs WHERE id = '{first._id}'") == [(outcome,)]


@sqlite_and_postgres
def test_what_fails_at_the_end_is_a_warning(engine, warehouse, caplog, capfd):
    row = open_row(engine)
    warehouse.execute("DROP TABLE sequence_runs")
    with caplog.at_level(logging.WARNING):
        row.close(RunOutcome.SUCCESS)
    assert "The table of runs sequence_runs can't be written: " in "".join(capfd.readouterr()) + caplog.text


@every_database
def test_another_table_is_refused(engine, warehouse):
    warehouse.execute("CREATE TABLE sequence_runs (id INTEGER)")
    with pytest.raises(SequenceConfigurationError, match="sequence_runs is there, but is no table of runs"):
        open_row(engine)


@on_postgres
def test_a_table_that_cannot_be_made_is_an_error_at_the_start(engine, warehouse):
    with pytest.raises(WarehouseError, match=r"nowhere.sequence_runs can't be written: .*schema.*runs_table"):
        RunRow(engine, "nowhere.sequence_runs", TRY, dict).open()


@sqlite_and_postgres
def test_there_is_an_index_of_the_times(engine, warehouse):
    for number in range(2):
        open_row(engine, replace(TRY, try_number=number)).close(RunOutcome.SUCCESS)
    indexes = sa.inspect(warehouse.engine).get_indexes("sequence_runs")
    assert [index["column_names"] for index in indexes] == [["account", "started_at"]]


def test_a_heartbeat_locks_nobody_out(engine, warehouse, monkeypatch):
    """On SQLite, with a writer that writes all the time."""
    monkeypatch.setattr(runs, "BEAT_SECONDS", 0.001)
    warehouse.execute("CREATE TABLE log (n INTEGER)")
    row = open_row(engine)
    for number in range(200):
        warehouse.execute(f"INSERT INTO log VALUES ({number})")
    row.close(RunOutcome.SUCCESS)
    assert warehouse.rows("SELECT count(*) FROM log") == [(200,)]
    assert warehouse.rows("SELECT outcome FROM sequence_runs") == [("success",)]


_KILLED = """
import os, signal
import sqlalchemy as sa
from tests.integration.pipelines.test_runs import open_row
open_row(sa.create_engine({url!r}, poolclass=sa.pool.NullPool, future=True))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_process_that_is_killed_leaves_a_row_that_its_next_try_closes(engine, warehouse):
    url = str(warehouse.engine.url)
    process = subprocess.run([sys.executable, "-c", _KILLED.format(url=url)], check=False)
    assert process.returncode == -9
    assert warehouse.rows("SELECT outcome FROM sequence_runs") == [("running",)]

    open_row(engine, replace(TRY, try_number=2)).close(RunOutcome.SUCCESS)
    assert warehouse.rows("SELECT outcome, ended_at = seen_at FROM sequence_runs ORDER BY try_number") == [
        ("killed", 1),
        ("success", 1),
    ]
