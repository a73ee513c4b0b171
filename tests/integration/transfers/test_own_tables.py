"""Tables that a user made for a pull: what fits is loaded right, what doesn't is refused before the first request."""

from __future__ import annotations

import datetime as dt
import json
import os
from typing import Any

import pytest

from airflow_provider_sequence.api.resources import USAGE_EVENTS
from airflow_provider_sequence.api.windows import Window
from airflow_provider_sequence.exceptions import SequenceConfigurationError, WarehouseError
from airflow_provider_sequence.hooks.sql_engine import create_sql_engine
from airflow_provider_sequence.pipelines.pull.pipeline import pull
from airflow_provider_sequence.warehouse.engine import connect
from airflow_provider_sequence.warehouse.staging import keys_of_window
from tests.integration.support.databases import Warehouse, on, on_both_postgres_drivers, on_postgres
from tests.integration.support.values import error_text, utc
from tests.support import account
from tests.support.account import Account

START = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
DAY = Window(START, START + dt.timedelta(days=1))
TYPES = {
    "id": "TEXT PRIMARY KEY",
    "customer_event_id": "TEXT",
    "customer_alias": "TEXT",
    "event_type": "TEXT",
    "event_timestamp": "TIMESTAMP WITH TIME ZONE",
    "event_properties": "TEXT",
    "_extra": "TEXT",
    "_loaded_at": "TIMESTAMP WITH TIME ZONE",
}
_item = account.item


@pytest.fixture
def sequence(monkeypatch: pytest.MonkeyPatch) -> Account:
    """Four events, from midnight on; ids are UUIDs, as Sequence's."""

    def item(number: int, time: dt.datetime) -> Any:
        return _item(number, time) | {"id": f'"00000000-0000-7000-8000-{number:012}"'.encode()}

    monkeypatch.setattr(account, "item", item)
    return Account([START + dt.timedelta(hours=6 * n) for n in range(4)])


def create(warehouse: Warehouse, more: str = "", end: str = "", **types: str | None) -> None:
    columns = [f"{name} {kind}" for name, kind in (TYPES | types).items() if kind is not None]
    warehouse.execute(f"CREATE TABLE staged ({', '.join([*columns, *filter(None, [more])])}) {end}")


def load(sequence: Account, table: str = "staged") -> int:
    return pull(sequence, USAGE_EVENTS, create_sql_engine("warehouse"), table, window=DAY).loaded


def set_session(monkeypatch: pytest.MonkeyPatch, options: str) -> None:
    fields = json.loads(os.environ["AIRFLOW_CONN_WAREHOUSE"])
    fields["extra"] = fields.get("extra", {}) | {"options": options}
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(fields))


COMPOSITE = "PRIMARY KEY (id, event_timestamp)"
FITS: dict[str, dict[str, Any]] = {
    "uuid": {"id": "uuid PRIMARY KEY"},
    "enum": {"event_type": "kind"},
    "varchar": {"id": "varchar(36) PRIMARY KEY", "customer_alias": "varchar(4)"},
    "json": {"event_properties": "json", "_extra": "jsonb"},
    "times as text": {"event_timestamp": "text", "_loaded_at": "text"},
    "columns of the user's": {
        "more": "at timestamptz NOT NULL DEFAULT now(), n int GENERATED ALWAYS AS IDENTITY,"
        " day text GENERATED ALWAYS AS (customer_alias || '!') STORED, odd bigserial NOT NULL"
    },
    "key of two columns": {"id": "text", "more": COMPOSITE},
    "partitions": {"id": "uuid", "more": COMPOSITE, "end": "PARTITION BY RANGE (event_timestamp)"},
    "unique of two columns": {
        "id": "text NOT NULL",
        "event_timestamp": "timestamptz NOT NULL",
        "more": "UNIQUE (event_timestamp, id)",
    },
}


@on_both_postgres_drivers
@pytest.mark.parametrize("shape", FITS)
def test_table_of_the_users_own_that_fits(shape, sequence, warehouse, monkeypatch):
    set_session(monkeypatch, "-c timezone=America/New_York")
    warehouse.execute("CREATE TYPE kind AS ENUM ('call')")
    create(warehouse, **FITS[shape])
    if "PARTITION" in FITS[shape].get("end", ""):
        warehouse.execute("CREATE TABLE part PARTITION OF staged DEFAULT")

    assert [load(sequence), load(sequence)] == [4, 4]
    stored = warehouse.rows("SELECT customer_event_id, event_timestamp FROM staged ORDER BY 1")
    assert [name for name, _ in stored] == ["e-0", "e-1", "e-2", "e-3"]
    assert utc(stored[1][1]) == START + dt.timedelta(hours=6)


@on_both_postgres_drivers
@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata", "UTC"])
def test_times_without_a_zone_are_utc_in_any_session(zone, sequence, warehouse, monkeypatch):
    set_session(monkeypatch, f"-c timezone={zone}")
    create(warehouse, event_timestamp="timestamp", _loaded_at="date")
    load(sequence)

    stored = warehouse.rows("SELECT event_timestamp::text, _loaded_at FROM staged ORDER BY 1")
    assert [time for time, _ in stored] == [f"2026-03-01 {hour:02}:00:00" for hour in (0, 6, 12, 18)]
    assert stored[0][1] == dt.datetime.now(dt.UTC).date()
    with connect(create_sql_engine("warehouse")) as connection:
        half = (START, START + dt.timedelta(hours=12))
        assert len(list(keys_of_window(connection, "staged", "event_timestamp", half))) == 2


@on_postgres
def test_row_of_a_table_with_two_columns_in_its_key_is_replaced_though_the_other_changed(sequence, warehouse):
    create(warehouse, id="text", more=COMPOSITE)
    load(sequence)
    warehouse.execute("UPDATE staged SET event_timestamp = event_timestamp + interval '1 day'")
    load(sequence)

    assert warehouse.rows("SELECT count(*), max(event_timestamp) FROM staged")[0][0] == 4


@on_postgres
@pytest.mark.parametrize(("key", "size"), [("PRIMARY KEY (id)", 5_000), (COMPOSITE, 200_000)])
def test_time_of_a_pull_does_not_grow_with_the_table(key, size, sequence, warehouse):
    """Nothing reads the whole table, also not after the commit."""
    create(warehouse, id="text", more=key)
    warehouse.execute(
        "INSERT INTO staged (id, event_timestamp) SELECT i::text, timestamptz '2025-01-01' + i * interval '1 s'"
        f" FROM generate_series(1, {size}) i"
    )
    warehouse.execute("ANALYZE staged")
    scans = "SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'staged'"
    before = warehouse.rows(scans)
    load(sequence)
    load(sequence)
    assert warehouse.rows(scans) == before
    assert warehouse.rows("SELECT count(*) FROM staged") == [(size + 4,)]


NO_KEY = "no unique or exclusion constraint"
REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "column NOT NULL": ("column owner is NOT NULL", {"more": "owner text NOT NULL"}),
    "generated": ("customer_alias", {"customer_alias": "text GENERATED ALWAYS AS ('x') STORED"}),
    "no key": (NO_KEY, {"id": "text"}),
    "deferrable key": ("deferrable", {"id": "text PRIMARY KEY DEFERRABLE"}),
    "key of another": (NO_KEY, {"id": "text", "customer_event_id": "text PRIMARY KEY"}),
    "key with a column that is not filled": (
        NO_KEY,
        {"id": "text", "more": "n int DEFAULT 1, PRIMARY KEY (id, n)"},
    ),
    "time": ("column event_timestamp", {"event_timestamp": "integer"}),
    "json": ("column event_properties", {"event_properties": "integer"}),
    "no _extra": ("no column _extra", {"_extra": None}),
}


@on_both_postgres_drivers
@pytest.mark.parametrize("shape", REFUSED)
def test_table_that_can_take_no_row_is_refused_before_the_first_request(shape, sequence, warehouse):
    words, options = REFUSED[shape]
    create(warehouse, **options)
    with pytest.raises(SequenceConfigurationError, match=words):
        load(sequence)
    assert sequence.requests_sent == 0


@on("sqlite")
@pytest.mark.parametrize(
    ("words", "options"),
    [
        ("column owner is NOT NULL", {"more": "owner TEXT NOT NULL"}),
        ("generated column", {"customer_alias": "TEXT GENERATED ALWAYS AS ('x') STORED"}),
        ("ON CONFLICT", {"id": "TEXT"}),
    ],
)
def test_table_of_sqlite_is_refused_before_the_first_request(words, options, sequence, warehouse):
    create(warehouse, **options)
    with pytest.raises(SequenceConfigurationError, match=words):
        load(sequence)
    assert sequence.requests_sent == 0


@on_postgres
@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("x" * 64, "at most 63 characters"),
        ("Staged", "no table Staged, but a table staged"),
        ("postgres.public.staged", "names the database"),
        ("nowhere.staged", "nowhere"),
        ("theirs.staged", "permission denied"),
        ("new", "permission denied"),
        ("public.secured", "row security"),
        ("public.unreadable", "permission denied"),
    ],
)
def test_name_or_rights_that_fail_are_refused_before_the_first_request(
    table, words, sequence, warehouse, monkeypatch
):
    create(warehouse)
    for statement in (
        "DROP ROLE IF EXISTS weak",
        "CREATE ROLE weak",
        "GRANT USAGE ON SCHEMA public TO weak",
        "CREATE TABLE secured (LIKE staged INCLUDING ALL)",
        "ALTER TABLE secured ENABLE ROW LEVEL SECURITY",
        "GRANT ALL ON secured TO weak",
        "CREATE POLICY read ON secured FOR SELECT USING (true)",
        "CREATE TABLE unreadable (LIKE staged INCLUDING ALL)",
        "GRANT INSERT ON unreadable TO weak",
        "CREATE SCHEMA theirs",
    ):
        warehouse.execute(statement)
    set_session(monkeypatch, "-c role=weak")
    try:
        with pytest.raises(SequenceConfigurationError, match=words):
            load(sequence, table)
        assert sequence.requests_sent == 0
        warehouse.execute("CREATE POLICY write ON secured USING (true)")
        assert load(sequence, "secured") == 4
    finally:
        warehouse.execute("DROP OWNED BY weak")
        warehouse.execute("DROP ROLE weak")


@on_both_postgres_drivers
@pytest.mark.parametrize(
    ("words", "options"),
    [
        ("column customer_alias", {"customer_alias": "varchar(2)"}),
        ("column event_type", {"event_type": "kind"}),
        ('check constraint "short"', {"more": "CONSTRAINT short CHECK (customer_alias < 'a')"}),
        ('unique constraint "one"', {"more": "CONSTRAINT one UNIQUE (customer_alias)"}),
    ],
)
def test_value_that_a_column_refuses_is_not_tried_again(words, options, sequence, warehouse):
    warehouse.execute("CREATE TYPE kind AS ENUM ('other')")
    create(warehouse, **options)
    with pytest.raises(WarehouseError, match=words) as caught:
        load(sequence)

    assert caught.value.permanent
    assert "acme" not in str(caught.value)
    assert "call" not in str(caught.value)
    assert warehouse.rows("SELECT * FROM staged") == []


@pytest.mark.parametrize(
    ("warehouse", "way", "sqlstate"),
    [
        ("sqlite", "ABORT", "45000"),
        ("sqlite", "FAIL", "45000"),
        ("sqlite", "ROLLBACK", "45000"),
        ("postgres", "", "P0001"),
    ],
    indirect=["warehouse"],
)
def test_words_of_a_trigger_are_not_told(way, sqlstate, sequence, warehouse):
    create(warehouse)
    warehouse.refuse_rows("staged", "no customer ann@example.org", way)
    with pytest.raises(WarehouseError, match=rf"^\w+: a trigger .* \(SQLSTATE {sqlstate}\)$") as caught:
        load(sequence)

    assert "ann@example.org" not in error_text(caught.value)
    assert warehouse.rows("SELECT count(*) FROM staged") == [(0,)]
