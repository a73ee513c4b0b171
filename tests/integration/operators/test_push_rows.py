"""Rows that Python code gives: pushed as a query's rows are, and refused in words where they are no rows."""

from __future__ import annotations

import datetime as dt
import json
import tracemalloc
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, task

from airflow_provider_sequence.exceptions import RejectedRowsError, SequenceConfigurationError
from airflow_provider_sequence.hooks.sequence import SequenceHook
from airflow_provider_sequence.operators.sequence import (
    SequencePushSeatEventsOperator,
    SequencePushUsageEventsOperator,
)
from airflow_provider_sequence.transfers.sql_to_sequence import SqlToSequenceUsageEventsOperator
from tests.integration.support.airflow import interval_dag
from tests.integration.support.databases import sqlite_and_postgres

START, END = dt.datetime(2026, 3, 1, tzinfo=dt.UTC), dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
CONTEXT: Any = {"ti": SimpleNamespace(dag_id="billing", task_id="task", run_id="manual__1"), "number": 3}
LOG = {"delivery_log_table": "deliveries", "delivery_log_conn_id": "warehouse"}
#: The third lacks its alias, the fourth a property.
ROWS = [
    {"customer_event_id": "a", "customer_alias": "acme", "event_timestamp": START, "units": 1},
    {"customer_event_id": "b", "customer_alias": "Zoë", "event_timestamp": START, "units": 2, "region": "eu"},
    {"customer_event_id": "c", "event_timestamp": START, "units": 3},
    {"customer_event_id": "d", "customer_alias": "acme", "event_timestamp": "2026-03-01T12:00:00+01:00"},
]
SQL = """SELECT 'a' AS customer_event_id, 'acme' AS customer_alias, '2026-03-01T00:00:00Z' AS event_timestamp, 1 AS units,
         NULL AS region UNION ALL SELECT 'b', 'Zoë', '2026-03-01T00:00:00Z', 2, 'eu' UNION ALL
         SELECT 'c', NULL, '2026-03-01T00:00:00Z', 3, NULL UNION ALL
         SELECT 'd', 'acme', '2026-03-01T12:00:00+01:00', NULL, NULL"""

pytestmark = pytest.mark.usefixtures("sequence_conn")


def push(rows: Any = ROWS, **options: Any) -> dict[str, Any]:
    options = {"event_type": "call", "max_rejected": 1} | options
    return SequencePushUsageEventsOperator(task_id="push", rows=rows, **options).execute(CONTEXT)


def bodies(sandbox: Any) -> list[dict[str, Any]]:
    sent = [json.loads(event["body"]) for event in sandbox.ledger()["items"]]
    return sorted(sent, key=lambda event: str(event["customerEventId"]))


@sqlite_and_postgres
def test_outcomes_are_those_of_the_same_rows_of_a_query(sandbox, warehouse):
    of_query = SqlToSequenceUsageEventsOperator(
        task_id="q", sql_conn_id="warehouse", sql=SQL, event_type="call", max_rejected=1
    ).execute(CONTEXT)
    sent = bodies(sandbox)
    sandbox.reset()
    given = push(**LOG)

    assert bodies(sandbox) == sent
    assert {**given, "seconds": 0} == {**of_query, "seconds": 0}
    assert given["rejected_rows"] == [
        {"row": 3, "customer_event_id": "c", "reason": "customerAlias: is NULL; every event needs it"}
    ]
    again = push(**LOG)
    assert (again["unchanged"], again["delivered"], again["rejected"]) == (3, 0, 1)
    assert warehouse.rows("SELECT rows, delivered, rejected FROM sequence_runs ORDER BY started_at") == [
        (4, 3, 1), (4, 0, 1),
    ]  # fmt: skip


def test_rows_of_a_task_and_of_a_function(run_dag, sandbox, warehouse):
    @task
    def from_task() -> list[dict[str, Any]]:
        return [{**ROWS[0], "units": Decimal("0.10"), "note": "{{ ds }}", "region": None}]

    def from_function(data_interval_start: Any, units: int = 7, **context: Any) -> Iterator[dict[str, Any]]:
        assert context["data_interval_end"] == END
        yield {**ROWS[0], "customer_event_id": "f", "event_timestamp": data_interval_start, "units": units}

    with interval_dag(START, END, default_args={"event_type": "call"} | LOG) as dag:
        SequencePushUsageEventsOperator(task_id="xcom", rows=from_task())
        SequencePushUsageEventsOperator(task_id="function", rows=from_function)
        literal = {
            "customer_alias": "acme",
            "event_timestamp": "{{ data_interval_start }}",
            "month": "{{ ds }}",
        }
        SequencePushUsageEventsOperator(task_id="literal", rows=[literal], event_key=["month"])
        SequencePushSeatEventsOperator.partial(task_id="seats", seat_type="editor").expand(
            rows=[[{"customer_event_id": f"s{n}", "customer_alias": "acme", "event_timestamp": "2026-03-01", "total": n}]
                  for n in (1, 2)]
        )  # fmt: skip
    result = run_dag(dag, END)

    assert result.state == "success", result.errors
    sent = {event["customerEventId"]: event for event in bodies(sandbox)}
    assert sent["a"]["eventProperties"] == {"units": 0.1, "note": "{{ ds }}"}
    assert sent["f"]["eventProperties"] == {"units": 7}
    assert SequenceHook().count("seat_events") == 2
    assert len(sent) == 3


def test_text_of_rows_shows_no_value():
    """Airflow stores the text of rendered fields, and shows it."""
    push = SequencePushUsageEventsOperator(task_id="push", rows=[{"customer_alias": "{{ 'ann' }}"}])
    push.render_template_fields({})

    assert push.rows.rows == [{"customer_alias": "ann"}]
    assert str(push.rows) == "<rows, of type list>"


@task
def rows_of_a_task() -> list[Any]:
    return []


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (5, "rows is of type int\nGive a list of dicts"),
        ({"customer_event_id": "a"}, "rows is of type dict"),
        ("a text", "rows is of type str"),
        ([ROWS[0], ["secret"]], "row 2 of rows is of type list"),
        ([{1: "secret"}], "row 1 of rows has a key of type int"),
        ([{"a": 1}], "there is no column customer_event_id, and no event_key is set\nThe columns are a"),
        (rows_of_a_task, "rows is a task that was not called"),
        (lambda of_whom: [of_whom], "the function in rows needs of_whom, which the task's context does not have"),
    ],
)  # fmt: skip
def test_what_is_no_rows_is_refused(rows, words, sandbox):

    with pytest.raises((SequenceConfigurationError, AirflowFailException)) as e:
        push(rows)
    assert words in str(e.value)
    assert "secret" not in str(e.value)
    assert sandbox.summary()["requests"] == 0


@pytest.mark.parametrize("name", ["delivery_log_table", "runs_table"])
def test_table_needs_a_connection(name):

    with pytest.raises(AirflowFailException, match=f"{name} needs delivery_log_conn_id"):
        push(**{name: "deliveries"})


def test_no_row_is_no_error_where_none_is_needed(sandbox):
    assert push([], min_rows=0)["rows"] == 0


def test_failing_function_sends_nothing(sandbox):
    def rows() -> Iterator[dict[str, Any]]:
        yield from ROWS
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        push(rows)
    assert sandbox.summary()["requests"] == 0


def test_rejected_rows_fail_the_task_with_their_numbers(sandbox):
    with pytest.raises(RejectedRowsError) as e:
        push(max_rejected=0)
    assert e.value.result["rejected_rows"][0]["row"] == 3  # type: ignore[attr-defined]


def test_memory_does_not_grow_with_the_rows_of_a_function(sandbox):
    def rows(count: int) -> Iterator[dict[str, Any]]:
        for n in range(count):
            yield {**ROWS[0], "customer_event_id": f"e{n}", "note": "x" * 500}

    peaks = []
    for count in (1_000, 20_000):
        tracemalloc.start()
        push(partial(rows, count), dry_run=True)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 10_000_000, json.dumps(peaks)
