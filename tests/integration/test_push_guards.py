"""What a push counts of rows with one id, and what it sends of what earlier runs left rejected."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_sequence.api.events import USAGE_EVENT, EventMapper
from airflow_provider_sequence.api.resources import USAGE_EVENTS
from airflow_provider_sequence.hooks.sequence import SequenceHook
from airflow_provider_sequence.pipelines.outcomes import LoggedMemory
from airflow_provider_sequence.pipelines.push import make_events, push
from airflow_provider_sequence.transfers.sql_to_sequence import SqlToSequenceUsageEventsOperator
from airflow_provider_sequence.warehouse.database import connect
from airflow_provider_sequence.warehouse.delivery_log import DeliveryLog
from tests.integration.support.airflow import interval_dag

Row = tuple[Any, ...]

START, END = "2026-03-01", "2026-03-02"
TASK = {"dag_id": "billing", "task_id": "push", "run_id": "manual__1"}
COLUMNS = ["customer_event_id", "customer_alias", "event_type", "event_timestamp", "units"]
TIME = "2026-03-01T12:00:00Z"


def usage(event_id: str, units: int) -> Row:
    return event_id, "acme", "call", TIME, units


def units_of(sandbox: Any) -> dict[str, int]:
    """What counts in the end: the units of each id's last event."""
    items = sandbox.ledger()["items"]
    return {item["customerEventId"]: json.loads(item["body"])["eventProperties"]["units"] for item in items}


@pytest.fixture
def deliver(sequence_conn, engine) -> Any:
    """Push rows as a task with a delivery log does; its summary comes back."""

    def run(*rows: Row) -> dict[str, Any]:
        with SequenceHook(sequence_conn, deadline=1).client as client, connect(engine) as connection:
            log = DeliveryLog(connection, "deliveries", account="acc", resource="usage_events", task=TASK)
            made = make_events([rows], EventMapper(USAGE_EVENT, COLUMNS))
            return push(made, client, USAGE_EVENTS, lanes=4, memory=LoggedMemory(log)).as_dict()

    return run


def test_row_conflicts_with_one_that_is_unchanged(deliver, sandbox):
    deliver(usage("a", 1))
    summary = deliver(usage("a", 1), usage("a", 2))

    assert units_of(sandbox) == {"a": 2}
    assert (summary["unchanged"], summary["delivered"], summary["conflicting"]) == (1, 1, 1)
    assert summary["conflicting_rows"] == [{"row": 2, "customer_event_id": "a"}]


def test_rejected_row_that_the_last_row_of_its_id_replaced_is_not_retried(
    run_dag, sandbox, sequence_conn, warehouse
):
    """What the last row says is with Sequence already, and so it is not sent; it is the last word all the same."""
    warehouse.execute(
        "CREATE TABLE usage (number INTEGER, customer_event_id TEXT, customer_alias TEXT,"
        " event_type TEXT, event_timestamp TEXT, units INTEGER)"
    )
    for number, row in enumerate([usage("a", 1), usage("a", 2), usage("a", 1)]):
        warehouse.execute(f"INSERT INTO usage VALUES {(number, *row)}")
    sandbox.fault(kind="status", status=400, match={"eventProperties": {"units": 2}}, times=1)

    def run(where: str, **options: Any) -> Any:
        with interval_dag(START, END) as dag:
            SqlToSequenceUsageEventsOperator(
                task_id="push",
                sql_conn_id="warehouse",
                sql=f"SELECT {', '.join(COLUMNS)} FROM usage WHERE {where} ORDER BY number",
                delivery_log_table="deliveries",
                max_rejected=1,
                **options,
            )
        return run_dag(dag, END)

    first = run("number < 3")
    assert (first.state, units_of(sandbox)) == ("success", {"a": 1}), first.errors
    assert first.xcoms["push"]["rejected"] == 1

    later = run("number > 3", retry_rejected=True)  # another window, which has no row of this id
    assert later.state == "success", later.errors
    assert later.xcoms["push"]["rows"] == 0
    assert units_of(sandbox) == {"a": 1}
