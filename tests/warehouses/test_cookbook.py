"""Recipes of the cookbook for warehouses: their SQL, on what stands in for each."""

from __future__ import annotations

import json
from typing import Any

import pendulum

from tests.integration.examples.test_cookbook import recipe, run_recipe
from tests.warehouses.test_warehouses import CONTEXT, TYPES

RECIPES = {
    "snowflake": "Snowflake",
    "bigquery": "BigQuery",
    "databricks": "Databricks",
    "redshift": "Redshift",
}


def test_rows_of_the_day_are_pushed(standin, sandbox, sequence_conn, monkeypatch, tmp_path):
    types, table = TYPES[standin.name], f"{standin.schema}usage_of_days"
    standin.run(
        f"CREATE TABLE {table} (usage_id {types['text']}, customer {types['text']}, used_at {types['time']},"
        f" quantity {types['number']})"
    )
    times = ["2026-03-01 23:59:59", "2026-03-02 00:00:00", "2026-03-02 23:59:59", "2026-03-03 00:00:00"]
    rows = [f"('u-{n}', 'acme', TIMESTAMP '{at}+00', {n})" for n, at in enumerate(times)]
    standin.run(f"INSERT INTO {table} VALUES {', '.join(rows)}")
    code = recipe(RECIPES[standin.name]).replace("FROM usage", f"FROM {table}")
    conn_ids = ("snowflake_default", "bigquery_default", "databricks_default", "redshift_default")
    for conn_id in conn_ids:
        code = code.replace(conn_id, "warehouse")
    log = {"conn_type": "sqlite", "host": str(tmp_path / "log.db")}
    monkeypatch.setenv("AIRFLOW_CONN_POSTGRES_DEFAULT", json.dumps(log))
    scope = run_recipe(f"push = {code}")
    start = pendulum.datetime(2026, 3, 2)
    context: Any = {**CONTEXT, "data_interval_start": start, "data_interval_end": start.add(days=1)}
    scope["push"].render_template_fields(context)
    scope["push"].execute(context)

    sent = {event["customerEventId"]: json.loads(event["body"]) for event in sandbox.ledger()["items"]}
    assert sent.keys() == {"u-1", "u-2"}
    assert sent["u-1"]["eventProperties"] == {"quantity": 1}
