"""Pulls with several threads: they make the same table as a single thread."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from airflow_provider_sequence.api.resources import USAGE_EVENTS
from airflow_provider_sequence.api.timestamps import utc_text
from airflow_provider_sequence.api.windows import Window
from airflow_provider_sequence.exceptions import IncompletePullError, WorkerDiskError
from airflow_provider_sequence.pipelines.pull import scans
from airflow_provider_sequence.pipelines.pull.pipeline import pull
from airflow_provider_sequence.transfers.sequence_to_sql import SequenceToSqlOperator
from tests.integration.support.databases import sqlite_and_postgres
from tests.support.account import Account
from tests.support.account import item as _item

START = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
DAY = Window(START, START + dt.timedelta(days=1))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices of few events."""
    monkeypatch.setattr(scans, "_MIN_SLICE_ITEMS", 50)
    monkeypatch.setattr(scans, "_EXTRA_REQUESTS", 100)


def _raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def times(number: int) -> list[dt.datetime]:
    """More and more of them towards the end of the day, a second after it included."""
    return [START + dt.timedelta(seconds=86401 * (i / (number - 1)) ** 0.3) for i in range(number)]


def rows(warehouse: Any, table: str) -> list[tuple[Any, ...]]:
    columns = "id, customer_event_id, customer_alias, event_type, event_timestamp, event_properties, _extra"
    return warehouse.rows(f"SELECT {columns} FROM {table} ORDER BY id")


def load(account: Any, engine: Any, table: str, concurrency: int, **options: Any) -> Any:
    return pull(account, USAGE_EVENTS, engine, table, window=DAY, concurrency=concurrency, **options)


@sqlite_and_postgres
def test_the_same_table(engine, warehouse):
    account = Account(times(2500))
    one = load(account, engine, "one", 1)
    assert account.requests_sent == one.requests == 25
    many = load(account, engine, "many", 6)
    assert many.requests > 40
    assert rows(warehouse, "many") == rows(warehouse, "one")
    assert len(rows(warehouse, "one")) == one.loaded == many.loaded < 2500
    assert one.read == many.read == many.reported_total == 2500


def test_the_same_table_from_a_sequence(sandbox, sequence_conn, warehouse):
    for number, at in enumerate(times(450)):
        event = {"customerEventId": f"e-{number}", "customerAlias": "acme", "eventType": "call"}
        sandbox.call("POST", "/usage-events", json={**event, "eventTimestamp": utc_text(at)})
    results = [
        SequenceToSqlOperator(
            task_id="pull",
            resource="usage_events",
            table=f"staged_{concurrency}",
            sql_conn_id="warehouse",
            window_start=START,
            window_end=DAY.end,
            concurrency=concurrency,
        ).execute({})
        for concurrency in (1, "4")
    ]
    assert rows(warehouse, "staged_4") == rows(warehouse, "staged_1")
    assert results[0]["requests"] == 5
    assert results[1]["requests"] > 8
    assert results[0]["read"] == results[1]["read"] >= 449  # the last one lies outside


def test_events_that_arrive_meanwhile(engine, warehouse):
    """Those that were there when it began are in the table, whatever comes between."""
    account = Account(times(2000))
    arriving = iter(times(300))

    def arrive(*_: Any) -> None:
        if (time := next(arriving, None)) is not None:
            account.arrive(time)

    load(account, engine, "staged", 5, on_progress=arrive)
    there = {row[0] for row in rows(warehouse, "staged")}
    assert there >= {f"{n:012}" for n, at in enumerate(times(2000)) if at in DAY}
    assert len(there) == len(rows(warehouse, "staged"))


class Forgetful(Account):
    """One that leaves an item out of one page, for as many readings."""

    def __init__(self, *args: Any, readings: int) -> None:
        super().__init__(*args)
        self.left = readings

    def pages(self, *args: Any, **kwargs: Any) -> Any:
        for page in super().pages(*args, **kwargs):
            with self.lock:
                hit = self.left > 0 and any(bytes(item["id"]) == b'"000000001234"' for item in page.items)
                self.left -= hit
            if hit:
                page.items[:] = [item for item in page.items if bytes(item["id"]) != b'"000000001234"']
            yield page


def test_incomplete_slice_is_read_again(engine, warehouse):
    account = Forgetful(times(2000), readings=1)
    summary = load(account, engine, "staged", 5)
    assert summary.read == 2000
    assert "000000001234" in {row[0] for row in rows(warehouse, "staged")}


@pytest.mark.parametrize("concurrency", [1, 5])
def test_incomplete_pull_leaves_the_table_as_it_was(engine, warehouse, concurrency):
    load(Account(times(100)), engine, "staged", 1)
    before = rows(warehouse, "staged")
    with pytest.raises(IncompletePullError):
        load(Forgetful(times(2000), readings=10**6), engine, "staged", concurrency)
    assert rows(warehouse, "staged") == before


@pytest.mark.parametrize("concurrency", [1, 5])
def test_full_disk_ends_the_reading(engine, warehouse, concurrency, monkeypatch):
    account = Account(times(20_000))

    def break_down(*_: Any, **__: Any) -> None:
        raise WorkerDiskError("the disk is full")

    monkeypatch.setattr("airflow_provider_sequence.temp_storage.RowSpool.add", break_down)
    with pytest.raises(WorkerDiskError, match="disk is full"):
        load(account, engine, "staged", concurrency)
    assert account.closed
    assert account.requests_sent < 200
    assert "staged" not in warehouse.tables()


@sqlite_and_postgres
def test_text_keeps_every_character(engine, warehouse, monkeypatch: Any):
    """What the fast way into a database has to write its own way: quotes, ends of lines, marks of NULL."""
    texts = [
        '"',
        '""',
        "'",
        "\\",
        "\\N",
        "\\.",
        "a\nb",
        "a\r\nb",
        "\t",
        ",",
        " ",
        "\u2028",
        "𝕏",
        "é",
        "NULL",
        "\x01",
        "a,\"b\"\n'c'",
    ]

    def written(number: int, time: dt.datetime, plain: Callable[..., Any] = _item) -> Any:
        return plain(number, time) | {
            "customerAlias": _raw(texts[number]),
            "eventProperties": _raw({"t": texts[number]}),
        }

    monkeypatch.setattr("tests.support.account.item", written)
    load(Account(times(len(texts))[: len(texts) - 2] + [START] * 2), engine, "staged", 1)
    loaded = {row[1]: (row[2], row[5]) for row in rows(warehouse, "staged")}
    for number, text in enumerate(texts):
        alias, properties = loaded[f"e-{number}"]
        assert alias == text
        assert (json.loads(properties) if isinstance(properties, str) else properties) == {"t": text}
