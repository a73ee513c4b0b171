"""The hook: an Airflow connection becomes a client, and its calls arrive at a sandbox."""

from __future__ import annotations

import datetime as dt
import itertools
import json
from decimal import Decimal
from typing import Any

import pytest

from airflow_provider_sequence.exceptions import (
    InvalidEventError,
    SequenceConfigurationError,
    SequenceRejectedError,
)
from airflow_provider_sequence.hooks.sequence import SequenceHook
from tests.integration.support.airflow import AIRFLOW_VERSION
from tests.integration.support.databases import sequence_connection
from tests.integration.support.values import error_text
from tests.unit.test_hidden_credentials import SECRET
from tests.unit.test_hidden_credentials import check as check_frames

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


@pytest.fixture
def connect(monkeypatch, sandbox):
    """Makes a hook of a connection; fields left out are the sandbox's."""

    def make(**fields: Any) -> SequenceHook:
        monkeypatch.setenv("AIRFLOW_CONN_SEQUENCE_DEFAULT", sequence_connection(sandbox, **fields))
        return SequenceHook()

    return make


@pytest.fixture
def hook(sequence_conn):
    hook = SequenceHook()
    yield hook
    hook.close()


def create(hook: SequenceHook, event_id: str, **fields: Any) -> str:
    event = {"customer_alias": "acme", "event_type": "call", "event_timestamp": NOON} | fields
    return hook.create_usage_event(customer_event_id=event_id, **event)


def test_client_is_made_once(hook):
    assert hook.client is hook.client is hook.get_conn()


def test_client_is_made_anew_after_it_was_closed(hook):
    first = hook.client
    hook.close()

    assert first.closed
    assert hook.client is not first
    assert hook.test_connection()[0]


def test_connection_of_another_name(monkeypatch, sandbox):
    monkeypatch.setenv("AIRFLOW_CONN_BILLING_EU", sequence_connection(sandbox))

    assert SequenceHook("billing_eu").test_connection()[0]
    assert SequenceHook(sequence_conn_id="billing_eu").test_connection()[0]


@pytest.mark.parametrize("host", ["", None])
def test_host_is_production_where_there_is_none(connect, host):
    hook = connect(host=host)
    same = connect(host="https://eu.sequencehq.com/api")

    assert hook.client.account == same.client.account  # a client of its own asks nobody anything


def test_trailing_slash_of_the_host_does_not_matter(connect, sandbox):
    assert connect(host=sandbox.api_url + "/").test_connection()[0]


@pytest.mark.parametrize("value", [1500, "1500", 1500.0, "1500.5", "", None])
@pytest.mark.parametrize("name", ["requests_per_minute", "usage_events_per_minute", "timeout"])
def test_numbers_of_the_extra_may_be_text_or_left_empty(connect, name, value):
    assert connect(extra={name: value}).test_connection()[0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *itertools.product(
            ["requests_per_minute", "usage_events_per_minute", "timeout"],
            ["many", "0", -5, 0, True, [], {}, "nan", "-inf"],
        ),
        ("timeout", "inf"),
        ("timeout", "1e300"),  # longer than a computer can wait
    ],
)
def test_wrong_number_in_the_extra_is_named(connect, name, value):
    hook = connect(extra={name: value})
    with pytest.raises(SequenceConfigurationError, match=name):
        hook.get_conn()

    works, message = hook.test_connection()
    assert not works
    assert name in message


@pytest.mark.parametrize(
    ("field", "value", "word"),
    [
        ("login", "", "login|client id"),
        ("login", None, "login|client id"),
        ("password", "", "password|client secret"),
        ("password", None, "password|client secret"),
        ("host", "not a url", "host|base url"),
        ("host", "ftp://example.org", "host|base url"),
        ("host", "eu.sequencehq.com/api", "host|base url"),
    ],
)
def test_wrong_field_of_the_connection_is_named(connect, field, value, word):
    hook = connect(**{field: value})
    with pytest.raises(SequenceConfigurationError, match=rf"(?i){word}"):
        hook.get_conn()

    assert not hook.test_connection()[0]


@pytest.mark.parametrize("extra", ['"hello"', "[1]", "5", "null", "hello", "{"])
def test_extra_that_is_no_object_is_refused(monkeypatch, sandbox, extra):
    connection = json.loads(sequence_connection(sandbox)) | {"extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_SEQUENCE_DEFAULT", json.dumps(connection))
    # Airflow 3.0 and 3.1 log that the variable can't be read, and look elsewhere.
    looks_elsewhere = (3, 0) <= AIRFLOW_VERSION < (3, 2)
    said = "there is no connection" if looks_elsewhere else "extra is no JSON object"
    with pytest.raises(SequenceConfigurationError, match=said):
        SequenceHook().get_conn()

    works, message = SequenceHook().test_connection()
    assert (works, said in message) == (False, True)


@pytest.mark.parametrize("named", [True, False])
def test_port_beside_the_host(connect, sandbox, named):
    host, _, port = sandbox.base_url.rpartition(":")
    assert connect(host=sandbox.api_url if named else f"{host}/api", port=int(port)).test_connection()[0]

    works, message = connect(host=sandbox.api_url, port=1).test_connection()
    assert (works, f"port {port}" in message) == (False, True)


def test_test_of_the_connection_never_raises(connect, monkeypatch):
    hook = connect()
    monkeypatch.setattr(SequenceHook, "get_connection", lambda *_: 1 / 0)  # as a broken secrets backend does
    works, message = hook.test_connection()
    assert (works, "ZeroDivisionError" in message) == (False, True)


def test_alias_that_the_customer_has_already_is_returned(hook, sandbox):
    sandbox.add("customers", [{"id": "c-1"}, {"id": "c-2"}])
    first = hook.create_customer_alias("c-1", "acme")

    assert hook.create_customer_alias("c-1", "acme") == first
    with pytest.raises(SequenceRejectedError):
        hook.create_customer_alias("c-2", "acme")


def test_connection_that_is_not_there(monkeypatch, airflow_db):
    works, message = SequenceHook("no_such_connection").test_connection()

    assert not works
    assert "no_such_connection" in message


@pytest.mark.contract(off=True)
def test_version_and_limits_come_from_the_extra(connect, sandbox):
    hook = connect(
        extra={"api_version": "2024-05-09", "requests_per_minute": 600, "usage_events_per_minute": "1200"}
    )
    hook.client.verify_credentials()

    (request,) = sandbox._admin("GET", "/_sandbox/requests")["items"]
    assert request["headers"]["sequence-version"] == "2024-05-09"


def test_other_keys_of_the_extra_are_nobodys_business(connect, sandbox):
    extra = {
        "verify": False,
        "headers": {"X-Evil": "1"},
        "proxies": {"http": "http://127.0.0.1:1"},
        "deadline": "x",
    }
    assert connect(extra=extra).test_connection()[0]


def test_good_connection_says_so(hook):
    works, message = hook.test_connection()

    assert works is True
    assert message


def test_test_of_the_connection_only_reads(hook, sandbox):
    hook.test_connection()

    (request,) = sandbox._admin("GET", "/_sandbox/requests")["items"]
    assert request["method"] == "GET"
    assert sandbox.summary()["posts_received"] == 0


@pytest.mark.contract(off=True)
@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"password": "wr0ng-s3cret"}, "(?i)credential|client id|client secret|password|401"),
        ({"login": "wr0ng-s3cret"}, "(?i)credential|client id|client secret|password|401"),
        ({"host": "http://127.0.0.1:1/api"}, "(?i)refused|connect"),
        ({"host": "https://no-such-host.invalid/api"}, "(?i)resol|name|host"),
        ({"extra": {"api_version": "1999-01-01"}}, "(?i)version"),
    ],
)
def test_bad_connection_says_why(connect, fields, word):
    works, message = connect(**fields).test_connection()

    assert works is False
    assert "wr0ng-s3cret" not in message
    assert pytest.raises(AssertionError, match=word).matches(AssertionError(message)), message


@pytest.mark.contract(off=True)
def test_wrong_path_of_the_host_says_why(connect, sandbox):
    works, message = connect(host=sandbox.base_url + "/elsewhere").test_connection()

    assert works is False
    assert "host" in message.lower() or "base url" in message.lower()


@pytest.mark.contract(off=True)
@pytest.mark.parametrize(
    "kind", ["html", "invalid_json", "empty_body", "reset_before", "truncate", "redirect"]
)
def test_server_that_is_something_else_is_told_without_raising(connect, sandbox, kind):
    sandbox.fault(kind=kind)
    works, message = connect().test_connection()

    assert works is False
    assert message


def test_create_and_list_usage_events(hook, sandbox):
    properties = {
        "units": Decimal("1234567890123456789.012345678901234567890"),
        "name": "Zoë 👩🏽‍🚀",
        "none": None,
    }
    sequence_id = create(hook, "e1", event_properties=properties)

    (event,) = hook.list("usage_events")
    assert event["id"] == sequence_id
    assert event["customerEventId"] == "e1"
    assert event["customerAlias"] == "acme"
    assert event["eventProperties"] == properties
    assert isinstance(event["eventProperties"]["units"], Decimal)
    assert dt.datetime.fromisoformat(event["eventTimestamp"]) == NOON
    (stored,) = sandbox.ledger()["items"]
    assert "1234567890123456789.012345678901234567890" in stored["body"]


def test_create_and_list_seat_events(hook):
    sequence_id = hook.create_seat_event(
        customer_event_id="s1",
        customer_alias="acme",
        seat_type="editor",
        event_timestamp="2026-03-01",
        total=12,
    )

    (event,) = hook.list("seat_events")
    assert (event["id"], event["total"], event["seatType"]) == (sequence_id, 12, "editor")


def test_list_is_the_newest_first_and_goes_over_all_pages(hook):
    for number in range(120):
        create(hook, f"e{number}")

    assert [event["customerEventId"] for event in hook.list("usage_events")] == [
        f"e{n}" for n in reversed(range(120))
    ]


def test_list_and_count_of_a_window(hook):
    for number, minute in enumerate((0, 10, 20, 30)):
        create(hook, f"e{number}", event_timestamp=NOON + dt.timedelta(minutes=minute))
    window = {"window_start": NOON + dt.timedelta(minutes=10), "window_end": "2026-03-01T12:30:00Z"}

    assert [event["customerEventId"] for event in hook.list("usage_events", **window)] == ["e2", "e1"]
    assert hook.count("usage_events", **window) == 2
    assert hook.count("usage_events") == 4


def test_list_and_count_with_filters(hook, sandbox):
    sandbox.settings(
        customer_alias_parameter="repeated"
    )  # else a comma in an alias can't be told from another alias
    create(hook, "e1", customer_alias="acme")
    create(hook, "e2", customer_alias="b & c, d")
    create(hook, "e3", customer_alias="acme", event_type="other")

    assert hook.count("usage_events", customer_alias=["acme"]) == 2
    assert hook.count("usage_events", customer_alias="b & c, d") == 1
    assert [event["customerEventId"] for event in hook.list("usage_events", event_type="other")] == ["e3"]


def test_unknown_names_are_refused_before_anything_is_asked(hook, sandbox):
    with pytest.raises(SequenceConfigurationError, match="usage_events"):
        list(hook.list("usage_event"))
    with pytest.raises(SequenceConfigurationError, match="colour"):
        list(hook.list("usage_events", colour="red"))
    with pytest.raises(SequenceConfigurationError):
        hook.count("usage_events", window_start=NOON, window_end=NOON)

    assert sandbox.summary()["requests"] == 0


def test_metrics_are_listed(hook, sandbox):
    sandbox.add(
        "usage-metrics",
        [{"name": f"m{n}", "eventType": "call", "aggregationType": "COUNT"} for n in range(3)],
    )

    assert {metric["name"] for metric in hook.list("usage_metrics")} == {"m0", "m1", "m2"}
    assert hook.count("usage_metrics") == 3


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"customer_event_id": ""}, "customerEventId|customer_event_id"),
        ({"customer_event_id": None}, "customerEventId|customer_event_id"),
        ({"customer_alias": None}, "customerAlias|customer_alias"),
        ({"event_timestamp": "yesterday"}, "eventTimestamp|event_timestamp"),
        ({"event_properties": {"x": float("nan")}}, "x"),
        ({"event_properties": [1]}, "eventProperties|event_properties"),
    ],
)
def test_event_that_is_wrong_is_never_sent(hook, sandbox, fields, word):
    with pytest.raises(InvalidEventError, match=word):
        create(hook, fields.pop("customer_event_id", "e1"), **fields)

    assert sandbox.summary()["posts_received"] == 0


@pytest.mark.contract(off=True)
def test_refused_event_says_why_without_the_customer(hook, sandbox):
    alias = "ann@example.org" + "x" * 300
    with pytest.raises(SequenceRejectedError) as caught:
        create(hook, "e1", customer_alias=alias)

    assert caught.value.status == 400
    assert "customerAlias" in str(caught.value)
    assert "ann@example.org" not in error_text(caught.value)


@pytest.mark.contract(off=True)
def test_secret_is_in_no_text(connect):
    hook = connect(password="wr0ng-s3cret")
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever it is
        hook.client.verify_credentials()

    for text in (
        error_text(caught.value),
        repr(hook),
        repr(hook.client),
        str(vars(hook.client).keys()),
        hook.client.account,
    ):
        assert "wr0ng-s3cret" not in text
        assert json.dumps("key:secret") not in text


@pytest.mark.parametrize(
    "fields",
    [
        {"extra": {"timeout": "x"}},
        {"extra": {"allow_http": 5}},
        {"host": "ftp://x"},
        {"host": "http://10.0.0.1"},
    ],
)
def test_refused_connection_shows_no_credential(connect, fields):
    with pytest.raises(SequenceConfigurationError) as caught:
        connect(password=SECRET, **fields).get_conn()
    check_frames(caught.value)


@pytest.mark.parametrize("value", [True, "true", "True"])
def test_plain_http_is_allowed_by_the_extra(connect, value):
    connect(host="http://10.0.0.1", extra={"allow_http": value}).get_conn().close()
    with pytest.raises(SequenceConfigurationError, match="allow_http"):
        connect(host="http://10.0.0.1", extra={"allow_http": False}).get_conn()
