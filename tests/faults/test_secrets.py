"""What gets out: through Airflow's own tables, names that are SQL, and what a connection's extra may hold."""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any

import pytest
import sqlalchemy as sa

from airflow_provider_sequence.hooks.sequence import SequenceHook
from airflow_provider_sequence.transfers.sequence_to_sql import SequenceToSqlOperator
from airflow_provider_sequence.transfers.sql_to_sequence import SqlToSequenceUsageEventsOperator
from tests.faults.proxy import Rule
from tests.faults.world import World, check_no_secrets, make_rows
from tests.integration.support.airflow import interval_dag
from tests.integration.support.values import error_text


class ImpatientPush(SqlToSequenceUsageEventsOperator):
    @cached_property
    def hook(self) -> SequenceHook:
        return SequenceHook(self.sequence_conn_id, deadline=1)


class ImpatientPull(SequenceToSqlOperator):
    @cached_property
    def hook(self) -> SequenceHook:
        return SequenceHook(self.sequence_conn_id, deadline=1)


def all_of_airflows_database() -> str:
    """Every value of every table of Airflow's own database, as text."""
    from airflow.settings import engine

    words = []
    with engine.connect() as connection:
        for table in sa.inspect(engine).get_table_names():
            for row in connection.execute(sa.text(f'SELECT * FROM "{table}"')):
                words += [f"{table}: {value!r}" for value in row]
    return "\n".join(words)


@pytest.mark.parametrize("status", [pytest.param(400, marks=pytest.mark.quick), 401, 404, 500])
def test_real_airflow_keeps_no_secrets(
    status: int,
    world: World,
    run_dag: Any,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
):
    """Server errors that repeat all they were sent, in a DAG that Airflow runs: logs, XCom, rendered fields, all tables."""
    world.put(make_rows(12))
    for name, value in world.environment().items():
        monkeypatch.setenv(name, value)
    for kind, method in (("echo", "POST"), ("echo_page", "GET")):
        world.proxy.rules.append(
            Rule(kind, method=method, after_n=4 if method == "POST" else 0, status=status)
        )
    with interval_dag("2026-03-01", "2026-03-02", default_args={"retries": 1}) as dag:
        ImpatientPush(task_id="push", sequence_conn_id="sequence", **world.push_options())
        ImpatientPull(task_id="pull", sequence_conn_id="sequence", **world.pull_options())
    result = run_dag(dag, "2026-03-02")

    assert result.state == "failed"
    text = "\n".join(error_text(error) for errors in result.errors.values() for error in errors)
    captured = capfd.readouterr()
    check_no_secrets(text, "an error")
    check_no_secrets(captured.out + captured.err, "what was printed")
    check_no_secrets(json.dumps(result.xcoms, default=str), "XCom")
    check_no_secrets(all_of_airflows_database(), "Airflow's database")

    world.proxy.rules.clear()
    result = run_dag(dag, "2026-03-02")
    assert result.state == "success"
    check_no_secrets(all_of_airflows_database(), "Airflow's database")
    assert set(world.check_complete().values()) == {1}


NAMES = [
    "x; DROP TABLE {usage}",
    'x"; DROP TABLE {usage}; --',
    "x' OR '1'='1",
    "(SELECT 1)",
    "{usage} --",
    "public.x.y.z.{usage}",
    "x\0y",
    "x y",
    "",
    "ｘ",
    "x" * 200,
]


PLACES = ["table", "delivery_log_table", "column", "event_key", "filter", "resource"]
#: An empty delivery_log_table is none at all.
NAMED = [
    pytest.param(what, name, marks=[pytest.mark.quick] if name == NAMES[1] else [])
    for what in PLACES
    for name in NAMES
    if (what, name) != ("delivery_log_table", "")
]


@pytest.mark.parametrize(("what", "name"), NAMED)
def test_names_that_are_sql_are_refused(name: str, what: str, world: World):
    world.put(make_rows(2))
    name = name.format(usage=world.usage)
    tables = world.warehouse.tables()
    match what:
        case "table":
            run = world.pull(table=name)
        case "resource":
            run = world.pull(name)
        case "filter":
            run = world.pull(filters={name: "x"})
        case "column":
            run = world.push(columns={"customer_alias": name})
        case "event_key":
            run = world.push(event_key=[name])
        case _:
            run = world.push(delivery_log_table=name)
    assert "SequenceConfigurationError" in run.classes, (run.value, run.said)
    assert run.classes[0] == "AirflowFailException", "Airflow would try this again"
    assert world.warehouse.tables() - {world.log} == tables - {world.log}
    assert world.ledger() == []
    assert len(world.warehouse.rows(f"SELECT * FROM {world.usage}")) == 2


@pytest.mark.parametrize("value", ["x' OR '1'='1", "x&limit=1", "x#", "a\r\nX-Evil: 1", "%27", "☃", "x\0"])
def test_values_of_filters_are_values(value: str, world: World):
    run = world.pull(filters={"customer_alias": value})
    if run.is_right:
        assert run.value["loaded"] == 0
    else:
        assert "SequenceError" in run.classes, run.said


@pytest.mark.quick
def test_unknown_keys_of_the_extra_are_ignored(world: World):
    world.put(make_rows(5))
    extra = {
        "verify": False,
        "proxies": {"http": "http://127.0.0.1:9"},
        "headers": {"a": "b"},
        "x": [1],
        "__class__": "y",
    }
    run = world.push({"extra": extra})
    assert run.is_right, run.said
    assert set(world.check_complete().values()) == {1}
