"""What a DAG names and a template or an XCom makes nothing of: an error, and never "all" or the run's own."""

from __future__ import annotations

import datetime as dt
import inspect
from typing import Any, get_type_hints

import pytest
from airflow.providers.common.compat.sdk import BaseOperator, BaseSensorOperator, task

from airflow_provider_sequence.operators.push_rows import _RowsPushOperator
from airflow_provider_sequence.operators.sequence import (
    SequencePushSeatEventsOperator,
    SequencePushUsageEventsOperator,
    SequenceReconcileMetricOperator,
    SequenceReconcileOperator,
    SequenceVoidUsageEventsOperator,
)
from airflow_provider_sequence.sensors.sequence import (
    SequenceEventsSensor,
    SequenceUnmappedAliasesSensor,
    SequenceUsageMetricSensor,
    _ConditionSensor,
)
from airflow_provider_sequence.transfers.sequence_to_sql import SequenceToSqlOperator
from airflow_provider_sequence.transfers.sql_to_sequence import (
    SqlToSequenceSeatEventsOperator,
    SqlToSequenceUsageEventsOperator,
)
from airflow_provider_sequence.utils.operator_options import (
    OperatorOptions,
    PushOptions,
    RowsPushOptions,
    SensorOptions,
    SqlPushOptions,
)
from airflow_provider_sequence.utils.push_operator import PushOperator
from airflow_provider_sequence.utils.sql_push_operator import SqlPushOperator
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
def filters_of_nobody() -> Any:  # of a dict, Airflow 3.0 would push each value, and refuse the None
    return {"customer_alias": None}


def test_nothing_stands_for_all(run_dag, sandbox, sequence_conn, warehouse):
    with interval_dag(START, END, default_args={"retries": 2}) as dag:
        none = nothing()
        tasks: list[tuple[str, Any, dict[str, Any]]] = [
            ("filters['customer_alias']", SequenceToSqlOperator, PULL | {"filters": {"customer_alias": none}}),
            ("filters['customer_alias'][1]", SequenceToSqlOperator, PULL | {"filters": {"customer_alias": ["a", TEXT]}}),
            ("filters['customer_alias']", SequenceToSqlOperator, PULL | {"filters": filters_of_nobody()}),
            ("window_start", SequenceToSqlOperator, PULL | {"window_start": none}),
            ("window_end", SequenceToSqlOperator, PULL | {"window_end": TEXT}),
            ("lookback", SequenceToSqlOperator, PULL | {"lookback": none}),
            ("min_rows", SequenceToSqlOperator, PULL | {"min_rows": TEXT}),
            ("table", SequenceToSqlOperator, PULL | {"table": TEXT}),
            ("parameters['customer']", SqlToSequenceUsageEventsOperator, SQL | {"parameters": {"customer": none}}),
            ("parameters", SqlToSequenceUsageEventsOperator, SQL | {"parameters": none}),
            ("delivery_log_table", SqlToSequenceUsageEventsOperator, SQL | {"delivery_log_table": "{{ '' }}"}),
            ("late_after", SqlToSequenceUsageEventsOperator, SQL | {"late_after": none}),
            ("max_future", SqlToSequenceUsageEventsOperator, SQL | {"max_future": none}),
            ("dry_run", SqlToSequenceUsageEventsOperator, SQL | {"dry_run": TEXT}),
            ("min_rows", SqlToSequenceUsageEventsOperator, SQL | {"min_rows": none}),
            ("staging_table", SequenceReconcileOperator, SQL | {"staging_table": none}),
            ("period_end", SequenceReconcileMetricOperator, SQL | METRIC | {"period_end": none}),
            ("filters['customer_alias']", SequenceEventsSensor, {"filters": {"customer_alias": none}}),
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
        assert str(result.error(f"t{number}")).startswith(f"{name} is set in the DAG")
    assert "window_start is set in the DAG" in str(result.error("split_window"))
    assert "window_start is set in the DAG" in str(result.error("mapped"))
    # The half of the mapped task that has a bound.
    assert sandbox.summary()["requests"] == 1


def test_default_args_reach_each_class_and_are_checked(run_dag, sandbox, sequence_conn, warehouse):
    """Airflow gives them to the class whose constructor names them, the bases' among them."""
    push = {
        "event_type": "call",
        "seat_type": "editor",
        "sql_conn_id": "warehouse",
        "min_rows": 0,
        "concurrency": 3,
    }
    with interval_dag(START, END, default_args=push | {"late_after": 60, "deferrable": True}) as dag:
        none = nothing()
        for number, defaults in enumerate(({"event_type": TEXT}, {"late_after": none}, {"dry_run": TEXT})):
            task = SqlToSequenceUsageEventsOperator(
                task_id=f"t{number}", sql=SQL["sql"].replace("'call'", "'mail'"), default_args=defaults
            )
            none.operator >> task
        SqlToSequenceUsageEventsOperator.partial(
            task_id="mapped", max_future=None, sql=SQL["sql"].replace(", 'call' AS event_type", "")
        ).expand(event_key=[None])
        made = [
            kind(task_id=kind.__name__, **options)
            for kind, options in (
                (SqlToSequenceUsageEventsOperator, {"sql": "SELECT 1"}),
                (SqlToSequenceSeatEventsOperator, {"sql": "SELECT 1"}),
                (SequencePushUsageEventsOperator, {"rows": []}),
                (SequencePushSeatEventsOperator, {"rows": []}),
                (SequenceVoidUsageEventsOperator, {"sql": "SELECT 1", "event_type": "call"}),
            )
        ]
        sensor = SequenceUnmappedAliasesSensor(task_id="sensor")
    for task in made:
        assert (task.min_rows, task.late_after, task.concurrency) == (0, 60, 3)
        assert getattr(task, "event_type", "call") == "call"
        assert getattr(task, "seat_type", "editor") == "editor"
        assert task.sql_conn_id in {"warehouse", ""}
    assert sensor.deferrable is True
    result = run_dag(dag, END)

    for number, name in enumerate(("event_type", "late_after", "dry_run")):
        assert str(result.error(f"t{number}")).startswith(f"{name} is set in the DAG")
    assert "event_key is set in the DAG" in str(result.error("mapped"))


@pytest.mark.parametrize(
    ("bases", "options"),
    [((BaseOperator,), OperatorOptions), ((BaseSensorOperator, _ConditionSensor), SensorOptions),
     ((PushOperator,), PushOptions), ((SqlPushOperator,), SqlPushOptions), ((_RowsPushOperator,), RowsPushOptions)],
)  # fmt: skip
def test_editors_are_told_every_option(bases, options):
    """Those that the constructors of a class's bases name."""
    named = {name for base in bases for name, each in inspect.signature(base.__init__).parameters.items()
             if each.kind is each.KEYWORD_ONLY}  # fmt: skip
    assert named - {"default_args"} <= options.__annotations__.keys() | get_type_hints(options).keys()


def test_native_templates(run_dag, sandbox, sequence_conn, warehouse):
    with interval_dag(
        START, END, render_template_as_native_obj=True, params={"none": None, "six": 21600}
    ) as dag:
        SequenceToSqlOperator(task_id="none", **PULL, filters={"customer_alias": "{{ params.none }}"})
        SequenceToSqlOperator(task_id="six", **PULL, lookback="{{ params.six }}", min_rows="{{ 0 }}")
        SqlToSequenceUsageEventsOperator(task_id="dry", **SQL, dry_run="{{ true }}", late_after="PT{{ 6 }}H")
    result = run_dag(dag, END)

    assert "filters['customer_alias'] is set in the DAG" in str(result.error("none"))
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


PUSH, RECONCILE = SqlToSequenceUsageEventsOperator, SequenceReconcileOperator
GOOD = SQL["sql"]
LATE = GOOD.replace("'a'", "'late'").replace("03-01", "02-01")
FUTURE = GOOD.replace("'a'", "'future'").replace("2026", "2126")
OF_APRIL, OF_MAY, OF_JUNE = (
    {"sql": GOOD.replace("03-01", day), "window_start": f"2026-{day}", "window_end": f"2026-{day}T13"}
    for day in ("04-01", "05-01", "06-01")
)
RETRIED = {"rows": 0, "delivered": 0, "unchanged": 0, "rejected": 0}
#: A parameter of a task, and what a person gives for it; what of the task's result, or of its
#: error, shows that it was taken.
FLAGS: list[tuple[Any, str, Any, dict[str, Any], str, Any]] = [
    (PUSH, "dry_run", True, {}, "dry_run", True),
    (PUSH, "dry_run", False, {}, "dry_run", None),
    (PUSH, "retry_rejected", True, {}, "retried", RETRIED),
    (PUSH, "retry_rejected", False, {}, "retried", None),
    (PUSH, "late_after", "P10D", {"sql": LATE}, "late", 1),
    (PUSH, "late_after", 864_000, {"sql": LATE}, "late", 1),
    (PUSH, "max_future", "PT5M", {"sql": FUTURE, "max_rejected": 1}, "rejected", 1),
    (PUSH, "max_future", 9_000_000_000, {"sql": FUTURE}, "rejected", 0),
    (PUSH, "min_rows", 1, {}, "rows", 1),
    (PUSH, "min_rows", 2, {}, "error", "1 rows, and at least 2 are expected (min_rows)"),
    (PUSH, "max_rejected", 1, {"sql": FUTURE}, "rejected", 1),
    (PUSH, "max_rejected", 0.5, {"sql": f"{FUTURE} UNION ALL {GOOD}"}, "rejected", 1),
    (PUSH, "max_rejected", 0.1, {"sql": f"{FUTURE} UNION ALL {GOOD}"}, "error", "1 of 2 rows were rejected, 10 % are allowed"),
    (PUSH, "keep_delivered_for", "P30D", {}, "rows", 1),
    (PUSH, "keep_delivered_for", 3600, {}, "error", "is less than a day"),
    (RECONCILE, "max_differences", 1, OF_APRIL, "missing", 1),
    (RECONCILE, "max_differences", 0.5, OF_APRIL, "error", "1 events differ between the query and Sequence, 50 % may"),
    (RECONCILE, "resend", False, OF_MAY, "error", "1 events differ"),
    (RECONCILE, "resend", True, OF_JUNE, "resent", 1),
]  # fmt: skip


@pytest.mark.parametrize("native", [False, True], ids=["text", "native"])
def test_flags_that_a_person_gives(run_dag, sandbox, sequence_conn, warehouse, native):
    """From the DAG's params, as the form of a run that is started by hand sets them."""
    given = {f"t{number}": value for number, (_, _, value, *_) in enumerate(FLAGS)}
    with interval_dag(
        START, END, params=dict.fromkeys(given, "of the DAG"), render_template_as_native_obj=native
    ) as dag:
        for number, (kind, name, _, options, *_) in enumerate(FLAGS):
            flag = {"delivery_log_table": f"log_{number}", name: f"{{{{ params.t{number} }}}}"}
            kind(task_id=f"t{number}", **SQL | options | flag)
        PUSH.partial(task_id="mapped", dry_run="{{ params.t0 }}", sql_conn_id="warehouse").expand(sql=[GOOD])
    result = run_dag(dag, END, conf=given)

    for number, (_, name, value, _, key, expected) in enumerate(FLAGS):
        task_id, case = f"t{number}", (name, value, native)
        if key == "error":
            assert expected in str(result.error(task_id)), case
        else:
            assert (case, result.states[task_id], result.xcoms[task_id].get(key)) == (
                case,
                "success",
                expected,
            )
    assert result.states["mapped"] == "success"
