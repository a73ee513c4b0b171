"""The formats of values: which texts they accept and which they refuse."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.contract.examples import patient
from tests.contract.formats import FORMATS, shown, version_formats

HOLD = {
    "utc-instant": ["2024-02-29T00:00:00Z", "2024-02-29T23:59:59.1Z", "2024-02-29T23:59:59.123456789Z"],
    "iso-8601": [
        "2024-02-29T00:00:00Z",
        "2024-02-29T00:00:00+02:00",
        "2024-02-29T00:00:00-0230",
        "2024-02-29T00:00",
        "2024-02-29T00:00:00.5",
    ],
    "date-or-instant": ["2024-02-29", "2024-02-29T00:00:00Z"],
    "basic-credentials": ["Basic a2V5OnNlY3JldA==", "Basic " + base64.b64encode(b"key:se:cret").decode()],
    "json-media-type": [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON;charset=UTF-8",
    ],
    "retry-after": ["0", "120", "Wed, 21 Oct 2015 07:28:00 GMT"],
    "not-empty": ["x", " x "],
}
FAIL = {
    "utc-instant": [
        "",
        "2024-02-29",
        "2024-02-29T00:00:00",
        "2024-02-29T00:00:00+00:00",
        "2024-02-29 00:00:00Z",
        "2024-02-29T00:00:00z",
        "2024-02-29T00:00Z",
        "2024-02-29T00:00:00.Z",
        "2024-02-29T00:00:00,5Z",
        "2024-02-29T00:00:00.1234567890Z",
        "2023-02-29T00:00:00Z",
        "2024-13-01T00:00:00Z",
        "2024-02-29T25:00:00Z",
        "2024-02-29T00:60:00Z",
        "2024-02-29T00:00:00Z\n",
        "20240229T000000Z",
        "٢٠٢٤-02-29T00:00:00Z",
        "1709164800",
    ],
    "iso-8601": [
        "",
        "2024-02-29",
        "2023-02-29T00:00:00Z",
        "29.02.2024 00:00",
        "2024-02-29T00:00:00 Z",
        "1709164800",
    ],
    "date-or-instant": ["", "2023-02-29", "2024-2-29", "2024-02", "2023-02-29T00:00:00Z"],
    "basic-credentials": [
        "",
        "Basic",
        "Basic ",
        "Bearer a2V5OnNlY3JldA==",
        "basic a2V5OnNlY3JldA==",
        "a2V5OnNlY3JldA==",
        "Basic a2V5OnNlY3JldA",
        "Basic key:secret",
        "Basic é",
        *(
            "Basic " + base64.b64encode(text).decode()
            for text in (b"key:", b":secret", b":", b"key", b"\xff:\xff")
        ),
    ],
    "json-media-type": [
        "",
        "text/html",
        "application/json; charset=latin-1",
        "application/problem+json",
        "json",
    ],
    "retry-after": ["", "-1", "1.5", "soon", "²"],
    "not-empty": ["", " ", "\t"],
}
versions = version_formats(["2024-01-01", "2024-07-30"], "2024-07-30")


@pytest.mark.parametrize("name", FORMATS)
def test_format_accepts_and_refuses(name):
    assert [text for text in HOLD[name] if not FORMATS[name].holds(text)] == []
    assert [text for text in FAIL[name] if FORMATS[name].holds(text)] == []


def test_version_formats_know_their_versions():
    assert versions["known-version"].holds("2024-01-01")
    assert not versions["known-version"].holds("2024-01-02")
    assert versions["client-version"].holds("2024-07-30")
    assert not versions["client-version"].holds("2024-01-01")
    assert "2024-07-30" in versions["client-version"].expects


@patient
@given(st.datetimes())
def test_utc_instant_needs_the_z(moment):
    text = moment.isoformat()
    assert FORMATS["utc-instant"].holds(text + "Z")
    assert FORMATS["iso-8601"].holds(text + "Z")
    assert FORMATS["iso-8601"].holds(text)
    assert not FORMATS["utc-instant"].holds(text)
    assert not FORMATS["utc-instant"].holds(moment.replace(tzinfo=UTC).isoformat())


@patient
@given(st.datetimes(), st.integers(-14 * 60, 14 * 60))
def test_offset_is_iso_8601_but_no_utc_instant(moment, minutes):
    text = moment.replace(tzinfo=timezone(timedelta(minutes=minutes))).isoformat()
    assert FORMATS["iso-8601"].holds(text)
    assert not FORMATS["utc-instant"].holds(text)


@patient
@given(st.text())
def test_utc_instant_can_be_parsed(text):
    if FORMATS["utc-instant"].holds(text):
        assert datetime.fromisoformat(text).utcoffset() == timedelta(0)


@patient
@given(st.text(min_size=1).filter(lambda text: ":" not in text), st.text(min_size=1))
def test_any_credentials_are_accepted(client_id, secret):
    token = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
    assert FORMATS["basic-credentials"].holds(f"Basic {token}")


def test_long_value_is_cut():
    assert shown("short") == "'short'"
    assert len(shown("x" * 500)) == 80
