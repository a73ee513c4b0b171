"""OpenLineage facets of the tasks: what OpenLineage's own provider makes of them, without any connection."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from airflow.providers.common.compat.sdk import BaseHook
from airflow.providers.common.sql.hooks.sql import DbApiHook

from airflow_provider_sequence.assets.sequence import sequence_asset
from airflow_provider_sequence.operators.sequence import (
    SequenceCreateCustomerAliasesOperator,
    SequenceReconcileMetricOperator,
    SequenceReconcileOperator,
)
from airflow_provider_sequence.transfers.sequence_to_sql import SequenceToSqlOperator
from airflow_provider_sequence.transfers.sql_to_sequence import SqlToSequenceUsageEventsOperator
from airflow_provider_sequence.utils import openlineage as lineage
from tests.integration.support.airflow import interval_dag
from tests.integration.support.databases import on_postgres
from tests.integration.transfers.test_push_and_pull import (
    END,
    START,
    ImpatientPush,
    make_usage,
    one_task,
    over_the_day,
    pull,
    push,
)

EVENTS = sequence_asset("acme", "usage_events")

#: The tasks that ran, as ``execute`` left them: Airflow runs copies.
ran: list[Any] = []


class Recorded:
    """An operator that the test can read when its task is over."""

    def pre_execute(self, context: Any) -> None:
        ran.append(self)


class RecordedPush(Recorded, SqlToSequenceUsageEventsOperator):
    pass


class RecordedImpatientPush(Recorded, ImpatientPush):
    pass


class RecordedPull(Recorded, SequenceToSqlOperator):
    pass


class RecordedReconcile(Recorded, SequenceReconcileOperator):
    pass


class RecordedMetric(Recorded, SequenceReconcileMetricOperator):
    pass


class RecordedAliases(Recorded, SequenceCreateCustomerAliasesOperator):
    pass


class _ConnectionRecorder:
    """Records every connection that Python knows of; an audit hook cannot be removed."""

    def __init__(self) -> None:
        self.recorded: list[str] | None = None
        sys.addaudithook(self)

    def __call__(self, event: str, _: Any) -> None:
        if self.recorded is not None and event in {
            "socket.connect",
            "socket.getaddrinfo",
            "socket.sendto",
            "sqlite3.connect",
            "subprocess.Popen",
        }:
            self.recorded.append(event)


_recorder = _ConnectionRecorder()


@pytest.fixture
def no_connections(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """A context in which any connection, to a database or otherwise, and any look-up of one, is a failure."""

    @contextmanager
    def recording() -> Iterator[None]:
        _recorder.recorded = []
        with monkeypatch.context() as patched:
            for owner, name in (
                (DbApiHook, "get_conn"),
                (DbApiHook, "get_first"),
                (BaseHook, "get_connection"),
            ):
                patched.setattr(
                    owner, name, lambda *_, called=name, **__: pytest.fail(f"{called} was called")
                )
            try:
                yield
            finally:
                recorded, _recorder.recorded = _recorder.recorded, None
        assert recorded == []

    return recording


def test_recorder_sees_a_connection(no_connections, sandbox):
    url = urlsplit(sandbox.api_url)
    with pytest.raises(AssertionError, match="socket"), no_connections():
        socket.create_connection((url.hostname, url.port)).close()


@pytest.fixture
def lineage_of(run_dag, no_connections) -> Callable[..., Any]:
    """Run a task, then ask it as OpenLineage's provider does."""

    def run_and_ask(make: Any, kind: Any, state: str = "success", **options: Any) -> Any:
        ran.clear()
        result = run_dag(one_task(make, kind=kind, **options), END)
        assert result.state == state, result.errors
        (task,) = ran
        with no_connections():
            return task.get_openlineage_facets_on_complete(None)

    return run_and_ask


def names(datasets: list[Any]) -> list[tuple[str, str]]:
    return [(dataset.namespace.lower(), dataset.name) for dataset in datasets]


def rows_in(dataset: Any) -> int | None:
    facet = dataset.inputFacets.get("inputStatistics")
    return facet and facet.rowCount


def rows_out(dataset: Any) -> int:
    return dataset.outputFacets["outputStatistics"].rowCount


def postgres_names(warehouse: Any, table: str) -> tuple[str, str]:
    """A table's names by OpenLineage's rules: ``postgres://host:port`` and ``database.schema.table``."""
    url = warehouse.engine.url
    host = quote(url.host or url.query["host"], safe="")
    return f"postgres://{host}:{url.port or 5432}".lower(), f"{url.database}.{table}"


class TestPush:
    @on_postgres
    def test_table_and_rows_on_both_sides(self, lineage_of, sandbox, sequence_conn, warehouse):
        make_usage(warehouse, over_the_day(5))
        warehouse.execute("UPDATE usage SET customer_alias = NULL WHERE number = 3")
        facets = lineage_of(push, RecordedPush, max_rejected=1, outlets=[EVENTS])

        assert names(facets.inputs) == [postgres_names(warehouse, "public.usage")]
        assert names(facets.outputs) == [("sequence://acme", "usage_events")]
        assert (rows_in(facets.inputs[0]), rows_out(facets.outputs[0])) == (5, 4)
        assert facets.job_facets["sql"].query == "SELECT * FROM usage ORDER BY number"

    @on_postgres
    def test_query_of_several_tables(self, lineage_of, sandbox, sequence_conn, warehouse):
        """Which table how many rows came from is not known, and so not facets."""
        make_usage(warehouse, over_the_day(5))
        warehouse.execute("CREATE SCHEMA other")
        warehouse.execute("CREATE TABLE other.names (name TEXT)")
        sql = (
            "SELECT usage.* FROM usage LEFT JOIN other.names ON name = customer_alias"
            " WHERE number >= %(least)s"
        )
        facets = lineage_of(push, RecordedPush, sql=sql, parameters={"least": 1})

        assert sorted(names(facets.inputs)) == sorted([
            postgres_names(warehouse, "public.usage"),
            postgres_names(warehouse, "other.names"),
        ])
        assert [rows_in(dataset) for dataset in facets.inputs] == [None, None]
        assert rows_out(facets.outputs[0]) == 4
        assert facets.job_facets["sql"].query == sql
        assert facets.run_facets == {}

    @on_postgres
    def test_query_whose_tables_may_not_all_be_known(self, lineage_of, sandbox, sequence_conn, warehouse):
        """OpenLineage's parser misses those inside a WITH."""
        make_usage(warehouse, over_the_day(5))
        warehouse.execute("CREATE TABLE names (name TEXT)")
        sql = (
            "WITH mine AS (SELECT * FROM usage)"
            " SELECT mine.* FROM mine LEFT JOIN names ON name = customer_alias"
        )
        facets = lineage_of(push, RecordedPush, sql=sql)

        assert postgres_names(warehouse, "public.names") in names(facets.inputs)
        assert {rows_in(dataset) for dataset in facets.inputs} == {None}

    @on_postgres
    def test_default_schema_is_the_one_of_the_connection(self, lineage_of, sandbox, sequence_conn, warehouse):
        make_usage(warehouse, [START])
        name = warehouse.engine.url.database
        warehouse.execute("CREATE SCHEMA billing")
        warehouse.execute("ALTER TABLE usage SET SCHEMA billing")
        warehouse.execute(f"ALTER DATABASE {name} SET search_path = billing")
        facets = lineage_of(push, RecordedPush)

        assert names(facets.inputs) == [postgres_names(warehouse, "billing.usage")]

    def test_database_without_a_name_of_openlineage(self, lineage_of, sandbox, sequence_conn, warehouse):
        make_usage(warehouse, over_the_day(5))
        facets = lineage_of(push, RecordedPush)

        assert facets.inputs == []
        assert facets.job_facets["sql"].query == "SELECT * FROM usage ORDER BY number"
        assert rows_out(facets.outputs[0]) == 5

    def test_without_an_asset_the_host_is_the_account(self, lineage_of, sandbox, sequence_conn, warehouse):
        make_usage(warehouse, [START])
        for outlets in ([], [sequence_asset("acme", "seat_events")]):
            facets = lineage_of(push, RecordedPush, outlets=outlets)

            assert names(facets.outputs) == [
                (f"sequence://{urlsplit(sandbox.api_url).netloc}", "usage_events")
            ]

    def test_failed_run_reports_what_was_delivered(self, lineage_of, sandbox, sequence_conn, warehouse):
        make_usage(warehouse, over_the_day(10))
        sandbox.fault(kind="status", status=503, after_n=3)
        facets = lineage_of(push, RecordedImpatientPush, "failed", concurrency=1)

        assert rows_out(facets.outputs[0]) == 3

    def test_without_openlineage_nothing_is_looked_up(
        self, monkeypatch, lineage_of, sandbox, sequence_conn, warehouse
    ):
        make_usage(warehouse, [START])
        monkeypatch.setattr(lineage, "find_spec", lambda name: None)

        assert lineage_of(push, RecordedPush) is None


class TestAccount:
    def test_connection_names_the_account_on_both_sides(
        self, lineage_of, monkeypatch, sandbox, sequence_conn, warehouse, caplog, capfd
    ):
        make_usage(warehouse, [START])
        connection = json.loads(os.environ["AIRFLOW_CONN_SEQUENCE_DEFAULT"])
        connection["extra"] = {**connection.get("extra", {}), "account": "acme"}
        monkeypatch.setenv("AIRFLOW_CONN_SEQUENCE_DEFAULT", json.dumps(connection))
        pushed = lineage_of(push, RecordedPush, outlets=[sequence_asset("other", "usage_events")])
        pulled = lineage_of(pull, RecordedPull)

        assert names(pushed.outputs) == names(pulled.inputs) == [("sequence://acme", "usage_events")]
        told = caplog.text + capfd.readouterr().out
        assert "names the account acme, and an asset of the task other" in told

    def test_name_that_no_asset_may_have_is_refused(
        self, run_dag, monkeypatch, sandbox, sequence_conn, warehouse
    ):
        connection = json.loads(os.environ["AIRFLOW_CONN_SEQUENCE_DEFAULT"])
        monkeypatch.setenv(
            "AIRFLOW_CONN_SEQUENCE_DEFAULT", json.dumps({**connection, "extra": {"account": "acme/eu"}})
        )
        assert "account in the connection's extra" in str(run_dag(one_task(pull), END).error("pull"))


class TestReconcile:
    @on_postgres
    def test_what_is_compared_and_written(self, lineage_of, run_dag, sandbox, sequence_conn, warehouse):
        make_usage(warehouse, [START])
        assert run_dag(one_task(pull), END).state == "success"

        def reconcile(kind: Any, **options: Any) -> None:
            kind(
                task_id="check",
                sql_conn_id="warehouse",
                sql="SELECT * FROM usage WHERE event_type <> 'x'",
                **options,
            )

        facets = lineage_of(
            reconcile, RecordedReconcile, "failed", outlets=[EVENTS], columns={"event_properties": "properties"},
            staging_table="staged", differences_table="public.differences",
        )  # fmt: skip
        sequence = ("sequence://acme", "usage_events")
        usage, staged, differences = (
            postgres_names(warehouse, f"public.{table}") for table in ("usage", "staged", "differences")
        )
        assert (names(facets.inputs), names(facets.outputs)) == ([usage, staged, sequence], [differences])
        # The guide says so: what stands in the statement itself goes out.
        assert "<> 'x'" in facets.job_facets["sql"].query

        facets = lineage_of(
            reconcile,
            RecordedReconcile,
            outlets=[EVENTS],
            columns={"event_properties": "properties"},
            resend=True,
        )
        assert (names(facets.outputs), rows_out(facets.outputs[0])) == ([sequence], 1)

    @on_postgres
    def test_metric(self, lineage_of, sandbox, sequence_conn, warehouse):
        make_usage(warehouse, [START])
        sandbox.add("usage-metrics", [{"id": "units"}])

        def reconcile(kind: Any, **options: Any) -> None:
            sql = "SELECT customer_alias, 0 AS value FROM usage"
            kind(task_id="check", sql_conn_id="warehouse", metric_id="units", sql=sql, **options)

        facets = lineage_of(reconcile, RecordedMetric, inlets=[sequence_asset("acme", "usage_metrics")])
        assert names(facets.inputs) == [
            postgres_names(warehouse, "public.usage"),
            ("sequence://acme", "usage_metrics"),
        ]


class TestPull:
    @on_postgres
    @pytest.mark.parametrize("table", ["staged", "public.staged"])
    def test_table_and_rows_on_both_sides(
        self, table, lineage_of, run_dag, sandbox, sequence_conn, warehouse
    ):
        make_usage(warehouse, [*over_the_day(5), END])
        assert run_dag(one_task(push), END).state == "success"
        facets = lineage_of(pull, RecordedPull, table=table, inlets=[EVENTS])

        assert names(facets.inputs) == [("sequence://acme", "usage_events")]
        assert names(facets.outputs) == [postgres_names(warehouse, "public.staged")]
        assert (rows_in(facets.inputs[0]), rows_out(facets.outputs[0])) == (6, 5)

    def test_database_without_a_name_of_openlineage(self, lineage_of, sandbox, sequence_conn, warehouse):
        facets = lineage_of(pull, RecordedPull, inlets=[EVENTS])

        assert names(facets.inputs) == [("sequence://acme", "usage_events")]
        assert facets.outputs == []

    def test_failed_pull_reports_nothing(self, lineage_of, sandbox, sequence_conn, warehouse):
        sandbox.fault(kind="status", status=401)

        assert lineage_of(pull, RecordedPull, "failed") is None


class TestAliases:
    @on_postgres
    def test_table_and_rows_on_both_sides(self, lineage_of, sandbox, sequence_conn, warehouse):
        sandbox.add("customers", [{"id": "c-1"}])
        warehouse.execute("CREATE TABLE aliases (customer_id TEXT, value TEXT)")
        warehouse.execute("INSERT INTO aliases VALUES ('c-1', 'acme'), ('c-1', 'acme')")

        def create(kind: Any, **options: Any) -> None:
            kind(task_id="create", sql="SELECT * FROM aliases", sql_conn_id="warehouse", **options)

        facets = lineage_of(create, RecordedAliases)
        assert names(facets.inputs) == [postgres_names(warehouse, "public.aliases")]
        assert facets.outputs[0].name == "customer_aliases"
        assert (rows_in(facets.inputs[0]), rows_out(facets.outputs[0])) == (2, 1)


def push_then_pull() -> Any:
    with interval_dag(START, END) as dag:
        push(outlets=[EVENTS]) >> pull(inlets=[EVENTS])
    return dag


@on_postgres
def test_provider_of_openlineage_asks_the_tasks(airflow_process, sandbox, sequence_conn, warehouse):
    """As it is installed: a listener in the process that runs the task, whose events are in a file."""
    make_usage(warehouse, over_the_day(5))
    assert airflow_process.run(push_then_pull, END.isoformat()) == "success"

    complete = {
        event["job"]["name"].rpartition(".")[2]: event
        for event in airflow_process.openlineage_events()
        if event["eventType"] == "COMPLETE"
    }
    usage, staged = (postgres_names(warehouse, f"public.{table}") for table in ("usage", "staged"))
    sequence = ("sequence://acme", "usage_events")
    for task_id, source, target in (("push", usage, sequence), ("pull", sequence, staged)):
        ((read,), (written,)) = (complete[task_id][side] for side in ("inputs", "outputs"))
        assert (read["namespace"].lower(), read["name"]) == source
        assert (written["namespace"].lower(), written["name"]) == target
        assert read["inputFacets"]["inputStatistics"]["rowCount"] == 5
        assert written["outputFacets"]["outputStatistics"]["rowCount"] == 5
