"""Runs that have nothing to work on, or rows of another time than theirs: said, and not taken for success."""

from __future__ import annotations

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_provider_sequence.operators.sequence import SequenceReconcileOperator
from airflow_provider_sequence.transfers.sequence_to_sql import SequenceToSqlOperator
from airflow_provider_sequence.transfers.sql_to_sequence import SqlToSequenceUsageEventsOperator
from tests.integration.support.airflow import AIRFLOW_VERSION, interval_dag, manual_dag
from tests.integration.support.databases import sqlite_and_postgres

START, END = dt.datetime(2026, 3, 1, tzinfo=dt.UTC), dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
ROWS = (
    "SELECT usage_id AS customer_event_id, 'acme' AS customer_alias, 'call' AS event_type,"
    " used_at AS event_timestamp FROM usage "
)
OF_THE_RUN = (
    ROWS + "WHERE used_at >= '{{ data_interval_start | ts }}' AND used_at < '{{ data_interval_end | ts }}'"
)
#: The guides' WHERE for a column without a zone, in local time.
LOCAL = "{{ data_interval_%s.in_timezone('Europe/Berlin').strftime('%%Y-%%m-%%d %%H:%%M:%%S') }}"
OF_THE_LOCAL_RUN = ROWS + f"WHERE used_at >= '{LOCAL % 'start'}' AND used_at < '{LOCAL % 'end'}'"


def push(task_id: str, sql: str = OF_THE_RUN, **options: Any) -> Any:
    return SqlToSequenceUsageEventsOperator(task_id=task_id, sql_conn_id="warehouse", sql=sql, **options)


def pull(task_id: str, **options: Any) -> Any:
    return SequenceToSqlOperator(
        task_id=task_id, resource="usage_events", table=task_id, sql_conn_id="warehouse", **options
    )


def make_usage(warehouse: Any, *times: str, kind: str = "timestamp") -> None:
    warehouse.execute(
        f"CREATE TABLE usage (usage_id TEXT, used_at {kind if warehouse.is_postgres else 'text'})"
    )
    warehouse.execute("INSERT INTO usage VALUES (:id, :at)", *({"id": f"u{at}", "at": at} for at in times))


if AIRFLOW_VERSION >= (3, 0):  # before, "@daily" has data intervals

    def test_runs_of_daily_have_no_interval(run_dag, sandbox, sequence_conn, warehouse):
        make_usage(warehouse, "2026-03-01 12:00:00")
        with manual_dag("@daily", default_args={"retries": 2}) as dag:
            push("empty")
            push("dry", dry_run=True)
            push("meant", min_rows=0)
            push("all", ROWS)
            pull("pull")
        result = run_dag(dag, END)

        assert result.states == {
            "empty": "failed", "dry": "failed", "meant": "success", "all": "success", "pull": "failed",
        }  # fmt: skip
        for task_id in ("empty", "dry", "pull"):
            words = str(result.error(task_id))
            assert "this run has a data interval of length zero" in words
            assert "schedule='@daily', CronTriggerTimetable" in words
            assert 'CronDataIntervalTimetable("@daily", timezone="UTC")' in words
            assert result.tries[task_id] == 1
        assert "min_rows=0" in str(result.error("empty"))

    def test_manual_run_without_an_interval(run_dag, sandbox, sequence_conn, warehouse):
        make_usage(warehouse, "2026-03-01 12:00:00")
        with manual_dag() as dag:
            push("push", ROWS + "WHERE 1 = 0")
        result = run_dag(dag, None)

        assert "there was no row, and this run has no data interval" in str(result.error("push"))


def test_empty_interval_of_some_length_is_no_error(run_dag, sandbox, sequence_conn, warehouse):
    make_usage(warehouse, "2026-02-01 12:00:00")
    with interval_dag(START, END, default_args={"retries": 1}) as dag:
        push("push") >> pull("pull")
        push("few", ROWS, min_rows="{{ 2 }}") >> pull("few_staged", min_rows=1)
    result = run_dag(dag, END)

    assert (result.states["push"], result.states["pull"]) == ("success", "success")
    assert "1 rows, and at least 2 are expected (min_rows)" in str(result.errors["few"][-1])
    assert result.tries["few"] == 2  # more rows may be there by then


def test_pull_of_too_few_rows_fails(run_dag, sandbox, sequence_conn, warehouse):
    with interval_dag(START, END) as dag:
        pull("pull", min_rows=1)
    result = run_dag(dag, END)

    assert "0 rows, and at least 1 are expected (min_rows)" in str(result.error("pull"))


def test_rows_of_another_time_are_warned_of(run_dag, sandbox, sequence_conn, warehouse, capfd, caplog):
    make_usage(
        warehouse, "2026-02-28 23:59:59", "2026-03-01 00:00:00", "2026-03-02 00:00:00", "2026-03-02 00:00:01"
    )
    log = {"delivery_log_table": "deliveries"}

    def told(add_tasks: Any) -> str:
        caplog.clear()
        with interval_dag(START, END) as dag:
            add_tasks()
        result = run_dag(dag, END)
        assert result.state == "success", result.errors
        return capfd.readouterr().out + caplog.text

    first = told(lambda: push("first", ROWS, **log))
    assert "1 lie before the run's interval" in first
    assert "and 1 after it" in first
    # What the log has as delivered is not told again: a query that looks back gives such rows each time.
    assert "lie before the run's interval" not in told(lambda: push("second", ROWS, **log))
    check = {"sql_conn_id": "warehouse", "sql": ROWS, "max_differences": 0}
    assert "3 rows of the query lie outside the window" in told(
        lambda: SequenceReconcileOperator(task_id="check", **check)
    )


@sqlite_and_postgres
@pytest.mark.parametrize(("day", "hours"), [((2026, 3, 29), 23), ((2026, 10, 25), 25), ((2026, 3, 30), 24)])
def test_local_days_of_a_column_without_a_zone(
    day, hours, run_dag, sandbox, sequence_conn, warehouse, caplog
):
    zone = ZoneInfo("Europe/Berlin")
    midnight = dt.datetime(*day, tzinfo=zone).astimezone(dt.UTC)
    instants = [midnight + n * HOUR for n in range(-3, hours + 3)]
    rows = {f"{n}": at.astimezone(zone).replace(tzinfo=None) for n, at in enumerate(instants)}
    warehouse.execute(
        f"CREATE TABLE usage (usage_id TEXT, used_at {'timestamp' if warehouse.is_postgres else 'text'})"
    )
    warehouse.execute(
        "INSERT INTO usage VALUES (:id, :at)",
        *({"id": number, "at": at.isoformat(" ")} for number, at in rows.items()),
    )
    with manual_dag(
        CronDataIntervalTimetable("0 0 * * *", timezone="Europe/Berlin"), max_active_runs=1
    ) as dag:
        push("push", OF_THE_LOCAL_RUN, timezone="Europe/Berlin") >> SequenceReconcileOperator(
            task_id="check", sql_conn_id="warehouse", sql=OF_THE_LOCAL_RUN, timezone="Europe/Berlin"
        )
    result = run_dag(dag, midnight + hours * HOUR)

    assert result.state == "success", result.errors
    assert result.xcoms["push"]["delivered"] == hours
    assert result.xcoms["check"]["outside"] == 0
    assert {event["customerEventId"] for event in sandbox.ledger()["items"]} == {
        str(n + 3) for n in range(hours)
    }
