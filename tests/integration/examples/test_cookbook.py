"""Recipes of the cookbook and the steps of the first push, run as they stand; those of warehouses are in tests/warehouses."""

from __future__ import annotations

import datetime as dt
import json
import re
from pathlib import Path
from typing import Any

import duckdb
import pytest
import requests

from airflow_provider_sequence.hooks.sequence import SequenceHook
from tests.integration.examples.test_dags import CHECKOUT
from tests.integration.support.airflow import AIRFLOW_VERSION, interval_dag, manual_dag
from tests.integration.support.databases import on_postgres
from tests.integration.support.guides import code_blocks, run_code
from tests.support.server import CREDENTIALS

START, END = dt.datetime(2026, 10, 1, tzinfo=dt.UTC), dt.datetime(2026, 10, 2, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)


def recipe(heading: str, page: str = "cookbook") -> str:
    """The code below a heading."""
    text = (
        (CHECKOUT / "docs" / f"{page}.md").read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    )
    (code,) = re.findall(r"^ *```python\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    return re.sub(r"^   (?=\S|    )", "", code, flags=re.MULTILINE) if code.startswith("   ") else code


def run_recipe(code: str) -> dict[str, Any]:
    """Run a recipe below the imports that the cookbook begins with."""
    before_recipes = (CHECKOUT / "docs" / "cookbook.md").read_text().partition("\n## ")[0]
    (imports,) = code_blocks(before_recipes)
    return run_code(imports + code)


def recipe_dag(*headings: str, start: dt.datetime = START, end: dt.datetime = END) -> Any:
    with interval_dag(start, end) as dag:
        for heading in headings:
            run_recipe(recipe(heading))
    return dag


def make_usage(warehouse: Any, times: list[dt.datetime]) -> None:
    kind = "timestamptz" if warehouse.is_postgres else "text"
    warehouse.execute(f"CREATE TABLE usage (usage_id TEXT, customer TEXT, used_at {kind}, quantity INTEGER)")
    rows = [{"id": f"u-{n}", "at": at.isoformat(), "n": n} for n, at in enumerate(times)]
    warehouse.execute("INSERT INTO usage VALUES (:id, 'acme', :at, :n)", *rows)


def sent(sandbox: Any) -> list[str]:
    return [event["customerEventId"] for event in sandbox.ledger()["items"]]


pytestmark = pytest.mark.usefixtures("sequence_conn")


if AIRFLOW_VERSION >= (
    3,
    0,
):  # before, a run that an asset starts has a data interval, and Asset another name

    @on_postgres
    def test_push_after_dbt_looks_back_and_sends_once(run_dag, sandbox, warehouse):
        now = dt.datetime.now(dt.UTC)
        make_usage(warehouse, [now - HOUR, now - 6 * 24 * HOUR, now - 8 * 24 * HOUR])
        with manual_dag():
            dag = run_recipe(recipe("After a dbt model"))["dag"]
        for _ in range(2):
            assert run_dag(dag, None).state == "success"
        assert sorted(sent(sandbox)) == ["u-0", "u-1"]


def test_seats_of_employees(run_dag, sandbox, warehouse):
    warehouse.execute("CREATE TABLE employees (customer TEXT, started_on TEXT, left_on TEXT)")
    warehouse.execute(
        "INSERT INTO employees VALUES (:c, :s, :l)",
        *({"c": c, "s": s, "l": left} for c, s, left in [
            ("acme", "2026-01-01", None), ("acme", "2026-01-01", "2026-10-02"), ("acme", "2026-10-02", None),
            ("acme", "2026-10-03", None), ("gone", "2026-01-01", "2026-09-01"),
        ]),
    )  # fmt: skip
    assert run_dag(recipe_dag("Seats from an HR table"), END).state == "success"
    assert {e["customerAlias"]: e["total"] for e in SequenceHook().list("seat_events")} == {
        "acme": 2,
        "gone": 0,
    }


def test_late_rows_are_found_and_those_that_are_too_late_are_rejected(run_dag, sandbox, warehouse):
    day = dt.datetime.now(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    make_usage(warehouse, [day - HOUR, day - 60 * HOUR, day - 36 * 24 * HOUR])
    dag = recipe_dag("Late data", start=day - 24 * HOUR, end=day)
    assert run_dag(dag, day).xcoms["push_late"]["delivered"] == 2
    for name in ("u-0", "u-1"):
        assert name in sent(sandbox)
    old = day - 36 * 24 * HOUR
    dag = recipe_dag("Late data", start=old, end=old + 24 * HOUR)
    result = run_dag(dag, old + 24 * HOUR)
    assert result.xcoms["push_late"]["rejected"] == 1


def test_reconciliation_repairs(run_dag, sandbox, warehouse):
    make_usage(warehouse, [START + n * HOUR for n in range(5)])
    result = run_dag(recipe_dag("Nightly reconciliation with repair"), END)
    assert result.state == "success", result.errors
    assert result.xcoms["reconcile_and_repair"]["resent"] == 5
    assert warehouse.rows("SELECT count(*) FROM sequence_delivery_log WHERE status = 'delivered'") == [(5,)]


def test_parquet_of_a_day(run_dag, sandbox, warehouse, tmp_path, monkeypatch):
    folder = tmp_path / "usage" / "day=2026-10-01"
    folder.mkdir(parents=True)
    duckdb.sql(
        "SELECT 'p-' || n AS usage_id, 'acme' AS customer, TIMESTAMPTZ '2026-10-01 08:00:00+00' AS used_at,"
        " n::DECIMAL(9, 2) AS quantity FROM range(3) AS r(n)"
    ).write_parquet(str(folder / "a.parquet"))
    fields = {"conn_type": "duckdb", "host": str(tmp_path / "reader.duckdb")}
    monkeypatch.setenv("AIRFLOW_CONN_DUCKDB", json.dumps(fields))
    code = recipe("Parquet in object storage")
    assert "s3://bucket" in code
    with interval_dag(START, END) as dag:
        run_recipe(code.replace("s3://bucket", str(tmp_path)))
    for _ in range(2):
        assert run_dag(dag, END).state == "success"
    assert sorted(sent(sandbox)) == ["p-0", "p-1", "p-2"]


def test_rows_of_a_task(run_dag, sandbox, warehouse):
    dag = recipe_dag("Rows from your own Python task")
    for _ in range(2):
        assert run_dag(dag, END).state == "success"
    assert sent(sandbox) == ["job-1"]


@pytest.mark.contract(off=True)
@pytest.mark.parametrize("sends_ids", [True, False])
def test_moving_from_a_script(sends_ids, run_dag, sandbox, warehouse):
    """With the same ids nothing differs, and a push bills nothing twice; without, all would be billed twice."""
    times = [START + n * HOUR for n in range(4)]
    make_usage(warehouse, times)
    for n, at in enumerate(times):  # the old script
        body: dict[str, Any] = {"customerEventId": f"u-{n}"} if sends_ids else {}
        body |= {"customerAlias": "acme", "eventType": "api-call", "eventTimestamp": at.isoformat(),
                 "eventProperties": {"quantity": n}}  # fmt: skip
        requests.post(
            f"{sandbox.api_url}/usage-events",
            json=body,
            auth=CREDENTIALS,
            timeout=10,
        ).raise_for_status()
    before = sandbox.summary()["distinct_events"]
    result = run_dag(recipe_dag("Moving from a script or from another import"), END)

    assert before == 4
    differences = dict(
        warehouse.rows("SELECT difference, count(*) FROM sequence_differences GROUP BY difference")
    )
    if not sends_ids:
        assert result.state == "failed"
        assert differences == {"missing": 4, "unexpected": 4}
        return
    assert (result.state, differences) == ("success", {})
    with interval_dag(START, END) as dag:
        code = recipe("Late data").replace('late="reject"', 'late="report"')
        run_recipe(code)
    assert run_dag(dag, END).xcoms["push_late"]["delivered"] == 4
    assert sandbox.summary()["distinct_events"] == 4


def test_first_push(run_dag, sandbox, warehouse):
    """Dry run, then for real, then again, then the check."""
    make_usage(warehouse, [START + n * HOUR for n in range(3)])
    warehouse.execute("UPDATE usage SET usage_id = 'usage-3', customer = NULL WHERE usage_id = 'u-2'")
    page = (CHECKOUT / "docs" / "start.md").read_text()
    first, check = code_blocks(page)
    dry = run_dag(run_code(first)["dag"], END)

    assert sandbox.summary()["requests"] == 0
    assert (dry.xcoms["push"]["delivered"], dry.xcoms["push"]["rejected"]) == (2, 1)
    (shown,) = re.findall(r"^Rejected (.*)$", page, re.MULTILINE)
    assert f"{dry.xcoms['push']['rejected_rows'][0]['reason']}" in shown
    warehouse.execute("UPDATE usage SET customer = 'acme'")
    real = first.replace(", dry_run=True", "")
    results = [run_dag(run_code(real)["dag"], END) for _ in range(2)]
    assert [result.xcoms["push"]["delivered"] for result in results] == [3, 0]
    # Another id: Airflow 3.1 would look for the new task in the DAG that it has read already.
    real = real.replace('"first_push"', '"first_push_and_check"')
    checked = run_dag(run_code(real + check)["dag"], END)
    assert checked.state == "success", checked.errors
    assert checked.xcoms["check"]["found"] == 3


def test_every_recipe_is_run():
    """Here, or in tests/warehouses."""
    headings = re.findall(r"^## (.*)$", (CHECKOUT / "docs" / "cookbook.md").read_text(), re.MULTILINE)
    tests = Path(__file__).read_text() + (CHECKOUT / "tests/warehouses/test_cookbook.py").read_text()
    # A year is the backfill that tests/live runs over some days.
    missing = [each for each in headings if f'("{each}"' not in tests and f': "{each}"' not in tests]
    assert missing == ["A year of history"]
