"""What a DAG names and a template or an XCom makes nothing of: an error, and never "all" or the run's own."""

from __future__ import annotations

import datetime as dt
from typing import Any

from airflow.providers.common.compat.sdk import task

from airflow_provider_sequence.operators.sequence import (
    SequenceReconcileMetricOperator,
    SequenceReconcileOperator,
)
from airflow_provider_sequence.sensors.sequence import (
    SequenceEventsSensor,
    SequenceUnmappedAliasesSensor,
    SequenceUsageMetricSensor,
)
from airflow_provider_sequence.transfers.sequence_to_sql import SequenceToSqlOperator
from airflow_provider_sequence.transfers.sql_to_sequence import SqlToSequenceUsageEventsOperator
from airflow_provider_sequence.utils.windows import split_window
from tests.integration.support.airflow import interval_dag

START, END = dt.datetime(2026, 3, 1, tzinfo=dt.UTC), dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
SQL: dict[str, Any] = {
    "sql_conn_id": "warehouse",
    "sql": "SELECT 'a' AS customer_event_id, 'acme' AS customer_alias, 'call' AS event_type,"
    " '2026-03-01T12:00:00Z' AS event_timestamp",
}
PULL: dict[str, Any] = {"resource": "usage_events", "table": "staged", "sql_conn_id": "warehouse"}
METRIC: dict[str, Any] = {"metric_id": "units"}
TEXT = "{{ ti.xcom_pull(task_ids='nobody') }}"


@task
def nothing() -> None:
    """Return nothing."""


@task
def one_of_two() -> list[Any]:
    return ["2026-03-01T06:00:00Z", None]


@task
def filters_of_nobody() -> dict[str, Any]:
    return {"customer_alias": None}


def test_nothing_stands_for_all(run_dag, sandbox, sequence_conn, warehouse):
    with interval_dag(START, END, default_args={"retries": 2}) as dag:
        none = nothing()
        tasks: list[tuple[str, Any, dict[str, Any]]] = [
            ("filters", SequenceToSqlOperator, PULL | {"filters": {"customer_alias": none}}),
            ("filters", SequenceToSqlOperator, PULL | {"filters": {"customer_alias": ["a", TEXT]}}),
            ("filters", SequenceToSqlOperator, PULL | {"filters": filters_of_nobody()}),
            ("window_start", SequenceToSqlOperator, PULL | {"window_start": none}),
            ("window_end", SequenceToSqlOperator, PULL | {"window_end": TEXT}),
            ("lookback", SequenceToSqlOperator, PULL | {"lookback": none}),
            ("min_rows", SequenceToSqlOperator, PULL | {"min_rows": TEXT}),
            ("table", SequenceToSqlOperator, PULL | {"table": TEXT}),
            ("parameters", SqlToSequenceUsageEventsOperator, SQL | {"parameters": {"customer": none}}),
            ("parameters", SqlToSequenceUsageEventsOperator, SQL | {"parameters": none}),
            ("delivery_log_table", SqlToSequenceUsageEventsOperator, SQL | {"delivery_log_table": "{{ '' }}"}),
            ("late_after", SqlToSequenceUsageEventsOperator, SQL | {"late_after": none}),
            ("max_future", SqlToSequenceUsageEventsOperator, SQL | {"max_future": none}),
            ("dry_run", SqlToSequenceUsageEventsOperator, SQL | {"dry_run": TEXT}),
            ("min_rows", SqlToSequenceUsageEventsOperator, SQL | {"min_rows": none}),
            ("staging_table", SequenceReconcileOperator, SQL | {"staging_table": none}),
            ("period_end", SequenceReconcileMetricOperator, SQL | METRIC | {"period_end": none}),
            ("filters", SequenceEventsSensor, {"filters": {"customer_alias": none}}),
            ("min_value", SequenceUsageMetricSensor, METRIC | {"customer_aliases": "a", "min_event_count": 0, "min_value": TEXT}),
            ("window_start", SequenceUnmappedAliasesSensor, {"window_start": none, "deferrable": True}),
        ]  # fmt: skip
        for number, (_, kind, options) in enumerate(tasks):
            kind(task_id=f"t{number}", **options)
        split_window(parts=2, window_start=none)
        SequenceToSqlOperator.partial(task_id="mapped", **PULL).expand(window_start=one_of_two())
    result = run_dag(dag, END)

    for number, (name, _, _) in enumerate(tasks):
        assert result.states[f"t{number}"] == "failed", (name, number)
        assert f"{name} is set in the DAG" in str(result.error(f"t{number}"))
    assert "window_start is set in the DAG" in str(result.error("split_window"))
    assert "window_start is set in the DAG" in str(result.error("mapped"))
    # The half of the mapped task that has a bound.
    assert sandbox.summary()["requests"] == 1


def test_native_templates(run_dag, sandbox, sequence_conn, warehouse):
    with interval_dag(
        START, END, render_template_as_native_obj=True, params={"none": None, "six": 21600}
    ) as dag:
        SequenceToSqlOperator(task_id="none", **PULL, filters={"customer_alias": "{{ params.none }}"})
        SequenceToSqlOperator(task_id="six", **PULL, lookback="{{ params.six }}", min_rows="{{ 0 }}")
        SqlToSequenceUsageEventsOperator(task_id="dry", **SQL, dry_run="{{ true }}", late_after="PT{{ 6 }}H")
    result = run_dag(dag, END)

    assert "filters is set in the DAG" in str(result.error("none"))
    assert result.xcoms["six"]["window_start"] == "2026-02-28T18:00:00Z"
    assert (result.xcoms["dry"]["dry_run"], result.xcoms["dry"]["late"]) == (True, 1)


def test_none_that_the_dag_has_is_left_out(run_dag, sandbox, sequence_conn, warehouse):
    with interval_dag(START, END) as dag:
        SequenceToSqlOperator(task_id="pull", **PULL, window_start=None, lookback=None, filters=None)
        SqlToSequenceUsageEventsOperator(task_id="push", **SQL, parameters=None, max_future=None)
    result = run_dag(dag, END)

    assert result.state == "success", result.errors
    assert result.xcoms["pull"]["window_start"] == "2026-03-01T00:00:00Z"


def test_lengths_of_time_from_templates_and_xcom(run_dag, sandbox, sequence_conn, warehouse):
    @task
    def six_hours() -> dt.timedelta:
        return dt.timedelta(hours=6)

    with interval_dag(START, END, params={"hours": 6}) as dag:
        given = [six_hours(), "{{ ti.xcom_pull(task_ids='six_hours') }}", "PT{{ params.hours }}H", 21600]
        for number, lookback in enumerate(given):
            pull = SequenceToSqlOperator(
                task_id=f"t{number}", **PULL | {"table": f"t{number}"}, lookback=lookback
            )
            given[0].operator >> pull
        split_window(every="PT12H", lookback=given[0])
    result = run_dag(dag, END)

    assert result.state == "success", result.errors
    for number in range(len(given)):
        assert result.xcoms[f"t{number}"]["window_start"] == "2026-02-28T18:00:00Z"
    assert len(result.xcoms["split_window"]) == 3
