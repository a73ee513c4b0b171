"""The page of failures: messages that it lists, provoked."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_sequence.compat import AirflowFailException
from airflow_provider_sequence.operators.sequence import (
    SequencePushUsageEventsOperator,
    SequenceReconcileOperator,
)
from airflow_provider_sequence.sensors.sequence import SequenceUsageMetricSensor
from airflow_provider_sequence.transfers.sequence_to_sql import SequenceToSqlOperator
from airflow_provider_sequence.transfers.sql_to_sequence import SqlToSequenceUsageEventsOperator
from tests.integration.examples.test_dags import CHECKOUT
from tests.integration.support.databases import sequence_connection

CONTEXT: Any = {
    "ti": SimpleNamespace(dag_id="billing", task_id="task", run_id="manual__1"),
    "outlet_events": {},
}
ROW = "SELECT 'a' AS customer_event_id, 'b' AS customer_alias, 'c' AS event_type, '2026-03-01' AS event_timestamp"
DAY = {"window_start": "2026-03-01", "window_end": "2026-03-02"}
TABLE = {"resource": "usage_events", "table": "staged", **DAY}
SQL = {"sql": ROW, "sql_conn_id": "warehouse"}
PUSH, PULL = SqlToSequenceUsageEventsOperator, SequenceToSqlOperator
METRIC = {
    "metric_id": "m",
    "customer_aliases": "a,b",
    "period_start": "2026-03-01",
    "period_end": "2026-03-02",
}
DEFAULTS: dict[Any, dict[str, Any]] = {
    PUSH: SQL,
    SequenceReconcileOperator: SQL,
    PULL: {"sql_conn_id": "warehouse"},
}

NO_SUCH_TABLE = "the table … is there, but is no …: it has no column …"
PROVOKED: list[tuple[str, Any, dict[str, Any]]] = [
    ("there is no column …, and no event_key is set", PUSH, {"sql": "SELECT 1 AS x"}),
    ("both a … column and event_key are given", PUSH, {"event_key": ["customer_alias"]}),
    ("event_key names …", PUSH, {"sql": "SELECT 1 AS x", "event_key": ["y"]}),
    ("event_key=… is text", PUSH, {"event_key": "customer_alias"}),
    ("columns= knows no …", PUSH, {"columns": {"id": "customer_event_id"}}),
    ("… is no whole number of at least …", PUSH, {"concurrency": 0}),
    ("timezone=… is no time zone", PUSH, {"timezone": "Berlin"}),
    ("the query in sql: …", PUSH, {"sql": "SELECT nothing FROM nowhere"}),
    ("a row of … needs …", PUSH, {"sql": "SELECT 1 AS customer_event_id"}),
    ("… is given both as a constant and as a column", PUSH, {"event_type": "call"}),
    ("the query gives … more than once", PUSH, {"sql": f"{ROW}, 1 AS x, 2 AS x"}),
    ("the statement in sql is no query: it begins with …", PUSH, {"sql": "DELETE FROM other"}),
    ("sql holds more than one statement", PUSH, {"sql": f"{ROW}; {ROW}"}),
    ("Binding 1 has no name", PUSH, {"sql": f"{ROW} WHERE 1 = ?", "parameters": {"x": 1}}),
    (NO_SUCH_TABLE, PUSH, {"delivery_log_table": "other"}),
    (NO_SUCH_TABLE, PUSH, {"runs_table": "other"}),
    (NO_SUCH_TABLE, SequenceReconcileOperator, DAY | {"differences_table": "other"}),
    ("retry_rejected needs a delivery_log_table", PUSH, {"retry_rejected": True}),
    ("… is neither a number of rows (10) nor a part of them (0.01)", SequenceReconcileOperator, {"max_differences": "x"}),
    ("the connection … can't be used: …", PUSH, {"sql_conn_id": "nowhere"}),
    ("the connection … is of type …, whose provider is not installed", PUSH, {"sql_conn_id": "vertica"}),
    ("there is no connection …", PUSH, {"sequence_conn_id": "nowhere"}),
    ("the connection … is of type …, and not of type …", PUSH, {"sequence_conn_id": "warehouse"}),
    ("the host is a plain http address of another machine", PUSH, {"sequence_conn_id": "plain"}),
    ("no resource …; there are …", PULL, TABLE | {"resource": "nothing"}),
    ("… has no filter …", PULL, TABLE | {"filters": {"nothing": 1}}),
    ("the … […, …) is …", PULL, TABLE | {"window_end": "2026-03-01"}),
    ("… is backwards: …", PULL, TABLE | {"window_end": "2026-02-01"}),
    ("give min_event_count or min_value, one of the two", SequenceUsageMetricSensor, METRIC),
    ("number … of customer_aliases has a comma", SequenceUsageMetricSensor, METRIC | {"min_value": 1}),
    ("row … of rows is of type …", SequencePushUsageEventsOperator, {"rows": [1]}),
]  # fmt: skip


@pytest.fixture
def connections(sandbox, sequence_conn, warehouse, monkeypatch):
    warehouse.execute("CREATE TABLE other (a TEXT)")
    monkeypatch.setenv("AIRFLOW_CONN_VERTICA", json.dumps({"conn_type": "vertica"}))
    monkeypatch.setenv("AIRFLOW_CONN_PLAIN", sequence_connection(sandbox, host="http://example.org/api"))


@pytest.mark.parametrize(("message", "kind", "options"), PROVOKED, ids=[each[0] for each in PROVOKED])
def test_message_is_as_listed(message, kind, options, connections, sandbox):
    options = DEFAULTS.get(kind, {}) | options
    with pytest.raises(AirflowFailException) as e:
        kind(task_id="task", **options).execute(CONTEXT)
    assert f"`{message}`" in (CHECKOUT / "docs" / "failures.md").read_text()
    pattern = ".*".join(re.escape(piece) for piece in message.split("…"))
    assert re.search(pattern, str(e.value), re.DOTALL), str(e.value)
    assert sandbox.summary()["requests"] == 0
