"""Snowflake's own: files of rows, connections without a schema, semi-structured columns, names in capitals, types."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import os
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from sqlalchemy import event
from sqlalchemy.engine import Engine

from airflow_provider_sequence.hooks.sql_engine import create_sql_engine
from airflow_provider_sequence.transfers.sql_to_sequence import SqlToSequenceUsageEventsOperator
from airflow_provider_sequence.warehouse.dialects import DIALECTS
from airflow_provider_sequence.warehouse.staging import StagingColumn, StagingLoad
from tests.warehouses.test_warehouses import CONTEXT, make_usage, pull, push, reconcile

NOON = dt.datetime(2026, 3, 1, 12, 0, 0, 1, dt.UTC)
COLUMNS = [
    StagingColumn("id", "key"),
    StagingColumn("name", "text"),
    StagingColumn("seen_at", "timestamp"),
    StagingColumn("size", "integer"),
    StagingColumn("is_new", "boolean"),
    StagingColumn("facts", "json"),
]
TEXTS = [
    *("", None, "null", "NULL", r"\N", " a ", "007", "1e5", "true", "2026-03-01"),
    *('"', '""', "'", "\\", '\\"', "a\\nb", "a\nb", "a\r\nb", "\r", "\t", "a,b", "a|b"),
    *("é漢😀", "\u2028", "\0", "\x01\x1f\x7f", "\ufeff", "100%", "%(x)s", ":x", "$1", "--", "/*"),
]


@pytest.fixture
def statements() -> Iterator[list[str]]:
    """Statements that are run over SQLAlchemy."""
    seen: list[str] = []

    def keep(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    event.listen(Engine, "before_cursor_execute", keep)
    yield seen
    event.remove(Engine, "before_cursor_execute", keep)


def load(table: str, rows: list[list[Any]]) -> None:
    with closing(StagingLoad(create_sql_engine("warehouse"), table, COLUMNS)) as staging:
        staging.add(rows, [True] * len(rows))
        staging.merge()


def test_files_keep_every_character_and_value(snowflake):
    rows = [[f"k{n}", text, NOON, -(2**63) + n, n % 2 == 0, json.dumps(text)] for n, text in enumerate(TEXTS)]
    rows.append(["none", *[None] * 5])
    load(f"{snowflake.schema}staged", rows)
    columns = "id, name, seen_at, size, is_new, facts"
    found = snowflake.run(f"SELECT {columns} FROM {snowflake.schema}staged WHERE seen_at IS NOT NULL")
    assert sorted(list(row) for row in found) == sorted(rows[:-1])
    # Without its time, which the emulator gives as that of 1970.
    found = snowflake.run(
        f"SELECT id, name, size, is_new, facts FROM {snowflake.schema}staged WHERE seen_at IS NULL"
    )
    assert found == [("none", None, None, None, None)]


@pytest.mark.parametrize("absent", [["schema"], ["schema", "database"]], ids="+".join)
def test_session_without_a_schema_or_a_database(snowflake, sandbox, sequence_conn, monkeypatch, absent):
    fields = json.loads(os.environ["AIRFLOW_CONN_WAREHOUSE"])
    fields.pop("schema")
    fields["extra"] = {name: value for name, value in fields["extra"].items() if name not in absent}
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(fields))
    table = make_usage(snowflake, 3)
    log = {"delivery_log_table": f"{snowflake.schema}deliveries"}

    assert [push(table, **log)["delivered"] for _ in range(2)] == [3, 0]
    assert [pull(snowflake)["loaded"] for _ in range(2)] == [3, 3]
    assert reconcile(snowflake, table)["found"] == 3


def test_rows_go_in_few_files_and_leave_none(snowflake, statements, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    wide = "x" * 5000
    load(f"{snowflake.schema}staged", [[f"k{n}", wide, None, n, None, None] for n in range(15_000)])

    assert [len([s for s in statements if s.startswith(verb)]) for verb in ("COPY", "MERGE")] == [3, 1]
    assert snowflake.run(f"SELECT COUNT(*), SUM(size) FROM {snowflake.schema}staged") == [
        (15_000, sum(range(15_000)))
    ]
    assert not list(tmp_path.iterdir())


def test_a_killed_load_leaves_no_rows_on_disk(snowflake, tmp_path, monkeypatch):
    """Nothing cleans up here, as after a SIGKILL: the connector's folders are left, and a link to no file."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("shutil.rmtree", lambda *_, **__: None)
    load(f"{snowflake.schema}staged", [["k", "x", None, 1, None, None]])

    left = list(tmp_path.rglob("*"))
    assert [path.name for path in left if path.is_file()] == []
    assert [path.suffix for path in left if path.is_symlink()] == [".gz"]


def push_one(columns: str, **options: Any) -> dict[str, Any]:
    event = "'acme' AS customer_alias, '2026-03-01T10:00:00Z' AS event_timestamp"
    operator = SqlToSequenceUsageEventsOperator(
        task_id="push",
        sql=f"SELECT {event}, {columns}",
        sql_conn_id="warehouse",
        event_type="call",
        max_rejected=1,
        **options,
    )
    return operator.execute(CONTEXT)


@pytest.mark.parametrize(
    ("sql", "sent"),
    [
        ("""PARSE_JSON('{"a": [1.125, 123456789012345678, null], "b": "x"}')""", '{"a":[1.125,123456789012345678,null],"b":"x"}'),
        ("OBJECT_CONSTRUCT('a', 1)", '{"a":1}'),
        ("PARSE_JSON('[1, 2]')::ARRAY", "[1,2]"),
        ("""PARSE_JSON('"x"')""", '"x"'),
        ("""'{"a": 1.10}'""", json.dumps('{"a": 1.10}')),
        ("TRUE", "true"),
        ("DATE '2026-03-01'", '"2026-03-01"'),
        ("TIME '10:00:00.000001'", '"10:00:00.000001"'),
        ("'2026-03-01 10:00:00.123456789'::TIMESTAMP_NTZ(9)", '"2026-03-01T10:00:00.123456"'),
        ("'2026-03-01 10:00:00.123456+02:00'::TIMESTAMP_TZ", '"2026-03-01T08:00:00.123456Z"'),
        ("12345678901234567890.125::NUMBER(38, 3)", "12345678901234567890.125"),
        ("9223372036854775807", "9223372036854775807"),
        ("1.5::FLOAT", "1.5"),
    ],
)  # fmt: skip
def test_property_of_each_type(snowflake, sandbox, sequence_conn, sql, sent):
    result = push_one(f"'e-1' AS customer_event_id, {sql} AS p")

    assert (result["delivered"], result["rejected_rows"]) == (1, [])
    assert f'"p":{sent}' in sandbox.call("GET", "/usage-events?limit=100").text


def test_type_codes_of_json_are_the_connectors():
    from snowflake.connector.constants import FIELD_NAME_TO_ID

    columns = [("c", code) for code in range(len(FIELD_NAME_TO_ID))]
    names = ["VARIANT", "OBJECT", "ARRAY", "MAP"]  # the emulator calls all of them VARIANT
    found = DIALECTS["snowflake"].converters(columns, None)
    assert found.keys() == {FIELD_NAME_TO_ID[name] for name in names}


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ("'e-1' AS customer_event_id, TO_BINARY('00ff', 'HEX') AS p", "p: holds bytes"),
        (
            """PARSE_JSON('"e-1"') AS customer_event_id""",
            "customerEventId: is of type Raw, not text; cast it",
        ),
    ],
)
def test_value_that_is_refused(snowflake, sandbox, sequence_conn, columns, reason):
    (row,) = push_one(columns)["rejected_rows"]
    assert reason in row["reason"]


def test_event_key_in_any_case(snowflake, sandbox, sequence_conn):
    ids = set()
    for key, column in itertools.product(["EID", "eid", "Eid"], ["eid", '"EID"', '"eid"']):
        assert push_one(f"'e-1' AS {column}", event_key=[key])["delivered"] == 1
        ids |= {
            event["customerEventId"]
            for event in sandbox.call("GET", "/usage-events?limit=100").json()["items"]
        }

    assert len(ids) == 1


def test_corrections_cost_few_statements(snowflake, sandbox, sequence_conn, statements):
    table = make_usage(snowflake, 300)
    log = {"delivery_log_table": f"{snowflake.schema}deliveries"}
    push(table, **log)
    snowflake.run(f"UPDATE {table} SET q = 2")
    statements.clear()
    result = push(table, **log)

    assert result["corrected"] == 300
    of_events = [each for each in statements if "runs" not in each.lower()]
    assert [each.split()[0] for each in of_events if not each.startswith("DESC")][:3] == [
        "SELECT",
        "SELECT",
        "UPDATE",
    ]
    assert len(of_events) <= 10


def test_error_holds_no_value(snowflake, sandbox, sequence_conn):
    with pytest.raises(AirflowFailException, match="Could not convert string …") as caught:
        push_one("'top secret'::INT AS customer_event_id")
    assert "secret" not in str(caught.value)
