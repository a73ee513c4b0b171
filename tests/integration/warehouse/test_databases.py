"""Databases one by one: a push and a pull on each, and what only DuckDB has: its files, locks and catalogs."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest

from airflow_provider_sequence.exceptions import SequenceConfigurationError, WarehouseError
from airflow_provider_sequence.pipelines.delivery_log import DeliveryLog
from airflow_provider_sequence.pipelines.push.outcomes import Outcome, Status
from airflow_provider_sequence.transfers.sequence_to_sql import SequenceToSqlOperator
from airflow_provider_sequence.transfers.sql_to_sequence import SqlToSequenceUsageEventsOperator
from airflow_provider_sequence.warehouse.engine import connect
from airflow_provider_sequence.warehouse.staging import StagingColumn, StagingLoad
from tests.integration.examples.test_dags import CHECKOUT
from tests.integration.support.airflow import interval_dag
from tests.integration.support.databases import every_database, on
from tests.integration.support.guides import code_blocks
from tests.integration.support.values import utc

START, END = "2026-03-01", "2026-03-02"
on_duckdb = on("duckdb")
COLUMNS = [
    StagingColumn("id", "key"),
    StagingColumn("name", "text"),
    StagingColumn("seen_at", "timestamp"),
    StagingColumn("size", "integer"),
    StagingColumn("is_new", "boolean"),
    StagingColumn("facts", "json"),
]


@every_database
def test_push_and_pull_with_the_log_in_the_same_database(run_dag, sandbox, sequence_conn, warehouse):
    warehouse.execute(
        "CREATE TABLE used (customer_event_id VARCHAR(50), customer_alias VARCHAR(50), event_type VARCHAR(50),"
        " event_timestamp VARCHAR(50), n VARCHAR(50))"
    )
    warehouse.execute(
        "INSERT INTO used VALUES (:id, 'acme', 'call', '2026-03-01T10:00:00.000001Z', :n)",
        *[{"id": f"{case}{number}", "n": f"{number}.10"} for case in "eE" for number in range(550)],
    )
    with interval_dag(START, END) as dag:
        push = SqlToSequenceUsageEventsOperator(
            task_id="push",
            sql="SELECT * FROM used",
            sql_conn_id="warehouse",
            delivery_log_table="deliveries",
        )
        pull = SequenceToSqlOperator(
            task_id="pull", resource="usage_events", table="staged", sql_conn_id="warehouse"
        )
        push >> pull
    first, again = run_dag(dag, END), run_dag(dag, END)

    assert (first.state, again.state) == ("success", "success")
    assert (first.xcoms["push"]["delivered"], again.xcoms["push"]["unchanged"]) == (1100, 1100)
    assert warehouse.rows("SELECT count(*), count(DISTINCT customer_event_id) FROM staged") == [(1100, 1100)]
    (stored,) = warehouse.rows(
        "SELECT event_timestamp, event_properties FROM staged WHERE customer_event_id = 'E7'"
    )
    assert utc(stored[0]) == dt.datetime(2026, 3, 1, 10, 0, 0, 1, tzinfo=dt.UTC)
    assert json.loads(stored[1]) == {"n": "7.10"}


@on_duckdb
def test_every_value_through_a_file_of_duckdb(engine, warehouse):
    every_plane = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000, 7)]))
    names = [
        None,
        "",
        " ",
        "\0",
        "a\0b",
        '"',
        '""',
        ",",
        "\n",
        "\r\n",
        "\\N",
        "NULL",
        every_plane,
        "x" * 3_000_000,
    ]
    there = dt.datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=dt.timezone(dt.timedelta(hours=-9, minutes=-30)))
    facts = f'{{"n": {"1234567890" * 4}.{"0987654321" * 4}, "s": "\\u0000\\n"}}'
    rows = [
        (str(number), name, there if number else None, -(2**63), None if number else True, facts)
        for number, name in enumerate(names)
    ]
    with closing(StagingLoad(engine, "staged", COLUMNS)) as load:
        load.add(rows, [True] * len(rows))
        assert load.merge() == len(rows)

    stored = warehouse.rows("SELECT id, name, seen_at, size, is_new, facts FROM staged ORDER BY id::INTEGER")
    assert [(*row[:2], row[2] and utc(row[2]), *row[3:]) for row in stored] == rows


KILLED = """
import os, signal
from contextlib import closing
from sqlalchemy import event
from sqlalchemy.engine import Engine
from airflow_provider_sequence.hooks.sql_engine import create_sql_engine
from airflow_provider_sequence.warehouse.staging import StagingColumn, StagingLoad

@event.listens_for(Engine, "before_cursor_execute")
def kill(connection, cursor, statement, *_):
    if "read_csv" in statement:
        os.kill(os.getpid(), signal.SIGKILL)

columns = [StagingColumn("id", "key"), StagingColumn("name", "text")]
with closing(StagingLoad(create_sql_engine("warehouse"), "staged", columns)) as load:
    for number in range(2000):
        load.add([(str(number), "ann@example.org" * 200)], [True])
    load.merge()
"""


@on_duckdb
def test_killed_load_leaves_no_file(warehouse, tmp_path):
    """Neither DuckDB's file nor the rows that were gathered before."""
    folder = tmp_path / "files"
    folder.mkdir()
    environment = os.environ | {"TMPDIR": str(folder), "SQLITE_TMPDIR": str(folder)}
    killed = subprocess.run([sys.executable, "-c", KILLED], env=environment, check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert list(folder.iterdir()) == []


@on_duckdb
def test_value_that_duckdb_refuses_is_in_no_error(engine):
    def refused() -> None:
        with closing(StagingLoad(engine, "staged", COLUMNS)) as load:
            load.add([("a", "ann@example.org", dt.datetime.now(dt.UTC), "no number", True, "{}")], [True])
            load.merge()

    with pytest.raises(WarehouseError) as caught:
        refused()
    assert "ann@example.org" not in str(caught.value)
    assert "no number" not in str(caught.value)


OPEN_FILE = """
import duckdb, sys, time
connection = duckdb.connect(sys.argv[1])
print("open", flush=True)
sys.stdin.read()
"""


@on_duckdb
def test_file_of_duckdb_that_another_process_has_open(engine, warehouse):
    path = engine.url.database
    with subprocess.Popen(
        [sys.executable, "-c", OPEN_FILE, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "open\n"
        with pytest.raises(WarehouseError, match="lock") as caught, connect(engine):
            pass
        assert not caught.value.permanent
        other.stdin.close()
    with connect(engine) as connection:
        DeliveryLog(connection, "deliveries", account="a", resource="usage_events", task={})


@on_duckdb
def test_log_of_duckdb_takes_rows_by_the_thousand(engine, warehouse):
    """A statement for each row would take half a minute."""
    entries = [
        Outcome(number, Status.DELIVERED, f"e{number}", "h" * 32, f"s{number}") for number in range(5000)
    ]
    task = {"dag_id": "d", "task_id": "t", "run_id": "r"}
    started = time.monotonic()
    with connect(engine) as connection:
        log = DeliveryLog(connection, "deliveries", account="a", resource="usage_events", task=task)
        for start in range(0, len(entries), 500):
            log.store(entries[start : start + 500])
        assert len(log.known([entry.event_id for entry in entries[:500]])) == 500
    assert time.monotonic() - started < 15
    assert warehouse.rows("SELECT count(*) FROM deliveries") == [(5000,)]


@on_duckdb
def test_table_of_another_schema_of_duckdb_is_refused(engine, warehouse):
    warehouse.execute("CREATE SCHEMA billing")
    warehouse.execute("CREATE TABLE billing.staged (id TEXT)")
    rows = [("a", "ann", None, None, None, None)]
    for table in ("staged", "main.staged", "warehouse.staged"):
        with closing(StagingLoad(engine, table, COLUMNS)) as load:
            load.add(rows, [True])
            load.merge()
    assert warehouse.rows("SELECT count(*) FROM staged") == [(1,)]
    with pytest.raises(SequenceConfigurationError, match="billing"):
        StagingLoad(engine, "billing.staged", COLUMNS)


def test_day_of_text_in_sqlite_as_the_guide_selects_it():
    guide = (CHECKOUT / "docs" / "databases.md").read_text().partition("\n## SQLite\n")[2]
    (where,) = code_blocks(guide.partition("\n## ")[0], "sql")
    for bound, text in (("start", "2026-03-01T00:00:00+00:00"), ("end", "2026-03-02T00:00:00+00:00")):
        where = where.replace(f"{{{{ data_interval_{bound} | ts }}}}", text)
    inside = ["2026-03-01 00:00:00", "2026-03-01T23:59:59+00:00", "2026-03-02T01:00:00+02:00", "2026-03-01"]
    outside = [
        "2026-02-28 23:59:59",
        "2026-03-02 00:00:00",
        "2026-03-02T00:00:00Z",
        "2026-03-01T23:30:00-01:00",
    ]
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("CREATE TABLE usage (used_at TEXT)")
        database.executemany("INSERT INTO usage VALUES (?)", [(at,) for at in inside + outside])
        found = [at for (at,) in database.execute(f"SELECT used_at FROM usage {where}")]
    assert found == inside
