"""Push, delivery log, pull and differences on each warehouse, through its own Airflow hook and driver."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_sequence.operators.reconcile import SequenceReconcileOperator
from airflow_provider_sequence.transfers.sequence_to_sql import SequenceToSqlOperator
from airflow_provider_sequence.transfers.sql_to_sequence import SqlToSequenceUsageEventsOperator
from tests.warehouses.conftest import Standin

WINDOW = {"window_start": "2026-03-01", "window_end": "2026-03-02"}
CONTEXT: Any = {
    "ti": SimpleNamespace(dag_id="billing", task_id="push", run_id="manual__1"),
    "outlet_events": {},
}
#: Types of the table that is pushed from, by database.
TYPES = {
    "redshift": {"text": "VARCHAR(40)", "time": "TIMESTAMP WITH TIME ZONE", "number": "NUMERIC(38,9)"},
    "snowflake": {"text": "VARCHAR", "time": "TIMESTAMP_TZ", "number": "NUMBER(38,9)"},
    "bigquery": {"text": "STRING", "time": "TIMESTAMP", "number": "NUMERIC"},
    "mariadb": {"text": "VARCHAR(40)", "time": "DATETIME(6)", "number": "DECIMAL(38,9)", "zone": ""},
    "databricks": {"text": "VARCHAR", "time": "TIMESTAMPTZ", "number": "DECIMAL(38, 9)"},
}
#: Those whose drivers have no transactions of several statements.
NO_TRANSACTIONS = {"bigquery", "databricks"}


def make_usage(standin: Standin, rows: int) -> str:
    """Make a table of usage; give its name."""
    types, table = TYPES[standin.name], f"{standin.schema}used"
    standin.run(
        f"CREATE TABLE {table} (eid {types['text']}, cust {types['text']}, used_at {types['time']},"
        f" q {types['number']}, note {types['text']})"
    )
    time = f"TIMESTAMP '2026-03-01 10:00:00.000001{types.get('zone', '+00')}'"
    values = ", ".join(f"('e-{number}', 'acme', {time}, 12345678.125, '100%')" for number in range(rows))
    standin.run(f"INSERT INTO {table} VALUES {values}")
    return table


def push(table: str, **options: Any) -> dict[str, Any]:
    operator = SqlToSequenceUsageEventsOperator(
        task_id="push",
        sql=f"SELECT eid AS customer_event_id, cust AS customer_alias, used_at AS event_timestamp, q, note FROM {table}",
        sql_conn_id="warehouse",
        event_type="call",
        **options,
    )
    return operator.execute(CONTEXT)


def pull(standin: Standin, **options: Any) -> dict[str, Any]:
    operator = SequenceToSqlOperator(
        task_id="pull",
        resource="usage_events",
        table=f"{standin.schema}staged",
        sql_conn_id="warehouse",
        **WINDOW,
        **options,
    )
    return operator.execute(CONTEXT)


def reconcile(standin: Standin, table: str) -> dict[str, Any]:
    options = {} if standin.name in NO_TRANSACTIONS else {"differences_table": f"{standin.schema}differences"}
    operator = SequenceReconcileOperator(
        task_id="reconcile",
        sql=f"SELECT eid AS customer_event_id, cust AS customer_alias, used_at AS event_timestamp, q, note FROM {table}",
        sql_conn_id="warehouse",
        constants={"event_type": "call"},
        max_differences=1,
        **WINDOW,
        **options,
    )
    return operator.execute(CONTEXT)


def test_push_sends_every_digit_and_instant(standin, sandbox, sequence_conn):
    result = push(make_usage(standin, 3))

    assert (result["delivered"], result["rejected"]) == (3, 0)
    bodies = sandbox.call("GET", "/usage-events?limit=100").text
    assert bodies.count('"q":12345678.125') == 3
    events = json.loads(bodies)["items"]
    assert {event["eventTimestamp"] for event in events} == {"2026-03-01T10:00:00.000001Z"}
    assert {event["eventProperties"]["note"] for event in events} == {"100%"}


def test_statement_that_changes_something_is_not_run(standin, sandbox, sequence_conn):
    table = make_usage(standin, 1)
    operator = SqlToSequenceUsageEventsOperator(
        task_id="push", sql=f"UPDATE {table} SET q = 0 WHERE true", sql_conn_id="warehouse", event_type="call"
    )
    with pytest.raises(AirflowFailException, match="begins with UPDATE"):
        operator.execute(CONTEXT)

    assert float(standin.run(f"SELECT max(q) FROM {table}")[0][0]) > 0


def test_bad_query_fails_without_a_retry(standin, sandbox, sequence_conn):
    with pytest.raises(AirflowFailException, match=r"(?i)nowhere"):
        push(f"{standin.schema}nowhere")


def test_pull_and_pull_again_make_the_same_table(standin, sandbox, sequence_conn):
    push(make_usage(standin, 250))
    first, second = pull(standin), pull(standin)

    assert (first["loaded"], second["loaded"]) == (250, 250)
    rows = standin.run(f"SELECT event_properties FROM {standin.schema}staged")
    assert len(rows) == 250
    properties = rows[0][0] if isinstance(rows[0][0], str) else json.dumps(rows[0][0])
    assert json.loads(properties)["note"] == "100%"


def test_log_remembers_and_takes_corrections(standin, sandbox, sequence_conn):
    if standin.name in NO_TRANSACTIONS:
        with pytest.raises(AirflowFailException, match="transactions"):
            push(make_usage(standin, 1), delivery_log_table=f"{standin.schema}deliveries")
        return
    table = make_usage(standin, 510)
    log = {"delivery_log_table": f"{standin.schema}deliveries"}
    assert push(table, **log)["delivered"] == 510
    assert push(table, **log)["unchanged"] == 510
    standin.run(f"UPDATE {table} SET q = 2 WHERE eid IN ('e-1', 'e-2')")
    result = push(table, **log)

    assert (result["delivered"], result["corrected"], result["unchanged"]) == (2, 2, 508)


def test_differences_are_stored(standin, sandbox, sequence_conn):
    table = make_usage(standin, 3)
    push(table)
    standin.run(f"DELETE FROM {table} WHERE eid = 'e-1'")
    result = reconcile(standin, table)

    assert (result["expected"], result["found"], result["unexpected"]) == (2, 3, 1)
    if standin.name not in NO_TRANSACTIONS:
        stored = standin.run(f"SELECT customer_event_id, difference FROM {standin.schema}differences")
        assert stored == [("e-1", "unexpected")]
