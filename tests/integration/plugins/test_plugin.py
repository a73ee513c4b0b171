"""The plugin and the links: what they cost each process, and what they are without the setting."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_sequence.links.sequence import SequenceDeliveriesLink
from airflow_provider_sequence.operators.sequence import (
    SequenceReconcileOperator,
    SequenceVoidUsageEventsOperator,
)
from airflow_provider_sequence.transfers.sequence_to_sql import SequenceToSqlOperator
from airflow_provider_sequence.transfers.sql_to_sequence import SqlToSequenceUsageEventsOperator

TASK = SimpleNamespace(
    dag_id="usage", task_id="push/a", run_id="manual__2026-11-20T00:00:00+00:00", map_index=-1
)
OTHER = {"conn_id": "elsewhere", "delivery_log_table": "log"}
MINE = {"conn_id": "warehouse", "delivery_log_table": "log"}


def in_a_process(code: str, **environment: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True, env=os.environ | environment
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def test_a_tasks_process_imports_nothing_heavy_for_the_plugin(airflow_db):
    code = (
        "import sys, json, time\n"
        "import airflow.sdk.execution_time.task_runner\n"
        "try:\n    import airflow.sdk.plugins_manager\n"
        "except ImportError:\n    import airflow.plugins_manager  # before 3.2\n"
        "before, took = set(sys.modules), []\n"
        "for _ in range(5):\n"
        "    began = time.process_time()\n"
        "    import airflow_provider_sequence.plugins.sequence\n"
        "    took.append(time.process_time() - began)\n"
        "    new = set(sys.modules) - before\n"
        "    for name in new: del sys.modules[name]\n"
        "print(json.dumps([took, sorted(new)]))"
    )
    took, modules = in_a_process(code, AIRFLOW__SEQUENCE__DELIVERIES=json.dumps({"acme": MINE}))
    assert len(modules) > 1
    modules = set(modules) - {"airflow_provider_sequence"}  # without it, which Airflow has imported since 3.2
    assert [name for name in modules if not name.startswith("airflow_provider_sequence.plugins")] == []
    assert 0 < min(took) < 0.005


@pytest.mark.parametrize(("setting", "number"), [("", 0), (json.dumps({"acme": MINE}), 1)], ids=["off", "on"])
def test_airflow_finds_the_page_where_it_is_set(airflow_db, setting, number):
    code = (
        "import json\nfrom airflow.plugins_manager import get_plugin_info\n"
        "kinds = {'fastapi_apps': 'url_prefix', 'external_views': 'url_route'}\n"
        "found = [each for each in get_plugin_info(kinds) if each['name'] == 'sequence_deliveries']\n"
        "print(json.dumps([[each[name] for info in found for each in info[kind]] for kind, name in kinds.items()]))"
    )
    apps, views = in_a_process(code, AIRFLOW__SEQUENCE__DELIVERIES=setting)

    assert apps == ["/sequence-deliveries"] * number
    assert views == ["sequence-deliveries"] * number


LINKS = [
    ({"other": OTHER, "acme": MINE}, {"sql_conn_id": "warehouse"}, "acme"),
    ({"other": OTHER, "acme": MINE}, {"sql_conn_id": "x", "delivery_log_conn_id": "warehouse"}, "acme"),
    ({"other": OTHER, "acme": MINE}, {"sql_conn_id": "x"}, "other"),
]


@pytest.mark.parametrize(("setting", "operator", "name"), LINKS)
def test_a_task_links_to_its_runs(monkeypatch, setting, operator, name):
    monkeypatch.setenv("AIRFLOW__SEQUENCE__DELIVERIES", json.dumps(setting))
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example.org/team/")
    link = SequenceDeliveriesLink().get_link(SimpleNamespace(**operator), ti_key=TASK)

    assert link == (
        f"https://airflow.example.org/team/sequence-deliveries/{name}/runs?dag_id=usage&task_id=push%2Fa"
        "&run_id=manual__2026-11-20T00%3A00%3A00%2B00%3A00&map_index=-1"
    )


@pytest.mark.parametrize("setting", ["", "acme", "{}"])
def test_no_link_where_the_page_is_off_or_wrong(monkeypatch, setting):
    monkeypatch.setenv("AIRFLOW__SEQUENCE__DELIVERIES", setting)

    assert SequenceDeliveriesLink().get_link(SimpleNamespace(sql_conn_id="warehouse"), ti_key=TASK) == ""


@pytest.mark.parametrize(
    "operator",
    [
        SequenceReconcileOperator,
        SequenceToSqlOperator,
        SequenceVoidUsageEventsOperator,
        SqlToSequenceUsageEventsOperator,
    ],
)
def test_operators_have_the_link(operator):
    assert [type(link) for link in operator.operator_extra_links] == [SequenceDeliveriesLink]
