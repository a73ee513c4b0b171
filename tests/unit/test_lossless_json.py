"""JSON and timestamps, read and written without a loss."""

# ruff: noqa: DTZ001 - times without a zone are test data here

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sequence.api import lossless_json
from airflow_provider_sequence.api.timestamps import long_fraction, parse_timestamp, utc_text
from airflow_provider_sequence.exceptions import InvalidEventError
from tests.unit.strategies import TEXT, few_examples

NUMBERS = st.from_regex(r"\A-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?\Z").filter(
    str.isascii
)


class TestJson:
    @few_examples
    @given(NUMBERS)
    def test_numbers_are_read_exactly(self, text):
        read = lossless_json.decode(f"[{text}]")[0]
        assert read == Decimal(text)
        assert isinstance(read, int) == (not set(text) & set(".eE"))

    @pytest.mark.parametrize("number", [2**53 + 1, 2**63, 2**64, -(2**63) - 1, 10**100])
    def test_integers_of_any_size_are_exact(self, number):
        read = lossless_json.decode(str(number))
        assert (read, type(read)) == (number, int)
        assert lossless_json.encode(number) == str(number).encode()

    @few_examples
    @given(TEXT)
    def test_text_of_any_characters(self, text):
        assert json.loads(lossless_json.encode(text)) == text
        assert lossless_json.decode(json.dumps(text)) == text
        assert lossless_json.decode(json.dumps(text, ensure_ascii=False).encode()) == text

    @pytest.mark.parametrize("text", ["", "x", "[1,]", '{"a":1', "NaN", "[Infinity]", b"\xff", "'a'", "1 2"])
    def test_invalid_json_is_refused(self, text):
        with pytest.raises(msgspec.DecodeError):
            lossless_json.decode(text)

    @few_examples
    @given(st.decimals(allow_nan=False, allow_infinity=False))
    def test_format_decimal_has_all_digits_and_no_exponent(self, number):
        text = lossless_json.format_decimal(number)
        assert "e" not in text.lower()
        assert Decimal(text) == number
        assert len(text) < 60 or abs(number.adjusted()) > 20 or len(number.as_tuple().digits) > 20

    @pytest.mark.parametrize(
        ("number", "text"),
        [("1.10", "1.10"), ("1E+3", "1000"), ("1E-7", "0.0000001"), ("-0.00", "-0.00"), ("12.0E+1", "120")],
    )
    def test_format_decimal(self, number, text):
        assert lossless_json.format_decimal(Decimal(number)) == text


class TestTimestamps:
    @pytest.mark.parametrize(
        ("text", "time"),
        [
            ("2022-10-01T00:00:00Z", dt.datetime(2022, 10, 1, tzinfo=dt.UTC)),
            ("2022-10-01T00:00:00.000Z", dt.datetime(2022, 10, 1, tzinfo=dt.UTC)),
            ("2022-10-01T02:00:00+02:00", dt.datetime(2022, 10, 1, tzinfo=dt.UTC)),
            ("2022-10-01T00:00:00", dt.datetime(2022, 10, 1, tzinfo=dt.UTC)),
            ("2022-10-01T00:00:00.123456Z", dt.datetime(2022, 10, 1, 0, 0, 0, 123456, dt.UTC)),
            ("2022-10-01T00:00:00.123456789Z", dt.datetime(2022, 10, 1, 0, 0, 0, 123456, dt.UTC)),
            ("2022-10-01T00:00:00.999999999Z", dt.datetime(2022, 10, 1, 0, 0, 0, 999999, dt.UTC)),
            ("2022-10-01T00:00:00.1Z", dt.datetime(2022, 10, 1, 0, 0, 0, 100000, dt.UTC)),
        ],
    )
    def test_timestamp_of_the_api_is_parsed(self, text, time):
        read = parse_timestamp(text)
        assert read == time
        assert read.utcoffset() is not None

    @pytest.mark.parametrize("value", ["", "x", "2022-10-01T00:00:60Z", "2022-13-01T00:00:00Z"])
    def test_invalid_timestamp_is_refused(self, value):
        with pytest.raises(ValueError):  # noqa: PT011 - the message is the caller's to write
            parse_timestamp(value)

    @pytest.mark.parametrize("value", [None, 5, ["2022-10-01T00:00:00Z"], {}])
    def test_value_that_is_no_text_is_refused(self, value):
        with pytest.raises((TypeError, ValueError)):
            parse_timestamp(value)

    @few_examples
    @given(st.datetimes(dt.datetime(2, 1, 1), dt.datetime(9998, 1, 1)), st.timezones())
    def test_utc_text_is_parsed_back(self, naive, zone):
        time = naive.replace(tzinfo=zone)
        assert utc_text(time).endswith("Z")
        assert parse_timestamp(utc_text(time)) == time.astimezone(dt.UTC)

    @pytest.mark.parametrize(
        "time",
        [
            dt.datetime.min.replace(tzinfo=dt.timezone(dt.timedelta(hours=1))),
            dt.datetime.max.replace(tzinfo=dt.timezone(dt.timedelta(hours=-1))),
        ],
    )
    def test_time_outside_the_calendar_is_refused(self, time):
        with pytest.raises(OverflowError):
            utc_text(time)

    @pytest.mark.parametrize(
        ("text", "digits"),
        [
            ("2022-10-01T00:00:00.1234567Z", "1234567"),
            ("2022-10-01 00:00:00,123456789+02:00", "123456789"),
            ("2022-10-01T00:00:00.123456Z", None),
            ("2022-10-01T00:00:00Z", None),
            ("2022-10-01", None),
        ],
    )
    def test_long_fraction(self, text, digits):
        assert long_fraction(text) == digits


def test_json_of_a_column_keeps_its_digits_or_is_refused():
    text = msgspec.Raw(b'{"a":12345678901234567890.10}')
    assert lossless_json.encode(lossless_json.to_json_value(text, "p")) == bytes(text)
    with pytest.raises(InvalidEventError, match="is not JSON"):
        lossless_json.to_json_value(msgspec.Raw(b"[1, undefined]"), "p")
