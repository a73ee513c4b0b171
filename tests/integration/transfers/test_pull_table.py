"""The table of a pull: superseded copies stay, a view gives the current ones, and the result tells of it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from airflow_provider_sequence.transfers.sequence_to_sql import SequenceToSqlOperator
from tests.integration.support.databases import sqlite_and_postgres
from tests.support.server import ROOT

DAYS = {
    "first": {"window_start": "2026-03-01T00:00:00Z", "window_end": "2026-03-02T00:00:00Z"},
    "second": {"window_start": "2026-03-02T00:00:00Z", "window_end": "2026-03-03T00:00:00Z"},
    "third": {"window_start": "2026-03-03T00:00:00Z", "window_end": "2026-03-04T00:00:00Z"},
}
NOON = {
    "first": "2026-03-01T12:00:00Z",
    "second": "2026-03-02T12:00:00Z",
    "third": "2026-03-03T12:00:00Z",
}


@pytest.fixture
def post(sandbox: Any) -> Any:
    """Sends an event to Sequence; the id that it gets comes back."""

    def send(event_id: str, day: str = "first", *, alias: str = "acme", n: int = 1) -> str:
        body = {
            "customerEventId": event_id,
            "customerAlias": alias,
            "eventType": "call",
            "eventTimestamp": NOON[day],
            "eventProperties": {"n": n},
        }
        answer = sandbox.call("POST", "/usage-events", json=body)
        answer.raise_for_status()
        return answer.json()["id"]

    return send


def pull(day: str = "first", **options: Any) -> dict[str, Any]:
    defaults = {"resource": "usage_events", "table": "staged", "sql_conn_id": "warehouse"}
    return SequenceToSqlOperator(task_id="pull", **(defaults | DAYS[day] | options)).execute({})


def ids(warehouse: Any, table: str = "staged") -> list[str]:
    return [each for (each,) in warehouse.rows(f"SELECT id FROM {table} ORDER BY id")]


def test_superseded_copies_are_kept(sequence_conn, warehouse, post):
    copies = [post("a", n=n) for n in range(3)]

    assert pull()["loaded"] == 3
    assert ids(warehouse) == sorted(copies)


def test_window_and_whole_list(sandbox, sequence_conn, warehouse, post):
    post("a", "first")
    post("b", "second")
    result = pull("first")
    assert (result["loaded"], result["window_start"], result["window_end"]) == (
        1,
        "2026-03-01T00:00:00Z",
        "2026-03-02T00:00:00Z",
    )

    sandbox.add("usage-metrics", [{"name": f"m{i}", "eventType": "call"} for i in range(3)])
    result = pull(resource="usage_metrics", table="metrics", window_start=None, window_end=None)
    assert (result["loaded"], result["window_start"]) == (3, None)


SQL = re.search(r"```sql\n(CREATE VIEW .*?)```", (ROOT / "docs/pull.md").read_text(), re.DOTALL)


@sqlite_and_postgres
def test_view_of_the_guide_shows_the_current_events(sequence_conn, warehouse, post):
    post("corrected", n=1)
    post("moved", "first")
    post("voided")
    post("back")
    post("back", alias="VOID")
    kept = [post("corrected", n=2), post("moved", "second"), post("once"), post("back")]
    post("voided", alias="VOID")
    for day in ("second", "first"):
        pull(day, table="sequence_usage_events")
    warehouse.execute(SQL[1])

    assert ids(warehouse, "current_usage_events") == sorted(kept)
    assert len(ids(warehouse, "sequence_usage_events")) == 10
