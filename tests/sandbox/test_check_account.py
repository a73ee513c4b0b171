"""The check of a live account: against the sandbox, it tells apart every reading that a switch turns."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import requests

from airflow_provider_sequence.api.assumptions import ASSUMPTIONS
from dev.check_account import (
    CHECKS,
    MAX_REQUESTS,
    VERSION,
    Account,
    Finding,
    ReadOnlySession,
    StopError,
    main,
    run_check,
)
from tests.support.server import CREDENTIALS, Server

# It asks for what no client should, such as a page of 0 items.
pytestmark = pytest.mark.contract(off=True)

BOUNDS = {
    "after inclusive, before exclusive": {},
    "after exclusive, before exclusive": {"after_bound": "exclusive"},
    "after inclusive, before inclusive": {"before_bound": "inclusive"},
    "after exclusive, before inclusive": {"after_bound": "exclusive", "before_bound": "inclusive"},
}
#: What each check that a switch can turn sees -> the switches.
READINGS: dict[str, dict[str, dict[str, Any]]] = {
    "window-bounds": BOUNDS,
    "date-bounds": BOUNDS,
    "filter-precision": {
        "fractions of a second count": {"timestamp_filter_resolution": "exact"},
        "cut to whole seconds": {"timestamp_filter_resolution": "second"},
    },
    "list-ends": {
        "after: left out; before: left out": {"last_page": "omit", "first_page": "omit"},
        "after: null; before: left out": {"last_page": "null"},
        "after: an empty text; before: left out": {"last_page": "empty"},
        "after: a cursor to an empty page; before: left out": {"last_page": "cursor"},
        "after: left out; before: null": {"first_page": "null"},
        "after: left out; before: an empty text": {"first_page": "empty"},
        "after: left out; before: a cursor to an empty page": {"first_page": "cursor"},
    },
    "cursor-lifetime": {
        "still good after 0.1 s": {"cursor_lifetime_seconds": 0},
        "expired within 0.1 s (400)": {"cursor_lifetime_seconds": 0.05},
    },
    "cursor-form": {
        "base64 of a UUID": {"cursor_style": "uuid"},
        "base64 of a UUID, a time and an order": {"cursor_style": "uuid_micros_order"},
    },
    "total": {
        "exact": {"total": "exact"},
        "left out": {"total": "absent"},
        "null": {"total": "null"},
        "too low": {"total": "estimate_low"},
        "too high": {"total": "estimate_high"},
    },
    "default-limit": {"20 items": {"default_limit": 20}, "7 items": {"default_limit": 7}},
    "offset-without-cursor": {
        "counted from the start": {"offset_without_cursor": "from_start"},
        "refused (400)": {"offset_without_cursor": "reject"},
    },
    "event-id-filter": {
        "id": {"event_id_filter": "id"},
        "customerEventId": {"event_id_filter": "customer_event_id"},
    },
    "alias-list": {
        "repeated parameters and commas": {"customer_alias_parameter": "both"},
        "repeated parameters": {"customer_alias_parameter": "repeated"},
        "commas": {"customer_alias_parameter": "comma"},
    },
    "encoded-lists": {
        "encoded twice": {"listed_values": "decoded_after_split"},
        "encoded once": {"listed_values": "split_before_decoding"},
    },
    "superseded-copies": {"listed": {"superseded": "listed"}, "hidden": {"superseded": "hidden"}},
    "void-events-unmapped": {
        "left out": {"void_events_unmapped": False},
        "listed": {"void_events_unmapped": True},
    },
    "calculate-aliases": {
        "commas": {"aliases_separator": "comma"},
        "repeated parameters": {"aliases_separator": "repeated"},
        "repeated parameters and commas": {"aliases_separator": "both"},
    },
    "calculated-value": {
        "a number": {"calculated_value": "number"},
        "a text": {"calculated_value": "text"},
    },
    "naive-timestamps": {
        "UTC": {"naive_timestamps": "utc"},
        "refused (400)": {"naive_timestamps": "reject"},
    },
    "timestamp-format": {
        "Z; 0 or 6 digits of a second's fraction": {"timestamp_format": "as_sent"},
        "Z; 3 digits of a second's fraction": {"timestamp_format": "utc_millis"},
        "an offset; 0 or 6 digits of a second's fraction": {"timestamp_format": "offset"},
        "no offset; 0 or 6 digits of a second's fraction": {"timestamp_format": "naive"},
    },
    "seat-order": {
        "the latest timestamp counts": {"newest_seat_event": "event_timestamp"},
        "the last received counts": {"newest_seat_event": "received"},
    },
    "error-body": {
        "error, an object": {"error_body": "error"},
        "errors, a list": {"error_body": "errors"},
        "plain text": {"error_body": "text"},
        "HTML": {"error_body": "html"},
        "nothing": {"error_body": "empty"},
    },
    "missing-id": {
        "line items 400, calculation 400": {"missing_status": "documented"},
        "line items 404, calculation 404": {"missing_status": "customary"},
    },
    "unknown-parameters": {
        "ignored": {"unknown_parameters": "ignore"},
        "refused (400)": {"unknown_parameters": "reject"},
    },
}
#: What the other checks see of the sandbox as it is.
SEEN = {
    "window-time": Finding("the event's own timestamp"),
    "filter-comparison": Finding("to the character"),
    "customer-id-as-alias": Finding("an id is taken"),
    "currency-list": Finding("commas"),
    "merchants": Finding("the list names them"),
    "time-in-ids": Finding("UUIDv7, newest first"),
    "calculate-period": Finding("times to the moment, the end is included, dates"),
    "deleted-aliases": Finding("listed, with deletedAt or archivedAt"),
}
#: Readings that the client does not handle.
UNHANDLED = {("total", "too low"), ("total", "too high"), ("cursor-lifetime", "expired within 0.1 s (400)")}
CUSTOMER = "0184421e-a9cc-711b-af93-bf0511d4d833"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")


def account(server: Server) -> Account:
    return Account(server.api_url, CREDENTIALS, interval=0, cursor_age=0.1)


@pytest.fixture
def filled(sandbox: Server) -> Server:
    """An account that shows all there is to see: copies, a void, fractions, seats out of order, a deleted alias."""

    def post(key: str, alias: str, minute: int, fraction: str = "") -> None:
        body = {"customerEventId": key, "customerAlias": alias, "eventType": "message sent"}
        body["eventTimestamp"] = f"2026-03-01T12:{minute:02}:00{fraction}Z"
        assert sandbox.call("POST", "/usage-events", json=body).status_code == 201

    sandbox.add("customers", [{"id": CUSTOMER, "aliases": ["acme"]}])
    sandbox.add("customers", [{"id": "other"}])
    sandbox.add(
        "customer-aliases", [{"customerId": "other", "value": "old", "deletedAt": "2026-03-01T00:00:00Z"}]
    )
    sandbox.add("usage-metrics", [{"eventType": "message sent", "aggregationType": "COUNT"}])
    sandbox.add("invoices", [{"dueDate": "2026-03-01", "currency": currency} for currency in ("GBP", "EUR")])
    sandbox.add("sequence-accounts", [{"id": "merchant"}])
    sandbox.add("tax-registrations", [{"merchantId": "merchant"}, {"customerId": "other"}])
    for n in range(24):
        post(f"e-{n}", ["acme", "globex"][n % 2], n)
    post("e-0", "VOID", 0)
    post("fraction", "globex", 30, ".123456")
    for key, total, day in [("s-1", 5, 2), ("s-2", 3, 1)]:
        body = {"customerEventId": key, "customerAlias": "acme", "seatType": "admin", "total": total}
        body |= {"eventTimestamp": f"2026-03-0{day}T00:00:00Z"}
        assert sandbox.call("POST", "/seat-events", json=body).status_code == 201
    return sandbox


def test_every_assumption_that_reading_settles_has_a_check_and_a_test():
    expected = {assumption.name for assumption in ASSUMPTIONS if assumption.reads_only}
    assert set(CHECKS) == expected
    assert READINGS.keys() | SEEN.keys() == expected
    for assumption in ASSUMPTIONS:
        if assumption.reads_only:
            turned = {name for switches in READINGS.get(assumption.name, {}).values() for name in switches}
            assert turned == set(assumption.switches)


def test_every_reading_is_told_apart(filled):
    found, initial = {}, filled.settings()
    for name, readings in READINGS.items():
        for seen, switches in readings.items():
            filled.settings(**switches)
            found[name, seen] = run_check(name, account(filled))
            filled.settings(**{switch: initial[switch] for switch in switches})
    assert found == {
        (name, seen): Finding(seen, (name, seen) not in UNHANDLED)
        for name, readings in READINGS.items()
        for seen in readings
    }


def test_checks_that_no_switch_turns(filled):
    assert {name: run_check(name, account(filled)) for name in SEEN} == SEEN


@pytest.mark.parametrize(
    ("item", "seen"),
    [
        ({"id": "e-1"}, Finding("other ids", False)),
        ({"number": 1}, "can't be told: a response is not as documented (KeyError)"),
    ],
)
def test_other_ids_and_none(sandbox, item, seen):
    sandbox.fault(path="/usage-events", status=200, body=json.dumps({"items": [item], "pagination": {}}))
    assert run_check("time-in-ids", account(sandbox)) == seen


def run(server: Server, **environ: str) -> int:
    values = {"SEQUENCE_URL": server.api_url, "SEQUENCE_CLIENT_ID": "key", "SEQUENCE_CLIENT_SECRET": "secret"}
    return main(values | environ, interval=0, cursor_age=0.1)


def test_a_run_prints_a_line_each_and_none_of_the_data(filled, capsys):
    filled.settings(total="estimate_high")
    assert run(filled) == 1
    *lines, last = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [each.name for each in ASSUMPTIONS if each.reads_only]
    assert not [line for line in lines if "can't be told" in line]
    assert [line.split()[0] for line in lines if "NOT as the client takes it" in line] == ["total"]
    text = "\n".join(lines)
    for private in ("acme", "globex", "e-1", "message sent", "2026-03", CUSTOMER[:8], "key", "secret"):
        assert private not in text
    assert int(last.split()[0]) <= MAX_REQUESTS


def test_an_empty_account_tells_little(sandbox, capsys):
    assert run(sandbox) == 0
    *lines, _ = capsys.readouterr().out.splitlines()
    told = [line.split()[0] for line in lines if "can't be told" not in line]
    assert told == ["error-body", "missing-id", "unknown-parameters"]


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"SEQUENCE_CLIENT_ID": ""}, "set SEQUENCE_CLIENT_ID: id and secret of an API client"),
        ({"SEQUENCE_CLIENT_SECRET": "wr0ng"}, "the API refuses the credentials (401)"),
        ({"SEQUENCE_URL": "http://example.com/api"}, "SEQUENCE_URL is no base URL"),
        ({"SEQUENCE_URL": "http://127.0.0.1:1/api"}, "no response from the API: ConnectionError"),
    ],
)
def test_a_run_that_cannot_start_says_why_without_values(sandbox, capsys, environ, message):
    assert run(sandbox, **environ) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.startswith(message)) == ("", True)
    assert not [value for value in ("wr0ng", "example.com", "key") if value in printed.err]


def test_nothing_but_get_is_sent(sandbox):
    session = ReadOnlySession(sandbox.api_url)
    for method, url in (
        ("POST", f"{sandbox.api_url}/usage-events"),
        ("GET", f"{sandbox.base_url}/elsewhere"),
    ):
        request = requests.Request(method, url, headers={"Sequence-Version": VERSION}, auth=CREDENTIALS)
        with pytest.raises(StopError, match="only GET requests"):
            session.send(session.prepare_request(request))
    assert sandbox.summary()["posts_received"] == 0


def test_requests_are_spaced_and_limited(sandbox):
    slow = Account(sandbox.api_url, CREDENTIALS, interval=0.05)
    started = time.monotonic()
    for _ in range(3):
        slow.page("/usage-events", again=True)
    assert time.monotonic() - started >= 0.1
    slow.requests = MAX_REQUESTS
    assert run_check("unknown-parameters", slow) == "can't be told: the 60 requests of a run are used up"
