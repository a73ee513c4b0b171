"""What is left of a task that moves or compares data: its first line, its result if it fails, and its row."""

from __future__ import annotations

import datetime as dt
import re
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_sequence.exceptions import RejectedRowsError, SequenceConfigurationError
from airflow_provider_sequence.operators.sequence import (
    SequenceReconcileMetricOperator,
    SequenceReconcileOperator,
    SequenceVoidUsageEventsOperator,
)
from airflow_provider_sequence.transfers.sequence_to_sql import SequenceToSqlOperator
from airflow_provider_sequence.transfers.sql_to_sequence import SqlToSequenceUsageEventsOperator
from tests.integration.support.airflow import interval_dag

START, END = dt.datetime(2026, 3, 1, tzinfo=dt.UTC), dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
TIMES = {"window_start": "2026-03-01T00:00:00Z", "window_end": "2026-03-02T00:00:00Z"}
ROW = (
    "SELECT '{}' AS customer_event_id, 'acme' AS customer_alias, 'call' AS event_type, {} AS event_timestamp"
)
GOOD, BAD = ROW.format("a", "'2026-03-01T12:00:00Z'"), ROW.format("b", "'no time'")
CONTEXT: Any = {"ti": SimpleNamespace(dag_id="d", task_id="t", run_id="r")}
LOG: dict[str, Any] = {"sql_conn_id": "warehouse", "delivery_log_table": "deliveries"}


def test_failing_tasks_leave_their_results(run_dag, sandbox, sequence_conn, warehouse):
    sandbox.fault(kind="status", status=400, method="GET")
    sql = {"sql_conn_id": "warehouse", "runs_table": "sequence_runs"}
    with interval_dag(START, END) as dag:
        SqlToSequenceUsageEventsOperator(task_id="push", sql=f"{GOOD} UNION ALL {BAD}", **LOG)
        SequenceToSqlOperator(task_id="pull", resource="usage_events", table="staged", **sql, **TIMES)
        SequenceReconcileOperator(task_id="reconcile", sql=GOOD, **sql, **TIMES)
    result = run_dag(dag, END)
    assert set(result.states.values()) == {"failed"}
    pushed = result.xcoms["push"]
    assert {name: pushed[name] for name in ("rows", "delivered", "unchanged", "rejected", "not_tried")} == {
        "rows": 2,
        "delivered": 1,
        "unchanged": 0,
        "rejected": 1,
        "not_tried": 0,
    }
    assert pushed["rejected_rows"][0]["customer_event_id"] == "b"
    assert {name: pushed[name] for name in TIMES} == TIMES
    assert {name: result.xcoms["pull"][name] for name in ("loaded", *TIMES)} == {"loaded": 0, **TIMES}
    compared = result.xcoms["reconcile"]
    assert (compared["expected"], compared["found"], compared["missing"]) == (1, None, None)

    rows = warehouse.rows(
        "SELECT task_id, operation, outcome, error, rejected, loaded, expected, missing, run_id IS NOT NULL, try_number,"
        " map_index FROM sequence_runs ORDER BY task_id"
    )
    assert rows == [
        ("pull", "pull", "failed", "SequenceRejectedError", None, 0, None, None, 1, 1, -1),
        ("push", "push", "failed", "RejectedRowsError", 1, None, None, None, 1, 1, -1),
        ("reconcile", "reconcile", "failed", "SequenceRejectedError", None, None, 1, None, 1, 1, -1),
    ]


def test_errors_carry_the_result(sandbox, sequence_conn, warehouse):
    push = SqlToSequenceUsageEventsOperator(task_id="push", sql=BAD, sql_conn_id="warehouse")
    with pytest.raises(RejectedRowsError) as rejected:
        push.execute(CONTEXT)
    assert rejected.value.result["rejected"] == 1

    sandbox.fault(kind="status", status=401)
    push = SqlToSequenceUsageEventsOperator(task_id="push", sql=GOOD, sql_conn_id="warehouse")
    with pytest.raises(AirflowFailException) as refused:
        push.execute(CONTEXT)
    assert (refused.value.result["rows"], refused.value.result["not_tried"]) == (1, 1)


def test_successful_tasks_have_rows_and_a_first_line(
    run_dag, sandbox, sequence_conn, warehouse, capfd, caplog
):
    void = f"SELECT customer_event_id FROM ({GOOD}) AS each_row"
    pull: dict[str, Any] = {"resource": "usage_events", "table": "staged", "sql_conn_id": "warehouse"}
    with interval_dag(START, END) as dag:
        (
            SqlToSequenceUsageEventsOperator(task_id="push", sql=GOOD, **LOG)
            >> SequenceReconcileOperator(task_id="reconcile", sql=GOOD, **LOG)
            >> SequenceToSqlOperator(task_id="pull", runs_table="sequence_runs", **pull)
            >> SequenceVoidUsageEventsOperator(task_id="void", sql=void, **LOG)
        )
    assert run_dag(dag, END).state == "success"
    log = "".join(capfd.readouterr()) + caplog.text

    assert warehouse.rows(
        "SELECT operation, outcome, delivered, loaded, missing, different, unexpected FROM sequence_runs ORDER BY started_at"
    ) == [
        ("push", "success", 1, None, None, None, None),
        ("reconcile", "success", None, None, 0, 0, 0),
        ("pull", "success", None, 1, None, None, None),
        ("void", "success", 1, None, None, None, None),
    ]
    host = re.escape(sandbox.api_url)
    times = r"of \[2026-03-01T00:00Z, 2026-03-02T00:00Z\)"
    for line in (
        rf"usage_events {times} from warehouse to {host} \(sequence_default\), 600,000 a minute",
        rf"usage_events {times} in warehouse and {host} \(sequence_default\), 600,000 requests a minute",
        rf"usage_events {times} from {host} \(sequence_default\) into warehouse.staged, 600,000 requests a minute",
        rf"usage_events {times} to void from warehouse to {host} \(sequence_default\), 600,000 a minute",
    ):
        assert re.search(line, log), line


@pytest.mark.parametrize(
    ("options", "tables"),
    [
        ({}, set()),
        ({"delivery_log_table": "deliveries", "dry_run": True}, set()),
        ({"delivery_log_table": "deliveries"}, {"deliveries", "sequence_runs"}),
        ({"delivery_log_table": "main.deliveries"}, {"deliveries", "sequence_runs"}),
        ({"delivery_log_table": "deliveries", "runs_table": "tries"}, {"deliveries", "tries"}),
        ({"runs_table": "tries"}, {"tries"}),
    ],
)
def test_table_of_runs_is_beside_the_delivery_log(sandbox, sequence_conn, warehouse, options, tables):
    SqlToSequenceUsageEventsOperator(task_id="push", sql=GOOD, sql_conn_id="warehouse", **options).execute(
        CONTEXT
    )
    assert warehouse.tables() == tables


def test_metric_that_fails_has_a_row(sandbox, sequence_conn, warehouse):
    metric = SequenceReconcileMetricOperator(
        task_id="metric",
        metric_id="unknown",
        sql="SELECT 'acme' AS customer_alias, 3 AS value",
        sql_conn_id="warehouse",
        runs_table="tries",
        period_start=START,
        period_end=END,
    )
    with pytest.raises(Exception, match="unknown"):
        metric.execute(CONTEXT)
    assert warehouse.rows("SELECT operation, outcome, different FROM tries") == [("metric", "failed", 0)]


def test_delivered_entries_are_kept_so_long(sandbox, sequence_conn, warehouse):
    def push(**options: Any) -> dict[str, Any]:
        return SqlToSequenceUsageEventsOperator(task_id="push", sql=GOOD, **LOG, **options).execute(CONTEXT)

    push()
    warehouse.execute("UPDATE deliveries SET last_at = '2026-01-01 00:00:00.000000'")
    assert push()["unchanged"] == 1
    assert push(keep_delivered_for="P30D")["unchanged"] == 1  # it is deleted afterwards
    assert warehouse.rows("SELECT count(*) FROM deliveries") == [(0,)]
    assert push(keep_delivered_for="P30D")["delivered"] == 1  # again, which supersedes
    assert sandbox.summary()["distinct_events"] == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (LOG | {"keep_delivered_for": "PT23H"}, "less than a day"),
        ({"sql_conn_id": "warehouse", "keep_delivered_for": "P30D"}, "needs a delivery_log_table"),
    ],
)
def test_what_keep_delivered_for_refuses(sandbox, sequence_conn, warehouse, options, message):
    with pytest.raises(AirflowFailException, match=message) as refused:
        SqlToSequenceUsageEventsOperator(task_id="push", sql=GOOD, **options).execute(CONTEXT)
    assert isinstance(refused.value.__cause__, SequenceConfigurationError)
    assert sandbox.summary()["applied"] == 0
