"""Rows of queries to real databases: streamed, exact, and with errors that contain no data."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import signal
import tempfile
import tracemalloc
import uuid
from decimal import Decimal
from typing import Any

import pytest

from airflow_provider_sequence.api import lossless_json
from airflow_provider_sequence.api.event_mapper import EventMapper
from airflow_provider_sequence.api.events import USAGE_EVENT, Event
from airflow_provider_sequence.exceptions import (
    InvalidEventError,
    SequenceConfigurationError,
    WarehouseError,
    WorkerDiskError,
)
from airflow_provider_sequence.hooks.sql_engine import _require_driver, create_sql_engine
from airflow_provider_sequence.pipelines.push.pipeline import map_rows
from airflow_provider_sequence.temp_storage import RowSpool
from airflow_provider_sequence.unreadable import UnreadableValue
from airflow_provider_sequence.warehouse.reader import read_rows
from airflow_provider_sequence.warehouse.running_query import RunningQuery
from tests.integration.support.databases import (
    every_driver,
    on_both_postgres_drivers,
    sqlite_and_postgres,
)
from tests.integration.support.values import error_text, exact

DIGITS = "1234567890123456789012345678.901234567890"


def read(engine: Any, sql: str, parameters: Any = None) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    with read_rows(engine, sql, parameters) as result:
        return result.columns, [tuple(row) for batch in result.batches for row in batch]


def numbers(warehouse: Any, last: int) -> str:
    """A FROM clause whose ``i`` counts from 1."""
    if warehouse.is_postgres:
        return f"generate_series(1, {last}) AS t(i)"
    return f"(WITH RECURSIVE t(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM t WHERE i < {last}) SELECT i FROM t) AS t"


@sqlite_and_postgres
def test_columns_and_rows_in_order(engine, warehouse):
    warehouse.execute("CREATE TABLE u (id INTEGER, name TEXT)")
    warehouse.execute("INSERT INTO u VALUES (2, 'b'), (1, NULL), (3, 'c')")

    assert read(engine, "SELECT name, id AS number FROM u ORDER BY id DESC") == (
        ("name", "number"),
        [("c", 3), ("b", 2), (None, 1)],
    )


@sqlite_and_postgres
def test_no_rows(engine, warehouse):
    assert read(engine, "SELECT 1 AS a, 2 AS b WHERE 1 = 0") == (("a", "b"), [])


@sqlite_and_postgres
def test_query_may_have_comments_and_a_semicolon(engine, warehouse):
    assert read(engine, "\n-- all of it\nSELECT 1 AS a; \n") == (("a",), [(1,)])
    assert read(engine, "WITH x AS (SELECT 1 AS a) SELECT * FROM x") == (("a",), [(1,)])
    assert read(engine, "VALUES (1, 2)")[1] == [(1, 2)]


@every_driver
def test_every_row_comes_once(engine, warehouse):
    for number in (1, 999, 1000, 1001, 2500):  # around the size of a batch
        _, rows = read(engine, f"SELECT i FROM {numbers(warehouse, number)} ORDER BY i")

        assert rows == [(i,) for i in range(1, number + 1)]


@sqlite_and_postgres
def test_memory_does_not_grow_with_the_rows(engine, warehouse):
    def peak(number: int) -> int:
        wide = "x" * 100
        sql = f"SELECT i, '{wide}' AS a, '{wide}' AS b FROM {numbers(warehouse, number)}"
        tracemalloc.start()
        try:
            with read_rows(engine, sql) as result:
                assert sum(len(batch) for batch in result.batches) == number
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(2000)  # what is made once
    assert peak(40_000) < 1.2 * peak(4000) + 200_000


@on_both_postgres_drivers
def test_rows_come_before_the_query_is_at_its_end(engine, warehouse, monkeypatch):
    """A driver that gathers the whole result first, out of Python's sight, would meet the error before any row."""
    seen = []
    add = RowSpool.add
    monkeypatch.setattr(RowSpool, "add", lambda self, rows: seen.append(len(rows)) or add(self, rows))

    with pytest.raises(WarehouseError):
        read(engine, f"SELECT 1 / (60000 - i) AS x FROM {numbers(warehouse, 100_000)}")
    assert 10_000 < sum(seen) < 60_000


@on_both_postgres_drivers
def test_fetches_are_small_where_rows_are_wide(engine, warehouse, monkeypatch):
    seen = []
    add = RowSpool.add
    monkeypatch.setattr(RowSpool, "add", lambda self, rows: seen.append(len(rows)) or add(self, rows))

    read(engine, f"SELECT repeat('x', 200000) AS wide FROM {numbers(warehouse, 200)}")
    assert seen[0] <= 50
    assert max(seen[1:]) <= 10


@on_both_postgres_drivers
def test_query_is_over_when_its_rows_are_given(engine, warehouse):
    """So that no timeout of the database ends a push that takes an hour."""
    with read_rows(engine, f"SELECT i FROM {numbers(warehouse, 3000)}") as result:
        open_ones = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'"
        assert warehouse.rows(open_ones) == [(0,)]
        assert sum(len(batch) for batch in result.batches) == 3000


@sqlite_and_postgres
def test_others_may_write_while_rows_are_read(engine, warehouse):
    """A delivery log in the same SQLite file, for one."""
    warehouse.execute("CREATE TABLE u (id INTEGER)")
    warehouse.execute("INSERT INTO u VALUES (:id)", *[{"id": number} for number in range(3000)])
    with read_rows(engine, "SELECT id FROM u") as result:
        first = next(result.batches)
        warehouse.execute("DELETE FROM u WHERE id > 100")
        assert len(first) + sum(len(batch) for batch in result.batches) == 3000


@sqlite_and_postgres
def test_rest_of_a_query_may_be_left_unread(engine, warehouse):
    for _ in range(20):
        with read_rows(engine, f"SELECT i FROM {numbers(warehouse, 10_000)}") as result:
            assert len(next(result.batches)) > 0
    warehouse.execute("CREATE TABLE after_all (id INTEGER)")


@every_driver
def test_percent_signs_without_parameters_stay_as_written(engine, warehouse):
    assert read(engine, "SELECT '100%' AS a, 'a%sb%%' AS b, 10 % 3 AS c, 'abc' LIKE 'a%' AS d")[1] == [
        ("100%", "a%sb%%", 1, True)
    ]


@every_driver
def test_colons_are_no_parameters(engine, warehouse):
    assert read(engine, "SELECT ':a ::b' AS a, '12:30:00' AS b -- :c")[1] == [(":a ::b", "12:30:00")]
    if warehouse.is_postgres:
        assert read(engine, "SELECT '1'::int AS a, (ARRAY[1, 2, 3])[1:2] AS b")[1] == [(1, [1, 2])]


def test_parameters_in_the_style_of_sqlite(engine, warehouse):
    assert read(engine, "SELECT ? AS a, ? AS b", [1, "it's"])[1] == [(1, "it's")]
    assert read(engine, "SELECT ? AS a", (None,))[1] == [(None,)]
    assert read(engine, "SELECT :x AS a, :x AS b, '%' AS c", {"x": "é"})[1] == [("é", "é", "%")]


@on_both_postgres_drivers
def test_parameters_in_the_style_of_postgres(engine, warehouse):
    assert read(engine, "SELECT %s::int AS a, %s::text AS b, '100%%' AS c", [1, "it's"])[1] == [
        (1, "it's", "100%")
    ]
    assert read(engine, "SELECT %(x)s::text AS a, %(x)s::text AS b", {"x": "é"})[1] == [("é", "é")]
    day = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    assert read(engine, "SELECT %s::timestamptz AS a, %s::numeric AS b", (day, Decimal(DIGITS)))[1] == [
        (day, Decimal(DIGITS))
    ]


@sqlite_and_postgres
def test_parameter_is_never_sql(engine, warehouse):
    warehouse.execute("CREATE TABLE victim (name TEXT)")
    evil = "x'; DROP TABLE victim; --"
    mark = "?" if warehouse.is_sqlite else "%s"

    assert read(engine, f"SELECT name FROM victim WHERE name = {mark}", [evil])[1] == []
    assert warehouse.tables() == {"victim"}


def event_of(engine: Any, sql: str) -> Any:
    """The properties of the event that the query's only row becomes."""
    full = f"SELECT 'e' AS customer_event_id, 'a' AS customer_alias, 't' AS event_type, '2026-01-01' AS event_timestamp, {sql}"
    with read_rows(engine, full) as result:
        ((row,),) = list(result.batches)
        body = EventMapper(USAGE_EVENT, result.columns)(row).body
    return exact(body)["eventProperties"], body.decode()


@on_both_postgres_drivers
@pytest.mark.parametrize("kind", ["json", "jsonb"])
def test_json_of_postgres_keeps_every_digit(engine, warehouse, kind):
    text = f'{{"n": {DIGITS}, "price": 1.10, "big": 12345678901234567890123, "deep": [0.1, {{"x": "é"}}], "no": null}}'
    properties, body = event_of(engine, f"'{text}'::{kind} AS event_properties")

    assert properties == exact(text)
    assert DIGITS in body
    assert "1.10" in body


@on_both_postgres_drivers
def test_json_of_postgres_as_a_property_of_its_own(engine, warehouse):
    properties, _ = event_of(engine, f"""'{{"n": {DIGITS}}}'::jsonb AS facts, '[1.10]'::json AS list""")

    assert properties == {"facts": {"n": Decimal(DIGITS)}, "list": [Decimal("1.10")]}


@sqlite_and_postgres
def test_json_text_keeps_every_digit(engine, warehouse):
    properties, body = event_of(engine, f"""'{{"n": {DIGITS}, "price": 1.10}}' AS event_properties""")

    assert properties == {"n": Decimal(DIGITS), "price": Decimal("1.10")}
    assert "1.10" in body


@on_both_postgres_drivers
def test_values_of_postgres_keep_their_types(engine, warehouse):
    _, ((number, exact_time, plain_time, day, key, flag, nothing, array),) = read(
        engine,
        f"SELECT {DIGITS}::numeric, '2026-01-01 12:00:00.000001+02'::timestamptz, '2026-01-01 12:00'::timestamp,"
        " '2026-01-01'::date, '0184421e-a9cc-711b-af93-bf0511d4d833'::uuid, true, NULL, ARRAY['a', 'b']",
    )

    assert str(number) == DIGITS
    assert exact_time == dt.datetime(2026, 1, 1, 10, 0, 0, 1, tzinfo=dt.UTC)
    assert plain_time == dt.datetime(2026, 1, 1, 12)  # noqa: DTZ001 - the column has no zone
    assert (day, key, flag, nothing, array) == (
        dt.date(2026, 1, 1),
        uuid.UUID("0184421e-a9cc-711b-af93-bf0511d4d833"),
        True,
        None,
        ["a", "b"],
    )


@every_driver
@pytest.mark.parametrize(
    "sql", ["CREATE TABLE made (id INTEGER)", "DELETE FROM kept", "UPDATE kept SET id = 2"]
)
def test_statement_that_gives_no_rows_is_refused(engine, warehouse, sql):
    warehouse.execute("CREATE TABLE kept (id INTEGER)")
    warehouse.execute("INSERT INTO kept VALUES (1)")
    with pytest.raises(SequenceConfigurationError, match=r"(?i)quer|rows|select"):
        read(engine, sql)

    assert warehouse.rows("SELECT id FROM kept") == [(1,)]


@every_driver
@pytest.mark.parametrize(
    "sql",
    [
        "SELEC 1",
        "SELECT name FORM kept WHERE name = 'ann@example.org'",
        "SELECT nothing FROM kept WHERE name = 'ann@example.org'",
        "SELECT * FROM no_such_table WHERE name = 'ann@example.org'",
        "SELECT no_such_function('ann@example.org')",
        "",
        "-- nothing",
    ],
)
def test_broken_query_is_a_permanent_error_without_data(engine, warehouse, sql):
    warehouse.execute("CREATE TABLE kept (name TEXT)")
    with pytest.raises((WarehouseError, SequenceConfigurationError)) as caught:
        read(engine, sql)

    assert getattr(caught.value, "permanent", True)
    assert "ann@example.org" not in str(caught.value)


@on_both_postgres_drivers
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT CAST(name AS integer) FROM kept",
        "SELECT name::date FROM kept",
        "SELECT name::jsonb FROM kept",
        "SELECT name::uuid FROM kept",
        "SELECT ('{\"' || name || '\": }')::jsonb FROM kept",
        "SELECT to_timestamp(name, 'YYYY-MM-DD') FROM kept",
        "SELECT name::numeric + %s FROM kept",
        "SELECT CAST(E'x\n' || name AS integer) FROM kept",
        "SELECT CAST('x\"' || name AS integer) FROM kept",
        "SELECT CAST(name || E'\nx' AS integer) FROM kept",
        "SELECT raise(name) FROM kept",
        "SELECT raise(name, '22023') FROM kept",
        "SELECT 'ann@example.org FROM kept",
    ],
)
def test_value_that_a_query_cannot_convert_is_in_no_error(engine, warehouse, sql):
    warehouse.execute("CREATE TABLE kept (name TEXT)")
    warehouse.execute("INSERT INTO kept VALUES ('ann@example.org')")
    warehouse.execute(
        "CREATE FUNCTION raise(who TEXT, state TEXT DEFAULT 'P0001') RETURNS TEXT LANGUAGE plpgsql AS"
        " $$BEGIN RAISE EXCEPTION 'no customer %%', who USING ERRCODE = state; END$$"
    )
    with pytest.raises(WarehouseError) as caught:
        read(engine, sql, ["bob@example.org"] if "%s" in sql else None)

    shown = error_text(caught.value)
    assert "ann@example.org" not in shown
    assert "bob@example.org" not in shown


@sqlite_and_postgres
def test_wrong_parameters_are_an_error_without_data(engine, warehouse):
    sql = "SELECT %s::text AS a, %s::text AS b" if warehouse.is_postgres else "SELECT ? AS a, ? AS b"
    with pytest.raises((WarehouseError, SequenceConfigurationError)) as caught:
        read(engine, sql, ["ann@example.org"])

    assert getattr(caught.value, "permanent", True)
    assert "ann@example.org" not in error_text(caught.value)


@on_both_postgres_drivers
def test_lost_database_is_a_transient_error(engine, warehouse):
    def read_on() -> None:
        kill = "CASE i WHEN 20000 THEN pg_terminate_backend(pg_backend_pid()) END"
        read(engine, f"SELECT {kill} FROM generate_series(1, 50000) t(i)")

    with pytest.raises(WarehouseError) as caught:
        read_on()
    assert not caught.value.permanent


@on_both_postgres_drivers
def test_unreachable_database_is_a_transient_error(warehouse, monkeypatch):
    connection = json.loads(os.environ["AIRFLOW_CONN_WAREHOUSE"])
    away = connection | {"host": "127.0.0.1", "port": 1, "password": "p4ssw0rd"}
    monkeypatch.setenv("AIRFLOW_CONN_AWAY", json.dumps(away))
    with pytest.raises(WarehouseError) as caught:
        read(create_sql_engine("away"), "SELECT 1")

    assert not caught.value.permanent
    assert "p4ssw0rd" not in error_text(caught.value)


@sqlite_and_postgres
def test_duplicate_column_names_are_kept(engine, warehouse):
    assert read(engine, "SELECT 1 AS a, 2 AS a, 3 AS b") == (("a", "a", "b"), [(1, 2, 3)])


@sqlite_and_postgres
def test_column_names_keep_their_case_and_characters(engine, warehouse):
    assert read(engine, 'SELECT 1 AS "Größe %", 2 AS "a.b", 3 AS "x y:z"')[0] == ("Größe %", "a.b", "x y:z")


@pytest.mark.parametrize("kind", ["sequence", "fs", "no-such-type"])
def test_connection_that_is_no_database_is_named(monkeypatch, kind, airflow_db):
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", json.dumps({"conn_type": kind, "host": "x"}))
    with pytest.raises(SequenceConfigurationError, match="other"):
        create_sql_engine("other")


@on_both_postgres_drivers
@pytest.mark.parametrize(
    "sql",
    [
        "'infinity'::date",
        "'-infinity'::timestamp",
        "'infinity'::timestamptz",
        "'10000-01-01'::timestamp",
        "'0044-03-15 BC'::date",
        "'24:00'::time",
        "'24:00+00'::timetz",
        "ARRAY['infinity'::date, '2026-01-01']",
        "ARRAY['2026-01-01'::timestamptz, '0044-03-15 BC']",
    ],
)
def test_a_time_that_python_cannot_hold_rejects_its_row_alone(engine, warehouse, sql):
    columns = (
        "'id-' || i AS customer_event_id, 'c' AS customer_alias, 't' AS event_type, now() AS event_timestamp"
    )
    with read_rows(
        engine,
        f"SELECT {columns}, CASE i WHEN 2 THEN {sql} END AS valid_until FROM generate_series(1, 3) t(i)",
    ) as rows:
        events = list(map_rows(rows.batches, EventMapper(USAGE_EVENT, rows.columns)))
    assert [type(event) for _, event in events] == [Event, InvalidEventError, Event]
    assert "eventProperties.valid_until" in str(events[1][1])
    assert "a date or time that Python can't hold" in str(events[1][1])


def test_sqlite_text_that_is_not_utf_8_rejects_its_row_alone(engine, warehouse):
    assert read(engine, "SELECT CAST(x'6a616e65ff' AS TEXT) AS a, 'b' AS b")[1] == [
        (UnreadableValue("is text that is not UTF-8; convert it in the query"), "b")
    ]


@on_both_postgres_drivers
@pytest.mark.parametrize(
    "setting", ["datestyle = 'German, DMY'", "client_encoding = 'SQL_ASCII'", "client_encoding = 'LATIN1'"]
)
def test_settings_of_the_database_change_no_value(engine, warehouse, setting):
    warehouse.execute(f"ALTER ROLE CURRENT_USER SET {setting}")
    try:
        day = dt.datetime(2026, 2, 1, 12, tzinfo=dt.UTC)
        assert read(engine, "SELECT '2026-02-01 12:00Z'::timestamptz AS a, 'größe' AS b")[1] == [
            (day, "größe")
        ]
    finally:
        warehouse.execute("ALTER ROLE CURRENT_USER RESET ALL")


@on_both_postgres_drivers
@pytest.mark.parametrize("cursor", ["dictcursor", "namedtuplecursor"])
def test_cursor_of_the_connections_extra_changes_no_row(warehouse, monkeypatch, cursor):
    connection = json.loads(os.environ["AIRFLOW_CONN_WAREHOUSE"])
    extra = connection.get("extra", {}) | {"cursor": cursor}
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", json.dumps(connection | {"extra": extra}))
    assert read(create_sql_engine("other"), "SELECT 1 AS a, 2 AS b") == (("a", "b"), [(1, 2)])


def test_connection_of_another_driver_is_refused(engine):
    """As the extra sqlalchemy_scheme may have it."""
    with pytest.raises(SequenceConfigurationError, match=r"has the driver decimal, .* with sqlite3"):
        _require_driver("warehouse", engine, Decimal(1))


@on_both_postgres_drivers
def test_bytes_and_ranges_come_through_the_disk(engine, warehouse):
    _, [(data, interval)] = read(engine, "SELECT '\\x00ff'::bytea AS a, int4range(1, 5) AS b")
    assert bytes(data) == b"\x00\xff"
    assert (interval.lower, interval.upper) == (1, 5)


@pytest.mark.parametrize("stop", ["on_kill", "timeout"])
@on_both_postgres_drivers
def test_query_of_a_task_that_is_stopped_ends_on_the_server(engine, warehouse, stop):
    """Also in psycopg2, which waits where Python handles no signal."""
    running = RunningQuery()

    def handle(_signal: int, _frame: object) -> None:
        if stop == "timeout":
            raise TimeoutError
        running.cancel()

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        expected = WarehouseError if stop == "on_kill" else TimeoutError
        with pytest.raises(expected), read_rows(engine, "SELECT pg_sleep(60)", running=running):
            pass
    finally:
        signal.signal(signal.SIGALRM, before)
    still = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query ~ '[p]g_sleep'"
    assert warehouse.rows(still) == [(0,)]


def test_full_temporary_folder_is_named(engine, warehouse, monkeypatch):
    """A device that is always full stands for the folder's disk."""
    with open("/dev/full", "wb", buffering=0) as full:
        monkeypatch.setattr(
            "airflow_provider_sequence.temp_storage.tempfile.SpooledTemporaryFile", lambda _: full
        )
        with pytest.raises(WorkerDiskError, match=f"temporary folder {tempfile.gettempdir()} is full"):
            read(engine, "SELECT 1 AS a")


@on_both_postgres_drivers
@pytest.mark.parametrize(
    ("sql", "sent"),
    [
        ("'e1'::e", '"e1"'),
        ("ARRAY['e1','e2',NULL]::e[]", '["e1","e2",null]'),
        ("'10.0.0.1'::inet", '"10.0.0.1"'),
        ("'10.0.0.0/8'::cidr", '"10.0.0.0/8"'),
        ("1234.50::money", "PostgreSQL's type money; cast it in the query"),
        ("ROW(1, 'a')::c", "PostgreSQL's type c; cast it in the query"),
        ("ARRAY[ROW(1, 'a')::c]", "PostgreSQL's type c[]; cast it in the query"),
        ("ROW(1, 'a')", "PostgreSQL's type record; cast it in the query"),
        ("'{[1,2]}'::int4multirange", "PostgreSQL's type int4multirange; cast it in the query"),
        ("1.10::d", "1.10"),
        ("'\"x\"=>1'::text", '"\\"x\\"=>1"'),
    ],
)
def test_type_of_postgres_is_sent_as_is_told_or_refused_by_name(engine, warehouse, sql, sent):
    warehouse.execute("CREATE TYPE e AS ENUM ('e1', 'e2')")
    warehouse.execute("CREATE TYPE c AS (a int, b text)")
    warehouse.execute("CREATE DOMAIN d AS numeric(9, 2)")
    _, [(value,)] = read(engine, f"SELECT {sql} AS value")
    if sent.startswith("PostgreSQL"):
        with pytest.raises(InvalidEventError, match=re.escape(sent)):
            lossless_json.to_json_value(value, "value")
    else:
        assert lossless_json.encode(lossless_json.to_json_value(value, "value")).decode() == sent
