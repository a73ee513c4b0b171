"""The page over tables that real runs of DAGs wrote: what it says is what became of the events."""

from __future__ import annotations

import datetime as dt
from typing import Any

from airflow_provider_sequence.operators.sequence import SequenceReconcileOperator
from airflow_provider_sequence.transfers.sequence_to_sql import SequenceToSqlOperator
from airflow_provider_sequence.transfers.sql_to_sequence import SqlToSequenceUsageEventsOperator
from tests.integration.plugins.test_figures import DEPLOYMENT
from tests.integration.support.airflow import interval_dag
from tests.integration.support.databases import on

DAY = dt.timedelta(days=1)
FIRST = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
SQL = (
    "SELECT id AS customer_event_id, customer AS customer_alias, 'call' AS event_type, used_at AS event_timestamp, n"
    " FROM usage WHERE used_at >= '{{ data_interval_start | ts }}' AND used_at < '{{ data_interval_end | ts }}'"
)
LOG: dict[str, Any] = {"sql": SQL, "sql_conn_id": "warehouse", "delivery_log_table": "sequence_delivery_log"}


def push_dag() -> Any:
    with interval_dag(FIRST, FIRST + DAY) as dag:
        SqlToSequenceUsageEventsOperator(
            task_id="push", max_rejected=1, **LOG
        ) >> SequenceToSqlOperator(
            task_id="pull", resource="usage_events", table="staged", sql_conn_id="warehouse", runs_table="sequence_runs"
        )  # fmt: skip
    return dag


def reconcile_dag() -> Any:
    with interval_dag(FIRST, FIRST + DAY) as dag:
        SequenceReconcileOperator(task_id="reconcile", differences_table="sequence_differences", **LOG)
    return dag


@on("sqlite", "postgres")
def test_the_page_shows_what_became_of_the_events(run_dag, pages, sandbox, sequence_conn, warehouse):
    def add(day: int, *ids: str, customer: str | None = "acme") -> None:
        values = {"customer": customer, "at": (FIRST + day * DAY + DAY / 2).isoformat()}
        warehouse.execute(
            "INSERT INTO usage VALUES (:id, :customer, :at, 1)", *({"id": i} | values for i in ids)
        )

    warehouse.execute("CREATE TABLE usage (id TEXT, customer TEXT, used_at TEXT, n INTEGER)")
    for day, ids in enumerate((["a1", "a2"], ["b1", "b2", "b3"], ["c1"], ["d1", "d2"])):
        add(day, *ids)
    add(0, "bad", customer=None)
    push, reconcile = push_dag(), reconcile_dag()
    ends = [FIRST + (day + 1) * DAY for day in range(4)]
    assert [run_dag(push, end).state for end in ends] == ["success"] * 4
    add(2, "c2")
    # The third day differs, and the last one is not looked at.
    assert [run_dag(reconcile, end).state for end in ends[:3]] == ["success", "success", "failed"]
    warehouse.execute("UPDATE usage SET n = 2 WHERE id = 'b1'")
    assert run_dag(push, ends[1]).state == "success"

    query = {"end": "2026-03-04", "days": "7"}
    found = pages.overview(DEPLOYMENT, query)
    assert found["notices"] == []
    assert [
        (
            day.date.day,
            {name: number for name, number in day.entries.items() if number},
            day.unchanged,
            day.late,
            day.check.text,
        )
        for day in found["days"][-4:]
    ] == [
        (1, {"delivered": 2, "rejected": 1}, 0, 0, "equal"),
        (2, {"delivered": 2, "corrected": 1}, 2, 0, "checked before the last push"),
        (3, {"delivered": 1}, 0, 0, "1 difference"),
        (4, {"delivered": 2}, 0, 0, "not checked"),
    ]
    assert [each.entries for each in found["reasons"]] == [1]
    assert [(each.difference, each.events) for each in found["windows"]] == [("missing", 1)]
    assert [(run.operation, run.state, run.error) for run in found["troubles"]] == [
        ("reconcile", "failed", "DifferencesError")
    ]

    tries = pages.runs(DEPLOYMENT, query)["runs"]
    assert len(tries) == 5 * 2 + 3
    assert {run.state for run in tries} == {"success", "failed"}
    assert tries[1].counts == "rows 3, delivered 1, corrected 1, unchanged 2"
    of_task = pages.runs(DEPLOYMENT, tries[1].task | {"map_index": "-1"})["runs"]
    assert {run.task["run_id"] for run in of_task} == {tries[1].task["run_id"]}
    assert [row.customer_event_id for row in pages.rejected(DEPLOYMENT, query)["rows_found"]] == ["bad"]
    assert [row.customer_event_id for row in pages.differences(DEPLOYMENT, query)["rows_found"]] == ["c2"]
    (b1,) = pages.event(DEPLOYMENT, {"event_id": "b1"})["rows_found"]
    assert (b1.status, b1.attempts, b1.previous_hash is None) == ("delivered", 2, False)
