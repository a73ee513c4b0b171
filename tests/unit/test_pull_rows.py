"""Mapping of items to rows of the staging table."""

from __future__ import annotations

import datetime as dt
import json
import time
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_sequence.api.pagination import parse_page
from airflow_provider_sequence.api.resource import Resource
from airflow_provider_sequence.api.resources import RESOURCES, SEAT_EVENTS, USAGE_EVENTS, USAGE_METRICS
from airflow_provider_sequence.exceptions import SequenceResponseError
from airflow_provider_sequence.pipelines.pull.rows import (
    EXTRA_COLUMN,
    LOADED_AT_COLUMN,
    ItemMapper,
    staging_columns,
)
from tests.unit.strategies import TEXT, few_examples

NOW = dt.datetime(2024, 5, 1, tzinfo=dt.UTC)
EVENT = {
    "id": '"0184421a-8202-70ea-a729-30308a40bbf7"',
    "customerEventId": '"e-1"',
    "customerAlias": '"acme"',
    "eventType": '"sent"',
    "sequenceAccountId": '"acc"',
    "eventTimestamp": '"2022-10-01T00:00:00Z"',
    "eventProperties": '{"length": 500.10, "type": "text"}',
}


def mapped(resource: Resource, fields: dict[str, str], columns: list[str] | None = None) -> dict[str, Any]:
    """The row that an item of these fields, written as JSON, becomes; by column."""
    item = "{" + ",".join(f"{json.dumps(name)}:{text}" for name, text in fields.items()) + "}"
    [read] = parse_page(f'{{"items":[{item}]}}'.encode()).items
    names = [column.name for column in staging_columns(resource)] if columns is None else columns
    return dict(zip(names, ItemMapper(resource, names, NOW).rows([read])[0], strict=True))


def exact(text: str | None) -> Any:
    return None if text is None else json.loads(text, parse_float=Decimal)


class TestColumns:
    def test_columns_are_the_fields_and_two_more(self):
        for resource in RESOURCES.values():
            columns = staging_columns(resource)
            names = [column.name for column in columns]
            assert names == [field.column for field in resource.fields] + [EXTRA_COLUMN, LOADED_AT_COLUMN]
            assert [column.name for column in columns if column.type == "key"] == ["id"]


class TestRows:
    def test_usage_event(self):
        row = mapped(USAGE_EVENTS, EVENT)
        assert exact(row.pop("event_properties")) == {"length": Decimal("500.10"), "type": "text"}
        assert row == {
            "id": "0184421a-8202-70ea-a729-30308a40bbf7",
            "customer_event_id": "e-1",
            "customer_alias": "acme",
            "event_type": "sent",
            "sequence_account_id": "acc",
            "event_timestamp": dt.datetime(2022, 10, 1, tzinfo=dt.UTC),
            "_extra": None,
            "_loaded_at": NOW,
        }

    def test_seat_event(self):
        row = mapped(SEAT_EVENTS, {"id": '"1"', "seatType": '"admin"', "total": "12"})
        assert (row["seat_type"], row["total"], type(row["total"])) == ("admin", 12, int)

    def test_usage_metric(self):
        fields = {
            "id": '"1"',
            "caseSensitive": "true",
            "propertyFilters": '{"a":["b"]}',
            "createdAt": '"2022-06-28T16:47:00Z"',
        }
        row = mapped(USAGE_METRICS, fields | {"deletedAt": "null"})
        assert row["case_sensitive"] is True
        assert exact(row["property_filters"]) == {"a": ["b"]}
        assert row["created_at"] == dt.datetime(2022, 6, 28, 16, 47, tzinfo=dt.UTC)
        assert row["deleted_at"] is None

    @pytest.mark.parametrize("text", ["1.10", "1E400", "12345678901234567890.12345678901234567890", "-0.0"])
    def test_numbers_keep_every_digit(self, text):
        row = mapped(USAGE_EVENTS, EVENT | {"eventProperties": f'{{"n":{text}}}', "new": text})
        assert f":{text}}}" in row["event_properties"].replace(" ", "")
        assert f":{text}}}" in row["_extra"].replace(" ", "")

    @few_examples
    @given(TEXT)
    def test_text_keeps_every_character(self, text):
        row = mapped(USAGE_EVENTS, EVENT | {"customerAlias": json.dumps(text), "new": json.dumps(text)})
        assert row["customer_alias"] == text
        assert exact(row["_extra"]) == {"new": text}

    def test_undocumented_fields_are_kept(self):
        row = mapped(USAGE_EVENTS, EVENT | {"new": "[1, null]", "newer": '{"a": 1.50}'})
        assert exact(row["_extra"]) == {"new": [1, None], "newer": {"a": Decimal("1.50")}}

    @pytest.mark.parametrize(
        ("resource", "name", "text"),
        [
            (USAGE_EVENTS, "customerAlias", '{"id": 1}'),
            (USAGE_EVENTS, "eventType", "5"),
            (USAGE_EVENTS, "eventTimestamp", '"soon"'),
            (USAGE_EVENTS, "eventTimestamp", "1664582400"),
            (SEAT_EVENTS, "total", "1.5"),
            (SEAT_EVENTS, "total", '"many"'),
            (SEAT_EVENTS, "total", str(2**70)),
            (USAGE_METRICS, "caseSensitive", '"yes"'),
        ],
    )
    def test_value_of_another_type_is_kept_in_extra(self, resource, name, text):
        row = mapped(resource, {"id": '"1"', name: text})
        assert exact(row["_extra"]) == {name: exact(text)}
        column = next(field.column for field in resource.fields if field.name == name)
        assert row[column] is None

    def test_digits_beyond_microseconds_are_kept_in_extra(self):
        row = mapped(USAGE_EVENTS, EVENT | {"eventTimestamp": '"2022-10-01T00:00:00.123456789Z"'})
        assert row["event_timestamp"] == dt.datetime(2022, 10, 1, 0, 0, 0, 123456, dt.UTC)
        assert "2022-10-01T00:00:00.123456789Z" in row["_extra"]

    def test_fields_without_a_column_are_kept_in_extra(self):
        row = mapped(USAGE_EVENTS, EVENT | {"new": "1"}, ["id", "_extra", "_loaded_at"])
        assert row["id"] == exact(EVENT["id"])
        rest = {name: exact(text) for name, text in (EVENT | {"new": "1"}).items() if name != "id"}
        assert exact(row["_extra"]) == rest

    @settings(max_examples=60, deadline=None)
    @given(
        st.dictionaries(
            st.sampled_from([*EVENT, "total", "new", "_extra", "_loaded_at", "id2"]),
            st.recursive(
                st.none() | st.booleans() | st.integers() | TEXT,
                lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("ab"), inner, max_size=2),
                max_leaves=4,
            ),
        )
    )
    def test_every_value_is_kept(self, fields):
        if not isinstance(fields.get("id", "1"), str) or not fields.get("id", "1"):
            with pytest.raises(SequenceResponseError, match="id"):
                mapped(USAGE_EVENTS, EVENT | {name: json.dumps(value) for name, value in fields.items()})
            return
        row = mapped(USAGE_EVENTS, EVENT | {name: json.dumps(value) for name, value in fields.items()})
        extra = exact(row["_extra"]) or {}
        by_field = {field.name: field for field in USAGE_EVENTS.fields}
        for name, value in fields.items():
            if name in extra:
                assert extra[name] == value
            elif by_field[name].type == "timestamp" and value is not None:
                assert row[by_field[name].column] is not None
            elif by_field[name].type == "json" and value is not None:
                assert exact(row[by_field[name].column]) == value
            else:
                assert row[by_field[name].column] == value


ODD = [
    # JSON of a value, and whether PostgreSQL alone has no place for it
    (rb'{"note": "\ud83d"}', True),
    (rb'{"\ude00\ud83d": 1}', True),
    (rb'{"note": "\u0000"}', True),
    (rb'{"n": 1e200000}', True),
    (rb'{"n": 1e-20000}', True),
    (b'{"n": ' + b"9" * 140_000 + b"}", True),
    (b'{"note": "caf\xe9, ]}"}', False),
]


@pytest.mark.parametrize("field", ["eventProperties", "customerAlias", "new"])
@pytest.mark.parametrize(("value", "on_postgres_alone"), ODD, ids=[str(text[:20]) for text, _ in ODD])
def test_value_that_cannot_be_decoded_or_stored_is_kept_as_text(value, on_postgres_alone, field):
    body = b'{"items": [{"id": "1"}, {"id": "2", "%s": %s, "eventType": "a,]"}, {"id": "3"}]}'
    page = parse_page(body % (field.encode(), value))
    names = [column.name for column in staging_columns(USAGE_EVENTS)]
    for holds_all in {False, on_postgres_alone}:
        mapper = ItemMapper(USAGE_EVENTS, names, NOW, holds_nul=holds_all)
        rows = [dict(zip(names, row, strict=True)) for row in mapper.rows(page.items)]
        assert [row["id"] for row in rows] == ["1", "2", "3"]
        assert rows[1]["event_type"] == "a,]"
        if not holds_all:
            assert rows[1]["_extra"] is not None
            assert json.loads(rows[1]["_extra"]) == {field: value.decode(errors="backslashreplace")}
            rows[1]["_extra"].encode()


@pytest.mark.parametrize("end", [b"", b"]", b"}", b'"}}]', b'"}], "pagination": 5}'])
def test_page_that_is_cut_or_no_list_is_no_page_though_a_text_is_odd(end):
    with pytest.raises(msgspec.MsgspecError):
        parse_page(b'{"items": [{"id": "1", "a": "\xff", "b": "' + end)


def test_search_for_long_numbers_is_linear():
    """Else each digit of a run would be the start of a search: half a minute for a megabyte."""
    numbers = msgspec.Raw(b"[" + (b"9" * 4000 + b",") * 100 + b"1]")
    names = [column.name for column in staging_columns(USAGE_EVENTS)]
    started = time.process_time()
    item = {"id": msgspec.Raw(b'"1"'), "eventProperties": numbers}
    ItemMapper(USAGE_EVENTS, names, NOW, holds_nul=False).rows([item])
    assert time.process_time() - started < 1
