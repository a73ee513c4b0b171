"""SequenceClient over real connections: requests, retries, pages, redaction and rate budgets."""

from __future__ import annotations

import base64
import datetime as dt
import gzip
import html
import itertools
import json
import logging
import threading
import time
import traceback
from collections.abc import Callable
from email.utils import formatdate
from typing import Any
from urllib.parse import unquote_plus

import pytest

from airflow_provider_sequence import __version__
from airflow_provider_sequence.api.client import SequenceClient
from airflow_provider_sequence.api.resources import SEAT_EVENTS, USAGE_EVENTS, USAGE_METRICS
from airflow_provider_sequence.api.windows import Window
from airflow_provider_sequence.exceptions import (
    SequenceApiError,
    SequenceAuthenticationError,
    SequenceClientClosedError,
    SequenceConfigurationError,
    SequenceRejectedError,
    SequenceResponseError,
    SequenceUnavailableError,
)
from tests.support.server import Server
from tests.unit.events import post_event, seat_event, usage_event
from tests.unit.loopback import (
    EMPTY_LIST,
    Close,
    Drip,
    Loopback,
    Partial,
    Received,
    Reply,
    Reset,
    Response,
    Wait,
    created,
    free_port,
)

Connect = Callable[..., SequenceClient]

CREATED_ID = "0184421a-8202-70ea-a729-30308a40bbf7"
GATEWAY = Reply(502, "<html><body><h1>502 Bad Gateway</h1></body></html>", content_type="text/html")
FAILURES: dict[str, Response] = {
    "reset": Reset(),
    "closed": Close(),
    "timeout": Wait(1.0),
    "500": Reply(500, {"error": {"type": "Internal", "message": "oops"}}),
    "502 as a page": GATEWAY,
    "503": Reply(503, b"", content_type=""),
    "504": Reply(504, "gateway timeout", content_type="text/plain"),
    "429": Reply(
        429, {"error": {"type": "TooManyRequests", "message": "slow down"}}, (("Retry-After", "0"),)
    ),
    "half a response": Partial(b"HTTP/1.1 201 Created\r\nContent-Length: 500\r\n\r\n" + b'{"id": "x'),
    "half a header": Partial(b"HTTP/1.1 20"),
    "no HTTP": Partial(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "invalid JSON": Reply(200, b'{"items": [{"id": "'),
    "an empty body": Reply(200, b""),
    "a page": Reply(200, "<html>Welcome to the hotel's wifi</html>", content_type="text/html"),
    "another shape": Reply(200, [1, 2]),
}


def everything_shown(error: BaseException) -> str:
    """Everything that a log could show of an error."""
    shown = "".join(traceback.format_exception(error))
    seen: BaseException | None = error
    while seen is not None:
        shown += f"{seen!r} {seen.args!r} {vars(seen)!r}"
        seen = seen.__cause__ or seen.__context__
    return shown


def texts(items: Any, field: str = "customerEventId") -> list[str]:
    return [json.loads(bytes(item[field])) for item in items]


def within(seconds: float) -> Callable[[float], bool]:
    start = time.monotonic()
    return lambda least=0.0: least <= time.monotonic() - start <= seconds


class TestRequests:
    def test_read_request(self, loopback: Loopback, connect: Connect):
        client = connect(loopback, user_agent="apache-airflow/3.0.0")
        assert list(client.items(USAGE_EVENTS)) == []
        [request] = loopback.requests
        assert (request.method, request.path) == ("GET", "/api/usage-events")
        assert request.headers["authorization"] == "Basic a2V5OnNlY3JldA=="
        assert request.headers["sequence-version"] == "2024-07-30"
        assert f"airflow-provider-sequence/{__version__}" in request.headers["user-agent"]
        assert "apache-airflow/3.0.0" in request.headers["user-agent"]
        assert "json" in request.headers["accept"] or request.headers["accept"] == "*/*"
        assert request.body == b""

    def test_create_request_of_a_usage_event(self, loopback: Loopback, connect: Connect):
        loopback.responses = [created]
        sent = usage_event(weight=1.10, name="Zoë \U0001f600")
        assert connect(loopback).create(USAGE_EVENTS, sent) == CREATED_ID
        [request] = loopback.requests
        assert (request.method, request.target) == ("POST", "/api/usage-events")
        assert request.body == sent.body
        assert request.headers["content-type"].startswith("application/json")
        assert request.headers["authorization"] == "Basic a2V5OnNlY3JldA=="
        assert request.headers["sequence-version"] == "2024-07-30"

    def test_create_request_of_a_seat_event(self, loopback: Loopback, connect: Connect):
        loopback.responses = [created]
        connect(loopback).create(SEAT_EVENTS, seat_event())
        assert (loopback.requests[0].method, loopback.requests[0].target) == ("POST", "/api/seat-events")

    def test_api_version_is_sent(self, loopback: Loopback, connect: Connect):
        list(connect(loopback, api_version="2024-05-09").items(USAGE_EVENTS))
        assert loopback.requests[0].headers["sequence-version"] == "2024-05-09"

    @pytest.mark.parametrize(("client_id", "secret"), [("ключ", "pässwört€"), ("k", "a:b:c"), ("a b", "%41")])
    def test_credentials_are_sent_as_utf8(self, loopback, connect, client_id, secret):
        list(connect(loopback, credentials=(client_id, secret)).items(USAGE_EVENTS))
        scheme, _, encoded = loopback.requests[0].headers["authorization"].partition(" ")
        assert scheme == "Basic"
        assert base64.b64decode(encoded).decode() == f"{client_id}:{secret}"

    def test_netrc_is_ignored(self, loopback, connect, tmp_path, monkeypatch):
        (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password else\n")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        list(connect(loopback).items(USAGE_EVENTS))
        assert loopback.requests[0].headers["authorization"] == "Basic a2V5OnNlY3JldA=="

    def test_trailing_slash_of_the_base_url_is_ignored(self, loopback, connect):
        list(connect(loopback.api_url + "/").items(USAGE_EVENTS))
        assert loopback.requests[0].path == "/api/usage-events"

    def test_connection_check_reads_one_item(self, loopback, connect):
        connect(loopback).verify_credentials()
        [request] = loopback.requests
        assert (request.method, request.path, request.query) == (
            "GET",
            "/api/usage-metrics",
            [("limit", "1")],
        )

    def test_filters_and_window_are_sent(self, loopback, connect):
        window = Window.parse("2024-01-01", "2024-01-02")
        filters = {"customer_alias": ["a & b", "ü/?=+"], "event_type": "sent"}
        list(connect(loopback).items(USAGE_EVENTS, filters, window))
        query = loopback.requests[0].query
        asked = [[v for name, v in request.query if name == "customerAlias"] for request in loopback.requests]
        assert asked == [["a & b"], ["ü/?=+"]]
        assert ("eventType", "sent") in query
        low, high = (dict(query)[name] for name in ["eventTimestampAfter", "eventTimestampBefore"])
        assert low.endswith("Z")
        assert high.endswith("Z")
        assert dt.datetime.fromisoformat(low) < window.start
        assert window.end < dt.datetime.fromisoformat(high)

    @pytest.mark.parametrize(
        ("reading", "wanted"),
        [
            ("decoded_after_split", ["a"]),
            ("decoded_after_split", ["a", "b"]),
            ("decoded_after_split", ["a,b"]),
            ("decoded_after_split", ["a,b", "100%", "c d"]),
            ("split_before_decoding", ["a"]),
            ("split_before_decoding", ["a", "b"]),
        ],
        ids=str,
    )
    def test_values_of_a_list_are_found_however_the_api_splits_them(
        self, server: Server, client: SequenceClient, reading, wanted
    ):
        """Plain values are found whether the API splits a list before or after it decodes the query."""
        server.check(check_answers=False)
        server.settings(listed_values=reading)
        metric = {"name": "m", "metricType": "STANDARD", "aggregationType": "COUNT"}
        server.add(
            "usage-metrics", [metric | {"eventType": kind} for kind in ["a,b", "a", "b", "100%", "c d"]]
        )
        found = texts(client.items(USAGE_METRICS, {"event_type": wanted}), "eventType")
        assert sorted(found) == sorted(wanted)

    def test_invalid_query_is_refused(self, client):
        with pytest.raises(SequenceConfigurationError, match="nope"):
            list(client.items(USAGE_EVENTS, {"nope": "x"}))
        with pytest.raises(SequenceConfigurationError, match="usage_metrics"):
            list(client.items(USAGE_METRICS, window=Window.parse("2024-01-01", "2024-01-02")))


class TestRetries:
    @pytest.mark.parametrize("failure", ["reset", "503", "invalid JSON"])
    def test_failed_read_is_retried(self, loopback, connect, failure):
        good = Reply(200, {"items": [{"id": "1"}], "pagination": {}})
        loopback.responses = [FAILURES[failure], FAILURES[failure], good]
        client = connect(loopback, timeout=0.2)
        assert texts(client.items(USAGE_EVENTS), "id") == ["1"]
        assert len(loopback.requests) == client.requests_sent == 3
        assert len({(r.target, r.headers["authorization"]) for r in loopback.requests}) == 1

    @pytest.mark.parametrize("failure", FAILURES)
    def test_failed_create_is_retried_with_the_same_body(self, loopback, connect, failure):
        loopback.responses = [FAILURES[failure], FAILURES[failure], created]
        assert connect(loopback, timeout=0.2).create(USAGE_EVENTS, usage_event()) == CREATED_ID
        assert len(loopback.requests) == 3
        assert {request.body for request in loopback.requests} == {usage_event().body}

    def test_refused_connection_is_retried_until_the_server_listens(self, connect):
        port = free_port()
        client = connect(f"http://127.0.0.1:{port}/api")
        late = Loopback(port)
        late.responses = [created]
        timer = threading.Timer(0.2, late.__enter__)
        timer.start()
        try:
            assert client.create(USAGE_EVENTS, usage_event()) == CREATED_ID
        finally:
            timer.join()
            late.__exit__()
        assert client.requests_sent >= 2

    @pytest.mark.parametrize("status", [429, 503])
    def test_retry_after_seconds_are_honoured(self, loopback, connect, status):
        loopback.responses = [Reply(status, b"", (("Retry-After", "1"),)), EMPTY_LIST]
        list(connect(loopback).items(USAGE_EVENTS))
        assert 1.0 <= loopback.gaps()[0] < 2.5

    def test_retry_after_date_is_honoured(self, loopback, connect):
        date = int(time.time() + 0.5) + 1
        loopback.responses = [Reply(503, b"", (("Retry-After", formatdate(date, usegmt=True)),)), EMPTY_LIST]
        list(connect(loopback).items(USAGE_EVENTS))
        assert len(loopback.requests) == 2
        assert date <= time.time() < date + 1.5

    def test_429_pauses_every_thread(self, loopback, connect):
        loopback.responses = [Reply(429, b"", (("Retry-After", "1"),)), created]
        client = connect(loopback)
        first = threading.Thread(target=client.create, args=(USAGE_EVENTS, usage_event("first")))
        first.start()
        while not client.requests_throttled:
            time.sleep(0.005)
        others = [
            threading.Thread(target=client.create, args=(USAGE_EVENTS, usage_event(str(n)))) for n in range(8)
        ]
        for thread in others:
            thread.start()
        for thread in [first, *others]:
            thread.join(10)
        assert len(loopback.requests) == 10
        assert loopback.gaps()[0] >= 1.0
        assert client.requests_throttled == 1

    def test_retries_end_at_the_deadline(self, loopback, connect):
        loopback.responses = [FAILURES["503"]]
        in_time = within(4)
        with pytest.raises(SequenceUnavailableError) as caught:
            connect(loopback, deadline=0.5).create(USAGE_EVENTS, usage_event())
        assert in_time(0.2)
        assert caught.value.status == 503
        assert 3 <= len(loopback.requests) < 300

    @pytest.mark.parametrize("status", [429, 503])
    def test_retry_after_beyond_the_deadline_ends_the_retries(self, loopback, connect, status):
        loopback.responses = [Reply(status, b"", (("Retry-After", "3600"),))]
        in_time = within(2)
        with pytest.raises(SequenceUnavailableError) as caught:
            connect(loopback, deadline=0.5).create(USAGE_EVENTS, usage_event())
        assert in_time()
        assert caught.value.status == status

    def test_timeouts_are_retried_until_the_deadline(self, loopback, connect):
        loopback.responses = [Wait(2)]
        in_time = within(4)
        with pytest.raises(SequenceUnavailableError) as caught:
            connect(loopback, timeout=0.1, deadline=0.6).create(USAGE_EVENTS, usage_event())
        assert in_time(0.3)
        assert caught.value.status is None
        assert len(loopback.requests) >= 2

    def test_refused_connection_is_an_outage_after_the_deadline(self, connect):
        in_time = within(4)
        client = connect(f"http://127.0.0.1:{free_port()}/api", deadline=0.4)
        with pytest.raises(SequenceUnavailableError) as caught:
            client.create(USAGE_EVENTS, usage_event())
        assert in_time(0.1)
        assert (caught.value.method, caught.value.path, caught.value.status) == (
            "POST",
            "/usage-events",
            None,
        )
        assert client.requests_sent >= 2

    def test_default_backoff_makes_few_attempts(self, loopback):
        """With the default waits between attempts."""
        loopback.responses = [FAILURES["503"]]
        client = SequenceClient(loopback.api_url, "key", "secret", deadline=1)
        with client, pytest.raises(SequenceUnavailableError):
            client.create(USAGE_EVENTS, usage_event())
        assert len(loopback.requests) <= 12

    def test_slow_body_within_the_timeout_is_read(self, server, client, connect):
        server.fault(kind="slow_drip", seconds=1.0, times=1)
        assert connect(server, timeout=0.5).create(USAGE_EVENTS, usage_event())
        assert server.summary()["posts_received"] == 1

    @pytest.mark.parametrize("part", ["headers", "body"])
    def test_endless_response_is_aborted(self, loopback, connect, part):
        """Each byte comes within the timeout; the whole may take four of them."""
        head = b"HTTP/1.1 201 Created\r\nContent-Length: 500\r\n"
        dripping = {"headers": head + b"X-Padding: " + b"x" * 500, "body": head + b"\r\n" + b" " * 500}[part]
        loopback.responses = [Drip(dripping, 0.02)]
        began = time.monotonic()
        with pytest.raises(SequenceUnavailableError, match="no answer within the timeout"):
            connect(loopback, timeout=0.15, deadline=0.1).create(USAGE_EVENTS, usage_event())
        assert time.monotonic() - began < 5

    @pytest.mark.parametrize(
        ("method", "status", "kind"),
        [
            ("POST", 400, SequenceRejectedError),
            ("GET", 400, SequenceRejectedError),
            ("POST", 401, SequenceAuthenticationError),
            ("GET", 401, SequenceAuthenticationError),
            ("POST", 403, SequenceAuthenticationError),
            ("GET", 404, SequenceResponseError),
            ("POST", 405, SequenceResponseError),
            ("POST", 413, SequenceRejectedError),
            ("POST", 422, SequenceRejectedError),
        ],
    )
    def test_permanent_error_is_not_retried(self, loopback, connect, status, kind, method):
        loopback.responses = [Reply(status, {"error": {"type": "SomeType", "message": "the reason why"}})]
        client = connect(loopback)
        with pytest.raises(kind) as caught:
            client.create(USAGE_EVENTS, usage_event()) if method == "POST" else list(
                client.items(USAGE_EVENTS)
            )
        error = caught.value
        assert type(error) is kind
        assert (error.status, error.error_type, error.method, error.path) == (
            status,
            "SomeType",
            method,
            "/usage-events",
        )
        assert "the reason why" in error.message
        for part in [str(status), "SomeType", method, "/usage-events", "the reason why"]:
            assert part in str(error)
        assert len(loopback.requests) == client.requests_sent == 1

    @pytest.mark.parametrize(
        ("method", "failure"),
        [
            ("GET", "invalid JSON"),
            ("POST", "invalid JSON"),
            ("GET", "an empty body"),
            ("POST", "a page"),
            ("GET", "another shape"),
        ],
    )
    def test_unreadable_response_is_retried_only_a_few_times(self, loopback, connect, failure, method):
        loopback.responses = [FAILURES[failure]]
        client = connect(loopback, deadline=60)
        in_time = within(5)
        with pytest.raises(SequenceResponseError) as caught:
            client.create(USAGE_EVENTS, usage_event()) if method == "POST" else list(
                client.items(USAGE_EVENTS)
            )
        assert in_time()
        assert 2 <= len(loopback.requests) <= 10
        assert (caught.value.method, caught.value.path, caught.value.status) == (method, "/usage-events", 200)

    @pytest.mark.parametrize(
        "body", [b"[" * 200_000, b'{"items":[{"a":' + b"[" * 200_000, b'{"id":' + b"[" * 200_000]
    )
    def test_deeply_nested_response_is_an_error(self, loopback, connect, body):
        loopback.responses = [Reply(200, body)]
        with pytest.raises(SequenceResponseError):
            list(connect(loopback).items(USAGE_EVENTS))
        with pytest.raises(SequenceResponseError):
            connect(loopback).create(USAGE_EVENTS, usage_event())

    @pytest.mark.parametrize("failure", ["503", "reset"])
    def test_connection_check_is_not_retried(self, loopback, connect, failure):
        loopback.responses = [FAILURES[failure]]
        with pytest.raises(SequenceApiError):
            connect(loopback).verify_credentials()
        assert len(loopback.requests) == 1

    @pytest.mark.parametrize("status", [200, 201, 202])
    def test_any_2xx_status_is_a_success(self, server, client, status):
        server.check(check_answers=False)
        server.settings(post_status=status)
        assert client.create(USAGE_EVENTS, usage_event())
        assert server.summary()["posts_received"] == 1

    @pytest.mark.parametrize("shape", ["error", "errors", "text", "html", "empty"])
    def test_error_body_of_any_shape_is_read(self, server, connect, shape):
        server.check(check_requests=False)
        server.settings(error_body=shape)
        with pytest.raises(SequenceAuthenticationError) as caught:
            list(connect(server, credentials=("key", SECRET)).items(USAGE_EVENTS))
        assert (caught.value.status, caught.value.method, caught.value.path) == (401, "GET", "/usage-events")
        assert SECRET not in everything_shown(caught.value)
        assert server.summary()["requests"] == 1

    def test_unknown_api_version_is_an_error(self, server, connect):
        server.check(check_requests=False)
        with pytest.raises(SequenceApiError) as caught:
            connect(server, api_version="2023-01-01").verify_credentials()
        assert (caught.value.status, caught.value.error_type) == (400, "UnrecognisedApiVersion")


class TestLostResponses:
    @pytest.mark.parametrize("kind", ["reset_after", "hang_after", "truncate", "invalid_json", "empty_body"])
    def test_event_sent_again_after_a_lost_response_is_stored_once(self, server, connect, kind):
        server.check(check_answers=False)
        server.fault(kind=kind, times=2, method="POST", path="/usage-events", seconds=1)
        client = connect(server, timeout=0.2)
        given = client.create(USAGE_EVENTS, usage_event())
        summary = server.summary()
        assert summary["distinct_events"] == 1
        assert summary["posts_received"] == summary["applied"] == 3
        stored = server.ledger()["items"]
        assert given == stored[-1]["id"]
        assert {item["customerEventId"] for item in stored} == {"e-1"}
        assert {item["body"] for item in stored} == {usage_event().body.decode()}

    def test_request_that_never_arrived_is_sent_again(self, server, client):
        server.fault(kind="reset_before", times=2)
        client.create(USAGE_EVENTS, usage_event())
        assert server.summary()["applied"] == 1

    def test_wrong_content_type_is_ignored(self, server, client):
        server.check(check_answers=False)
        server.fault(kind="wrong_content_type")
        given = client.create(USAGE_EVENTS, usage_event())
        assert given == server.ledger()["items"][0]["id"]
        assert texts(client.items(USAGE_EVENTS)) == ["e-1"]


class TestConnections:
    def test_connection_is_reused(self, loopback, connect):
        loopback.responses = [created]
        client = connect(loopback)
        for n in range(50):
            client.create(USAGE_EVENTS, usage_event(str(n)))
        assert len(loopback.requests) == 50
        assert loopback.connections == 1

    def test_each_thread_needs_one_connection(self, loopback, connect):
        loopback.responses = [created]
        client = connect(loopback, connections=8)

        def send(thread: int) -> None:
            for n in range(25):
                client.create(USAGE_EVENTS, usage_event(f"{thread}-{n}"))

        threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert len(loopback.requests) == 200
        assert loopback.connections <= 8

    def test_connection_is_reused_after_an_error_status(self, loopback, connect):
        loopback.responses = [Reply(400, {"error": {"type": "T", "message": "m" * 10_000}})]
        client = connect(loopback)
        for n in range(10):
            with pytest.raises(SequenceRejectedError):
                client.create(USAGE_EVENTS, usage_event(str(n)))
        assert loopback.connections == 1

    def test_connection_closed_by_the_server_is_replaced(self, loopback, connect):
        loopback.responses = [lambda request: Partial(created(request).encoded())]
        client = connect(loopback)
        for n in range(10):
            assert client.create(USAGE_EVENTS, usage_event(str(n))) == CREATED_ID

    def test_chunked_response_is_read(self, loopback, connect):
        chunks = (
            b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in [b'{"items":[{"id"', b':"1"}]', b"}"])
            + b"0\r\n\r\n"
        )
        loopback.responses = [Partial(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)]
        assert texts(connect(loopback).items(USAGE_EVENTS), "id") == ["1"]

    def test_compressed_response_is_read(self, loopback, connect):
        body = gzip.compress(b'{"items":[{"id":"1"}]}')
        loopback.responses = [Reply(200, body, (("Content-Encoding", "gzip"),))]
        assert texts(connect(loopback).items(USAGE_EVENTS), "id") == ["1"]

    @pytest.mark.parametrize(
        ("method", "status"), [("GET", 301), ("GET", 302), ("POST", 303), ("POST", 307), ("GET", 308)]
    )
    def test_redirects_are_not_followed(self, loopback, connect, status, method):
        with Loopback() as elsewhere:
            location = f"http://127.0.0.1:{elsewhere.port}/api/usage-events?token=Hunter2"
            loopback.responses = [Reply(status, b"", (("Location", location),))]
            client = connect(loopback)
            with pytest.raises(SequenceResponseError) as caught:
                client.create(USAGE_EVENTS, usage_event()) if method == "POST" else list(
                    client.items(USAGE_EVENTS)
                )
            assert elsewhere.requests == []
            assert elsewhere.connections == 0
        assert caught.value.status == status
        assert "Hunter2" not in everything_shown(caught.value)
        assert len(loopback.requests) == 1

    def test_cookies_are_ignored(self, loopback, connect):
        loopback.responses = [Reply(200, {"items": []}, (("Set-Cookie", "lb=1; Path=/"),))]
        client = connect(loopback)
        list(client.items(USAGE_EVENTS))
        list(client.items(USAGE_EVENTS))
        assert "cookie" not in loopback.requests[1].headers


class TestLists:
    @staticmethod
    def fill(server: Server, count: int) -> list[str]:
        for n in range(count):
            post_event(server, usage_event(f"e-{n}"))
        return [f"e-{n}" for n in reversed(range(count))]

    @pytest.mark.parametrize(
        ("last_page", "count"),
        [
            ("omit", 0),
            ("omit", 4),
            ("omit", 9),
            ("null", 4),
            ("empty", 0),
            ("empty", 4),
            ("cursor", 3),
            ("cursor", 4),
            ("cursor", 8),
        ],
    )
    def test_all_pages_are_read_however_the_last_one_is_marked(self, server, client, last_page, count):
        server.settings(last_page=last_page)
        newest_first = self.fill(server, count)
        pages = list(client.pages(USAGE_EVENTS, page_size=4))
        assert texts(itertools.chain(*[page.items for page in pages])) == newest_first
        assert max((len(page.items) for page in pages), default=0) <= 4

    def test_default_page_size_is_100(self, server, client):
        newest_first = self.fill(server, 205)
        before = server.summary()["requests"]
        assert texts(client.items(USAGE_EVENTS)) == newest_first
        assert server.summary()["requests"] - before == 3

    def test_page_is_requested_when_it_is_needed(self, server, client):
        self.fill(server, 9)
        before = server.summary()["requests"]
        pages = client.pages(USAGE_EVENTS, page_size=4)
        assert server.summary()["requests"] == before
        next(pages)
        assert server.summary()["requests"] == before + 1

    def test_cursors_are_sent_back_unchanged(self, loopback, connect):
        cursors = ["MDE4/+==", "a b&after=c#d%25", "ü\U0001f600"]
        pages = [
            {"items": [{"id": str(n)}], "pagination": {"after": cursor}}
            for n, cursor in enumerate([*cursors, None])
        ]
        loopback.responses = [Reply(200, page) for page in pages]
        items = connect(loopback).items(USAGE_EVENTS, {"unmapped_aliases_only": True, "event_type": "t"})
        assert texts(items, "id") == ["0", "1", "2", "3"]
        queries = [request.query for request in loopback.requests]
        assert [dict(query).get("after") for query in queries] == [None, *cursors]
        rest = {tuple(sorted(pair for pair in query if pair[0] != "after")) for query in queries}
        assert len(rest) == 1
        assert ("limit", "100") in next(iter(rest))
        assert all(name not in dict(query) for query in queries for name in ["before", "offset"])

    def test_repeated_cursor_is_an_error(self, loopback, connect):
        loopback.responses = [Reply(200, {"items": [{"id": "1"}], "pagination": {"after": "Y3Vyc29y"}})]
        in_time = within(3)
        with pytest.raises(SequenceApiError) as caught:
            list(itertools.islice(connect(loopback).items(USAGE_EVENTS), 1000))
        assert in_time()
        assert not isinstance(caught.value, SequenceUnavailableError)
        assert caught.value.path == "/usage-events"
        assert len(loopback.requests) <= 3

    def test_cycle_of_cursors_is_an_error(self, loopback, connect):
        def respond(request: Received) -> Reply:
            after = {None: "a", "a": "b", "b": "c", "c": "a"}[dict(request.query).get("after")]
            return Reply(200, {"items": [{"id": "1"}], "pagination": {"after": after}})

        loopback.responses = [respond]
        with pytest.raises(SequenceApiError):
            list(itertools.islice(connect(loopback).items(USAGE_EVENTS), 1000))
        assert len(loopback.requests) == 4

    def test_failed_page_is_retried(self, server, client):
        newest_first = self.fill(server, 9)
        server.fault(kind="status", status=503, method="GET", after_n=1, times=2)
        assert (
            texts(itertools.chain(*[p.items for p in client.pages(USAGE_EVENTS, page_size=4)]))
            == newest_first
        )

    def test_undocumented_fields_are_kept(self, server, client):
        server.settings(extra_fields=True)
        server.check(check_answers=False)
        self.fill(server, 1)
        [item] = client.items(USAGE_EVENTS)
        assert b"1.10" in bytes(item["ingestionSource"])

    def test_properties_are_read_back_byte_for_byte(self, server, client):
        text = '{"n": 12345678901234567890.12345678901234567890, "e": 1E-7, "t": "Zo\\u00eb \U0001f600"}'
        client.create(USAGE_EVENTS, usage_event(event_properties=text))
        [item] = client.items(USAGE_EVENTS)
        assert bytes(item["eventProperties"]) == text.encode()


START, END = "2024-03-01T00:00:00Z", "2024-03-02T00:00:00Z"
WITHIN_A_SECOND = ("2024-03-01T00:00:00.250000Z", "2024-03-01T00:00:00.750000Z")
TICK = dt.timedelta(microseconds=1)
SECOND = dt.timedelta(seconds=1)


@pytest.mark.parametrize(
    ("after", "before", "resolution", "start", "end"),
    [
        ("inclusive", "exclusive", "exact", START, END),
        ("exclusive", "inclusive", "exact", START, END),
        ("exclusive", "exclusive", "second", START, END),
        ("inclusive", "inclusive", "second", START, END),
        ("exclusive", "exclusive", "exact", *WITHIN_A_SECOND),
        ("inclusive", "inclusive", "exact", *WITHIN_A_SECOND),
        ("exclusive", "exclusive", "second", *WITHIN_A_SECOND),
        ("inclusive", "inclusive", "second", *WITHIN_A_SECOND),
        ("exclusive", "inclusive", "second", "2024-03-01T00:00:00.999999Z", END),
    ],
)
class TestWindows:
    """Windows, however the API reads its bounds."""

    @pytest.fixture
    def inside(self, server: Server, after, before, resolution, start, end) -> list[str]:
        """Events at and around the bounds; the ids of those that belong to the window, the newest first."""
        server.settings(after_bound=after, before_bound=before, timestamp_filter_resolution=resolution)
        window = Window.parse(start, end)
        shifts = [-2 * SECOND, -SECOND, -300 * TICK, -TICK, 0 * TICK, TICK, 300 * TICK, SECOND, 2 * SECOND]
        times = {bound + shift for bound in (window.start, window.end) for shift in shifts}
        times |= {bound.replace(microsecond=0) for bound in (window.start, window.end)}
        numbered = {f"e-{n}": at for n, at in enumerate(sorted(times))}
        for key, at in numbered.items():
            post_event(server, usage_event(key, event_timestamp=at))
        return [key for key, at in reversed(numbered.items()) if window.start <= at < window.end]

    def test_items_of_the_window_are_read_and_counted(self, server, client, inside, start, end):
        window = Window.parse(start, end)
        assert texts(client.items(USAGE_EVENTS, window=window)) == inside
        assert client.count(USAGE_EVENTS, window=window) == len(inside)
        server.check(check_answers=False)
        server.settings(total="absent")
        assert client.count(USAGE_EVENTS, window=window) == len(inside)


class TestCount:
    @pytest.mark.parametrize("total", ["exact", "absent", "null"])
    def test_count_of_several_pages(self, server, client, total):
        TestLists.fill(server, 120)
        server.check(check_answers=False)
        server.settings(total=total)
        assert client.count(USAGE_EVENTS) == 120
        assert client.count(USAGE_EVENTS, window=Window.parse("2024-01-01", "2024-01-02")) == 120
        assert client.count(USAGE_EVENTS, window=Window.parse("2023-12-31", "2024-01-01")) == 0
        assert client.count(USAGE_EVENTS, {"event_type": "none"}) == 0

    @pytest.mark.parametrize(
        ("total", "count"), [("estimate_low", 1), ("estimate_low", 30), ("estimate_high", 3)]
    )
    def test_wrong_total_of_a_single_page_is_corrected(self, server, client, total, count):
        """``totalResultSize`` may be an estimate; the items of a single page can be counted."""
        server.check(check_answers=False)
        server.settings(total=total)
        TestLists.fill(server, count)
        assert client.count(USAGE_EVENTS) == count
        assert client.count(USAGE_EVENTS, window=Window.parse("2024-01-01", "2024-01-02")) == count

    def test_count_with_filters(self, server, client):
        for n in range(6):
            client.create(USAGE_EVENTS, usage_event(f"e-{n}", customer_alias=f"alias-{n % 3}"))
        window = Window.parse("2024-01-01", "2024-01-02")
        assert client.count(USAGE_EVENTS, {"customer_alias": ["alias-0", "alias-1"]}, window) == 4
        assert client.count(USAGE_EVENTS, {"customer_alias": "alias-0"}) == 2

    def test_count_by_the_total_takes_one_request(self, server, client):
        TestLists.fill(server, 120)
        before = server.summary()["requests"]
        assert client.count(USAGE_EVENTS) == 120
        assert server.summary()["requests"] - before == 1

    def test_count_of_seat_events(self, server, client):
        client.create(SEAT_EVENTS, seat_event())
        assert client.count(SEAT_EVENTS, window=Window.parse("2024-01-01", "2024-01-02")) == 1
        assert client.count(SEAT_EVENTS, window=Window.parse("2024-01-02", "2024-01-03")) == 0


SECRET = "s3cr3t-Hunter2"
ALIAS = 'Acme & "Söhne"/7'
PROPERTY = "Jane Doe +49 123"
PIECES = ["Hunter2", "Acme", "hne", "Jane", base64.b64encode(f"key:{SECRET}".encode()).decode()]


REPEATED: dict[str, Callable[[Received], str]] = {
    "target": lambda request: request.target,
    "decoded target": lambda request: unquote_plus(request.target),
    "credentials": lambda request: request.headers["authorization"],
    "secret": lambda request: f"no client with the secret {SECRET}",
    "body": lambda request: request.body.decode(),
    "alias": lambda request: f"no customer {ALIAS}",
    "property": lambda request: f"{PROPERTY} is no number",
}
SHAPES: dict[str, Callable[[str], bytes]] = {
    "message": lambda text: json.dumps({"error": {"type": "T", "message": text}}).encode(),
    "unicode": lambda text: json.dumps({"error": {"message": text}}, ensure_ascii=False).encode(),
    "quoted": lambda text: json.dumps({"error": {"message": json.dumps(text)}}).encode(),
    "type": lambda text: json.dumps({"error": {"type": text, "message": "m"}}).encode(),
    "list": lambda text: json.dumps({"errors": [{"type": "T", "message": text}, text]}).encode(),
    "text": str.encode,
    "page": lambda text: f"<html><pre>{html.escape(text)}</pre></html>".encode(),
    "unknown": lambda text: json.dumps({"what": {"you": ["sent", text]}}).encode(),
}


class TestRedaction:
    """Credentials and customers' data in errors and logs, also where the server repeats them."""

    @staticmethod
    def provoke(client: SequenceClient, method: str) -> SequenceApiError:
        sent = usage_event("e-1", customer_alias=ALIAS, name=PROPERTY, nested={"list": [f"x {PROPERTY}"]})
        filters = {"customer_alias": [ALIAS, f"{ALIAS} 2"]}
        with pytest.raises(SequenceApiError) as caught:
            client.create(USAGE_EVENTS, sent) if method == "POST" else list(
                client.items(USAGE_EVENTS, filters)
            )
        return caught.value

    @pytest.mark.parametrize(
        ("method", "repeated", "shape"),
        [
            *[("POST", repeated, "message") for repeated in REPEATED],
            *[("POST", "body", shape) for shape in SHAPES if shape != "message"],
            ("POST", "property", "quoted"),
            ("POST", "property", "page"),
            ("GET", "target", "message"),
            ("GET", "decoded target", "message"),
            ("GET", "decoded target", "page"),
            ("GET", "credentials", "text"),
            ("GET", "secret", "list"),
            *[("GET", "alias", shape) for shape in ("type", "text", "unknown")],
        ],
    )
    def test_values_that_a_rejection_repeats_are_redacted(self, loopback, connect, method, repeated, shape):
        loopback.responses = [lambda request: Reply(400, SHAPES[shape](REPEATED[repeated](request)))]
        error = self.provoke(connect(loopback, credentials=("key", SECRET)), method)
        assert [piece for piece in PIECES if piece in everything_shown(error)] == []
        assert "/usage-events" in str(error)

    @pytest.mark.parametrize("status", [200, 201, 302, 401, 403, 404, 409, 500, 503])
    def test_values_are_redacted_whatever_the_status(self, loopback, connect, status):
        texts = ("decoded target", "secret", "alias")
        loopback.responses = [
            lambda request: Reply(
                status, SHAPES["message"](" and ".join(REPEATED[text](request) for text in texts))
            )
        ]
        client = connect(loopback, credentials=("key", SECRET), deadline=0.05)
        for method in ("GET", "POST"):
            assert [
                piece for piece in PIECES if piece in everything_shown(self.provoke(client, method))
            ] == []

    @pytest.mark.parametrize(
        ("method", "failure"),
        [
            ("GET", "reset"),
            ("GET", "timeout"),
            ("GET", "503"),
            ("GET", "half a response"),
            ("GET", "invalid JSON"),
            ("POST", "timeout"),
            ("POST", "a page"),
        ],
    )
    def test_errors_of_an_outage_hold_no_values(self, loopback, connect, failure, method):
        loopback.responses = [FAILURES[failure]]
        client = connect(loopback, credentials=("key", SECRET), deadline=0.1, timeout=0.05)
        assert [piece for piece in PIECES if piece in everything_shown(self.provoke(client, method))] == []

    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_errors_of_refused_connections_hold_no_values(self, connect, method):
        client = connect(f"http://127.0.0.1:{free_port()}/api", credentials=("key", SECRET), deadline=0.1)
        assert [piece for piece in PIECES if piece in everything_shown(self.provoke(client, method))] == []

    @pytest.mark.parametrize(
        ("method", "response"), [("GET", "good"), ("POST", "good"), ("GET", "503"), ("POST", "reset")]
    )
    def test_debug_logs_hold_no_values(self, loopback, connect, method, response, caplog):
        caplog.set_level(logging.DEBUG)
        good = created if method == "POST" else EMPTY_LIST
        loopback.responses = [good] if response == "good" else [FAILURES[response], good]
        client = connect(loopback, credentials=("key", SECRET))
        if method == "POST":
            client.create(USAGE_EVENTS, usage_event(customer_alias=ALIAS, name=PROPERTY))
        else:
            list(client.items(USAGE_EVENTS, {"customer_alias": ALIAS}))
        assert [piece for piece in PIECES if piece in caplog.text] == []

    def test_repr_and_account_hold_no_credentials(self, loopback, connect):
        client = connect(loopback, credentials=("the-client-id", SECRET))
        assert SECRET not in repr(client) + str(client) + client.account
        assert "the-client-id" not in client.account
        assert "127.0.0.1" not in client.account

    def test_error_message_is_one_short_line(self, loopback, connect):
        """More lines in a log would look like log records."""
        loopback.responses = [
            Reply(
                400, {"error": {"type": "T\nERROR - x", "message": "a\r\nERROR - fake\x1b[31m" + "x" * 9000}}
            )
        ]
        with pytest.raises(SequenceRejectedError) as caught:
            connect(loopback).create(USAGE_EVENTS, usage_event())
        assert len(str(caught.value)) < 600
        assert not set("\r\n\x1b") & set(str(caught.value))


class TestAccount:
    def test_account_depends_on_client_id_and_host(self, connect):
        accounts = [
            connect(url, credentials=credentials).account
            for url, credentials in [
                ("https://eu.sequencehq.com/api", ("a", "s")),
                ("https://eu.sequencehq.com/api/", ("a", "another secret")),
                ("https://sandbox.sequencehq.com/api", ("a", "s")),
                ("https://eu.sequencehq.com/api", ("b", "s")),
            ]
        ]
        assert accounts[0] == accounts[1]
        assert len({*accounts}) == 3


class TestRateBudgets:
    def test_usage_events_do_not_count_in_the_general_budget(self, server, connect):
        client = connect(server, requests_per_minute=1)
        in_time = within(2)
        for n in range(20):
            client.create(USAGE_EVENTS, usage_event(str(n)))
        assert in_time()

    def test_other_requests_do_not_count_in_the_usage_event_budget(self, server, connect):
        client = connect(server, usage_events_per_minute=1)
        in_time = within(2)
        for n in range(10):
            client.create(SEAT_EVENTS, seat_event(str(n)))
            client.verify_credentials()
        assert in_time()

    @pytest.mark.parametrize("what", ["usage events", "seat events", "lists"])
    def test_budget_limits_the_rate(self, server, connect, what):
        client = connect(server, requests_per_minute=600, usage_events_per_minute=600)
        start = time.monotonic()
        for n in range(13):
            if what == "usage events":
                client.create(USAGE_EVENTS, usage_event(str(n)))
            elif what == "seat events":
                client.create(SEAT_EVENTS, seat_event(str(n)))
            else:
                list(client.items(USAGE_EVENTS))
        assert time.monotonic() - start >= 0.6

    def test_retries_count_in_the_budget(self, server, connect):
        server.fault(kind="status", status=503, times=8)
        client = connect(server, usage_events_per_minute=600)
        start = time.monotonic()
        client.create(USAGE_EVENTS, usage_event())
        client.create(USAGE_EVENTS, usage_event())
        client.create(USAGE_EVENTS, usage_event())
        client.create(USAGE_EVENTS, usage_event())
        assert client.requests_sent == 12
        assert time.monotonic() - start >= 0.55


class TestClosing:
    def wait_for(self, condition: Callable[[], object]) -> None:
        until = time.monotonic() + 5
        while not condition():
            assert time.monotonic() < until
            time.sleep(0.005)

    @pytest.mark.parametrize("reason", ["429", "503", "a turn"])
    def test_close_ends_a_wait(self, loopback, connect, reason):
        if reason == "a turn":
            loopback.responses = [created]
            client = connect(loopback, usage_events_per_minute=1)
            client.create(USAGE_EVENTS, usage_event())
        else:
            loopback.responses = [Reply(int(reason), b"", (("Retry-After", "30"),))]
            client = connect(loopback, deadline=60)
        ended: list[BaseException] = []

        def send() -> None:
            try:
                client.create(USAGE_EVENTS, usage_event())
            except BaseException as error:  # noqa: BLE001 - the test looks at it
                ended.append(error)

        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        self.wait_for(lambda: loopback.requests)
        time.sleep(0.1)
        assert thread.is_alive()
        client.close()
        thread.join(2)
        assert not thread.is_alive()
        assert [type(error) for error in ended] == [SequenceClientClosedError]
        assert len(loopback.requests) == 1

    def test_closed_client_sends_nothing(self, loopback, connect):
        client = connect(loopback)
        assert not client.closed
        client.close()
        client.close()
        assert client.closed
        with pytest.raises(SequenceClientClosedError):
            client.create(USAGE_EVENTS, usage_event())
        with pytest.raises(SequenceClientClosedError):
            list(client.items(USAGE_EVENTS))
        assert loopback.requests == []

    def test_context_manager_closes_the_client(self, loopback):
        with SequenceClient(loopback.api_url, "key", "secret") as client:
            client.verify_credentials()
            assert not client.closed
        assert client.closed


class TestSettings:
    @pytest.mark.parametrize(
        "url",
        [
            "",
            "eu.sequencehq.com",
            "ftp://x/api",
            "https://",
            "https://u:Hunter2@x/api",
            "https://x/api?key=Hunter2",
            "https://x/api#Hunter2",
            "https://x:port/api",
        ],
    )
    def test_invalid_base_url_is_refused_without_repeating_it(self, url):
        with pytest.raises(SequenceConfigurationError) as caught:
            SequenceClient(url, "key", SECRET)
        assert "Hunter2" not in everything_shown(caught.value)

    @pytest.mark.parametrize(
        "name", ["requests_per_minute", "usage_events_per_minute", "timeout", "deadline"]
    )
    def test_number_that_is_not_positive_is_refused(self, name):
        for value in (0, -1, float("nan")):
            with pytest.raises(SequenceConfigurationError, match=name):
                SequenceClient("https://x/api", "key", SECRET, **{name: value})

    @pytest.mark.parametrize(("client_id", "secret"), [("", "s"), ("k", ""), (None, "s"), ("k", None)])
    def test_missing_credentials_are_refused(self, client_id, secret):
        with pytest.raises(SequenceConfigurationError):
            SequenceClient("https://x/api", client_id, secret)

    def test_client_id_with_a_colon_is_refused(self):
        """HTTP Basic would read the rest as the secret."""
        with pytest.raises(SequenceConfigurationError):
            SequenceClient("https://x/api", "key:1", SECRET)

    @pytest.mark.parametrize("version", ["", "2024-07-30\r\nX-Evil: 1", "2024-07-30\n"])
    def test_invalid_api_version_is_refused(self, version):
        with pytest.raises(SequenceConfigurationError, match="api_version") as caught:
            SequenceClient("https://x/api", "key", SECRET, api_version=version)
        assert SECRET not in everything_shown(caught.value)
