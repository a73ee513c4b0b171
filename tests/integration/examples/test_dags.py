"""
Example DAGs, run as they stand: here the README's and the demo's.

The other examples are run by the files beside this one. Each runs on SQLite or on PostgreSQL.
"""

from __future__ import annotations

import datetime as dt
import importlib.util
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pendulum
from airflow.timetables.interval import DeltaDataIntervalTimetable

from tests.integration.support.databases import on_postgres
from tests.integration.support.values import utc

CHECKOUT = Path(__file__).resolve().parents[3]
EXAMPLES = CHECKOUT / "example_dags"
FIRST, DAYS = dt.datetime(2026, 10, 1, tzinfo=dt.UTC), 2
TICK = dt.timedelta(microseconds=1)

CUSTOMERS = ["acme", "Åkerlund & Söner", "株式会社データ", 'O\'Reilly "x"', "🚀"]
QUANTITIES = [Decimal("0.1"), Decimal("12345678.123456"), Decimal("3.000001"), Decimal(7)]


def load_example(name: str) -> Any:
    """The DAG of an example file, read as Airflow reads it; only its sensors wait less."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"example_sequence_{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for task in module.dag.tasks:
        if hasattr(task, "poke_interval"):
            task.poke_interval = 0.2
    return module.dag


def shorten_interval(dag: Any, end: dt.datetime, days: int) -> None:
    """Give the runs of a monthly example a data interval of some days, once the month itself was checked."""
    before, interval = (
        end - dt.timedelta(days=1),
        dag.timetable.infer_manual_data_interval(run_after=pendulum.instance(end)),
    )
    assert (interval.start, interval.end) == (before.replace(day=1), end)
    dag.timetable = DeltaDataIntervalTimetable(dt.timedelta(days=days))
    if hasattr(dag, "schedule_interval"):  # Airflow 2 compares the two
        dag.schedule_interval = dag.timetable.summary


def times() -> list[dt.datetime]:
    """Times of the days and around their bounds, and one before and one after them all."""
    bounds = [FIRST + dt.timedelta(days=day) for day in range(DAYS + 1)]
    around = [bound + shift for bound in bounds for shift in (-TICK, 0 * TICK, TICK)]
    return around + [FIRST + dt.timedelta(minutes=11 * n) for n in range(260)]


def make_usage(warehouse: Any) -> dict[str, dict[str, Any]]:
    """Fill the table that the example reads; return the rows of its days that are events, by their ids."""
    time, number = ("timestamptz", "numeric(30, 6)") if warehouse.is_postgres else ("text", "decimal(30, 6)")
    warehouse.execute(
        f"CREATE TABLE usage (usage_id TEXT, customer TEXT, kind TEXT, used_at {time}, quantity {number},"
        " region TEXT, note TEXT)"
    )
    rows = [
        {
            "id": f"u-{n}",
            "customer": CUSTOMERS[n % len(CUSTOMERS)],
            "kind": ("api_call", "message sent")[n % 2],
            "at": at,
            "quantity": QUANTITIES[n % len(QUANTITIES)],
            "region": "Zürich" if n % 3 else None,
            "note": "line\nbreak" if n % 5 == 0 else None,
        }
        for n, at in enumerate(times())
    ]
    bad = dict(rows[-1], id="bad", customer=None, at=FIRST + dt.timedelta(hours=1))
    written = [
        row
        if warehouse.is_postgres
        else row | {"at": row["at"].isoformat(), "quantity": float(row["quantity"])}
        for row in [*rows, bad]
    ]
    warehouse.execute(
        "INSERT INTO usage VALUES (:id, :customer, :kind, :at, :quantity, :region, :note)", *written
    )
    return {row["id"]: row for row in rows if FIRST <= row["at"] < FIRST + dt.timedelta(days=DAYS)}


def staged(warehouse: Any) -> dict[str, dict[str, Any]]:
    rows = warehouse.rows(
        "SELECT customer_event_id, customer_alias, event_type, event_timestamp, event_properties"
        " FROM sequence_usage_events"
    )
    assert len({event_id for event_id, *_ in rows}) == len(rows)
    found = {}
    for event_id, alias, kind, at, text in rows:
        properties = json.loads(text, parse_float=Decimal, parse_int=Decimal)
        found[event_id] = {
            "id": event_id,
            "customer": alias,
            "kind": kind,
            "at": utc(at),
            "quantity": properties.pop("quantity"),
            "region": properties.pop("region", None),
            "note": properties.pop("note", None),
        }
        assert properties == {}
    return found


@on_postgres
def test_daily_usage_over_two_days_and_again(run_dag, sandbox, sequence_conn, warehouse):
    events = make_usage(warehouse)
    dag = load_example("daily_usage")
    for again in (False, True):
        delivered = 0
        for day in range(DAYS):
            result = run_dag(dag, FIRST + dt.timedelta(days=day + 1))
            assert result.states == {"push": "success", "wait": "success", "pull": "success"}
            delivered += result.xcoms["push"]["delivered"]
            known = result.xcoms["push"]["delivered"] + result.xcoms["push"]["unchanged"]
            assert result.xcoms["wait"]["count"] == result.xcoms["pull"]["loaded"] == known
        assert delivered == (0 if again else len(events))
        assert staged(warehouse) == events
    summary = sandbox.summary()
    assert summary["applied"] == summary["distinct_events"] == len(events)


def readme_dag() -> str:
    (code,) = re.findall(r"```python\n(.*?)```", (CHECKOUT / "README.md").read_text(), re.DOTALL)
    return code


def test_dag_of_the_readme(run_dag, sandbox, sequence_conn, warehouse):
    kind = "timestamptz" if warehouse.is_postgres else "text"
    warehouse.execute(f"CREATE TABLE usage (id TEXT, customer TEXT, used_at {kind}, quantity INTEGER)")
    rows = [{"id": f"r-{n}", "at": (FIRST + dt.timedelta(hours=n)).isoformat(), "n": n} for n in range(30)]
    warehouse.execute("INSERT INTO usage VALUES (:id, 'acme', :at, :n)", *rows)
    scope: dict[str, Any] = {}
    code = readme_dag().replace("):\n", ") as dag:\n", 1)
    assert "as dag" in code
    exec(compile(code, "README.md", "exec"), scope)
    result = run_dag(scope["dag"], FIRST + dt.timedelta(days=1))
    assert result.states == {"push": "success"}
    sent = [json.loads(event["body"]) for event in sandbox.ledger()["items"]]
    found = {
        (event["customerEventId"], event["eventType"], event["eventProperties"]["quantity"]) for event in sent
    }
    assert found == {(f"r-{n}", "api-call", n) for n in range(24)}
