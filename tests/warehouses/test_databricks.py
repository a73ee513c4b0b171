"""Databricks through its hook, connector and protocol: what it is told, in which order."""

from __future__ import annotations

import json
import os
import re

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from sqlalchemy import event
from sqlalchemy.engine import Engine

from airflow_provider_sequence.exceptions import SequenceConfigurationError, WarehouseError
from airflow_provider_sequence.hooks.sql_engine import create_sql_engine
from airflow_provider_sequence.warehouse.engine import connect
from airflow_provider_sequence.warehouse.reader import read_rows
from tests.warehouses import awkward
from tests.warehouses.conftest import Standin
from tests.warehouses.test_warehouses import make_usage, pull, push

VOLUME = "/Volumes/billing/sales/files"
TARGET = "billing.sales.staged"


def told(warehouse) -> list[str]:
    """Statements, shortened, with one name for the table that a pull makes."""
    statements = []
    for _, sql in warehouse.statements:
        words = " ".join(sql.replace("`", "").split())
        statements.append(re.sub(r"_sequence_\w{12}", "_sequence", words).split(" (")[0].split("(")[0])
    return statements


def use_extra(monkeypatch: pytest.MonkeyPatch, **extra: str | None) -> None:
    """Change the extra of the connection; None leaves an entry out."""
    fields = json.loads(os.environ["AIRFLOW_CONN_WAREHOUSE"])
    fields["extra"] = {
        name: value for name, value in {**fields["extra"], **extra}.items() if value is not None
    }
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(fields))


def test_statements_of_a_pull_from_start_to_end(databricks, databricks_warehouse, sandbox, sequence_conn):
    push(make_usage(databricks, 3))
    databricks_warehouse.statements.clear()
    assert pull(databricks)["loaded"] == 3

    assert told(databricks_warehouse) == [
        f"DESCRIBE TABLE {TARGET}",
        "CREATE TABLE billing.sales._sequence",
        "INSERT INTO billing.sales._sequence",
        f"DESCRIBE TABLE {TARGET}",
        f"CREATE TABLE IF NOT EXISTS {TARGET}",
        f"MERGE INTO {TARGET} USING",
        "DROP TABLE billing.sales._sequence",
    ]


@pytest.mark.parametrize(
    ("catalog", "table"), [(None, TARGET), ("billing", "sales.staged"), ("memory", TARGET)]
)
def test_catalog_is_the_connections_or_the_names(
    catalog, table, databricks_warehouse, monkeypatch, sandbox, sequence_conn
):
    use_extra(monkeypatch, catalog=catalog)
    for _ in range(2):
        pull(Standin("databricks", table.removesuffix("staged"), databricks_warehouse.run))

    assert databricks_warehouse.run(f"SELECT count(*) FROM {TARGET}") == [(0,)]


def test_table_without_a_catalog_is_refused_before_the_first_request(
    databricks_warehouse, monkeypatch, sandbox, sequence_conn
):
    use_extra(monkeypatch, catalog=None)
    with pytest.raises(AirflowFailException, match=r"needs a catalog\nName it catalog\.schema\.table"):
        pull(Standin("databricks", "sales.", databricks_warehouse.run))

    assert databricks_warehouse.statements == []
    assert sandbox.summary()["requests"] == 0


def test_interrupted_pull_drops_its_table(databricks, databricks_warehouse, sandbox, sequence_conn):
    def interrupt(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("MERGE"):
            raise KeyboardInterrupt

    event.listen(Engine, "before_cursor_execute", interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            pull(databricks)
    finally:
        event.remove(Engine, "before_cursor_execute", interrupt)

    assert told(databricks_warehouse)[-1] == "DROP TABLE billing.sales._sequence"
    assert databricks_warehouse.run("SELECT table_name FROM duckdb_tables()") == [("staged",)]


def test_each_use_has_a_session_of_its_own(databricks_warehouse):
    engine = create_sql_engine("warehouse")
    with connect(engine) as first, connect(engine) as second:
        first.exec_driver_sql("SELECT 1")
        second.exec_driver_sql("SELECT 2")
    with connect(engine) as third:
        third.exec_driver_sql("SELECT 3")

    assert databricks_warehouse.statements == [(0, "SELECT 1"), (1, "SELECT 2"), (2, "SELECT 3")]


@pytest.mark.parametrize("location", [None, VOLUME])
def test_every_character_is_loaded(location, databricks_warehouse):
    awkward.load("billing.sales.loaded", awkward.ROWS, location)

    assert databricks_warehouse.run("SELECT * FROM billing.sales.loaded ORDER BY place") == awkward.ROWS


def test_pull_reads_a_file_out_of_a_volume(databricks, databricks_warehouse, sandbox, sequence_conn):
    push(make_usage(databricks, 250))
    databricks_warehouse.statements.clear()
    assert pull(databricks, staging_location=VOLUME)["loaded"] == 250

    put, insert, remove = [
        sql for _, sql in databricks_warehouse.statements if re.match("PUT|INSERT|REMOVE", sql)
    ]
    path = re.fullmatch(rf"PUT '__input_stream__' INTO '({VOLUME}/sequence_\w+\.json)' OVERWRITE", put)[1]
    assert remove == f"REMOVE '{path}'"
    assert re.fullmatch(
        r"INSERT INTO billing\.sales\._sequence_\w+ \(_position, id, .*\)"
        r" SELECT CAST\(c0 AS BIGINT\), CAST\(c1 AS STRING\), .*"
        rf" FROM read_files\('{path}', format => 'json', schema => 'c0 STRING, .*', mode => 'FAILFAST'\)",
        insert,
    )
    assert [file for file in databricks_warehouse.folder.rglob("*") if file.is_file()] == []
    assert databricks_warehouse.run(f"SELECT count(*) FROM {TARGET}") == [(250,)]


def test_file_is_removed_when_the_load_fails(databricks_warehouse):
    with pytest.raises(WarehouseError, match="CAST_INVALID_INPUT"):
        awkward.load("billing.sales.loaded", [("no number", "", True, None)], VOLUME)

    assert told(databricks_warehouse)[-1].startswith("REMOVE")
    assert [file for file in databricks_warehouse.folder.rglob("*") if file.is_file()] == []


def test_staging_location_must_be_a_volume(databricks_warehouse):
    with pytest.raises(SequenceConfigurationError, match="must begin with /Volumes/"):
        create_sql_engine("warehouse", "s3://bucket")


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT nope FROM billing.sales.words", "UNRESOLVED_COLUMN"),
        ("SELECT word FROM billing.sales.nowhere", "TABLE_OR_VIEW_NOT_FOUND"),
        ("SELECT word FROM FROM", "PARSE_SYNTAX_ERROR"),
        ("SELECT CAST(word AS INT) FROM billing.sales.words", "CAST_INVALID_INPUT"),
    ],
)
def test_error_of_a_query_is_permanent_and_shows_no_data(databricks_warehouse, sql, words):
    databricks_warehouse.run("CREATE TABLE billing.sales.words AS SELECT 'secret' AS word")
    with (
        pytest.raises(WarehouseError, match=words) as caught,
        read_rows(create_sql_engine("warehouse"), sql) as rows,
    ):
        list(rows.batches)

    assert caught.value.permanent
    assert "secret" not in str(caught.value)
