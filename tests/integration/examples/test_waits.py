"""The examples that wait: for what a metric counts, and for customers of all aliases."""

from __future__ import annotations

import datetime as dt
from typing import Any
from unittest.mock import Mock

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowSkipException

from tests.integration.examples.test_dags import load_example
from tests.integration.examples.test_pull import content, post
from tests.integration.support.databases import on_postgres

START, END = dt.datetime(2026, 10, 1, tzinfo=dt.UTC), dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
HOUR, TICK = dt.timedelta(hours=1), dt.timedelta(microseconds=1)


def send(sandbox: Any, event_id: str, alias: str, at: dt.datetime, event_type: str = "message-sent") -> None:
    post(
        sandbox,
        "/usage-events",
        at,
        customerEventId=event_id,
        customerAlias=alias,
        eventType=event_type,
    )


@pytest.fixture
def month(sandbox, warehouse) -> list[tuple[str, str, str, dt.datetime]]:
    """Usage of a month and around it, in the warehouse; five rows are what the example counts."""
    rows = [
        ("u1", "acme", "message-sent", START),
        ("u2", "acme", "message-sent", START + 99 * HOUR),
        ("u3", "acme", "message-sent", END - TICK),
        ("u4", "globex", "message-sent", START + HOUR),
        ("u5", "globex", "message-sent", START + HOUR),
        ("x1", "acme", "message-sent", START - TICK),
        ("x2", "acme", "message-sent", END),
        ("x3", "initech", "message-sent", START),
        ("x4", "acme", "other", START),
    ]
    time = "timestamptz" if warehouse.is_postgres else "text"
    warehouse.execute(f"CREATE TABLE usage (usage_id TEXT, customer TEXT, kind TEXT, used_at {time})")
    warehouse.execute(
        "INSERT INTO usage VALUES (:id, :customer, :kind, :at)",
        *({"id": i, "customer": c, "kind": k, "at": at.isoformat()} for i, c, k, at in rows),
    )
    sandbox._admin("POST", "/_sandbox/demo")
    return rows


@on_postgres
def test_invoices_are_staged_once_all_usage_is_counted(run_dag, sandbox, sequence_conn, warehouse, month):
    for event_id, customer, kind, at in month:
        send(sandbox, event_id, customer, at, kind)
    dag = load_example("invoice_run")
    states = dict.fromkeys(("used", "counted", "pull_invoices", "pull_draft_lines"), "success")
    before = None
    for _ in range(2):
        result = run_dag(dag, END)
        assert result.states == states, result.errors
        assert result.xcoms["counted"] == {"event_count": 5, "value": "5"}
        staged = [content(warehouse, f"review_{name}") for name in ("invoices", "invoice_line_items")]
        invoices, lines = staged
        assert len(invoices) == 12
        drafts = [row["id"] for row in invoices if row["status"] == "DRAFT"]
        assert len(drafts) == 3
        assert [row["invoice_id"] for row in lines] == [each for each in drafts for _ in range(2)]
        assert before in (None, staged)
        before = staged


def test_nothing_is_staged_while_usage_is_missing(run_dag, sandbox, sequence_conn, warehouse, month):
    for event_id, customer, kind, at in month[1:]:
        send(sandbox, event_id, customer, at, kind)
    dag = load_example("invoice_run")
    # dag.test() waits for a trigger for ever, so that the timeout is seen in the worker alone.
    dag.get_task("counted").deferrable = False
    dag.get_task("counted").timeout = 0.3
    result = run_dag(dag, END)
    assert result.states["counted"] == "failed"
    assert result.states["pull_invoices"] == result.states["pull_draft_lines"] == "upstream_failed"
    assert "review_invoices" not in warehouse.tables()


@pytest.fixture
def accounts(sandbox, warehouse) -> None:
    sandbox.add("customers", [{"id": "c-acme", "aliases": ["acme"]}, {"id": "c-new"}])
    warehouse.execute("CREATE TABLE accounts (account TEXT, name TEXT, sequence_customer_id TEXT)")
    warehouse.execute(
        "INSERT INTO accounts VALUES (:account, :name, :id)",
        {"account": "acme", "name": None, "id": "c-acme"},
        {"account": "neu & söhne", "name": "Neu", "id": "c-new"},
    )


def aliases(sandbox: Any) -> set[tuple[str, str, str | None]]:
    items = sandbox.call("GET", "/customer-aliases").json()["items"]
    return {(item["value"], item["customerId"], item.get("label")) for item in items}


def dag_with_short_timeouts() -> Any:
    dag = load_example("unmapped_aliases")
    for task_id in ("all_mapped", "all_mapped_now"):
        dag.get_task(task_id).timeout = 0.3
    return dag


def test_alert_is_sent_and_customers_get_their_aliases(run_dag, sandbox, sequence_conn, warehouse, accounts):
    send(sandbox, "e1", "acme", START)
    send(sandbox, "e2", "neu & söhne", START + HOUR)
    send(sandbox, "of-another-day", "nobody", START + 24 * HOUR)
    dag = dag_with_short_timeouts()

    result = run_dag(dag, START + 24 * HOUR)
    assert (result.state, result.states) == ("failed", {
        "all_mapped": "failed", "alert": "failed", "give_aliases": "success", "all_mapped_now": "success",
    }), result.errors  # fmt: skip
    assert "Nobody may be billed for some usage of 2026-10-01 00:00:00+00:00" in str(result.error("alert"))
    summary = result.xcoms["give_aliases"]
    assert {name: summary[name] for name in ("rows", "created", "unchanged", "rejected")} == {
        "rows": 2, "created": 1, "unchanged": 1, "rejected": 0,
    }  # fmt: skip
    assert result.xcoms["all_mapped_now"] == {"count": 0, "aliases": 0}
    expected = {("acme", "c-acme", None), ("neu & söhne", "c-new", "Neu")}
    assert aliases(sandbox) == expected

    # Now nothing is left to do.
    result = run_dag(dag, START + 24 * HOUR)
    assert result.state == "success"
    assert result.states == {
        "all_mapped": "success", "alert": "success", "give_aliases": "skipped", "all_mapped_now": "skipped",
    }, result.errors  # fmt: skip
    assert aliases(sandbox) == expected


def test_run_fails_where_the_warehouse_does_not_know_the_customer_either(
    run_dag, sandbox, sequence_conn, warehouse, accounts
):
    send(sandbox, "e1", "nobody", START)
    result = run_dag(dag_with_short_timeouts(), START + 24 * HOUR)
    assert (result.state, result.states) == ("failed", {
        "all_mapped": "failed", "alert": "failed", "give_aliases": "success", "all_mapped_now": "failed",
    })  # fmt: skip
    assert ("nobody", "c-new", None) not in aliases(sandbox)


def test_alert_is_sent_however_the_sensor_ends(run_dag, sandbox, sequence_conn, warehouse, accounts):
    """It may also be refused, be killed, be marked as failed or as skipped: whatever is no success is told."""
    for end, give in ((AirflowException("killed"), "success"), (AirflowSkipException("by hand"), "skipped")):
        dag = dag_with_short_timeouts()
        dag.get_task("all_mapped").pre_execute = Mock(side_effect=end)
        result = run_dag(dag, START + 24 * HOUR)
        assert (result.state, result.states["alert"], result.states["give_aliases"]) == (
            "failed",
            "failed",
            give,
        )
