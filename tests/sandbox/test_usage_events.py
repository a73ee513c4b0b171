"""What a posted usage event must look like, what is kept of it, and how it comes back."""

from __future__ import annotations

import json
import re
import time
import uuid

import pytest

from tests.sandbox.support import Api

BODY = {
    "customerEventId": "event-1",
    "customerAlias": "acme",
    "eventType": "message-sent",
    "eventTimestamp": "2022-10-01T00:00:00Z",
    "eventProperties": {"length": 500, "type": "text_message"},
}


def test_event_comes_back_as_it_was_sent(api: Api) -> None:
    answer = api.post("/usage-events", BODY)
    assert answer.status_code == 201
    stored = answer.json()
    assert list(stored) == [
        "id",
        "customerEventId",
        "customerAlias",
        "eventType",
        "sequenceAccountId",
        "eventTimestamp",
        "eventProperties",
    ]
    assert {name: stored[name] for name in BODY} == BODY
    assert api.page("/usage-events")["items"] == [stored]


def test_ids_are_uuid7_and_grow(api: Api) -> None:
    before = time.time_ns() // 1_000_000
    ids = [api.event(f"e{number}")["id"] for number in range(30)]
    after = time.time_ns() // 1_000_000
    assert ids == sorted(set(ids))
    assert {uuid.UUID(found).version for found in ids} == {7}
    assert all(before <= uuid.UUID(found).int >> 80 <= after for found in ids)


@pytest.mark.parametrize(
    "properties",
    [
        '{"n": 1.10, "big": 123456789012345678901234567890.000000000000000010, "e": 1E-400, "z": -0.0}',
        '{ "spaced" :\t[ 1 ,2 ] , "a": 1, "a": 2 }',
        r'{"text": "\u00e9 é \/ 𝄞 \ud834\udd1e", "nul": "\u0000"}',
        "{}",
    ],
)
def test_properties_come_back_byte_for_byte(api: Api, properties: str) -> None:
    body = f'{{"customerAlias": "a", "eventType": "t", "eventProperties": {properties}}}'
    assert f'"eventProperties":{properties}}}' in api.post("/usage-events", body).content.decode()
    assert f'"eventProperties":{properties}}}' in api.get("/usage-events").content.decode()
    assert api.admin("GET", "/ledger")["items"][0]["body"] == body


def test_alias_keeps_every_character(api: Api) -> None:
    aliases = ["Zoë", "日本", "\U0001f600", "a\u0000b", "e\u0301", '"\\/', "x" * 200]
    assert [api.event(alias=alias)["customerAlias"] for alias in aliases] == aliases


def test_missing_optional_fields_are_filled_in(api: Api) -> None:
    first, second = (api.post("/usage-events", {"customerAlias": "a", "eventType": "t"}).json() for _ in "12")
    assert first["customerEventId"] != second["customerEventId"]
    assert first["eventProperties"] == {}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["eventTimestamp"])
    assert api.admin("GET", "/summary")["distinct_events"] == 2


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"customerAlias": None}, "customerAlias"),
        ({"customerAlias": ...}, "customerAlias is required"),
        ({"eventType": ...}, "eventType is required"),
        ({"customerAlias": ""}, "customerAlias"),
        ({"eventType": 5}, "eventType"),
        ({"customerEventId": 7}, "customerEventId"),
        ({"eventTimestamp": "2022-10-01"}, "eventTimestamp"),
        ({"eventTimestamp": "2022-10-01 00:00:00Z"}, "eventTimestamp"),
        ({"eventTimestamp": "2022-13-01T00:00:00Z"}, "eventTimestamp"),
        ({"eventTimestamp": "yesterday"}, "eventTimestamp"),
        ({"eventTimestamp": 1664582400}, "eventTimestamp"),
        ({"eventProperties": [1]}, "eventProperties"),
        ({"eventProperties": "{}"}, "eventProperties"),
        ({"eventProperties": None}, "eventProperties"),
    ],
)
def test_wrong_field_is_refused_by_its_name(api: Api, change: dict[str, object], named: str) -> None:
    body = {name: value for name, value in (BODY | change).items() if value is not ...}
    answer = api.post("/usage-events", body)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(named)
    assert api.page("/usage-events")["items"] == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b'{"customerAlias": "a", "eventType": "t", "eventProperties": {"n": NaN}}',
        b'{"customerAlias": "a", "eventType": "\xff"}',
        b'{"customerAlias": "a", "eventType": "t", "eventProperties": {"x": "\xff"}}',
        b'{"customerAlias": "\\ud800", "eventType": "t"}',
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_body_that_is_no_json_object_is_refused(api: Api, body: bytes) -> None:
    assert api.post("/usage-events", body).status_code == 400


def test_body_without_a_json_content_type_is_refused(api: Api) -> None:
    answer = api.call("POST", "/usage-events", data=json.dumps(BODY))
    assert answer.status_code == 400
    assert "Content-Type" in answer.text


@pytest.mark.parametrize(
    ("switches", "change", "status"),
    [
        ({}, {"customerAlias": "x" * 256}, 400),
        ({}, {"customerAlias": "é" * 255}, 201),
        ({"max_text_length": 3}, {"eventType": "four"}, 400),
        ({"max_text_length": 0}, {"customerAlias": "x" * 256}, 201),
        ({}, {"eventTimestamp": "2022-10-01T00:00:00"}, 201),
        ({"naive_timestamps": "reject"}, {"eventTimestamp": "2022-10-01T00:00:00"}, 400),
        ({"naive_timestamps": "reject"}, {"eventTimestamp": "2022-10-01T00:00:00.5+02:00"}, 201),
        ({}, {"colour": "red"}, 201),
        ({"unknown_fields": "reject"}, {"colour": "red"}, 400),
        ({}, {"customerEventId": None, "eventTimestamp": None}, 201),
        ({}, {"eventProperties": None}, 400),
        ({"null_fields": "absent"}, {"eventProperties": None}, 201),
        ({"null_fields": "absent"}, {"customerAlias": None}, 400),
        ({"post_status": 200}, {}, 200),
    ],
)
def test_switches_decide_what_is_accepted(
    api: Api, switches: dict[str, object], change: dict[str, object], status: int
) -> None:
    api.set(**switches)
    assert api.post("/usage-events", BODY | change).status_code == status


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("as_sent", "2022-10-01T02:00:00.1234567+02:00"),
        ("utc_millis", "2022-10-01T00:00:00.123Z"),
        ("offset", "2022-10-01T00:00:00.123456+00:00"),
        ("naive", "2022-10-01T00:00:00.123456"),
    ],
)
def test_timestamp_format(api: Api, form: str, text: str) -> None:
    api.set(timestamp_format=form)
    stored = api.event(eventTimestamp="2022-10-01T02:00:00.1234567+02:00")
    assert stored["eventTimestamp"] == text
    assert api.page("/usage-events")["items"] == [stored]


def test_extra_fields_add_an_undocumented_field_to_every_item(api: Api) -> None:
    api.admin("POST", "/usage-metrics", {"name": "m"})
    api.event()
    for path in ("/usage-events", "/usage-metrics"):
        assert "ingestionSource" not in api.get(path).text
    api.set(extra_fields=True)
    for path in ("/usage-events", "/usage-metrics"):
        assert api.get(path).text.count('"ingestionSource":{"channel":"api","weight":1.10}') == 1


def test_last_received_event_of_an_id_supersedes_the_earlier(api: Api) -> None:
    for number in (1, 1, 2):
        api.event("same", eventProperties={"n": number})
    api.event("other")
    assert api.keys("/usage-events") == ["other", "same", "same", "same"]
    assert api.admin("GET", "/summary") | {"applied": 4, "distinct_events": 2, "repeated": 1} == (
        api.admin("GET", "/summary")
    )
    api.set(superseded="hidden")
    page = api.page("/usage-events")
    assert [item["customerEventId"] for item in page["items"]] == ["other", "same"]
    assert page["items"][1]["eventProperties"] == {"n": 2}
    assert page["pagination"]["totalResultSize"] == 2
    api.event("same", eventProperties={"n": 3})
    assert api.keys("/usage-events") == ["same", "other"]
