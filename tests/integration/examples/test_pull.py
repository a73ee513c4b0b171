"""The examples that pull: staging tables of many lists, and a month in parts."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa

from tests.integration.examples.test_dags import load_example, shorten_interval
from tests.integration.support.databases import on_postgres
from tests.integration.support.values import utc

DAY = dt.datetime(2026, 10, 5, tzinfo=dt.UTC)
HOUR, TICK = dt.timedelta(hours=1), dt.timedelta(microseconds=1)
LISTS = ("customers", "customer_aliases", "invoices", "invoice_line_items")


def post(sandbox: Any, path: str, at: dt.datetime, **fields: Any) -> None:
    """Send an event by no way of this project's."""
    body = {**fields, "eventTimestamp": f"{at.replace(tzinfo=None).isoformat()}Z"}
    assert sandbox.call("POST", path, json=body).status_code == 201


def content(warehouse: Any, table: str) -> list[dict[str, Any]]:
    """A table's rows in the order of their ids, without the time of loading."""
    with warehouse.engine.connect() as connection:
        rows = connection.execute(sa.text(f"SELECT * FROM {table} ORDER BY id")).mappings()
        return [{name: value for name, value in row.items() if name != "_loaded_at"} for row in rows]


@on_postgres
def test_staging_tables_mirror_the_lists(run_dag, sandbox, sequence_conn, warehouse):
    sandbox._admin("POST", "/_sandbox/demo")
    for n, at in enumerate((DAY - TICK, DAY, DAY + 24 * HOUR - TICK, DAY + 24 * HOUR)):
        post(sandbox, "/usage-events", at, customerEventId=f"u{n}", customerAlias="acme", eventType="call")
        post(
            sandbox, "/seat-events", at, customerEventId=f"s{n}", customerAlias="acme", seatType="a", total=n
        )

    def whole() -> dict[str, list[dict[str, Any]]]:
        return {name: content(warehouse, f"sequence_{name}") for name in LISTS}

    dag = load_example("staging")
    result = run_dag(dag, DAY + 24 * HOUR)
    assert set(result.states.values()) == {"success"}, result.errors
    for resource, letter in (("usage_events", "u"), ("seat_events", "s")):
        rows = content(warehouse, f"sequence_{resource}")
        assert {(row["customer_event_id"], utc(row["event_timestamp"])) for row in rows} == {
            (f"{letter}1", DAY),
            (f"{letter}2", DAY + 24 * HOUR - TICK),
        }
    first = whole()
    assert {name: len(rows) for name, rows in first.items()} == {
        "customers": 3, "customer_aliases": 8, "invoices": 12, "invoice_line_items": 24,
    }  # fmt: skip
    assert [row["gross_total"] for row in first["invoices"]] == [f"{120 + 2 * n}.12" for n in range(12)]
    ids = [row["id"] for row in first["invoices"]]
    assert [row["invoice_id"] for row in first["invoice_line_items"]] == [
        each for each in ids for _ in range(2)
    ]

    # A list is a mirror: what was changed is changed, and what is gone is deleted.
    sandbox.reset()
    sandbox.add("customers", [{"id": "new", "legalName": "New Corp", "aliases": ["new"]}])
    sandbox.add("invoices", [{"id": ids[0], "status": "VOIDED", "grossTotal": "1.00"}])
    sandbox.add("invoices/line-items", [{"id": "line", "invoiceId": ids[0], "netTotal": "1.00"}])
    assert set(run_dag(dag, DAY + 24 * HOUR).states.values()) == {"success"}
    after = whole()
    assert [(row["id"], row["legal_name"]) for row in after["customers"]] == [("new", "New Corp")]
    assert [row["value"] for row in after["customer_aliases"]] == ["new"]
    assert [(row["id"], row["status"], row["gross_total"]) for row in after["invoices"]] == [
        (ids[0], "VOIDED", "1.00")
    ]
    assert [(row["id"], row["invoice_id"]) for row in after["invoice_line_items"]] == [("line", ids[0])]


def test_month_is_pulled_day_by_day(run_dag, sandbox, sequence_conn, warehouse):
    """The last three days of a month stand for all of them."""
    end = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    start = end - 3 * 24 * HOUR
    days = [start + n * 24 * HOUR for n in range(3)]
    month = {f"e{n}": at for n, at in enumerate([*days, *(day + 24 * HOUR - TICK for day in days)])}
    for event_id, at in (month | {"before": start - TICK, "after": end}).items():
        post(sandbox, "/usage-events", at, customerEventId=event_id, customerAlias="acme", eventType="call")
    dag = load_example("backfill_month")
    shorten_interval(dag, end, len(days))
    for _ in range(2):
        result = run_dag(dag, end)
        assert result.state == "success", result.errors
        assert result.states == {"split_window": "success", "pull": "success"}
        windows = result.xcoms["split_window"]
        assert [dt.datetime.fromisoformat(each["window_start"]) for each in windows] == days
        assert [each["window_end"] for each in windows[:-1]] == [each["window_start"] for each in windows[1:]]
        rows = content(warehouse, "sequence_usage_events")
        assert {row["customer_event_id"]: utc(row["event_timestamp"]) for row in rows} == month
        assert len(rows) == len(month)
