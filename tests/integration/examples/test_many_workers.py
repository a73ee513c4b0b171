"""The example that maps a push over shares of the ids, and a pull over the days of a month: here its last two days."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from typing import Any

from tests.integration.examples.test_dags import load_example, shorten_interval, staged
from tests.integration.examples.test_push import bodies
from tests.integration.support.databases import on_postgres

DAYS = 2
END = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
START = END - dt.timedelta(days=DAYS)
TICK = dt.timedelta(microseconds=1)
ROWS = 200


def usage(n: int, at: dt.datetime, **fields: Any) -> dict[str, Any]:
    row = {"id": f"u-{n}", "customer": "Åkerlund", "kind": "api_call", "at": at, "quantity": n}
    return row | {"region": None, "note": None} | fields


def times() -> list[dt.datetime]:
    """The bounds of the days, and many times of them."""
    bounds = [bound + shift for bound in (START, END) for shift in (-TICK, 0 * TICK, TICK)]
    return bounds + [START + n * (END - START) / ROWS for n in range(ROWS)]


@on_postgres  # SQLite has no md5()
def test_usage_is_pushed_in_shares_and_pulled_by_days(run_dag, sandbox, sequence_conn, warehouse):
    def arrive(*rows: dict[str, Any]) -> None:
        warehouse.execute(
            "INSERT INTO usage VALUES (:id, :customer, :kind, :at, :quantity, :region, :note)", *rows
        )

    def run() -> dict[str, int]:
        """Run the DAG; return the sums over its shares."""
        result = run_dag(dag, END)
        assert result.state == "success", result.errors
        counts: Counter[str] = Counter()
        for share in result.xcoms["push"]:
            assert share["rows"]
            counts.update({name: share[name] for name in ("rows", "delivered", "rejected", "conflicting")})
        assert (len(result.xcoms["push"]), len(result.xcoms["pull"])) == (16, DAYS)
        found = {name: result.xcoms["check"][name] for name in ("missing", "different", "unexpected", "late")}
        assert found == dict.fromkeys(found, 0)
        return {name: counts[name] for name in ("rows", "delivered", "rejected", "conflicting")}

    sandbox.settings(superseded="hidden")
    dag = load_example("month_on_many_workers")
    shorten_interval(dag, END, DAYS)
    # Of a month this small, one row of a share is more than a hundredth.
    dag.get_task("push").partial_kwargs["max_rejected"] = 1
    warehouse.execute(
        "CREATE TABLE usage (usage_id TEXT, customer TEXT, kind TEXT, used_at TIMESTAMPTZ, quantity NUMERIC,"
        " region TEXT, note TEXT)"
    )
    rows = [usage(n, at) for n, at in enumerate(times())]
    month = {row["id"]: row for row in rows if START <= row["at"] < END}
    no_event = [usage(0, START, id=None), usage(0, START, id="nobody's", customer=None)]
    # Second rows of some ids are in the share of the first ones, so that the last row wins.
    again = [usage(n, START + dt.timedelta(hours=40), quantity=-n) for n in range(50, 70)]
    arrive(*rows, *no_event, *again)
    assert run() == {"rows": len(month) + 22, "delivered": len(month) + 20, "rejected": 2, "conflicting": 20}
    sent = bodies(sandbox, "usage-events")
    last = {body["customerEventId"]: body["eventProperties"]["quantity"] for body in sent}
    assert last == {row["id"]: row["quantity"] for row in [*month.values(), *again]}
    assert staged(warehouse) == month | {row["id"]: row for row in again}
