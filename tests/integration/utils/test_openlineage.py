"""What OpenLineage's own provider makes of the tasks, and that nobody is asked for it once they are over."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from airflow.providers.common.compat.sdk import BaseHook
from airflow.providers.common.sql.hooks.sql import DbApiHook

from airflow_provider_sequence.assets.sequence import sequence_asset
from airflow_provider_sequence.operators.sequence import SequenceCreateCustomerAliasesOperator
from airflow_provider_sequence.transfers.sequence_to_sql import SequenceToSqlOperator
from airflow_provider_sequence.transfers.sql_to_sequence import SqlToSequenceUsageEventsOperator
from airflow_provider_sequence.utils import openlineage as lineage
from tests.integration.support.airflow import interval_dag
from tests.integration.support.databases import on_postgres
from tests.integration.support.process import run_elsewhere
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


class Kept:
    """An operator that can be looked at when its task is over."""

    def pre_execute(self, context: Any) -> None:
        ran.append(self)


class KeptPush(Kept, SqlToSequenceUsageEventsOperator):
    pass


class KeptImpatientPush(Kept, ImpatientPush):
    pass


class KeptPull(Kept, SequenceToSqlOperator):
    pass


class KeptAliases(Kept, SequenceCreateCustomerAliasesOperator):
    pass


class _Guard:
    """Notices every connection that Python knows of; a hook for audits can't be taken away again."""

    def __init__(self) -> None:
        self.noticed: list[str] | None = None
        sys.addaudithook(self)

    def __call__(self, event: str, _: Any) -> None:
        if self.noticed is not None and event in {
            "socket.connect",
            "socket.getaddrinfo",
            "socket.sendto",
            "sqlite3.connect",
            "subprocess.Popen",
        }:
            self.noticed.append(event)


_guard = _Guard()


@pytest.fixture
def nobody_asked(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """A context in which any connection, to a database or otherwise, and any look-up of one, is a failure."""

    @contextmanager
    def guarded() -> Iterator[None]:
        _guard.noticed = []
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
                noticed, _guard.noticed = _guard.noticed, None
        assert noticed == []

    return guarded


def test_guard_notices_a_connection(nobody_asked, sandbox):
    url = urlsplit(sandbox.api_url)
    with pytest.raises(AssertionError, match="socket"), nobody_asked():
        socket.create_connection((url.hostname, url.port)).close()


@pytest.fixture
def told(run_dag, nobody_asked) -> Callable[..., Any]:
    """Run a task, then ask it as OpenLineage's provider does."""

    def tell(make: Any, kind: Any, state: str = "success", **options: Any) -> Any:
        ran.clear()
        result = run_dag(one_task(make, kind=kind, **options), END)
        assert result.state == state, result.errors
        (task,) = ran
        with nobody_asked():
            return task.get_openlineage_facets_on_complete(None)

    return tell


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
    def test_table_and_rows_on_both_sides(self, told, sandbox, sequence_conn, warehouse):
        make_usage(warehouse, over_the_day(5))
        warehouse.execute("UPDATE usage SET customer_alias = NULL WHERE number = 3")
        said = told(push, KeptPush, max_rejected=1, outlets=[EVENTS])

        assert names(said.inputs) == [postgres_names(warehouse, "public.usage")]
        assert names(said.outputs) == [("sequence://acme", "usage_events")]
        assert (rows_in(said.inputs[0]), rows_out(said.outputs[0])) == (5, 4)
        assert said.job_facets["sql"].query == "SELECT * FROM usage ORDER BY number"

    @on_postgres
    def test_query_of_several_tables(self, told, sandbox, sequence_conn, warehouse):
        """Which table how many rows came from is not known, and so not said."""
        make_usage(warehouse, over_the_day(5))
        warehouse.execute("CREATE SCHEMA other")
        warehouse.execute("CREATE TABLE other.names (name TEXT)")
        sql = (
            "SELECT usage.* FROM usage LEFT JOIN other.names ON name = customer_alias"
            " WHERE number >= %(least)s"
        )
        said = told(push, KeptPush, sql=sql, parameters={"least": 1})

        assert sorted(names(said.inputs)) == sorted([
            postgres_names(warehouse, "public.usage"),
            postgres_names(warehouse, "other.names"),
        ])
        assert [rows_in(dataset) for dataset in said.inputs] == [None, None]
        assert rows_out(said.outputs[0]) == 4
        assert said.job_facets["sql"].query == sql
        assert said.run_facets == {}

    @on_postgres
    def test_query_whose_tables_may_not_all_be_known(self, told, sandbox, sequence_conn, warehouse):
        """OpenLineage's parser misses those inside a WITH."""
        make_usage(warehouse, over_the_day(5))
        warehouse.execute("CREATE TABLE names (name TEXT)")
        sql = (
            "WITH mine AS (SELECT * FROM usage)"
            " SELECT mine.* FROM mine LEFT JOIN names ON name = customer_alias"
        )
        said = told(push, KeptPush, sql=sql)

        assert postgres_names(warehouse, "public.names") in names(said.inputs)
        assert {rows_in(dataset) for dataset in said.inputs} == {None}

    @on_postgres
    def test_default_schema_is_the_one_of_the_connection(self, told, sandbox, sequence_conn, warehouse):
        make_usage(warehouse, [START])
        name = warehouse.engine.url.database
        warehouse.execute("CREATE SCHEMA billing")
        warehouse.execute("ALTER TABLE usage SET SCHEMA billing")
        warehouse.execute(f"ALTER DATABASE {name} SET search_path = billing")
        said = told(push, KeptPush)

        assert names(said.inputs) == [postgres_names(warehouse, "billing.usage")]

    def test_database_without_a_name_of_openlineage(self, told, sandbox, sequence_conn, warehouse):
        make_usage(warehouse, over_the_day(5))
        said = told(push, KeptPush)

        assert said.inputs == []
        assert said.job_facets["sql"].query == "SELECT * FROM usage ORDER BY number"
        assert rows_out(said.outputs[0]) == 5

    def test_without_an_asset_the_host_is_the_account(self, told, sandbox, sequence_conn, warehouse):
        make_usage(warehouse, [START])
        for outlets in ([], [sequence_asset("acme", "seat_events")]):
            said = told(push, KeptPush, outlets=outlets)

            assert names(said.outputs) == [(f"sequence://{urlsplit(sandbox.api_url).netloc}", "usage_events")]

    def test_run_that_fails_tells_what_was_delivered(self, told, sandbox, sequence_conn, warehouse):
        make_usage(warehouse, over_the_day(10))
        sandbox.fault(kind="status", status=503, after_n=3)
        said = told(push, KeptImpatientPush, "failed", concurrency=1)

        assert rows_out(said.outputs[0]) == 3

    def test_without_openlineage_nothing_is_looked_up(
        self, monkeypatch, told, sandbox, sequence_conn, warehouse
    ):
        make_usage(warehouse, [START])
        monkeypatch.setattr(lineage, "find_spec", lambda name: None)

        assert told(push, KeptPush) is None


class TestPull:
    @on_postgres
    @pytest.mark.parametrize("table", ["staged", "public.staged"])
    def test_table_and_rows_on_both_sides(self, table, told, run_dag, sandbox, sequence_conn, warehouse):
        make_usage(warehouse, [*over_the_day(5), END])
        assert run_dag(one_task(push), END).state == "success"
        said = told(pull, KeptPull, table=table, inlets=[EVENTS])

        assert names(said.inputs) == [("sequence://acme", "usage_events")]
        assert names(said.outputs) == [postgres_names(warehouse, "public.staged")]
        assert (rows_in(said.inputs[0]), rows_out(said.outputs[0])) == (6, 5)

    def test_database_without_a_name_of_openlineage(self, told, sandbox, sequence_conn, warehouse):
        said = told(pull, KeptPull, inlets=[EVENTS])

        assert names(said.inputs) == [("sequence://acme", "usage_events")]
        assert said.outputs == []

    def test_pull_that_fails_tells_nothing(self, told, sandbox, sequence_conn, warehouse):
        sandbox.fault(kind="status", status=401)

        assert told(pull, KeptPull, "failed") is None


class TestAliases:
    @on_postgres
    def test_table_and_rows_on_both_sides(self, told, sandbox, sequence_conn, warehouse):
        sandbox.add("customers", [{"id": "c-1"}])
        warehouse.execute("CREATE TABLE aliases (customer_id TEXT, value TEXT)")
        warehouse.execute("INSERT INTO aliases VALUES ('c-1', 'acme'), ('c-1', 'acme')")

        def create(kind: Any, **options: Any) -> None:
            kind(task_id="create", sql="SELECT * FROM aliases", sql_conn_id="warehouse", **options)

        said = told(create, KeptAliases)
        assert names(said.inputs) == [postgres_names(warehouse, "public.aliases")]
        assert said.outputs[0].name == "customer_aliases"
        assert (rows_in(said.inputs[0]), rows_out(said.outputs[0])) == (2, 1)


def push_then_pull() -> Any:
    with interval_dag(START, END) as dag:
        push(outlets=[EVENTS]) >> pull(inlets=[EVENTS])
    return dag


@on_postgres
def test_provider_of_openlineage_asks_the_tasks(
    airflow_db, sandbox, sequence_conn, warehouse, tmp_path: Path
):
    """As it is installed: a listener in the process that runs the task, whose events are in a file."""
    make_usage(warehouse, over_the_day(5))
    path = tmp_path / "events"
    transport = {"type": "file", "log_file_path": str(path), "append": True}
    state = run_elsewhere(
        f"{__name__}:push_then_pull",
        END.isoformat(),
        AIRFLOW__OPENLINEAGE__TRANSPORT=json.dumps(transport),
        AIRFLOW__OPENLINEAGE__DISABLED="False",
    )
    assert state == "success"

    events = [json.loads(line) for line in path.read_text().splitlines()]
    complete = {
        event["job"]["name"].rpartition(".")[2]: event for event in events if event["eventType"] == "COMPLETE"
    }
    usage, staged = (postgres_names(warehouse, f"public.{table}") for table in ("usage", "staged"))
    sequence = ("sequence://acme", "usage_events")
    for task_id, source, target in (("push", usage, sequence), ("pull", sequence, staged)):
        ((read,), (written,)) = (complete[task_id][side] for side in ("inputs", "outputs"))
        assert (read["namespace"].lower(), read["name"]) == source
        assert (written["namespace"].lower(), written["name"]) == target
        assert read["inputFacets"]["inputStatistics"]["rowCount"] == 5
        assert written["outputFacets"]["outputStatistics"]["rowCount"] == 5
