"""Every logger at level DEBUG, and data planted in everything that passes: none of it is printed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.faults.proxy import Rule
from tests.faults.world import ALIAS, NUMBER, PROPERTY, World, check_no_secrets
from tests.integration.support.databases import Warehouse

EMAIL, NAME = "jane.doe-52c1@example.org", "pr0perty-name-08d4"
ROWS = [
    (f"e-{i}", f"{ALIAS}-{i}", json.dumps({NAME: f"{PROPERTY}-{i}", "mail": EMAIL, "n": int(NUMBER) + i}))
    for i in range(8)
]
PUSH = "SELECT customer_event_id, customer_alias, 'call' AS event_type, '2026-03-01T12:00:00Z' AS event_timestamp, event_properties FROM {0}"
#: What each database says, or an extension of it, of a value, a row, a trigger and a part of the statement.
BROKEN = {
    "postgres": [
        "SELECT CAST(customer_alias AS integer) FROM {0}",
        "SELECT CAST(E'x\\n' || customer_alias AS integer) FROM {0}",
        "SELECT {0}_raise(customer_alias) FROM {0}",
        f"SELECT '{ALIAS} FROM {{0}}",
    ],
    "sqlite": [f"SELECT '{ALIAS} FROM {{0}}", "SELECT json_extract(customer_alias, '$') FROM {0}"],
}


@pytest.mark.quick
@pytest.mark.parametrize("kind", ["postgres", "sqlite"])
def test_nothing_planted_is_printed(kind: str, world: World, tmp_path: Path):
    how = {"host": world.proxy.api_url, "environment": {}}
    if kind == "sqlite":
        how["environment"]["AIRFLOW_CONN_WAREHOUSE"] = json.dumps({
            "conn_type": "sqlite",
            "host": str(tmp_path / "warehouse.db"),
        })
    _plant(kind, world, tmp_path)
    world.server.fault(status=400, method="POST", times=2)
    world.proxy.rules.append(Rule("echo", method="POST", after_n=3, status=400, times=2))
    options = world.push_options(sql=PUSH.format(world.usage), max_rejected=8)
    window = {"window_start": "2026-03-01T00:00:00Z", "window_end": "2026-03-02T00:00:00Z"}
    compared = {name: options[name] for name in ("sql", "sql_conn_id", "delivery_log_table")} | window
    runs = [
        ("push", options),
        ("push", options | {"retry_rejected": True}),
        ("pull", world.pull_options(filters={"customer_alias": f"{ALIAS}-1"})),
        ("pull", world.pull_options("customers", table=world.staged + "c", filters={"email": EMAIL})),
        ("reconcile", compared | {"differences_table": world.staged + "d", "max_differences": 99}),
        *(("push", options | {"sql": sql.format(world.usage)}) for sql in BROKEN[kind]),
    ]
    said = []
    for name, job in runs:
        run = world.start(name, job, **how).wait()
        text = run.everything()
        check_no_secrets(text, f"{name} {job.get('sql')}")
        assert [each for each in (EMAIL, "jane.doe-52c1", NAME) if each in text] == [], name
        said.append(text)
        assert "DEBUG:urllib3" in text or "SELECT" in job["sql"]
    assert "rejected" in said[0]
    assert all("WarehouseError" in text for text in said[5:]), said[5:]
    if kind == "postgres":
        world.warehouse.execute(
            f"DROP TABLE {world.staged}c, {world.staged}d; DROP FUNCTION {world.usage}_raise"
        )


def _plant(kind: str, world: World, folder: Path) -> None:
    warehouse = world.warehouse
    if kind == "sqlite":
        warehouse = Warehouse("warehouse", sa.create_engine(f"sqlite:///{folder}/warehouse.db"))
    warehouse.execute(
        f"CREATE TABLE {world.usage} (customer_event_id TEXT, customer_alias TEXT, event_properties TEXT)"
    )
    names = ("id", "alias", "properties")
    warehouse.execute(
        f"INSERT INTO {world.usage} VALUES (:id, :alias, :properties)",
        *[dict(zip(names, row, strict=True)) for row in ROWS],
    )
    if kind == "postgres":
        warehouse.execute(
            f"CREATE FUNCTION {world.usage}_raise(who TEXT) RETURNS TEXT LANGUAGE plpgsql AS"
            " $$BEGIN RAISE NOTICE 'asked for %%', who; RAISE EXCEPTION 'no customer %%', who; END$$"
        )
