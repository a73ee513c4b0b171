"""Voiding: what arrives, what the log keeps of it, and what later pushes make of the same rows."""

from __future__ import annotations

import datetime as dt
import json
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_sequence.operators.sequence import SequenceVoidUsageEventsOperator
from airflow_provider_sequence.pipelines.delivery_log import hash_body
from airflow_provider_sequence.transfers.sql_to_sequence import SqlToSequenceUsageEventsOperator
from tests.integration.support.airflow import interval_dag
from tests.integration.support.databases import sqlite_and_postgres

CONTEXT: Any = {"ti": SimpleNamespace(dag_id="billing", task_id="task", run_id="manual__1")}
LOG = {"delivery_log_table": "deliveries"}


def push(*ids: str, units: int = 1, **options: Any) -> dict[str, Any]:
    """Push an event for each of these ids."""
    sql = "SELECT 'x' AS customer_event_id, 1 AS units WHERE 1 = 0"
    rows = [f"SELECT '{each}', {units}" for each in ids]
    return SqlToSequenceUsageEventsOperator(
        task_id="push",
        sql_conn_id="warehouse",
        sql=f"SELECT r.*, 'acme' AS customer_alias, 'call' AS event_type, '2026-03-01T12:00:00Z' AS event_timestamp"
        f" FROM ({' UNION ALL '.join([sql, *rows])}) AS r ORDER BY customer_event_id",
        **(LOG | options),
    ).execute(CONTEXT)


def void(*ids: str, **options: Any) -> dict[str, Any]:
    """Void these ids."""
    options.setdefault("sql", " UNION ALL ".join(f"SELECT '{each}' AS customer_event_id" for each in ids))
    return SequenceVoidUsageEventsOperator(
        task_id="void", sql_conn_id="warehouse", **(LOG | options)
    ).execute(CONTEXT)


def arrived(sandbox: Any) -> list[tuple[str, str]]:
    """Id and alias of all that arrived, in order."""
    return [(each["customerEventId"], each["customerAlias"]) for each in sandbox.ledger()["items"]]


def status(warehouse: Any) -> dict[str, str]:
    return dict(warehouse.rows("SELECT customer_event_id, status FROM deliveries"))


pytestmark = pytest.mark.usefixtures("sequence_conn")


def test_event_is_sent_again_with_the_alias_void(sandbox, warehouse):
    push("a", "b", concurrency=1)
    result = void("a")

    assert arrived(sandbox) == [("a", "acme"), ("b", "acme"), ("a", "VOID")]
    assert (result["rows"], result["delivered"], result["requests"]) == (1, 1, 1)


@sqlite_and_postgres
def test_log_keeps_the_voided_body(sandbox, warehouse):
    push("a", "b")
    void("a")

    first, last = [each["body"] for each in sandbox.ledger()["items"] if each["customerEventId"] == "a"]
    entry = "SELECT status, body_hash, previous_hash FROM deliveries WHERE customer_event_id = 'a'"
    assert warehouse.rows(entry) == [("voided", hash_body(last.encode()), hash_body(first.encode()))]
    assert status(warehouse)["b"] == "delivered"


@sqlite_and_postgres
def test_unchanged_row_stays_voided(sandbox, warehouse):
    push("a", "b")
    void("a")
    for _ in range(2):
        result = push("a", "b")
        assert (result["unchanged"], result["voided"], result["delivered"], result["requests"]) == (
            2,
            1,
            0,
            0,
        )

    assert status(warehouse) == {"a": "voided", "b": "delivered"}


def test_changed_row_is_sent_and_counts(sandbox, warehouse):
    push("a")
    void("a")
    result = push("a", units=2)

    assert (result["delivered"], result["voided"]) == (1, 0)
    assert arrived(sandbox)[-1] == ("a", "acme")
    assert status(warehouse) == {"a": "delivered"}
    assert push("a", units=2)["requests"] == 0


def test_row_that_changed_and_changed_back_is_sent(sandbox, warehouse):
    push("a", units=1)
    void("a")
    push("a", units=2)
    assert push("a", units=1)["delivered"] == 1
    assert json.loads(sandbox.ledger()["items"][-1]["body"])["eventProperties"] == {"units": 1}


def test_voiding_again_sends_nothing(sandbox, warehouse):
    push("a")
    void("a")
    result = void("a")

    assert (result["unchanged"], result["delivered"], result["requests"]) == (1, 0, 0)
    assert push("a")["voided"] == 1


def test_event_that_came_back_can_be_voided_again(sandbox, warehouse):
    push("a")
    void("a")
    push("a", units=2)
    assert void("a")["delivered"] == 1

    assert arrived(sandbox)[-1] == ("a", "VOID")
    assert push("a", units=2)["voided"] == 1


def test_id_that_was_never_pushed(sandbox, warehouse):
    assert void("a")["delivered"] == 1

    assert arrived(sandbox) == [("a", "VOID")]
    assert warehouse.rows("SELECT status, previous_hash FROM deliveries") == [("voided", None)]


def test_row_that_changes_after_an_id_was_voided_that_the_log_did_not_know(sandbox, warehouse):
    void("a")
    push("a", units=1)
    push("a", units=2)

    assert arrived(sandbox)[-1] == ("a", "acme")


def test_without_a_log_the_next_push_brings_the_event_back(sandbox, warehouse):
    for each in (push, void, push):
        each("a", delivery_log_table=None)

    assert arrived(sandbox) == [("a", "acme"), ("a", "VOID"), ("a", "acme")]
    assert warehouse.tables() == set()


def test_voided_row_is_not_late(sandbox, warehouse):
    push("a")
    void("a")
    result = push("a", late_after=dt.timedelta(0), late="reject")
    assert (result["voided"], result["late"], result["rejected"]) == (1, 0, 0)


def test_refused_voiding_leaves_the_event(sandbox, warehouse):
    push("a")
    sandbox.fault(kind="status", status=400, match={"customerAlias": "VOID"}, times=1)
    assert void("a", max_rejected=1)["rejected"] == 1
    assert status(warehouse) == {"a": "rejected"}

    assert void("a")["delivered"] == 1
    assert push("a")["voided"] == 1


def test_refused_voiding_that_a_push_retries(sandbox, warehouse):
    """A push leaves it alone: a voiding sends it."""
    push("a")
    sandbox.fault(kind="status", status=400, match={"customerAlias": "VOID"}, times=1)
    void("a", max_rejected=1)
    push(retry_rejected=True)
    assert arrived(sandbox) == [("a", "acme")]

    void("a")
    assert arrived(sandbox) == [("a", "acme"), ("a", "VOID")]
    assert status(warehouse) == {"a": "voided"}
    assert push("a")["voided"] == 1


def test_row_that_goes_back_to_what_was_voided_after_a_refused_change(sandbox, warehouse):
    push("a", units=1)
    void("a")
    sandbox.fault(kind="status", status=400, match={"customerAlias": "acme"}, times=1)
    push("a", units=2, max_rejected=1)
    push("a", units=1)

    assert arrived(sandbox) == [("a", "acme"), ("a", "VOID")]


def test_rejected_event_that_was_voided_is_not_retried(sandbox, warehouse):
    sandbox.fault(kind="status", status=400, match={"customerAlias": "acme"}, times=1)
    push("a", max_rejected=1)
    void("a")
    push(retry_rejected=True)

    assert arrived(sandbox) == [("a", "VOID")]


def test_dry_run_voids_nothing(sandbox, warehouse):
    push("a")
    log = warehouse.rows("SELECT * FROM deliveries")
    result = void("a", "never", dry_run=True)

    assert (result["delivered"], result["requests"], result["dry_run"]) == (2, 0, True)
    assert arrived(sandbox) == [("a", "acme")]
    assert warehouse.rows("SELECT * FROM deliveries") == log


def test_many_ids(sandbox, warehouse):
    ids = [f"e{number:03}" for number in range(150)]
    push(*ids)
    assert void(*ids)["delivered"] == 150

    assert sandbox.summary()["distinct_events"] == 150
    assert set(status(warehouse).values()) == {"voided"}
    assert push(*ids)["voided"] == 150


def test_row_without_an_id_is_rejected(sandbox, warehouse):
    result = void(sql="SELECT NULL AS customer_event_id UNION ALL SELECT 'a'", max_rejected=1)

    assert (result["rejected"], result["delivered"]) == (1, 1)
    assert arrived(sandbox) == [("a", "VOID")]


def test_key_gives_the_id_of_the_push(sandbox, warehouse):
    facts = "'acme' AS customer_alias, 'call' AS event_type, '2026-03-01T12:00:00Z' AS event_timestamp, 1 AS units"
    SqlToSequenceUsageEventsOperator(
        task_id="push", sql_conn_id="warehouse", sql=f"SELECT 7 AS n, {facts}", event_key=["n"], **LOG
    ).execute(CONTEXT)
    void(sql="SELECT 7 AS n", event_key=["n"])

    (first, _), (last, alias) = arrived(sandbox)
    assert (first == last, alias) == (True, "VOID")


def test_in_a_dag(run_dag, sandbox, warehouse):
    push("a")
    with interval_dag("2026-03-01", "2026-03-02") as dag:
        SequenceVoidUsageEventsOperator(
            task_id="void",
            sql_conn_id="warehouse",
            sql="SELECT 'a' AS mistake, '{{ ds }}' AS day",
            columns={"customer_event_id": "mistake"},
            event_type="{{ 'gone' }}",
            **LOG,
        )
    result = run_dag(dag, "2026-03-02")

    assert result.state == "success", result.errors
    assert result.xcoms["void"]["delivered"] == 1
    assert json.loads(sandbox.ledger()["items"][-1]["body"])["eventType"] == "gone"
    assert arrived(sandbox)[-1] == ("a", "VOID")
