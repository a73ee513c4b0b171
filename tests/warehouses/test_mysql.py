"""MySQL's drivers on a real MariaDB, through Airflow's hook: types, settings of the connection, and memory."""

from __future__ import annotations

import json
import os
import resource
from typing import Any

import pytest

from airflow_provider_sequence.exceptions import SequenceConfigurationError
from airflow_provider_sequence.hooks.sql_engine import create_sql_engine
from airflow_provider_sequence.warehouse.reader import read_rows
from tests.warehouses.conftest import Standin
from tests.warehouses.test_warehouses import make_usage, pull, push

CLIENTS = ("mysqlclient", "mysql-connector-python")

#: A column's type, a value in SQL, and what an event holds, as JSON, or why it is rejected.
TYPES = [
    ("DECIMAL(65,30)", f"{'9' * 35}.{'123456789' * 3}012", f"{'9' * 35}.{'123456789' * 3}012"),
    ("BIGINT UNSIGNED", "18446744073709551615", "18446744073709551615"),
    ("TINYINT(1)", "1", "1"),
    ("DOUBLE", "0.1", "0.1"),
    ("YEAR", "2026", "2026"),
    ("DATE", "'2026-03-01'", '"2026-03-01"'),
    ("DATETIME(6)", "'2026-03-01 10:00:00.000001'", '"2026-03-01T10:00:00.000001"'),
    (
        "TIMESTAMP(6) NULL",
        "'2026-03-01 10:00:00.000001'",
        '"2026-03-01T08:00:00.000001Z"',
    ),  # the session is at +02:00
    ("TIME", "'-100:00:00'", "timedelta"),
    ("ENUM('a', 'b')", "'b'", '"b"'),
    ("LONGTEXT", "'naïve 😀'", '"naïve 😀"'),
    ("UUID", "'123e4567-e89b-12d3-a456-426655440000'", '"123e4567-e89b-12d3-a456-426655440000"'),
    ("BLOB", "x'00ff'", "bytes"),
    ("JSON", """'{"a": 1.10}'""", r'"{\"a\": 1.10}"'),
    ("JSON NULL", "NULL", None),
]


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest, mariadb: Standin, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each driver in turn, by the extra ``client`` of the connection."""
    set_extra(monkeypatch, client=request.param)
    return request.param


def set_extra(monkeypatch: pytest.MonkeyPatch, **extra: Any) -> None:
    fields = json.loads(os.environ["AIRFLOW_CONN_WAREHOUSE"])
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({**fields, "extra": extra}))


def read(sql: str, parameters: Any = None) -> list[Any]:
    with read_rows(create_sql_engine("warehouse"), sql, parameters) as query:
        return [tuple(row) for batch in query.batches for row in batch]


@pytest.mark.parametrize(("type_", "value", "sent"), TYPES, ids=[type_ for type_, *_ in TYPES])
def test_each_type_is_sent_exactly_or_rejected(client, mariadb, sandbox, sequence_conn, type_, value, sent):
    table = make_usage(mariadb, 1)
    mariadb.run(f"ALTER TABLE {table} DROP COLUMN note, ADD COLUMN note {type_}")
    mariadb.run(f"UPDATE {table} SET note = {value}")
    result = push(table, max_rejected=1)

    if sent in {"bytes", "timedelta"}:
        assert result["rejected"] == 1
        return
    event = sandbox.call("GET", "/usage-events?limit=100").text
    assert f'"note":{sent}' in event if sent else '"note"' not in event


def test_json_column_is_the_properties_with_every_digit(client, mariadb, sandbox, sequence_conn):
    table = make_usage(mariadb, 1)
    mariadb.run(f"ALTER TABLE {table} DROP COLUMN note, ADD COLUMN event_properties JSON")
    mariadb.run(f"""UPDATE {table} SET event_properties = '{{"a": 1.10, "b": 12345678901234567890.123}}'""")
    push(f"(SELECT t.*, event_properties AS note FROM {table} t) t", columns={"event_properties": "note"})

    assert '{"a": 1.10, "b": 12345678901234567890.123}' in sandbox.call("GET", "/usage-events?limit=100").text


def test_percent_signs_and_parameters(client):
    assert read("SELECT '100%'") == [("100%",)]
    assert read("SELECT '100%%', %s", ["x"]) == [("100%", "x")]
    assert read("SELECT '100%%', %(name)s", {"name": "%%"}) == [("100%", "%%")]


def test_rows_are_tuples_and_text_is_unicode_whatever_the_extra_says(mariadb, monkeypatch):
    set_extra(monkeypatch, cursor="dictcursor", charset="latin1")
    assert read("SELECT 1, '😀'") == [(1, "😀")]


def test_client_that_the_hook_does_not_know_is_refused(mariadb, monkeypatch):
    set_extra(monkeypatch, client="pymysql")
    with pytest.raises(
        SequenceConfigurationError, match=r"(?s)'pymysql'.*mysqlclient, mysql-connector-python"
    ):
        read("SELECT 1")


def test_memory_does_not_grow_with_the_rows(client):
    def peak() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    engine = create_sql_engine("warehouse")
    before, rows = peak(), 0
    with read_rows(engine, "SELECT seq, REPEAT('x', 2000) FROM seq_1_to_100001") as query:
        for batch in query.batches:
            rows += len(batch)

    assert rows == 100_001
    assert peak() - before < 50_000  # of 200,000


def test_pulled_ids_that_differ_in_case_are_two_and_texts_keep_every_character(
    client, mariadb, sandbox, sequence_conn
):
    table = make_usage(mariadb, 2)
    mariadb.run(f"UPDATE {table} SET eid = IF(eid = 'e-0', 'A', 'a'), note = 'naïve 😀'")
    push(table)
    pull(mariadb)

    rows = mariadb.run("SELECT customer_event_id, event_properties, event_timestamp FROM staged")
    assert {row[0] for row in rows} == {"A", "a"}
    assert {json.loads(row[1])["note"] for row in rows} == {"naïve 😀"}
    assert {row[2].isoformat() for row in rows} == {"2026-03-01T10:00:00.000001"}
