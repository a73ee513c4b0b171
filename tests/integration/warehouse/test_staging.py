"""Loads into a staging table of a real database: all or nothing, the last row of each key, every character."""

from __future__ import annotations

import datetime as dt
import json
import multiprocessing
import os
import re
import signal
import threading
import tracemalloc
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from decimal import Decimal
from typing import Any

import pytest

from airflow_provider_sequence.api.pagination import parse_page
from airflow_provider_sequence.api.resources import SEAT_EVENTS, USAGE_EVENTS, USAGE_METRICS
from airflow_provider_sequence.exceptions import SequenceConfigurationError, WarehouseError
from airflow_provider_sequence.hooks.sql_engine import create_sql_engine
from airflow_provider_sequence.pipelines.delivery_log import DeliveryLog
from airflow_provider_sequence.pipelines.pull.rows import ItemMapper, staging_columns
from airflow_provider_sequence.warehouse.engine import connect
from airflow_provider_sequence.warehouse.staging import StagingColumn, StagingLoad
from tests.integration.support.databases import (
    every_database,
    every_driver,
    on_both_postgres_drivers,
    sqlite_and_postgres,
)
from tests.integration.support.values import utc

COLUMNS = [
    StagingColumn("id", "key"),
    StagingColumn("name", "text"),
    StagingColumn("seen_at", "timestamp"),
    StagingColumn("size", "integer"),
    StagingColumn("is_new", "boolean"),
    StagingColumn("facts", "json"),
]
NOON = dt.datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=dt.UTC)
DIGITS = "1234567890123456789012345678.901234567890"  # 40 of them


def row(
    key: str, name: str | None = "ann", size: int | None = 1, facts: str | None = "{}"
) -> tuple[Any, ...]:
    return (key, name, NOON, size, True, facts)


def load(
    engine: Any, rows: Iterable[Sequence[Any]], table: str = "staged", columns: Any = COLUMNS, **options: Any
) -> int:
    rows = list(rows)
    with closing(StagingLoad(engine, table, columns, **options)) as gathered:
        gathered.add(rows, [True] * len(rows))
        return gathered.merge()


@every_driver
def test_table_is_made_when_missing(engine, warehouse):
    assert load(engine, [row("a"), row("b")]) == 2

    assert warehouse.rows("SELECT id, name, size FROM staged ORDER BY id") == [
        ("a", "ann", 1),
        ("b", "ann", 1),
    ]
    assert [utc(at) for (at,) in warehouse.rows("SELECT seen_at FROM staged")] == [NOON, NOON]
    assert [bool(new) for (new,) in warehouse.rows("SELECT is_new FROM staged")] == [True, True]


@sqlite_and_postgres
def test_column_types_are_those_of_the_database(engine, warehouse):
    load(engine, [])

    if warehouse.is_postgres:
        types = warehouse.rows(
            "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'staged'"
        )
        assert dict(types) | {"id": "…"} == {
            "id": "…",
            "name": "text",
            "seen_at": "timestamp with time zone",
            "size": "bigint",
            "is_new": "boolean",
            "facts": "jsonb",
        }
    elif warehouse.is_sqlite:
        types = {name: kind.upper() for _, name, kind, *_ in warehouse.rows("PRAGMA table_info(staged)")}
        assert types["name"] == types["facts"] == "TEXT"


@every_driver
def test_row_with_the_same_key_is_replaced_and_others_stay(engine, warehouse):
    load(engine, [row("a", "old"), row("b", "old")])
    load(engine, [row("b", "new"), row("c", "new")])

    assert warehouse.rows("SELECT id, name FROM staged ORDER BY id") == [
        ("a", "old"),
        ("b", "new"),
        ("c", "new"),
    ]


@every_driver
def test_replaced_row_takes_over_nulls(engine, warehouse):
    load(engine, [row("a", "old", 1, '{"x": 1}')])
    load(engine, [("a", None, None, None, None, None)])

    assert warehouse.rows("SELECT * FROM staged") == [("a", None, None, None, None, None)]


@every_driver
def test_same_load_twice_is_the_same_table(engine, warehouse):
    rows = [row(f"k{i}", f"name {i}", i, f'{{"i": {i}.50}}') for i in range(250)]
    load(engine, rows)
    before = warehouse.rows("SELECT * FROM staged ORDER BY id")
    assert load(engine, rows) == 250

    assert warehouse.rows("SELECT * FROM staged ORDER BY id") == before


@every_database
def test_last_row_of_a_key_wins_within_a_load(engine, warehouse):
    with closing(StagingLoad(engine, "staged", COLUMNS)) as gathered:
        gathered.add([row("a", "first"), row("b"), row("a", "second")], [True, True, True])
        gathered.add([row("a", "third")], [True])
        assert gathered.keys() == 2
        assert gathered.merge() == 2

    assert warehouse.rows("SELECT id, name FROM staged ORDER BY id") == [("a", "third"), ("b", "ann")]


@every_database
@pytest.mark.parametrize("keys", ["dcba", "abcd", "bdac", "aabb", "bbaa", "cabc"])
def test_keys_are_counted_in_whatever_order_they_come(engine, warehouse, keys):
    with closing(StagingLoad(engine, "staged", COLUMNS)) as gathered:
        for number, part in enumerate([keys[:2], keys[2:]]):
            gathered.add(
                [row(key, f"{key}{number}") for key in part], [key != "d" for key in part], number % 2
            )
        assert gathered.keys_by_list() == {0: len(set(keys[:2])), 1: len(set(keys[2:]))}
        assert gathered.keys() == len(set(keys))
        assert gathered.merge() == len(set(keys) - {"d"})
    last = {key: f"{key}{number}" for number, part in enumerate([keys[:2], keys[2:]]) for key in part}
    last.pop("d", None)
    assert dict(warehouse.rows("SELECT id, name FROM staged")) == last


@every_database
def test_rows_that_are_not_kept_are_only_counted(engine, warehouse):
    with closing(StagingLoad(engine, "staged", COLUMNS)) as gathered:
        gathered.add([row("a"), row("outside"), row("b")], [True, False, True])
        assert gathered.keys() == 3
        assert gathered.merge() == 2

    assert warehouse.rows("SELECT id FROM staged ORDER BY id") == [("a",), ("b",)]


@every_database
def test_load_of_no_rows(engine, warehouse):
    assert load(engine, []) == 0
    assert warehouse.rows("SELECT * FROM staged") == []


@every_driver
def test_load_without_merge_leaves_everything_as_it_was(engine, warehouse):
    with closing(StagingLoad(engine, "staged", COLUMNS)) as gathered:
        gathered.add([row("a")], [True])
    assert warehouse.tables() == set()

    load(engine, [row("a", "old")])
    with closing(StagingLoad(engine, "staged", COLUMNS)) as gathered:
        gathered.add([row("a", "new"), row("b")], [True, True])

    assert warehouse.rows("SELECT id, name FROM staged") == [("a", "old")]
    assert warehouse.tables() == {"staged"}


@every_database
def test_rows_are_not_visible_before_the_merge(engine, warehouse):
    load(engine, [row("a", "old")])
    with closing(StagingLoad(engine, "staged", COLUMNS)) as gathered:
        gathered.add([row("a", "new"), row("b")], [True, True])
        assert warehouse.rows("SELECT id, name FROM staged") == [("a", "old")]
        warehouse.execute("UPDATE staged SET size = 7")  # nor does it hold a lock
        gathered.merge()

    assert warehouse.rows("SELECT id, name FROM staged ORDER BY id") == [("a", "new"), ("b", "ann")]


@every_driver
def test_row_that_the_table_refuses_leaves_it_as_it_was(engine, warehouse):
    warehouse.execute(
        "CREATE TABLE staged (id VARCHAR(50) PRIMARY KEY, name TEXT, seen_at TIMESTAMP,"
        " size INTEGER CHECK (size < 100), is_new BOOLEAN, facts TEXT)"
    )
    columns = [column for column in COLUMNS if column.name != "facts"]
    load(engine, [row("a", "old")[:-1]], columns=columns)
    rows = [row(f"k{i}")[:-1] for i in range(300)]
    bad = [row("a", "new")[:-1], *rows, row("z", "ann@example.org", 100)[:-1]]
    with pytest.raises(WarehouseError) as caught:
        load(engine, bad, columns=columns)

    assert warehouse.rows("SELECT id, name FROM staged") == [("a", "old")]
    assert "ann@example.org" not in str(caught.value)


@every_database
def test_failed_load_of_a_missing_table_leaves_no_table(engine, warehouse):
    with pytest.raises((WarehouseError, ValueError, TypeError)):
        load(engine, [row("a"), ("b", "x", "not a time", "no number", True, "{}")])

    assert warehouse.tables() == set()


def test_error_between_two_adds_leaves_the_table_as_it_was(engine, warehouse):
    load(engine, [row("a", "old")])

    def broken_off() -> None:
        with closing(StagingLoad(engine, "staged", COLUMNS)) as gathered:
            gathered.add([row("a", "new")] * 100, [True] * 100)
            raise ConnectionResetError("in the middle")

    with pytest.raises(ConnectionResetError):
        broken_off()

    assert warehouse.rows("SELECT id, name FROM staged") == [("a", "old")]


def load_until_killed() -> None:
    with closing(StagingLoad(create_sql_engine("warehouse"), "staged", COLUMNS)) as gathered:
        gathered.add([row(f"k{i}") for i in range(2000)], [True] * 2000)
        os.kill(os.getpid(), signal.SIGKILL)


@every_database
def test_killed_load_leaves_the_table_as_it_was(engine, warehouse):
    load(engine, [row("a", "old")])
    engine.dispose()
    process = multiprocessing.get_context("fork").Process(
        target=load_until_killed
    )  # has Airflow imported already
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL

    assert warehouse.rows("SELECT id, name FROM staged") == [("a", "old")]
    assert warehouse.tables() == {"staged"}
    assert load(engine, [row("a", "new")]) == 1


@every_driver
def test_numbers_in_json_keep_every_digit(engine, warehouse):
    numbers = [DIGITS, "-0.1000", "1e-7", "12345678901234567890", "0.30000000000000004", "1E+30"]
    load(engine, [row(f"{i}", facts=f'{{"n": {number}}}') for i, number in enumerate(numbers)])

    stored = [text for (text,) in warehouse.rows("SELECT facts FROM staged ORDER BY id")]
    if warehouse.is_postgres:
        back = [json.loads(text, parse_float=Decimal)["n"] for text in stored]
        assert [Decimal(value) for value in back] == [Decimal(number) for number in numbers]
        assert warehouse.rows("SELECT facts ->> 'n' FROM staged WHERE id = '0'") == [(DIGITS,)]
    else:
        assert stored == [f'{{"n": {number}}}' for number in numbers]


@sqlite_and_postgres
def test_integers_of_64_bits(engine, warehouse):
    numbers = [2**63 - 1, -(2**63), 0]
    load(engine, [row(str(place), size=number) for place, number in enumerate(numbers)])

    assert [size for (size,) in warehouse.rows("SELECT size FROM staged ORDER BY id")] == numbers


TEXTS = [
    "",
    " ",
    "\\N",
    "NULL",
    "\\",
    'tab\tquote"comma,back\\slash\\.',
    "line\r\nline\n\nline\r",
    "Zoë Ångström 株式会社 مرحبا",
    "👩🏽‍🚀 \U0010fffd \ufeff \u200b \u0085 \u2028",
    "e\u0301 is not \u00e9",
    "\x01\x07\x7f",
    "'; DROP TABLE staged; --",
    "{}",
    "%s %(a)s :a ?",
    "x" * 100_000,
]


@every_driver
def test_text_keeps_every_character(engine, warehouse):
    load(engine, [row(f"{i:02}", text, facts=json.dumps({text: text})) for i, text in enumerate(TEXTS)])

    stored = warehouse.rows("SELECT name, facts FROM staged ORDER BY id")
    assert [name for name, _ in stored] == TEXTS
    assert [json.loads(facts) for _, facts in stored] == [{text: text} for text in TEXTS]


@every_driver
def test_text_that_comes_alone_keeps_every_character(engine, warehouse):
    texts = [*TEXTS, "]", "],[", '","', '\\"', "\\\\", "\\n", "\\u0041", "null", "true", "#", "\u2028"]
    for i, text in enumerate(texts):
        facts = json.dumps({text: [text]}, ensure_ascii=False)
        load(engine, [row(f"{i:02}-{n}", text, facts=facts) for n in range(2)])

    stored = warehouse.rows("SELECT name, facts FROM staged ORDER BY id")
    assert [name for name, _ in stored] == [text for text in texts for _ in range(2)]
    assert [json.loads(facts) for _, facts in stored] == [{text: [text]} for text in texts for _ in range(2)]


@every_database
def test_keys_are_compared_byte_by_byte(engine, warehouse):
    keys = ["a", "A", "a ", "ä", "a\u0308", "ａ", "ss", "ß", " a"]
    assert load(engine, [row(key) for key in keys]) == len(keys)
    with closing(StagingLoad(engine, "staged", COLUMNS)) as gathered:
        gathered.add([row(key) for key in keys], [True] * len(keys))
        assert (gathered.keys(), gathered.merge()) == (len(keys), len(keys))

    assert sorted(key for (key,) in warehouse.rows("SELECT id FROM staged")) == sorted(keys)


@every_driver
def test_keys_keep_every_character(engine, warehouse):
    keys = [text for text in TEXTS if len(text) < 1000]
    assert load(engine, [row(key) for key in keys]) == len(keys)
    assert load(engine, [row(key) for key in keys]) == len(keys)

    assert sorted(key for (key,) in warehouse.rows("SELECT id FROM staged")) == sorted(keys)


@every_driver
def test_times_are_the_same_instant_whatever_their_zone(engine, warehouse):
    there = NOON.astimezone(dt.timezone(dt.timedelta(hours=-9, minutes=-30)))
    first, last = (
        dt.datetime(1, 1, 2, tzinfo=dt.UTC),
        dt.datetime(9999, 12, 30, 23, 59, 59, 999999, tzinfo=dt.UTC),
    )
    rows = [(str(i), None, at, None, None, None) for i, at in enumerate((there, first, last))]
    load(engine, rows)

    stored = [utc(at) for (at,) in warehouse.rows("SELECT seen_at FROM staged ORDER BY id")]
    assert stored == [NOON, first, last]


@every_database
@pytest.mark.parametrize("optional_is_there", [True, False])
def test_existing_table_may_lack_an_optional_column(engine, warehouse, optional_is_there):
    more = ", facts TEXT" if optional_is_there else ""
    warehouse.execute(
        "CREATE TABLE staged (id VARCHAR(50) PRIMARY KEY, name TEXT, seen_at TIMESTAMP, size INTEGER, is_new BOOLEAN,"
        f" mine TEXT DEFAULT 'own'{more})"
    )
    columns = [*COLUMNS[:-1], StagingColumn("facts", "json")]
    with closing(StagingLoad(engine, "staged", columns, optional=["facts"])) as gathered:
        names = [column.name for column in gathered.columns]
        assert ("facts" in names) is optional_is_there
        gathered.add([row("a", "new")[: len(names)]], [True])
        assert gathered.merge() == 1

    assert warehouse.rows("SELECT id, name, mine FROM staged") == [("a", "new", "own")]


@every_database
def test_existing_table_must_have_the_other_columns(engine, warehouse):
    warehouse.execute("CREATE TABLE staged (id VARCHAR(50) PRIMARY KEY, name TEXT)")
    warehouse.execute("INSERT INTO staged VALUES ('a', 'old')")
    with pytest.raises(SequenceConfigurationError, match="is_new"):
        load(engine, [row("a")], optional=["facts"])

    assert warehouse.rows("SELECT * FROM staged") == [("a", "old")]


@every_database
def test_existing_table_without_a_unique_key(engine, warehouse):
    warehouse.execute(
        "CREATE TABLE staged (id TEXT, name TEXT, seen_at TIMESTAMP, size INTEGER, is_new BOOLEAN, facts TEXT)"
    )
    columns = COLUMNS[:-1]
    try:
        for _ in range(2):
            load(engine, [row("a")[:-1]], columns=columns)
    except (SequenceConfigurationError, WarehouseError) as error:
        assert re.search(r"unique|key|constraint", str(error), re.IGNORECASE)  # noqa: PT017 - both ends are right
        assert warehouse.rows("SELECT id FROM staged") == []
    else:
        assert warehouse.rows("SELECT id FROM staged") == [("a",)]


@pytest.mark.parametrize(
    "name",
    [
        "staged; DROP TABLE victim",
        'staged" (id TEXT); DROP TABLE victim; --',
        "staged--",
        "staged'",
        "a b",
        "",
        ".staged",
        "staged.",
        "main..staged",
        "a.b.c.d",
        "(SELECT 1)",
        "staged\x00",
        "тable`",
        "1staged",
        "[staged]",
        "`staged`",
        "x" * 200,
    ],
)
def test_name_that_is_no_plain_identifier_is_refused(engine, warehouse, name):
    warehouse.execute("CREATE TABLE victim (id TEXT)")
    with pytest.raises(SequenceConfigurationError):
        load(engine, [row("a")], table=name)

    assert warehouse.tables() == {"victim"}


@every_database
@pytest.mark.parametrize("name", ["order", "Staged_Events", "user", "select", "_x$1"])
def test_name_may_be_a_word_of_sql(engine, warehouse, name):
    load(engine, [row("a")], table=name)
    load(engine, [row("a"), row("b")], table=name)

    (table,) = warehouse.tables()
    assert table.lower() == name.lower()
    quote = warehouse.engine.dialect.identifier_preparer.quote_identifier
    assert warehouse.rows(f"SELECT id FROM {quote(table)} ORDER BY id") == [("a",), ("b",)]


@every_database
def test_table_of_another_schema(engine, warehouse):
    if warehouse.is_postgres:
        warehouse.execute("CREATE SCHEMA billing")
        load(engine, [row("a")], table="billing.staged")
        load(engine, [row("a", "new")], table="billing.staged")
        assert warehouse.tables() == set()
        assert warehouse.rows("SELECT id, name FROM billing.staged") == [("a", "new")]
    elif warehouse.engine.dialect.name == "mysql":
        load(engine, [row("a")], table=f"{warehouse.engine.url.database}.staged")
        assert warehouse.rows("SELECT id FROM staged") == [("a",)]
    else:
        load(engine, [row("a")], table="main.staged")
        load(engine, [row("a", "new")], table="main.staged")
        assert warehouse.rows("SELECT id, name FROM staged") == [("a", "new")]


def run_concurrently(*works: Any) -> list[Any]:
    """Call functions at the same time; all of them start together."""
    ready = threading.Barrier(len(works), timeout=30)

    def start(work: Any) -> Any:
        ready.wait()
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        return [future.result(60) for future in [pool.submit(start, work) for work in works]]


@sqlite_and_postgres
def test_two_loads_of_a_missing_table_at_the_same_time(engine, warehouse):
    for number in range(5):
        table = f"staged_{number}"
        halves = [[row(f"{half}{i}") for i in range(200)] for half in "ab"]
        results = run_concurrently(*[lambda rows=rows: load(engine, rows, table) for rows in halves])  # noqa: B023

        assert results == [200, 200]
        assert warehouse.rows(f"SELECT count(*) FROM {table}") == [(400,)]


@sqlite_and_postgres
def test_two_loads_of_the_same_rows_at_the_same_time(engine, warehouse):
    rows = [row(f"{i:05}") for i in range(1500)]
    load(engine, rows)
    for _ in range(2):
        assert run_concurrently(lambda: load(engine, rows), lambda: load(engine, reversed(rows))) == [
            1500,
            1500,
        ]

    assert warehouse.rows("SELECT count(*) FROM staged") == [(1500,)]


@every_database
def test_memory_does_not_grow_with_the_rows(engine, warehouse):
    def peak(number: int) -> int:
        tracemalloc.start()
        try:
            with closing(StagingLoad(engine, f"staged_{number}", COLUMNS)) as gathered:
                for start in range(0, number, 500):
                    gathered.add((row(f"{i:09}", "x" * 100) for i in range(start, start + 500)), [True] * 500)
                assert gathered.merge() == number
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(500)  # what is made once
    assert peak(10_000) < 1.5 * peak(1500) + 500_000


def items(*texts: str) -> list[Any]:
    return parse_page(f'{{"items": [{", ".join(texts)}], "pagination": {{}}}}'.encode()).items


def load_items(engine: Any, resource: Any, *texts: str) -> int:
    columns = staging_columns(resource)
    names = [column.name for column in columns]
    mapper = ItemMapper(resource, names, NOON, holds_nul=engine.dialect.name != "postgresql")
    return load(engine, mapper.rows(items(*texts)), columns=columns)


@every_driver
def test_fields_that_nobody_documented_are_kept(engine, warehouse):
    load_items(
        engine,
        USAGE_EVENTS,
        '{"id": "1", "customerEventId": "e", "customerAlias": "acme", "eventType": "call", "sequenceAccountId": "s",'
        f' "eventTimestamp": "2026-03-01T12:00:00.123456Z", "eventProperties": {{"n": {DIGITS}}},'
        f' "new": {{"deep": [{DIGITS}, null, "ü"]}}, "flag": false}}',
        '{"id": "2", "customerAlias": "acme", "eventType": "call"}',
    )

    (first, second) = warehouse.rows(
        "SELECT customer_event_id, customer_alias, event_type, event_timestamp, event_properties, _extra, _loaded_at"
        " FROM staged ORDER BY id"
    )
    assert first[:3] == ("e", "acme", "call")
    assert utc(first[3]) == NOON
    assert json.loads(first[4], parse_float=Decimal) == {"n": Decimal(DIGITS)}
    extra = {"new": {"deep": [Decimal(DIGITS), None, "ü"]}, "flag": False}
    assert json.loads(first[5], parse_float=Decimal) == extra
    assert utc(first[6]) == NOON
    assert second[:5] == (None, "acme", "call", None, None)
    assert second[5] is None or json.loads(second[5]) == {}


@every_database
def test_field_of_an_unexpected_type_is_kept(engine, warehouse):
    load_items(
        engine,
        SEAT_EVENTS,
        '{"id": "1", "customerAlias": {"now": "an object"}, "eventTimestamp": "some day", "total": "twelve"}',
        '{"id": "2", "customerAlias": "acme", "total": 12.5}',
        '{"id": "3", "customerAlias": "acme", "total": 99999999999999999999999}',
    )

    stored = warehouse.rows("SELECT customer_alias, event_timestamp, total, _extra FROM staged ORDER BY id")
    kept = [json.loads(extra, parse_float=Decimal) for *_, extra in stored]
    assert kept[0]["customerAlias"] == {"now": "an object"} or json.loads(stored[0][0]) == {
        "now": "an object"
    }
    assert kept[0]["eventTimestamp"] == "some day"
    assert kept[0]["total"] == "twelve"
    assert kept[1]["total"] == Decimal("12.5")
    assert kept[2]["total"] == 99999999999999999999999
    assert [total for _, _, total, _ in stored] == [None, None, None]


@every_driver
def test_characters_that_no_database_text_can_hold_are_not_the_end_of_a_load(engine, warehouse):
    load_items(
        engine,
        USAGE_EVENTS,
        r'{"id": "1", "customerAlias": "a\u0000b", "eventProperties": {"x": "nul \u0000 here"}, "more": "\u0000"}',
        r'{"id": "2", "customerAlias": "b", "eventProperties": {"x\u0000y": "and in a name"}}',
        r'{"id": "3", "customerAlias": "\ud83d", "eventProperties": {"x": "half \ud83d"}, "\ud83d": "\ude00"}',
        r'{"id": "4", "eventProperties": {"x": 1e200000, "y": 1e-20000}, "more": [1e200000]}',
        r'{"id": "5", "eventProperties": {"x": 1e131071, "y": 1e-16383, "z": "\ud83d\ude00"}}',
        '{"id": "6", "eventProperties": {"x": ' + 5000 * "[" + 5000 * "]" + "}}",
    )

    assert warehouse.rows("SELECT count(*) FROM staged") == [(6,)]


@every_database
def test_metrics_have_columns_of_their_own(engine, warehouse):
    load_items(
        engine, USAGE_METRICS, '{"id": "1", "name": "Calls", "eventType": "call", "aggregationType": "COUNT"}'
    )

    assert warehouse.rows("SELECT name, event_type, aggregation_type FROM staged") == [
        ("Calls", "call", "COUNT")
    ]


@on_both_postgres_drivers
def test_columns_with_a_collation_of_their_own(engine, warehouse):
    """SQLAlchemy 2.1 reads such a column's collation by the connection's own JSON loader."""
    warehouse.execute(
        'CREATE TABLE staged (id TEXT COLLATE "C" PRIMARY KEY, name TEXT COLLATE "C", seen_at TIMESTAMPTZ,'
        " size BIGINT, is_new BOOLEAN, facts JSONB)"
    )
    for _ in range(2):
        with closing(StagingLoad(engine, "staged", COLUMNS)) as load:
            load.add([("a", "ann", None, 1, True, "{}")], [True])
            load.merge()
    assert warehouse.rows("SELECT id, name FROM staged") == [("a", "ann")]
    with connect(engine) as connection:
        DeliveryLog(connection, "deliveries", account="a", resource="usage_events", task={})
    warehouse.execute('ALTER TABLE deliveries ALTER COLUMN customer_event_id TYPE TEXT COLLATE "C"')
    with connect(engine) as connection:
        DeliveryLog(connection, "deliveries", account="a", resource="usage_events", task={})
