"""Mapping of rows to events: required fields, derived ids, timestamps, and bodies that keep every value exactly."""

# ruff: noqa: DTZ001 - times without a zone are test data here

from __future__ import annotations

import datetime as dt
import json
import math
import traceback
import uuid
import zoneinfo
from decimal import Decimal
from typing import Any

import msgspec
import pendulum
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_sequence.api.event_ids import EVENT_NAMESPACE, event_id_from_key
from airflow_provider_sequence.api.event_mapper import EventMapper, make_event
from airflow_provider_sequence.api.events import SEAT_EVENT, USAGE_EVENT, VOID_EVENT, Event
from airflow_provider_sequence.api.timestamps import parse_timezone
from airflow_provider_sequence.exceptions import InvalidEventError, SequenceConfigurationError, SequenceError
from tests.unit.events import SEAT, USAGE, seat_event, usage_event
from tests.unit.strategies import few_examples

KINDS = {USAGE_EVENT.name: (USAGE_EVENT, USAGE), SEAT_EVENT.name: (SEAT_EVENT, SEAT)}
API_NAMES = {
    "customer_event_id": "customerEventId",
    "customer_alias": "customerAlias",
    "event_type": "eventType",
    "seat_type": "seatType",
    "event_timestamp": "eventTimestamp",
    "total": "total",
}
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")

#: Text with a character of each plane now and then.
CHARACTERS = st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from("aé€\U0001f600\U000e0041\U0010fffd\x00")
)
FULL = CHARACTERS.filter(str.strip)


def content(event: Event) -> dict[str, Any]:
    """The body, with exact numbers; the same name twice is an error."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs), f"a name comes twice: {pairs}"
        return dict(pairs)

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    return json.loads(
        event.body.decode("utf-8"),
        parse_float=Decimal,
        parse_int=int,
        parse_constant=refuse,
        object_pairs_hook=unique,
    )


def properties(event: Event) -> dict[str, Any]:
    return content(event).get("eventProperties", {})


def sent_time(value: Any, timezone: dt.tzinfo | str = dt.UTC) -> str:
    return content(usage_event(timezone=timezone, event_timestamp=value))["eventTimestamp"]


def key(*values: Any, zone: dt.tzinfo = dt.UTC) -> str:
    return event_id_from_key(values, [f"column_{i}" for i in range(len(values))], zone)


class TestBody:
    def test_usage_event(self):
        event = usage_event(length=500, type="text_message")
        assert event.id == "e-1"
        assert content(event) == {
            "customerEventId": "e-1",
            "customerAlias": "acme",
            "eventType": "sent",
            "eventTimestamp": "2024-01-01T00:00:00Z",
            "eventProperties": {"length": 500, "type": "text_message"},
        }

    def test_seat_event(self):
        event = seat_event()
        assert event.id == "s-1"
        assert content(event) == {
            "customerEventId": "s-1",
            "customerAlias": "acme",
            "seatType": "admin",
            "eventTimestamp": "2024-01-01T00:00:00Z",
            "total": 3,
        }

    def test_body_of_a_row_is_deterministic(self):
        """The delivery log compares rows by their bodies."""
        row = {"b": Decimal("1.10"), "a": {"z": 1, "y": [True, None]}, "ü": "é"}
        assert usage_event(**row).body == usage_event(**row).body

    @pytest.mark.parametrize(("value", "text"), [(5, "5"), (uuid.UUID(int=1), str(uuid.UUID(int=1)))])
    def test_integers_and_uuids_become_text(self, value, text):
        event = usage_event(value, customer_alias=value, event_type=value)
        assert [content(event)[name] for name in ("customerEventId", "customerAlias", "eventType")] == [
            text
        ] * 3

    @pytest.mark.parametrize("value", [1.5, True, b"x", ["x"], {"x": 1}])
    def test_value_of_another_type_is_refused_as_text(self, value):
        for column in ("customer_alias", "event_type", "customer_event_id"):
            with pytest.raises(InvalidEventError) as caught:
                make_event(USAGE_EVENT, USAGE | {column: value})
            assert caught.value.field in {column, API_NAMES[column]}

    @few_examples
    @given(FULL.filter(lambda key: "\0" not in key), FULL, FULL)
    def test_text_keeps_every_character(self, key, alias, kind):
        event = usage_event(key, customer_alias=alias, event_type=kind)
        body = content(event)
        assert (body["customerEventId"], body["customerAlias"], body["eventType"]) == (key, alias, kind)
        assert event.id == key

    def test_alias_that_voids_is_refused_by_name(self):
        for make in (usage_event, seat_event):
            with pytest.raises(
                InvalidEventError, match=r"customerAlias: is VOID.*SequenceVoidUsageEventsOperator"
            ):
                make(customer_alias="VOID")
        assert content(usage_event(customer_alias="void"))["customerAlias"] == "void"
        assert content(make_event(VOID_EVENT, USAGE | {"customer_alias": "VOID"}))["customerAlias"] == "VOID"

    def test_id_with_a_null_character_is_refused(self):
        with pytest.raises(InvalidEventError, match=r"U\+0000"):
            usage_event("a\0b")

    def test_event_is_immutable(self):
        with pytest.raises(AttributeError):
            usage_event().id = "another"


class TestRequiredFields:
    @pytest.mark.parametrize("blank", [None, "", "   "])
    def test_blank_field_is_refused(self, blank):
        for kind, row in KINDS.values():
            for column in row:
                with pytest.raises(InvalidEventError) as caught:
                    make_event(kind, row | {column: blank})
                assert caught.value.field in {column, API_NAMES[column]}
                assert caught.value.reason

    @pytest.mark.parametrize("name", KINDS)
    def test_missing_column_is_named_with_the_columns_of_the_query(self, name):
        kind, row = KINDS[name]
        for column in row.keys() - {"customer_event_id"}:
            given = [name for name in row if name != column] + ["something_else"]
            with pytest.raises(SequenceConfigurationError, match=rf"\b{column}\b") as caught:
                EventMapper(kind, given)
            assert all(name in str(caught.value) for name in given)

    @pytest.mark.parametrize("kind", KINDS)
    def test_event_without_an_id_is_refused(self, kind):
        kind, row = KINDS[kind]
        with pytest.raises(SequenceConfigurationError) as caught:
            EventMapper(kind, [name for name in row if name != "customer_event_id"])
        message = str(caught.value)
        assert "customer_event_id" in message
        assert "event_key" in message
        assert "retry" in message
        assert "billed twice" in message

    def test_id_column_and_event_key_together_are_refused(self):
        with pytest.raises(SequenceConfigurationError, match="event_key") as caught:
            EventMapper(USAGE_EVENT, [*USAGE], event_key=["customer_alias"])
        assert "customer_event_id" in str(caught.value)

    def test_mapped_id_column_and_event_key_together_are_refused(self):
        names = ["our_id", *[name for name in USAGE if name != "customer_event_id"]]
        with pytest.raises(SequenceConfigurationError, match="event_key"):
            EventMapper(
                USAGE_EVENT, names, columns={"customer_event_id": "our_id"}, event_key=["customer_alias"]
            )

    @pytest.mark.parametrize("empty", [[], ()])
    def test_empty_event_key_is_refused(self, empty):
        """All rows would have one id."""
        with pytest.raises(SequenceConfigurationError):
            EventMapper(USAGE_EVENT, ["customer_alias", "event_type", "event_timestamp"], event_key=empty)

    @pytest.mark.parametrize(
        ("value", "total"),
        [(0, 0), (5, 5), (Decimal("5.00"), 5), (5.0, 5), (2**70, 2**70), (Decimal(10) ** 20, 10**20)],
    )
    def test_total_is_a_whole_number(self, value, total):
        body = seat_event(total=value).body
        assert json.loads(body, parse_float=pytest.fail)["total"] == total
        assert f'"total":{total}'.encode() in body.replace(b" ", b"")

    @pytest.mark.parametrize("value", [5.5, Decimal("5.01"), True, "many", math.nan, b"5"])
    def test_total_of_another_type_is_refused(self, value):
        with pytest.raises(InvalidEventError) as caught:
            seat_event(total=value)
        assert caught.value.field == "total"


class TestId:
    def test_whole_number_is_its_digits(self):
        assert usage_event(70).id == "70"

    @pytest.mark.parametrize("value", [Decimal("7.00"), 7.0, True])
    def test_number_of_another_type_is_refused(self, value):
        with pytest.raises(InvalidEventError, match=r"customerEventId: is of type .* cast it in the query"):
            usage_event(value)


class TestDerivedId:
    """Ids derived from key columns. The ids pinned here must never change: events are billed by them."""

    @pytest.mark.parametrize(
        ("values", "pinned"),
        [
            (("a", "bc"), "b5bb0b2c-8b1a-540a-b374-6f9bbe8b5f5f"),
            (("ab", "c"), "73192f1f-17c3-59c1-91f0-4ba4b26c5fa3"),
            (("x",), "09163880-4edc-56e3-9ca6-b88ca16022c9"),
            (("",), "79b05606-c924-5c78-ae26-7e6a708f94c2"),
            (("é",), "2f665ba5-d395-5f44-a951-7f7610297e21"),
            (("e\u0301",), "213a5249-e1ec-5088-8f59-0162ba72b2be"),
            ((1,), "899ec29a-e8ac-5a2b-bf1e-b458d28dbdc9"),
            ((0,), "1f010721-cd44-54d6-bd6b-a2f7fbc5d06f"),
            ((1000,), "8eeb61e1-21e7-5d9b-9a40-260e2166efd6"),
            ((Decimal("0.1"),), "9e563174-c7ec-57ab-b925-004dc34b07a3"),
            ((10**22,), "b4e5b8ae-59c6-5e3e-8899-a0a608d7026f"),
            ((True,), "211def77-c1d9-5e73-b073-c66bfd212715"),
            ((dt.date(2024, 1, 1),), "f21d44bd-5d1a-5cc7-855d-2fbc047ccb4b"),
            ((dt.datetime(2024, 1, 1, tzinfo=dt.UTC),), "c1590d5c-5b08-5c4d-8ab7-11895a55d457"),
            ((uuid.UUID(int=1),), "1ee1728b-8ef8-5681-8a75-0c2d14f0b93d"),
        ],
        ids=repr,
    )
    def test_id_never_changes(self, values, pinned):
        assert key(*values) == pinned

    def test_namespace_never_changes(self):
        assert str(EVENT_NAMESPACE) == "8f0c6d1e-52f5-5c53-9d0e-6a3a4e0f9b27"

    def test_id_of_a_row_never_changes(self):
        mapper = EventMapper(
            USAGE_EVENT,
            ["customer_alias", "event_type", "event_timestamp", "day", "region", "n"],
            event_key=["customer_alias", "day", "n"],
        )
        row = [
            "acme",
            "api-call",
            dt.datetime(2024, 2, 29, 12, tzinfo=dt.UTC),
            dt.date(2024, 2, 29),
            "eu",
            Decimal("3.50"),
        ]
        event = mapper(row)
        assert (
            event.id == content(event)["customerEventId"] == key("acme", dt.date(2024, 2, 29), Decimal("3.5"))
        )
        assert event.id == PINNED_ROW

    @few_examples
    @given(st.lists(CHARACTERS | st.integers() | st.booleans() | st.dates(), min_size=1, max_size=4))
    def test_id_is_a_uuid_of_version_5(self, values):
        made = uuid.UUID(key(*values))
        assert (made.version, made.variant) == (5, uuid.RFC_4122)
        assert str(made) == key(*values)

    @pytest.mark.parametrize(
        "same",
        [
            [1, 1.0, Decimal(1), Decimal("1.00"), Decimal("0.1E+1")],
            [0, 0.0, -0.0, Decimal("0.000"), Decimal("-0")],
            [1000, 1e3, Decimal("1E+3"), Decimal("1000.0")],
            [Decimal("0.10"), 0.1, Decimal("1E-1")],
            [10**22, 1e22, Decimal("1E+22")],
            [-5, -5.0, Decimal("-5.0")],
            [2**53 + 1, Decimal(2**53 + 1), Decimal(f"{2**53 + 1}.000")],
            [Decimal("1e-30"), Decimal("0.000000000000000000000000000001000")],
            [
                Decimal("12345678901234567890123456789012345678901234567890.10"),
                Decimal("12345678901234567890123456789012345678901234567890.1"),
            ],
        ],
        ids=lambda same: str(same[0]),
    )
    def test_numbers_are_compared_by_value(self, same):
        assert len({key(value) for value in same}) == 1

    @few_examples
    @given(st.decimals(allow_nan=False, allow_infinity=False), st.integers(0, 30))
    def test_id_does_not_depend_on_the_scale_of_a_decimal(self, number, zeros):
        sign, digits, exponent = number.as_tuple()
        rescaled = Decimal((sign, digits + (0,) * zeros, exponent - zeros))
        assert rescaled == number
        assert key("a", rescaled) == key("a", number)

    @few_examples
    @given(
        st.decimals(allow_nan=False, allow_infinity=False), st.decimals(allow_nan=False, allow_infinity=False)
    )
    def test_different_numbers_have_different_ids(self, one, other):
        assert (key(one) == key(other)) == (one == other)

    @few_examples
    @given(st.integers(-(10**50), 10**50))
    def test_big_integers_are_not_rounded(self, number):
        assert key(number) == key(Decimal(number))
        assert key(number) != key(number + 1)

    @few_examples
    @given(st.datetimes(dt.datetime(2, 1, 1), dt.datetime(9998, 1, 1)), st.integers(-14 * 60, 14 * 60))
    def test_times_are_compared_by_instant(self, time, minutes):
        in_utc = time.replace(tzinfo=dt.UTC)
        elsewhere = in_utc.astimezone(dt.timezone(dt.timedelta(minutes=minutes)))
        assert key(elsewhere) == key(in_utc) == key(time)
        assert key(in_utc) != key(in_utc + dt.timedelta(microseconds=1))

    def test_time_without_a_zone_is_read_in_the_given_zone(self):
        naive = dt.datetime(2024, 7, 1, 12)
        assert key(naive, zone=BERLIN) == key(dt.datetime(2024, 7, 1, 10, tzinfo=dt.UTC)) != key(naive)

    @few_examples
    @given(st.lists(CHARACTERS, min_size=1, max_size=4), st.lists(CHARACTERS, min_size=1, max_size=4))
    def test_different_texts_have_different_ids(self, one, other):
        assert (key(*one) == key(*other)) == (one == other)

    @few_examples
    @given(st.text('ab",[]\\ \x00\x1f|:;/', max_size=8), st.integers(0, 8))
    def test_boundary_between_columns_matters(self, text, at):
        """ "a", "bc" and "ab", "c" are two keys, with any separator that a text may hold."""
        at = min(at, len(text))
        cuts = {key(text[:i], text[i:]) for i in range(len(text) + 1)}
        assert len(cuts) == len(text) + 1
        assert key(text) not in cuts
        assert key(text[:at], text[at:]) in cuts

    def test_order_of_the_key_columns_matters(self):
        assert key("a", "b") != key("b", "a")

    def test_order_and_names_of_the_query_columns_do_not_matter(self):
        values = USAGE | {"x": "1", "y": "2"}
        del values["customer_event_id"]
        there, back = list(values), list(reversed(values))
        renamed = [{"x": "x2", "y": "y2"}.get(name, name) for name in there]
        mapped = [
            EventMapper(USAGE_EVENT, there, event_key=["x", "y"])([values[n] for n in there]).id,
            EventMapper(USAGE_EVENT, back, event_key=["x", "y"])([values[n] for n in back]).id,
            EventMapper(USAGE_EVENT, renamed, event_key=["x2", "y2"])([values[n] for n in there]).id,
        ]
        assert set(mapped) == {key("1", "2")}
        assert EventMapper(USAGE_EVENT, there, event_key=["y", "x"])([values[n] for n in there]).id == key(
            "2", "1"
        )

    def test_case_of_a_key_column_does_not_matter(self):
        values = USAGE | {"x": "1", "X": "2"}
        del values["customer_event_id"]
        without = [name for name in values if name != "X"]
        mapped = {
            wanted: EventMapper(USAGE_EVENT, names, event_key=[wanted])([values[n] for n in names]).id
            for wanted, names in (("x", list(values)), ("X", list(values)))
        }
        assert mapped == {"x": key("1"), "X": key("2")}
        assert EventMapper(USAGE_EVENT, without, event_key=["X"])([values[n] for n in without]).id == key("1")
        with pytest.raises(SequenceConfigurationError, match="may be Yy or YY"):
            EventMapper(USAGE_EVENT, [*without, "Yy", "YY"], event_key=["yy"])

    def test_other_columns_do_not_matter(self):
        """A corrected row supersedes the wrong one."""
        names = ["customer_alias", "event_type", "event_timestamp", "id", "amount"]
        mapper = EventMapper(USAGE_EVENT, names, event_key=["id"])
        before = mapper(["acme", "sent", "2024-01-01T00:00:00Z", 1, 10])
        after = mapper(["acme 2", "sent-2", "2025-01-01T00:00:00Z", 1, 20])
        assert before.id == after.id
        assert before.body != after.body

    def test_key_columns_are_also_properties(self):
        names = ["customer_alias", "event_type", "event_timestamp", "id", "amount"]
        event = EventMapper(USAGE_EVENT, names, event_key=["id", "customer_alias"])([
            "acme",
            "sent",
            "2024-01-01T00:00:00Z",
            1,
            10,
        ])
        assert content(event)["customerAlias"] == "acme"
        assert properties(event) == {"id": 1, "amount": 10}

    @pytest.mark.parametrize(
        "value",
        [
            None,
            b"x",
            math.nan,
            Decimal("-Infinity"),
            {"a": 1},
            ["a"],
            msgspec.Raw(b"1"),
            object(),
            "\ud800",
            dt.timedelta(1),
            1j,
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_key_value_without_a_stable_text_is_refused(self, value):
        with pytest.raises(InvalidEventError, match="column_1") as caught:
            key("a", value)
        assert caught.value.field == "column_1"

    def test_null_in_a_key_is_refused_with_the_name_of_the_column(self):
        mapper = EventMapper(
            USAGE_EVENT,
            ["customer_alias", "event_type", "event_timestamp", "day"],
            event_key=["customer_alias", "day"],
        )
        with pytest.raises(InvalidEventError, match="NULL") as caught:
            mapper(["acme", "sent", "2024-01-01T00:00:00Z", None])
        assert caught.value.field == "day"

    def test_unknown_key_column_is_refused(self):
        names = ["customer_alias", "event_type", "event_timestamp"]
        with pytest.raises(SequenceConfigurationError, match=r"event_key.*\bdya\b") as caught:
            EventMapper(USAGE_EVENT, names, event_key=["customer_alias", "dya"])
        assert all(name in str(caught.value) for name in names)


PINNED_ROW = "c3fc8419-4697-52c6-bb42-313d3181cead"


class TestTimestamp:
    @pytest.mark.parametrize(
        ("value", "sent"),
        [
            (dt.datetime(2024, 1, 1, tzinfo=dt.UTC), "2024-01-01T00:00:00Z"),
            (dt.datetime(2024, 7, 1, 12, tzinfo=BERLIN), "2024-07-01T10:00:00Z"),
            (dt.datetime(2024, 1, 1, 0, 0, 0, 1, tzinfo=dt.UTC), "2024-01-01T00:00:00.000001Z"),
            (
                dt.datetime(2024, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=-5, minutes=-30))),
                "2024-01-01T05:30:00Z",
            ),
            (pendulum.datetime(2024, 7, 1, 12, tz="Europe/Berlin"), "2024-07-01T10:00:00Z"),
            ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z"),
            ("2024-01-01T02:00:00+02:00", "2024-01-01T00:00:00Z"),
            ("2024-01-01 02:00:00+02:00", "2024-01-01T00:00:00Z"),
            ("2024-01-01T00:00:00.000-08:00", "2024-01-01T08:00:00Z"),
            ("2023-12-31T23:30:00-00:30", "2024-01-01T00:00:00Z"),
        ],
        ids=str,
    )
    def test_time_with_a_zone_is_sent_in_utc(self, value, sent):
        assert dt.datetime.fromisoformat(sent_time(value, "Asia/Tokyo")) == dt.datetime.fromisoformat(sent)
        assert sent_time(value).endswith("Z")

    @pytest.mark.parametrize(
        ("value", "sent"),
        [
            (dt.datetime(2024, 7, 1, 12), "2024-07-01T10:00:00Z"),
            (dt.datetime(2024, 1, 1, 12), "2024-01-01T11:00:00Z"),
            ("2024-07-01T12:00:00", "2024-07-01T10:00:00Z"),
            ("2024-07-01 12:00:00", "2024-07-01T10:00:00Z"),
            (dt.date(2024, 7, 1), "2024-06-30T22:00:00Z"),
            ("2024-07-01", "2024-06-30T22:00:00Z"),
            (
                dt.datetime(2024, 3, 31, 2, 30),
                "2024-03-31T01:30:00Z",
            ),  # does not exist: as if the clock had not changed
            ("2024-10-27 02:30:00", "2024-10-27T00:30:00Z"),  # comes twice: the first
            (dt.datetime(2024, 10, 27, 2, 30, fold=0), "2024-10-27T00:30:00Z"),
            (dt.datetime(2024, 10, 27, 2, 30, fold=1), "2024-10-27T01:30:00Z"),
        ],
        ids=str,
    )
    def test_time_without_a_zone_is_read_in_the_zone_of_the_task(self, value, sent):
        assert sent_time(value, "Europe/Berlin") == sent_time(value, BERLIN) == sent

    def test_default_time_zone_is_utc(self):
        assert sent_time(dt.datetime(2024, 7, 1, 12)) == "2024-07-01T12:00:00Z"
        assert sent_time(dt.date(2024, 7, 1)) == "2024-07-01T00:00:00Z"

    @few_examples
    @given(
        st.datetimes(dt.datetime(2, 1, 1), dt.datetime(9998, 12, 31)),
        st.integers(-14 * 60, 14 * 60).map(lambda minutes: dt.timezone(dt.timedelta(minutes=minutes)))
        | st.timezones(),
        st.sampled_from(["object", "T", " "]),
    )
    def test_instant_is_kept(self, naive, zone, form):
        time = naive.replace(tzinfo=zone)
        offset = time.utcoffset() or dt.timedelta()
        value = time if form == "object" or offset.seconds % 60 else time.isoformat(form)
        sent = sent_time(value)
        assert sent.endswith("Z")
        assert dt.datetime.fromisoformat(sent) == time.astimezone(dt.UTC)

    @few_examples
    @given(
        st.datetimes(dt.datetime(1000, 1, 1), dt.datetime(9998, 1, 1)),
        st.text("0123456789", min_size=7, max_size=12),
        st.sampled_from(["Z", "+02:00", "-00:30", ""]),
    )
    def test_digits_beyond_microseconds_are_kept(self, naive, fraction, zone):
        naive = naive.replace(microsecond=0)
        sent = sent_time(f"{naive.isoformat()}.{fraction}{zone}")
        whole, _, digits = sent.removesuffix("Z").partition(".")
        assert sent.endswith("Z")
        assert digits.ljust(12, "0") == fraction.ljust(12, "0")
        shift = {"+02:00": 7200, "-00:30": -1800}.get(zone, 0)
        assert dt.datetime.fromisoformat(whole) == naive - dt.timedelta(seconds=shift)

    @pytest.mark.parametrize(
        ("value", "sent"),
        [
            (dt.datetime(1, 1, 1, tzinfo=dt.UTC), "0001-01-01T00:00:00Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
            (dt.datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=dt.UTC), "9999-12-31T23:59:59.999999Z"),
            ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
        ],
        ids=str,
    )
    def test_years_1_to_9999_are_sent(self, value, sent):
        assert sent_time(value) == sent

    @pytest.mark.parametrize(
        "value",
        [
            dt.datetime(1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=1))),
            "0001-01-01T00:00:00+01:00",
            dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.timezone(dt.timedelta(hours=-1))),
            "9999-12-31T23:59:59-01:00",
            "10000-01-01T00:00:00Z",
            "0000-01-01T00:00:00Z",
            "-0001-01-01T00:00:00Z",
        ],
        ids=str,
    )
    def test_other_years_are_refused(self, value):
        with pytest.raises(InvalidEventError) as caught:
            usage_event(event_timestamp=value)
        assert caught.value.field == "eventTimestamp"

    @pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York"])
    def test_time_that_leaves_the_calendar_in_utc_is_refused(self, zone):
        edge = dt.date(1, 1, 1) if zone == "Asia/Tokyo" else dt.datetime(9999, 12, 31, 23)
        with pytest.raises(InvalidEventError):
            usage_event(timezone=zone, event_timestamp=edge)

    @pytest.mark.parametrize(
        "value",
        [
            "2016-12-31T23:59:60Z",
            "2016-12-31T23:59:60.5Z",
            "2024-02-30T00:00:00Z",
            "2023-02-29",
            "2024-01-01T25:00:00Z",
            "yesterday",
            "",
            "01/02/2024",
            "2024-01-01T00:00:00 Europe/Berlin",
            "1704067200",
            "2024-13-01",
        ],
    )
    def test_invalid_time_is_refused(self, value):
        with pytest.raises(InvalidEventError) as caught:
            usage_event(event_timestamp=value)
        assert caught.value.field in {"eventTimestamp", "event_timestamp"}

    @pytest.mark.parametrize(
        "value", [1704067200, 1.5, Decimal(5), True, b"2024-01-01", dt.time(1)], ids=repr
    )
    def test_number_is_refused_as_a_time(self, value):
        """A number may be seconds or milliseconds."""
        with pytest.raises(InvalidEventError):
            usage_event(event_timestamp=value)

    @pytest.mark.parametrize("name", ["Mars/Base", "", "Europe/Berlin ", "../etc/passwd", "/etc/passwd"])
    def test_unknown_time_zone_is_refused(self, name):
        with pytest.raises(SequenceConfigurationError, match="time zone"):
            parse_timezone(name)
        with pytest.raises(SequenceConfigurationError):
            EventMapper(USAGE_EVENT, [*USAGE], timezone=name)

    def test_time_zone_by_name_or_object(self):
        assert parse_timezone("Europe/Berlin").utcoffset(dt.datetime(2024, 7, 1)) == dt.timedelta(hours=2)
        assert parse_timezone(BERLIN) is BERLIN


EXACT = st.builds(
    lambda sign, digits, exponent: Decimal((sign, tuple(digits), exponent)),
    st.integers(0, 1),
    st.lists(st.integers(0, 9), min_size=1, max_size=45),
    st.integers(-60, 60),
)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(-(2**300), 2**300) | EXACT | FLOATS | CHARACTERS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(CHARACTERS, inner, max_size=4),
    max_leaves=12,
)


def as_read_exactly(value: Any) -> Any:
    """A value as an exact reader reads it; a float is its shortest decimal number."""
    match value:
        case float():
            return Decimal(repr(value))
        case list() | tuple():
            return [as_read_exactly(item) for item in value]
        case dict():
            return {name: as_read_exactly(item) for name, item in value.items()}
    return value


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal, where ``True`` is not ``1``."""
    match one:
        case list():
            return isinstance(other, list) and len(one) == len(other) and all(map(same, one, other))
        case dict():
            return (
                isinstance(other, dict)
                and one.keys() == other.keys()
                and all(same(one[k], other[k]) for k in one)
            )
    return (
        one == other
        and isinstance(one, bool) == isinstance(other, bool)
        and isinstance(one, str) == isinstance(other, str)
    )


class TestExactValues:
    @settings(max_examples=60, deadline=None)
    @given(VALUES)
    def test_property_is_kept_exactly(self, value):
        found = properties(usage_event(p=value))
        assert same(found, {} if value is None else {"p": as_read_exactly(value)})

    @few_examples
    @given(st.dictionaries(CHARACTERS, VALUES, max_size=5))
    def test_json_column_is_kept_exactly(self, given_properties):
        found = properties(usage_event(event_properties=given_properties))
        assert same(found, as_read_exactly(given_properties))

    @pytest.mark.parametrize(
        ("value", "written"),
        [
            (Decimal("1.10"), "1.10"),
            (
                Decimal("1234567890123456789012345678901234567.890"),
                "1234567890123456789012345678901234567.890",
            ),
            (
                Decimal("-0.0000000000000000000000000000000000000001"),
                "-0.0000000000000000000000000000000000000001",
            ),
            (Decimal("1E+20"), "100000000000000000000"),
            (Decimal("1E-10"), "0.0000000001"),
            (Decimal("5E-324"), "0." + "0" * 323 + "5"),
            (Decimal("1E+400"), "1" + "0" * 400),
            (2**53 + 1, "9007199254740993"),
            (-(2**64) - 1, "-18446744073709551617"),
            (10**60, "1" + "0" * 60),
            (0.1, "0.1"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e-7, "0.0000001"),
            (0, "0"),
            (True, "true"),
            (False, "false"),
        ],
        ids=lambda value: str(value)[:40],
    )
    def test_numbers_are_plain_decimals_with_every_digit(self, value, written):
        body = usage_event(p=value, q=1).body.decode().replace(" ", "")
        assert f'"p":{written},' in body

    @few_examples
    @given(EXACT | FLOATS)
    def test_number_is_written_without_an_exponent(self, number):
        """Sequence asks for plain decimal numbers."""
        body = usage_event(p=number).body.decode()
        written = body.rpartition(":")[2]
        assert "e" not in written.lower()

    @few_examples
    @given(FLOATS)
    def test_float_is_written_as_its_shortest_decimal(self, number):
        found = properties(usage_event(p=number))["p"]
        assert found == Decimal(repr(number))
        assert float(found) == number

    @pytest.mark.parametrize(
        "value",
        [math.nan, math.inf, -math.inf, *map(Decimal, ["NaN", "sNaN", "Infinity", "-Infinity"])],
        ids=repr,
    )
    def test_nan_and_infinity_are_refused_with_the_name_of_the_property(self, value):
        for weight in (value, {"deep": [1, value]}):
            with pytest.raises(InvalidEventError, match="NaN") as caught:
                usage_event(weight=weight)
            assert "weight" in caught.value.field

    @pytest.mark.parametrize(
        "value", [b"x", bytearray(b"x"), memoryview(b"x")], ids=lambda v: type(v).__name__
    )
    def test_bytes_are_refused_with_the_name_of_the_property(self, value):
        for weight in (value, {"deep": [1, value]}):
            with pytest.raises(InvalidEventError, match="bytes") as caught:
                usage_event(weight=weight)
            assert "weight" in caught.value.field

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (uuid.UUID("0184421a-8202-70ea-a729-30308a40bbf7"), "0184421a-8202-70ea-a729-30308a40bbf7"),
            (dt.date(2024, 2, 29), "2024-02-29"),
            (dt.time(1, 2, 3), "01:02:03"),
            (dt.datetime(2024, 2, 29, 1, tzinfo=dt.UTC), "2024-02-29T01:00:00Z"),
            (dt.datetime(2024, 2, 29, 1, tzinfo=dt.timezone(dt.timedelta(hours=1))), "2024-02-29T00:00:00Z"),
        ],
    )
    def test_uuids_and_times_become_text(self, value, text):
        assert properties(usage_event(p=value, q=[value], r={"x": value})) == {
            "p": text,
            "q": [text],
            "r": {"x": text},
        }

    @pytest.mark.parametrize(
        "value",
        [dt.timedelta(1), object(), 1j, {1, 2}, {1: 2}, {None: 1}, {b"a": 1}],
        ids=lambda v: type(v).__name__,
    )
    def test_type_without_a_json_form_is_refused(self, value):
        with pytest.raises(InvalidEventError) as caught:
            usage_event(weight=value)
        assert "weight" in caught.value.field

    @pytest.mark.parametrize("text", ["\ud800", "a\udfff", "\udc00\ud800"], ids=ascii)
    def test_lone_surrogate_is_refused(self, text):
        for changes in [
            {"p": text},
            {"p": [text]},
            {"p": {text: 1}},
            {"customer_alias": text},
            {"event_type": text},
            {"customer_event_id": text},
            {"event_properties": {"p": text}},
            {"event_properties": {text: 1}},
        ]:
            with pytest.raises(InvalidEventError):
                usage_event(**changes)

    def test_lone_surrogate_in_a_column_name_is_refused(self):
        with pytest.raises(SequenceError):
            usage_event(**{"a\ud800": 1})

    def test_text_is_not_parsed(self):
        assert properties(usage_event(p="1.10", q="true", r='{"a": 1}', s="")) == {
            "p": "1.10",
            "q": "true",
            "r": '{"a": 1}',
            "s": "",
        }

    def test_null_columns_are_left_out(self):
        assert properties(usage_event(a=None, b=1)) == {"b": 1}
        assert (
            "eventProperties" not in content(usage_event(a=None))
            or content(usage_event(a=None))["eventProperties"] == {}
        )
        assert b"null" not in usage_event(a=None, b=1).body

    def test_null_inside_json_stays(self):
        assert properties(usage_event(p={"a": None, "b": [None]})) == {"p": {"a": None, "b": [None]}}


class TestEventPropertiesColumn:
    @pytest.mark.parametrize(
        "text",
        [
            "{}",
            '{"a": 1.10}',
            '{"a":1e400,"b":1E-400,"c":-0.0,"d":-0}',
            '{"a":100000000000000000000000.000000000000000000000000001}',
            '{ "a" : [ 1 , 2.50 , { "b" : null } ] }',
            '{"a":"\\u00e9\\ud83d\\ude00\\n","é":"\U0001f600"}',
            '{"a":\n1}',
        ],
    )
    def test_json_text_is_sent_byte_for_byte(self, text):
        body = usage_event(event_properties=text).body
        assert text.encode() in body
        assert same(properties(usage_event(event_properties=text)), json.loads(text, parse_float=Decimal))

    @few_examples
    @given(
        st.from_regex(r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?", fullmatch=True).filter(
            str.isascii
        )
    )
    def test_numbers_in_text_keep_every_digit(self, number):
        assert f'{{"n":{number}}}'.encode() in usage_event(event_properties=f'{{"n":{number}}}').body

    @pytest.mark.parametrize(
        "value",
        [
            "[1]",
            '"x"',
            "5",
            "null",
            "",
            " ",
            "x",
            '{"a":1',
            '{"a":1} x',
            '{"a":NaN}',
            '{"a":Infinity}',
            "{'a':1}",
            '{"a":01}',
            '{"a":"\x00"}',
            '{"a":"\\ud800"}',
            '{"\\udc00":1}',
            '{"a":"\ud800"}',
            5,
            1.5,
            [1],
            b'{"a":1}',
            True,
        ],
        ids=ascii,
    )
    def test_value_that_is_no_json_object_is_refused(self, value):
        with pytest.raises(InvalidEventError) as caught:
            usage_event(event_properties=value)
        assert caught.value.field in {"eventProperties", "event_properties"}

    def test_null_means_no_properties(self):
        assert properties(usage_event(event_properties=None)) == {}

    def test_deeply_nested_text_is_refused(self):
        with pytest.raises(InvalidEventError):
            usage_event(event_properties='{"a":' + "[" * 100_000)


class TestEventMapper:
    def test_columns_are_mapped_by_name(self):
        names = ["our_id", "who", "what", "at", "length"]
        columns = {
            "customer_event_id": "our_id",
            "customer_alias": "who",
            "event_type": "what",
            "event_timestamp": "at",
        }
        event = EventMapper(USAGE_EVENT, names, columns=columns)([
            "e",
            "acme",
            "sent",
            dt.date(2024, 1, 1),
            5,
        ])
        assert content(event) == {
            "customerEventId": "e",
            "customerAlias": "acme",
            "eventType": "sent",
            "eventTimestamp": "2024-01-01T00:00:00Z",
            "eventProperties": {"length": 5},
        }

    def test_properties_from_a_mapped_column(self):
        event = EventMapper(USAGE_EVENT, [*USAGE, "payload"], columns={"event_properties": "payload"})([
            *USAGE.values(),
            '{"a": 1.10}',
        ])
        assert b'{"a": 1.10}' in event.body
        assert properties(event) == {"a": Decimal("1.10")}

    def test_mapped_column_takes_precedence(self):
        event = EventMapper(USAGE_EVENT, [*USAGE, "k"], columns={"customer_event_id": "k"})([
            *USAGE.values(),
            "mine",
        ])
        assert event.id == "mine"

    def test_mapped_column_is_not_a_property(self):
        event = EventMapper(USAGE_EVENT, [*USAGE, "k"], columns={"customer_event_id": "k"})([
            *USAGE.values(),
            "mine",
        ])
        assert "k" not in properties(event)

    def test_property_names_keep_their_case(self):
        event = EventMapper(USAGE_EVENT, [*USAGE, "Size", "size", "größe"])([*USAGE.values(), 1, 2, 3])
        assert properties(event) == {"Size": 1, "size": 2, "größe": 3}

    def test_constant_field(self):
        names = [name for name in USAGE if name != "event_type"]
        mapper = EventMapper(USAGE_EVENT, names, constants={"event_type": "api-call"})
        assert content(mapper([USAGE[n] for n in names]))["eventType"] == "api-call"

    def test_constant_that_is_none_is_ignored(self):
        mapper = EventMapper(USAGE_EVENT, [*USAGE], constants={"event_type": None})
        assert content(mapper([*USAGE.values()]))["eventType"] == "sent"

    def test_constant_and_column_together_are_refused(self):
        with pytest.raises(SequenceConfigurationError, match="event_type"):
            EventMapper(USAGE_EVENT, [*USAGE], constants={"event_type": "api-call"})

    def test_mapping_to_an_unknown_column_is_refused(self):
        with pytest.raises(SequenceConfigurationError, match=r"\bevent_id\b") as caught:
            EventMapper(USAGE_EVENT, [*USAGE], columns={"customer_event_id": "event_id"})
        assert all(name in str(caught.value) for name in USAGE)

    def test_mapping_of_an_unknown_field_is_refused(self):
        with pytest.raises(SequenceConfigurationError, match="customer_evnt_id") as caught:
            EventMapper(USAGE_EVENT, [*USAGE], columns={"customer_evnt_id": "customer_alias"})
        assert all(name in str(caught.value) for name in USAGE_EVENT.columns())

    def test_seat_field_of_a_usage_event_is_refused(self):
        with pytest.raises(SequenceConfigurationError, match="seat_type"):
            EventMapper(USAGE_EVENT, [*USAGE, "x"], columns={"seat_type": "x"})

    @pytest.mark.parametrize("twice", ["customer_alias", "length"])
    def test_duplicate_column_is_refused(self, twice):
        with pytest.raises(SequenceConfigurationError, match=twice):
            EventMapper(USAGE_EVENT, [*USAGE, "length", twice])

    def test_rows_are_mapped_independently(self):
        mapper = EventMapper(USAGE_EVENT, [*USAGE, "a", "b"])
        first = [*USAGE.values(), 1, None]
        second = [*USAGE.values(), None, 2]
        assert [properties(mapper(row)) for row in (first, second, first)] == [{"a": 1}, {"b": 2}, {"a": 1}]

    def test_row_may_be_a_tuple_or_a_list(self):
        mapper = EventMapper(USAGE_EVENT, [*USAGE])
        assert mapper(tuple(USAGE.values())) == mapper([*USAGE.values()]) == usage_event()

    def test_columns_of_the_event_kinds(self):
        assert set(USAGE_EVENT.columns()) == {*USAGE, "event_properties"}
        assert set(SEAT_EVENT.columns()) == set(SEAT)


SECRET = "Hunter2Personal"


class SecretInRepr:
    """Type that JSON can't represent and whose repr is the value."""

    def __repr__(self) -> str:
        return SECRET


class TestRedaction:
    @pytest.mark.parametrize(
        "changes",
        [
            {"event_timestamp": SECRET},
            {"event_timestamp": f"2024-01-01T00:00:00{SECRET}"},
            {"event_timestamp": SECRET.encode()},
            {"customer_alias": SECRET.encode()},
            {"customer_alias": [SECRET]},
            {"customer_alias": f"{SECRET}\ud800"},
            {"customer_event_id": [SECRET]},
            {"event_type": {SECRET: SECRET}},
            {"event_properties": SECRET},
            {"event_properties": f'{{"a": "{SECRET}'},
            {"event_properties": f'["{SECRET}"]'},
            {"event_properties": f'{{"a": "{SECRET}\\ud800"}}'},
            {"event_properties": {"a": SECRET.encode()}},
            {"event_properties": [SECRET]},
            {"p": SECRET.encode()},
            {"p": f"{SECRET}\ud800"},
            {"p": [{"x": [SECRET, math.nan]}]},
            {"p": {SECRET}},
            {"p": SecretInRepr()},
            {"p": dt.timedelta(seconds=1), "q": SECRET},
        ],
        ids=ascii,
    )
    def test_errors_of_usage_events_hold_no_values(self, changes):
        self.check(lambda: usage_event(**changes))

    @pytest.mark.parametrize("total", [SECRET, [SECRET], SecretInRepr()], ids=repr)
    def test_errors_of_seat_events_hold_no_values(self, total):
        self.check(lambda: seat_event(total=total))

    @pytest.mark.parametrize("value", [[SECRET], f"{SECRET}\ud800", SecretInRepr()], ids=ascii)
    def test_errors_of_keys_hold_no_values(self, value):
        self.check(lambda: key("a", value))

    @pytest.mark.parametrize("number", ["98765.43", "9876543"])
    def test_errors_hold_no_numbers(self, number):
        with pytest.raises(InvalidEventError) as caught:
            usage_event(event_timestamp=Decimal(number))
        assert number not in str(caught.value)
        with pytest.raises(InvalidEventError) as caught:
            seat_event(total=Decimal(number) + Decimal("0.5"))
        assert "98765" not in str(caught.value)

    @staticmethod
    def check(make: Any) -> None:
        with pytest.raises(SequenceError) as caught:
            make()
        shown = (
            "".join(traceback.format_exception(caught.value)) + repr(caught.value) + str(caught.value.args)
        )
        assert SECRET not in shown
