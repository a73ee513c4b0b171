"""Fingerprints: equal for events with the same values, however they are written."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sequence.api.events import SEAT_EVENT, USAGE_EVENT
from airflow_provider_sequence.api.lossless_json import decode
from airflow_provider_sequence.pipelines.reconcile.fingerprint import fingerprint
from tests.unit.strategies import few_examples

USAGE = {
    "customerEventId": '"e-1"',
    "customerAlias": '"acme"',
    "eventType": '"sent"',
    "eventTimestamp": '"2026-03-01T12:00:00Z"',
}
SEATS = {"customerAlias": '"acme"', "seatType": '"editor"', "eventTimestamp": USAGE["eventTimestamp"], "total": "3"}  # fmt: skip
NOON = '"2026-03-01T12:00:00.123456Z"'
BIG = "1234567890123456789012345678901234567890"


def usage(**fields: str) -> str:
    """Fingerprint of a usage event; fields are JSON."""
    return fingerprint(USAGE_EVENT, decode(_object(USAGE | fields)))


def seats(**fields: str) -> str:
    return fingerprint(SEAT_EVENT, decode(_object(SEATS | fields)))


def of_property(value: str) -> str:
    """Fingerprint of a usage event with one property; the value is JSON."""
    return usage(eventProperties=f'{{"n": {value}}}')


def at(time: str) -> str:
    return usage(eventTimestamp=time)


def _object(fields: dict[str, str]) -> str:
    return "{" + ",".join(f"{json.dumps(name)}:{text}" for name, text in fields.items()) + "}"


SAME = [
    ("1.10", "1.1"),
    ("1e2", "100"),
    ("1E+2", "100.00"),
    ("-0", "0"),
    ("-0.00", "0e5"),
    ("0.001", "1e-3"),
    ("-2.50", "-25e-1"),
    (f"{BIG}.10", f"{BIG}.1"),
    (f"{BIG}000", f"{BIG}e3"),
    (f"0.{BIG}", f"0.{BIG}0"),
    ("1e999999", "10e999998"),
    ("9" * 4000, "9" * 4000 + ".0"),
    ("[1.0, {\"a\": 2.0}]", "[1, {\"a\": 2}]"),
    ('{"a": 1, "b": {"c": 2, "d": 3}}', '{"b": {"d": 3, "c": 2}, "a": 1}'),
    ('"\\u00e9\\ud83d\\ude80"', '"é🚀"'),
    ('{"\\u00e9": 1}', '{"é": 1}'),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), SAME, ids=range(len(SAME)))
def test_equal_values(one, other):
    assert of_property(one) == of_property(other)


DIFFERENT = [
    ("1", '"1"'),
    ("1", "true"),
    ("0", "false"),
    ("0", "null"),
    ('""', "null"),
    ("[]", "null"),
    ("[]", "{}"),
    ("1", "-1"),
    ("1", "10"),
    ("100", "1"),
    ("0.1", "0.01"),
    (f"{BIG}1", f"{BIG}2"),
    (f"{BIG}.1", f"{BIG}.2"),
    (f"0.{BIG}1", f"0.{BIG}2"),
    ("9007199254740993", "9007199254740992"),
    ("0.1", "0.10000000000000001"),
    ("[1, 2]", "[2, 1]"),
    ("[1]", "[1, 1]"),
    ("[1, [2]]", "[1, 2]"),
    ('{"a": 1}', '[["a", 1]]'),
    ('{"a": 1}', '{"A": 1}'),
    ('{"a": {"b": 1}}', '{"a": 1, "b": 1}'),
    ('{"a": null}', "{}"),
    ('"é"', '"e\\u0301"'),
    ('"a"', '"a "'),
    ('"2026-03-01T12:00:00Z"', '"2026-03-01T12:00:00.000Z"'),  # text, whatever it looks like
    ("1", '{"number": "1e0"}'),
    ('{"a": 1}', '{"object": [["a", 1]]}'),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT, ids=range(len(DIFFERENT)))
def test_different_values(one, other):
    assert of_property(one) != of_property(other)


def test_null_property_differs_from_a_missing_one():
    assert of_property("null") != usage(eventProperties="{}")


@pytest.mark.parametrize("empty", ["{}", "null"])
def test_missing_properties_equal_empty_ones(empty):
    assert usage() == usage(eventProperties=empty)


NUMBERS = st.decimals(allow_nan=False, allow_infinity=False)


@few_examples
@given(NUMBERS, st.integers(0, 60))
def test_numbers_are_compared_by_value(number, zeros):
    sign, digits, exponent = number.as_tuple()
    longer = Decimal((sign, (0, *digits, *[0] * zeros), exponent - zeros))
    assert of_property(f"{number:E}") == of_property(f"{longer:E}")


@few_examples
@given(NUMBERS, NUMBERS)
def test_fingerprints_of_numbers_are_equal_only_if_the_numbers_are(one, other):
    assert (of_property(f"{one:E}") == of_property(f"{other:E}")) is (one == other)


@few_examples
@given(NUMBERS)
def test_last_digit_matters(number):
    sign, digits, exponent = number.as_tuple()
    assert of_property(f"{number:E}") != of_property(f"{Decimal((sign, (*digits, 1), exponent - 1)):E}")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=8,
)


def typed(value: Any) -> Any:
    """A value of which ``1`` and ``True`` are not equal."""
    if isinstance(value, dict):
        return {name: typed(each) for name, each in value.items()}
    if isinstance(value, list):
        return [typed(each) for each in value]
    return type(value), value


@few_examples
@given(VALUES, VALUES)
def test_fingerprints_of_values_are_equal_only_if_the_values_are(one, other):
    assert (of_property(json.dumps(one)) == of_property(json.dumps(other))) is (typed(one) == typed(other))


@pytest.mark.parametrize(
    "time",
    [
        '"2026-03-01T12:00:00.123Z"',
        '"2026-03-01T12:00:00.123999Z"',
        '"2026-03-01T12:00:00.123456789Z"',
        '"2026-03-01T13:00:00.123456+01:00"',
        '"2026-03-01T02:30:00.123-09:30"',
        '"2026-03-02T01:00:00.1234+13:00"',
        '"2026-03-01T12:00:00.123456"',
    ],
)
def test_equal_times(time):
    assert at(time) == at(NOON)


@pytest.mark.parametrize(
    "time",
    [
        '"2026-03-01T12:00:00.122999Z"',
        '"2026-03-01T12:00:00.124Z"',
        '"2026-03-01T12:00:00Z"',
        '"2026-03-01T12:00:00.123456+01:00"',
        '"2027-03-01T12:00:00.123456Z"',
        '"some day"',
        "null",
        "1772366400",
        "true",
        "{}",
    ],
)
def test_different_times(time):
    assert at(time) != at(NOON)


def test_times_before_1970():
    assert at('"1969-12-31T23:59:59.999999Z"') == at('"1969-12-31T23:59:59.999Z"')
    assert at('"1969-12-31T23:59:59.999999Z"') != at('"1970-01-01T00:00:00Z"')


@pytest.mark.parametrize("value", ['"other"', "null", "7", '"Acme"'])
def test_every_field_of_a_usage_event_matters(value):
    assert usage(customerAlias=value) != usage()
    assert usage(eventType=value) != usage()


def test_every_field_of_a_seat_event_matters():
    for name in ("customerAlias", "seatType", "total"):
        assert seats(**{name: '"other"'}) != seats()


def test_fields_are_not_interchangeable():
    assert usage(customerAlias='"a"', eventType='"b"') != usage(customerAlias='"b"', eventType='"a"')


@pytest.mark.parametrize("total", ["3.0", "3e0"])
def test_total_is_compared_by_value(total):
    assert seats(total=total) == seats()
    assert seats(total=total) != seats(total="4")


@pytest.mark.parametrize("name", ["id", "sequenceAccountId", "somethingNew"])
def test_fields_that_the_api_adds_are_ignored(name):
    assert usage(**{name: '"x"'}) == usage()
