"""SequenceClient over real connections: what it sends, when it sends it again, and what it says when it gives up."""

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
from typing import Any, ClassVar
from urllib.parse import unquote_plus

import pytest

from airflow_provider_sequence import __version__
from airflow_provider_sequence.api.client import SequenceClient
from airflow_provider_sequence.api.event_mapper import make_event
from airflow_provider_sequence.api.events import SEAT_EVENT, USAGE_EVENT, Event
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
from tests.unit.loopback import (
    EMPTY_LIST,
    Answer,
    Close,
    Cut,
    Drip,
    Loopback,
    Partial,
    Received,
    Reply,
    Wait,
    created,
    free_port,
)

Connect = Callable[..., SequenceClient]

CREATED_ID = "0184421a-8202-70ea-a729-30308a40bbf7"
GATEWAY = Reply(502, "<html><body><h1>502 Bad Gateway</h1></body></html>", content_type="text/html")
PASSING: dict[str, Answer] = {
    "reset": Cut(),
    "closed": Close(),
    "timeout": Wait(1.0),
    "500": Reply(500, {"error": {"type": "Internal", "message": "oops"}}),
    "502 as a page": GATEWAY,
    "503": Reply(503, b"", content_type=""),
    "504": Reply(504, "gateway timeout", content_type="text/plain"),
    "429": Reply(
        429, {"error": {"type": "TooManyRequests", "message": "slow down"}}, (("Retry-After", "0"),)
    ),
    "half an answer": Partial(b"HTTP/1.1 201 Created\r\nContent-Length: 500\r\n\r\n" + b'{"id": "x'),
    "half a header": Partial(b"HTTP/1.1 20"),
    "no HTTP": Partial(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "invalid JSON": Reply(200, b'{"items": [{"id": "'),
    "an empty body": Reply(200, b""),
    "a page": Reply(200, "<html>Welcome to the hotel's wifi</html>", content_type="text/html"),
    "another shape": Reply(200, [1, 2]),
}


def event(key: str = "e-1", **changes: Any) -> Event:
    fields = {
        "customer_event_id": key,
        "customer_alias": "acme",
        "event_type": "sent",
        "event_timestamp": "2024-01-01T00:00:00Z",
    }
    return make_event(USAGE_EVENT, fields | changes)


def seat(key: str = "s-1") -> Event:
    fields = {
        "customer_event_id": key,
        "customer_alias": "acme",
        "seat_type": "admin",
        "event_timestamp": "2024-01-01T00:00:00Z",
        "total": 3,
    }
    return make_event(SEAT_EVENT, fields)


def told(error: BaseException) -> str:
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


class TestWhatIsSent:
    def test_reading(self, loopback: Loopback, connect: Connect):
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

    def test_creating(self, loopback: Loopback, connect: Connect):
        loopback.answers = [created]
        sent = event(weight=1.10, name="Zoë \U0001f600")
        assert connect(loopback).create(USAGE_EVENTS, sent) == CREATED_ID
        [request] = loopback.requests
        assert (request.method, request.target) == ("POST", "/api/usage-events")
        assert request.body == sent.body
        assert request.headers["content-type"].startswith("application/json")
        assert request.headers["authorization"] == "Basic a2V5OnNlY3JldA=="
        assert request.headers["sequence-version"] == "2024-07-30"

    def test_creating_seat_events(self, loopback: Loopback, connect: Connect):
        loopback.answers = [created]
        connect(loopback).create(SEAT_EVENTS, seat())
        assert (loopback.requests[0].method, loopback.requests[0].target) == ("POST", "/api/seat-events")

    def test_another_version(self, loopback: Loopback, connect: Connect):
        list(connect(loopback, api_version="2024-05-09").items(USAGE_EVENTS))
        assert loopback.requests[0].headers["sequence-version"] == "2024-05-09"

    @pytest.mark.parametrize(("client_id", "secret"), [("ключ", "pässwört€"), ("k", "a:b:c"), ("a b", "%41")])
    def test_credentials_of_any_characters(self, loopback, connect, client_id, secret):
        list(connect(loopback, credentials=(client_id, secret)).items(USAGE_EVENTS))
        scheme, _, encoded = loopback.requests[0].headers["authorization"].partition(" ")
        assert scheme == "Basic"
        assert base64.b64decode(encoded).decode() == f"{client_id}:{secret}"

    def test_a_netrc_file_has_no_say(self, loopback, connect, tmp_path, monkeypatch):
        (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password else\n")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        list(connect(loopback).items(USAGE_EVENTS))
        assert loopback.requests[0].headers["authorization"] == "Basic a2V5OnNlY3JldA=="

    def test_a_base_url_with_a_slash_at_its_end(self, loopback, connect):
        list(connect(loopback.api_url + "/").items(USAGE_EVENTS))
        assert loopback.requests[0].path == "/api/usage-events"

    def test_the_cheapest_read_there_is(self, loopback, connect):
        connect(loopback).check()
        [request] = loopback.requests
        assert (request.method, request.path, request.query) == (
            "GET",
            "/api/usage-metrics",
            [("limit", "1")],
        )

    def test_filters_and_window(self, loopback, connect):
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
    def test_listed_values(self, server: Server, client: SequenceClient, reading, wanted):
        """Plain values are found whether the API splits a list before or after it decodes the query."""
        server.check(check_answers=False)
        server.settings(listed_values=reading)
        metric = {"name": "m", "metricType": "STANDARD", "aggregationType": "COUNT"}
        server.add(
            "usage-metrics", [metric | {"eventType": kind} for kind in ["a,b", "a", "b", "100%", "c d"]]
        )
        found = texts(client.items(USAGE_METRICS, {"event_type": wanted}), "eventType")
        assert sorted(found) == sorted(wanted)

    def test_what_can_not_be_asked_is_refused_at_once(self, client):
        with pytest.raises(SequenceConfigurationError, match="nope"):
            list(client.items(USAGE_EVENTS, {"nope": "x"}))
        with pytest.raises(SequenceConfigurationError, match="usage_metrics"):
            list(client.items(USAGE_METRICS, window=Window.parse("2024-01-01", "2024-01-02")))


class TestRetries:
    @pytest.mark.parametrize("failure", PASSING)
    def test_of_reading(self, loopback, connect, failure):
        good = Reply(200, {"items": [{"id": "1"}], "pagination": {}})
        loopback.answers = [PASSING[failure], PASSING[failure], good]
        client = connect(loopback, timeout=0.2)
        assert texts(client.items(USAGE_EVENTS), "id") == ["1"]
        assert len(loopback.requests) == client.requests_sent == 3
        assert len({(r.target, r.headers["authorization"]) for r in loopback.requests}) == 1

    @pytest.mark.parametrize("failure", PASSING)
    def test_of_creating(self, loopback, connect, failure):
        loopback.answers = [PASSING[failure], PASSING[failure], created]
        assert connect(loopback, timeout=0.2).create(USAGE_EVENTS, event()) == CREATED_ID
        assert len(loopback.requests) == 3
        assert {request.body for request in loopback.requests} == {event().body}

    def test_until_somebody_listens(self, connect):
        port = free_port()
        client = connect(f"http://127.0.0.1:{port}/api")
        late = Loopback(port)
        late.answers = [created]
        timer = threading.Timer(0.2, late.__enter__)
        timer.start()
        try:
            assert client.create(USAGE_EVENTS, event()) == CREATED_ID
        finally:
            timer.join()
            late.__exit__()
        assert client.requests_sent >= 2

    @pytest.mark.parametrize("status", [429, 503])
    def test_retry_after_in_seconds(self, loopback, connect, status):
        loopback.answers = [Reply(status, b"", (("Retry-After", "1"),)), EMPTY_LIST]
        list(connect(loopback).items(USAGE_EVENTS))
        assert 1.0 <= loopback.gaps()[0] < 2.5

    @pytest.mark.parametrize("status", [429, 503])
    def test_retry_after_as_a_date(self, loopback, connect, status):
        date = int(time.time() + 0.5) + 1
        loopback.answers = [Reply(status, b"", (("Retry-After", formatdate(date, usegmt=True)),)), EMPTY_LIST]
        list(connect(loopback).items(USAGE_EVENTS))
        assert len(loopback.requests) == 2
        assert date <= time.time() < date + 1.5

    def test_a_429_stops_every_thread(self, loopback, connect):
        loopback.answers = [Reply(429, b"", (("Retry-After", "1"),)), created]
        client = connect(loopback)
        first = threading.Thread(target=client.create, args=(USAGE_EVENTS, event("first")))
        first.start()
        while not client.requests_throttled:
            time.sleep(0.005)
        others = [
            threading.Thread(target=client.create, args=(USAGE_EVENTS, event(str(n)))) for n in range(8)
        ]
        for thread in others:
            thread.start()
        for thread in [first, *others]:
            thread.join(10)
        assert len(loopback.requests) == 10
        assert loopback.gaps()[0] >= 1.0
        assert client.requests_throttled == 1

    def test_not_for_longer_than_the_deadline(self, loopback, connect):
        loopback.answers = [PASSING["503"]]
        in_time = within(1.6)
        with pytest.raises(SequenceUnavailableError) as caught:
            connect(loopback, deadline=0.5).create(USAGE_EVENTS, event())
        assert in_time(0.2)
        assert caught.value.status == 503
        assert 3 <= len(loopback.requests) < 300

    @pytest.mark.parametrize("status", [429, 503])
    def test_not_for_an_hour_because_the_answer_says_so(self, loopback, connect, status):
        loopback.answers = [Reply(status, b"", (("Retry-After", "3600"),))]
        in_time = within(2)
        with pytest.raises(SequenceUnavailableError) as caught:
            connect(loopback, deadline=0.5).create(USAGE_EVENTS, event())
        assert in_time()
        assert caught.value.status == status

    def test_one_silent_server_after_the_other(self, loopback, connect):
        loopback.answers = [Wait(2)]
        in_time = within(1.6)
        with pytest.raises(SequenceUnavailableError) as caught:
            connect(loopback, timeout=0.1, deadline=0.6).create(USAGE_EVENTS, event())
        assert in_time(0.3)
        assert caught.value.status is None
        assert len(loopback.requests) >= 2

    def test_nobody_listens(self, connect):
        in_time = within(1.6)
        client = connect(f"http://127.0.0.1:{free_port()}/api", deadline=0.4)
        with pytest.raises(SequenceUnavailableError) as caught:
            client.create(USAGE_EVENTS, event())
        assert in_time(0.1)
        assert (caught.value.method, caught.value.path, caught.value.status) == (
            "POST",
            "/usage-events",
            None,
        )
        assert client.requests_sent >= 2

    def test_not_in_a_hurry(self, loopback):
        """With the waits it comes with: a server in trouble is not run over."""
        loopback.answers = [PASSING["503"]]
        client = SequenceClient(loopback.api_url, "key", "secret", deadline=1)
        with client, pytest.raises(SequenceUnavailableError):
            client.create(USAGE_EVENTS, event())
        assert len(loopback.requests) <= 12

    def test_a_body_that_comes_slowly_but_surely(self, server, client, connect):
        server.fault(kind="slow_drip", seconds=1.0, times=1)
        assert connect(server, timeout=0.5).create(USAGE_EVENTS, event())
        assert server.summary()["posts_received"] == 1

    @pytest.mark.parametrize("part", ["headers", "body"])
    def test_an_answer_that_drips_in_for_ever_is_given_up(self, loopback, connect, part):
        """Each byte comes within the timeout; the whole may take four of them."""
        head = b"HTTP/1.1 201 Created\r\nContent-Length: 500\r\n"
        dripping = {"headers": head + b"X-Padding: " + b"x" * 500, "body": head + b"\r\n" + b" " * 500}[part]
        loopback.answers = [Drip(dripping, 0.02)]
        began = time.monotonic()
        with pytest.raises(SequenceUnavailableError, match="no answer within the timeout"):
            connect(loopback, timeout=0.3, deadline=0.1).create(USAGE_EVENTS, event())
        assert time.monotonic() - began < 5

    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, SequenceRejectedError),
            (401, SequenceAuthenticationError),
            (403, SequenceAuthenticationError),
            (404, SequenceResponseError),
            (405, SequenceResponseError),
            (409, SequenceRejectedError),
            (413, SequenceRejectedError),
            (422, SequenceRejectedError),
        ],
    )
    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_not_where_they_can_not_help(self, loopback, connect, status, kind, method):
        loopback.answers = [Reply(status, {"error": {"type": "SomeType", "message": "the reason why"}})]
        client = connect(loopback)
        with pytest.raises(kind) as caught:
            client.create(USAGE_EVENTS, event()) if method == "POST" else list(client.items(USAGE_EVENTS))
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

    @pytest.mark.parametrize("failure", ["invalid JSON", "an empty body", "a page", "another shape"])
    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_answers_that_nobody_can_read_are_given_up_soon(self, loopback, connect, failure, method):
        loopback.answers = [PASSING[failure]]
        client = connect(loopback, deadline=60)
        in_time = within(5)
        with pytest.raises(SequenceResponseError) as caught:
            client.create(USAGE_EVENTS, event()) if method == "POST" else list(client.items(USAGE_EVENTS))
        assert in_time()
        assert 2 <= len(loopback.requests) <= 10
        assert (caught.value.method, caught.value.path, caught.value.status) == (method, "/usage-events", 200)

    @pytest.mark.parametrize(
        "body", [b"[" * 200_000, b'{"items":[{"a":' + b"[" * 200_000, b'{"id":' + b"[" * 200_000]
    )
    def test_an_answer_that_never_closes_its_brackets(self, loopback, connect, body):
        loopback.answers = [Reply(200, body)]
        with pytest.raises(SequenceResponseError):
            list(connect(loopback).items(USAGE_EVENTS))
        with pytest.raises(SequenceResponseError):
            connect(loopback).create(USAGE_EVENTS, event())

    @pytest.mark.parametrize("failure", ["503", "reset", "invalid JSON", "429"])
    def test_a_check_of_the_connection_is_tried_once(self, loopback, connect, failure):
        loopback.answers = [PASSING[failure]]
        with pytest.raises(SequenceApiError):
            connect(loopback).check()
        assert len(loopback.requests) == 1

    @pytest.mark.parametrize("status", [200, 201, 202])
    def test_any_success_is_one(self, server, client, status):
        server.check(check_answers=False)
        server.settings(post_status=status)
        assert client.create(USAGE_EVENTS, event())
        assert server.summary()["posts_received"] == 1

    @pytest.mark.parametrize("shape", ["error", "errors", "text", "html", "empty"])
    def test_a_refusal_in_any_shape(self, server, connect, shape):
        server.check(check_requests=False)
        server.settings(error_body=shape)
        with pytest.raises(SequenceAuthenticationError) as caught:
            list(connect(server, credentials=("key", SECRET)).items(USAGE_EVENTS))
        assert (caught.value.status, caught.value.method, caught.value.path) == (401, "GET", "/usage-events")
        assert SECRET not in told(caught.value)
        assert server.summary()["requests"] == 1

    def test_an_unknown_version(self, server, connect):
        server.check(check_requests=False)
        with pytest.raises(SequenceApiError) as caught:
            connect(server, api_version="2023-01-01").check()
        assert (caught.value.status, caught.value.error_type) == (400, "UnrecognisedApiVersion")


class TestLostAnswers:
    @pytest.mark.parametrize("kind", ["reset_after", "hang_after", "truncate", "invalid_json", "empty_body"])
    def test_a_repeated_event_is_one_event(self, server, connect, kind):
        server.check(check_answers=False)
        server.fault(kind=kind, times=2, method="POST", path="/usage-events", seconds=1)
        client = connect(server, timeout=0.2)
        given = client.create(USAGE_EVENTS, event())
        summary = server.summary()
        assert summary["distinct_events"] == 1
        assert summary["posts_received"] == summary["applied"] == 3
        stored = server.ledger()["items"]
        assert given == stored[-1]["id"]
        assert {item["customerEventId"] for item in stored} == {"e-1"}
        assert {item["body"] for item in stored} == {event().body.decode()}

    def test_a_request_that_never_arrived(self, server, client):
        server.fault(kind="reset_before", times=2)
        client.create(USAGE_EVENTS, event())
        assert server.summary()["applied"] == 1

    def test_a_wrong_content_type_around_the_right_answer(self, server, client):
        server.check(check_answers=False)
        server.fault(kind="wrong_content_type")
        given = client.create(USAGE_EVENTS, event())
        assert given == server.ledger()["items"][0]["id"]
        assert texts(client.items(USAGE_EVENTS)) == ["e-1"]


class TestConnections:
    def test_one_is_used_for_many_requests(self, loopback, connect):
        loopback.answers = [created]
        client = connect(loopback)
        for n in range(50):
            client.create(USAGE_EVENTS, event(str(n)))
        assert len(loopback.requests) == 50
        assert loopback.connections == 1

    def test_a_thread_needs_one(self, loopback, connect):
        loopback.answers = [created]
        client = connect(loopback, connections=8)

        def send(lane: int) -> None:
            for n in range(25):
                client.create(USAGE_EVENTS, event(f"{lane}-{n}"))

        threads = [threading.Thread(target=send, args=(lane,)) for lane in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert len(loopback.requests) == 200
        assert loopback.connections <= 8

    def test_they_are_kept_after_refusals(self, loopback, connect):
        loopback.answers = [Reply(400, {"error": {"type": "T", "message": "m" * 10_000}})]
        client = connect(loopback)
        for n in range(10):
            with pytest.raises(SequenceRejectedError):
                client.create(USAGE_EVENTS, event(str(n)))
        assert loopback.connections == 1

    def test_a_server_that_closes_each(self, loopback, connect):
        loopback.answers = [lambda request: Partial(created(request).encoded())]
        client = connect(loopback)
        for n in range(10):
            assert client.create(USAGE_EVENTS, event(str(n))) == CREATED_ID

    def test_answers_in_chunks(self, loopback, connect):
        chunks = (
            b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in [b'{"items":[{"id"', b':"1"}]', b"}"])
            + b"0\r\n\r\n"
        )
        loopback.answers = [Partial(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)]
        assert texts(connect(loopback).items(USAGE_EVENTS), "id") == ["1"]

    def test_answers_that_are_compressed(self, loopback, connect):
        body = gzip.compress(b'{"items":[{"id":"1"}]}')
        loopback.answers = [Reply(200, body, (("Content-Encoding", "gzip"),))]
        assert texts(connect(loopback).items(USAGE_EVENTS), "id") == ["1"]

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_redirects_are_not_followed(self, loopback, connect, status, method):
        with Loopback() as elsewhere:
            location = f"http://127.0.0.1:{elsewhere.port}/api/usage-events?token=Hunter2"
            loopback.answers = [Reply(status, b"", (("Location", location),))]
            client = connect(loopback)
            with pytest.raises(SequenceResponseError) as caught:
                client.create(USAGE_EVENTS, event()) if method == "POST" else list(client.items(USAGE_EVENTS))
            assert elsewhere.requests == []
            assert elsewhere.connections == 0
        assert caught.value.status == status
        assert "Hunter2" not in told(caught.value)
        assert len(loopback.requests) == 1

    def test_cookies_are_not_kept(self, loopback, connect):
        loopback.answers = [Reply(200, {"items": []}, (("Set-Cookie", "lb=1; Path=/"),))]
        client = connect(loopback)
        list(client.items(USAGE_EVENTS))
        list(client.items(USAGE_EVENTS))
        assert "cookie" not in loopback.requests[1].headers


class TestLists:
    @staticmethod
    def fill(server: Server, count: int) -> list[str]:
        for n in range(count):
            server.call(
                "POST",
                "/usage-events",
                data=event(f"e-{n}").body,
                headers={"Content-Type": "application/json"},
            )
        return [f"e-{n}" for n in reversed(range(count))]

    @pytest.mark.parametrize("last_page", ["omit", "null", "empty", "cursor"])
    @pytest.mark.parametrize("count", [0, 3, 4, 9])
    def test_pages_to_the_end(self, server, client, last_page, count):
        server.settings(last_page=last_page)
        newest_first = self.fill(server, count)
        pages = list(client.pages(USAGE_EVENTS, page_size=4))
        assert texts(itertools.chain(*[page.items for page in pages])) == newest_first
        assert max((len(page.items) for page in pages), default=0) <= 4

    def test_more_than_a_hundred(self, server, client):
        newest_first = self.fill(server, 205)
        before = server.summary()["requests"]
        assert texts(client.items(USAGE_EVENTS)) == newest_first
        assert server.summary()["requests"] - before == 3

    def test_pages_are_asked_for_one_by_one(self, server, client):
        self.fill(server, 9)
        before = server.summary()["requests"]
        pages = client.pages(USAGE_EVENTS, page_size=4)
        assert server.summary()["requests"] == before
        next(pages)
        assert server.summary()["requests"] == before + 1

    def test_cursors_are_opaque_and_nothing_else_changes_in_mid_walk(self, loopback, connect):
        cursors = ["MDE4/+==", "a b&after=c#d%25", "ü\U0001f600"]
        pages = [
            {"items": [{"id": str(n)}], "pagination": {"after": cursor}}
            for n, cursor in enumerate([*cursors, None])
        ]
        loopback.answers = [Reply(200, page) for page in pages]
        items = connect(loopback).items(USAGE_EVENTS, {"unmapped_aliases_only": True, "event_type": "t"})
        assert texts(items, "id") == ["0", "1", "2", "3"]
        queries = [request.query for request in loopback.requests]
        assert [dict(query).get("after") for query in queries] == [None, *cursors]
        rest = {tuple(sorted(pair for pair in query if pair[0] != "after")) for query in queries}
        assert len(rest) == 1
        assert ("limit", "100") in next(iter(rest))
        assert all(name not in dict(query) for query in queries for name in ["before", "offset"])

    def test_a_cursor_that_comes_again_ends_the_walk(self, loopback, connect):
        loopback.answers = [Reply(200, {"items": [{"id": "1"}], "pagination": {"after": "Y3Vyc29y"}})]
        in_time = within(3)
        with pytest.raises(SequenceApiError) as caught:
            list(itertools.islice(connect(loopback).items(USAGE_EVENTS), 1000))
        assert in_time()
        assert not isinstance(caught.value, SequenceUnavailableError)
        assert caught.value.path == "/usage-events"
        assert len(loopback.requests) <= 3

    def test_cursors_that_go_round(self, loopback, connect):
        def respond(request: Received) -> Reply:
            after = {None: "a", "a": "b", "b": "c", "c": "a"}[dict(request.query).get("after")]
            return Reply(200, {"items": [{"id": "1"}], "pagination": {"after": after}})

        loopback.answers = [respond]
        with pytest.raises(SequenceApiError):
            list(itertools.islice(connect(loopback).items(USAGE_EVENTS), 1000))
        assert len(loopback.requests) == 4

    def test_a_failure_in_mid_walk_is_retried_at_its_page(self, server, client):
        newest_first = self.fill(server, 9)
        server.fault(kind="status", status=503, method="GET", after_n=1, times=2)
        assert (
            texts(itertools.chain(*[p.items for p in client.pages(USAGE_EVENTS, page_size=4)]))
            == newest_first
        )

    def test_fields_that_nobody_documented_come_along(self, server, client):
        server.settings(extra_fields=True)
        server.check(check_answers=False)
        self.fill(server, 1)
        [item] = client.items(USAGE_EVENTS)
        assert b"1.10" in bytes(item["ingestionSource"])

    def test_numbers_and_text_come_back_as_they_were_sent(self, server, client):
        text = '{"n": 12345678901234567890.12345678901234567890, "e": 1E-7, "t": "Zo\\u00eb \U0001f600"}'
        client.create(USAGE_EVENTS, event(event_properties=text))
        [item] = client.items(USAGE_EVENTS)
        assert bytes(item["eventProperties"]) == text.encode()


START, END = "2024-03-01T00:00:00Z", "2024-03-02T00:00:00Z"
TICK = dt.timedelta(microseconds=1)
SECOND = dt.timedelta(seconds=1)
BOUNDS = list(itertools.product(["inclusive", "exclusive"], ["exclusive", "inclusive"], ["exact", "second"]))


@pytest.mark.parametrize(("after", "before", "resolution"), BOUNDS)
@pytest.mark.parametrize(
    ("start", "end"),
    [
        (START, END),
        ("2024-03-01T00:00:00.250000Z", "2024-03-01T00:00:00.750000Z"),
        ("2024-03-01T00:00:00.999999Z", END),
    ],
    ids=["seconds", "within a second", "mixed"],
)
class TestWindows:
    """Whichever way Sequence reads its bounds, a window holds what it holds."""

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
            sent = event(key, event_timestamp=at)
            server.call("POST", "/usage-events", data=sent.body, headers={"Content-Type": "application/json"})
        return [key for key, at in reversed(numbered.items()) if window.start <= at < window.end]

    def test_items(self, client, inside, start, end):
        assert texts(client.items(USAGE_EVENTS, window=Window.parse(start, end))) == inside

    @pytest.mark.parametrize("total", ["exact", "absent"])
    def test_count(self, server, client, inside, start, end, total):
        server.check(check_answers=False)
        server.settings(total=total)
        assert client.count(USAGE_EVENTS, window=Window.parse(start, end)) == len(inside)


class TestCount:
    @pytest.mark.parametrize("total", ["exact", "absent", "null"])
    def test_more_than_a_page(self, server, client, total):
        TestLists.fill(server, 120)
        server.check(check_answers=False)
        server.settings(total=total)
        assert client.count(USAGE_EVENTS) == 120
        assert client.count(USAGE_EVENTS, window=Window.parse("2024-01-01", "2024-01-02")) == 120
        assert client.count(USAGE_EVENTS, window=Window.parse("2023-12-31", "2024-01-01")) == 0
        assert client.count(USAGE_EVENTS, {"event_type": "none"}) == 0

    @pytest.mark.parametrize("total", ["estimate_low", "estimate_high"])
    @pytest.mark.parametrize("count", [1, 3, 30])
    def test_a_total_that_the_page_itself_contradicts(self, server, client, total, count):
        """Nobody says that ``totalResultSize`` is exact; where all items are on one page, they can be counted."""
        server.check(check_answers=False)
        server.settings(total=total)
        TestLists.fill(server, count)
        assert client.count(USAGE_EVENTS) == count
        assert client.count(USAGE_EVENTS, window=Window.parse("2024-01-01", "2024-01-02")) == count

    def test_filters_count_too(self, server, client):
        for n in range(6):
            client.create(USAGE_EVENTS, event(f"e-{n}", customer_alias=f"alias-{n % 3}"))
        window = Window.parse("2024-01-01", "2024-01-02")
        assert client.count(USAGE_EVENTS, {"customer_alias": ["alias-0", "alias-1"]}, window) == 4
        assert client.count(USAGE_EVENTS, {"customer_alias": "alias-0"}) == 2

    def test_a_total_saves_the_reading(self, server, client):
        TestLists.fill(server, 120)
        before = server.summary()["requests"]
        assert client.count(USAGE_EVENTS) == 120
        assert server.summary()["requests"] - before == 1

    def test_seat_events(self, server, client):
        client.create(SEAT_EVENTS, seat())
        assert client.count(SEAT_EVENTS, window=Window.parse("2024-01-01", "2024-01-02")) == 1
        assert client.count(SEAT_EVENTS, window=Window.parse("2024-01-02", "2024-01-03")) == 0


SECRET = "s3cr3t-Hunter2"
ALIAS = 'Acme & "Söhne"/7'
PROPERTY = "Jane Doe +49 123"
PIECES = ["Hunter2", "Acme", "hne", "Jane", base64.b64encode(f"key:{SECRET}".encode()).decode()]


class TestDiscretion:
    """Credentials and customers' data reach neither a log nor an error, also where the server repeats them."""

    REPEATED: ClassVar[dict[str, Callable[[Received], str]]] = {
        "the address": lambda request: request.target,
        "the address, decoded": lambda request: unquote_plus(request.target),
        "the credentials": lambda request: request.headers["authorization"],
        "the secret": lambda request: f"no client with the secret {SECRET}",
        "the body": lambda request: request.body.decode(),
        "the alias": lambda request: f"no customer {ALIAS}",
        "the property": lambda request: f"{PROPERTY} is no number",
    }
    SHAPES: ClassVar[dict[str, Callable[[str], bytes]]] = {
        "a message": lambda text: json.dumps({"error": {"type": "T", "message": text}}).encode(),
        "a message of unicode": lambda text: json.dumps(
            {"error": {"message": text}}, ensure_ascii=False
        ).encode(),
        "quoted": lambda text: json.dumps({"error": {"message": json.dumps(text)}}).encode(),
        "a type": lambda text: json.dumps({"error": {"type": text, "message": "m"}}).encode(),
        "a list": lambda text: json.dumps({"errors": [{"type": "T", "message": text}, text]}).encode(),
        "text": str.encode,
        "a page": lambda text: f"<html><pre>{html.escape(text)}</pre></html>".encode(),
        "another shape": lambda text: json.dumps({"what": {"you": ["sent", text]}}).encode(),
    }

    @staticmethod
    def provoke(client: SequenceClient, method: str) -> SequenceApiError:
        sent = event("e-1", customer_alias=ALIAS, name=PROPERTY, nested={"list": [f"x {PROPERTY}"]})
        filters = {"customer_alias": [ALIAS, f"{ALIAS} 2"]}
        with pytest.raises(SequenceApiError) as caught:
            client.create(USAGE_EVENTS, sent) if method == "POST" else list(
                client.items(USAGE_EVENTS, filters)
            )
        return caught.value

    @pytest.mark.parametrize(
        ("method", "repeated"),
        [
            *[("POST", repeated) for repeated in REPEATED],
            *[("GET", repeated) for repeated in REPEATED if repeated not in {"the body", "the property"}],
        ],
    )
    @pytest.mark.parametrize("shape", SHAPES)
    def test_of_refusals(self, loopback, connect, repeated, shape, method):
        loopback.answers = [lambda request: Reply(400, self.SHAPES[shape](self.REPEATED[repeated](request)))]
        error = self.provoke(connect(loopback, credentials=("key", SECRET)), method)
        assert [piece for piece in PIECES if piece in told(error)] == []
        assert "/usage-events" in str(error)

    @pytest.mark.parametrize("method", ["GET", "POST"])
    @pytest.mark.parametrize("status", [200, 201, 302, 401, 403, 404, 409, 500, 503])
    @pytest.mark.parametrize("repeated", ["the address, decoded", "the secret", "the alias"])
    def test_of_any_status(self, loopback, connect, repeated, status, method):
        loopback.answers = [
            lambda request: Reply(status, self.SHAPES["a message"](self.REPEATED[repeated](request)))
        ]
        error = self.provoke(connect(loopback, credentials=("key", SECRET), deadline=0.05), method)
        assert [piece for piece in PIECES if piece in told(error)] == []

    @pytest.mark.parametrize(
        ("method", "failure"),
        [
            *[("GET", failure) for failure in PASSING],
            ("POST", "reset"),
            ("POST", "timeout"),
            ("POST", "a page"),
        ],
    )
    def test_of_outages(self, loopback, connect, failure, method):
        loopback.answers = [PASSING[failure]]
        client = connect(loopback, credentials=("key", SECRET), deadline=0.1, timeout=0.05)
        assert [piece for piece in PIECES if piece in told(self.provoke(client, method))] == []

    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_of_nobody_listening(self, connect, method):
        client = connect(f"http://127.0.0.1:{free_port()}/api", credentials=("key", SECRET), deadline=0.1)
        assert [piece for piece in PIECES if piece in told(self.provoke(client, method))] == []

    @pytest.mark.parametrize("method", ["GET", "POST"])
    @pytest.mark.parametrize("answer", ["good", "503", "reset"])
    def test_of_logs_at_their_most_talkative(self, loopback, connect, method, answer, caplog):
        caplog.set_level(logging.DEBUG)
        good = created if method == "POST" else EMPTY_LIST
        loopback.answers = [good] if answer == "good" else [PASSING[answer], good]
        client = connect(loopback, credentials=("key", SECRET))
        if method == "POST":
            client.create(USAGE_EVENTS, event(customer_alias=ALIAS, name=PROPERTY))
        else:
            list(client.items(USAGE_EVENTS, {"customer_alias": ALIAS}))
        assert [piece for piece in PIECES if piece in caplog.text] == []

    def test_of_the_client_itself(self, loopback, connect):
        client = connect(loopback, credentials=("the-client-id", SECRET))
        assert SECRET not in repr(client) + str(client) + client.account
        assert "the-client-id" not in client.account
        assert "127.0.0.1" not in client.account

    def test_a_message_is_one_short_line(self, loopback, connect):
        """It goes into logs, where lines of its own would pass for others'."""
        loopback.answers = [
            Reply(
                400, {"error": {"type": "T\nERROR - x", "message": "a\r\nERROR - fake\x1b[31m" + "x" * 9000}}
            )
        ]
        with pytest.raises(SequenceRejectedError) as caught:
            connect(loopback).create(USAGE_EVENTS, event())
        assert len(str(caught.value)) < 600
        assert not set("\r\n\x1b") & set(str(caught.value))


class TestAccount:
    def test_names_the_api_client_and_the_host(self, connect):
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


class TestBudgets:
    def test_usage_events_have_one_of_their_own(self, server, connect):
        client = connect(server, requests_per_minute=1)
        in_time = within(2)
        for n in range(20):
            client.create(USAGE_EVENTS, event(str(n)))
        assert in_time()

    def test_all_else_shares_the_other(self, server, connect):
        client = connect(server, usage_events_per_minute=1)
        in_time = within(2)
        for n in range(10):
            client.create(SEAT_EVENTS, seat(str(n)))
            client.verify_credentials()
        assert in_time()

    @pytest.mark.parametrize("what", ["usage events", "seat events", "lists"])
    def test_they_are_kept_to(self, server, connect, what):
        client = connect(server, requests_per_minute=600, usage_events_per_minute=600)
        start = time.monotonic()
        for n in range(13):
            if what == "usage events":
                client.create(USAGE_EVENTS, event(str(n)))
            elif what == "seat events":
                client.create(SEAT_EVENTS, seat(str(n)))
            else:
                list(client.items(USAGE_EVENTS))
        assert time.monotonic() - start >= 0.6

    def test_each_try_counts(self, server, connect):
        server.fault(kind="status", status=503, times=8)
        client = connect(server, usage_events_per_minute=600)
        start = time.monotonic()
        client.create(USAGE_EVENTS, event())
        client.create(USAGE_EVENTS, event())
        client.create(USAGE_EVENTS, event())
        client.create(USAGE_EVENTS, event())
        assert client.requests_sent == 12
        assert time.monotonic() - start >= 0.55


class TestClosing:
    def wait_for(self, condition: Callable[[], object]) -> None:
        until = time.monotonic() + 5
        while not condition():
            assert time.monotonic() < until
            time.sleep(0.005)

    @pytest.mark.parametrize("reason", ["429", "503", "a turn"])
    def test_ends_every_wait(self, loopback, connect, reason):
        if reason == "a turn":
            loopback.answers = [created]
            client = connect(loopback, usage_events_per_minute=1)
            client.create(USAGE_EVENTS, event())
        else:
            loopback.answers = [Reply(int(reason), b"", (("Retry-After", "30"),))]
            client = connect(loopback, deadline=60)
        ended: list[BaseException] = []

        def send() -> None:
            try:
                client.create(USAGE_EVENTS, event())
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

    def test_nothing_is_sent_afterwards(self, loopback, connect):
        client = connect(loopback)
        assert not client.closed
        client.close()
        client.close()
        assert client.closed
        with pytest.raises(SequenceClientClosedError):
            client.create(USAGE_EVENTS, event())
        with pytest.raises(SequenceClientClosedError):
            list(client.items(USAGE_EVENTS))
        assert loopback.requests == []

    def test_leaving_a_with_block_closes(self, loopback):
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
    def test_addresses_that_are_none(self, url):
        with pytest.raises(SequenceConfigurationError) as caught:
            SequenceClient(url, "key", SECRET)
        assert "Hunter2" not in told(caught.value)

    @pytest.mark.parametrize(
        "name", ["requests_per_minute", "usage_events_per_minute", "timeout", "deadline"]
    )
    @pytest.mark.parametrize("value", [0, -1, float("nan")])
    def test_numbers_that_make_no_sense(self, name, value):
        with pytest.raises(SequenceConfigurationError, match=name):
            SequenceClient("https://x/api", "key", SECRET, **{name: value})

    @pytest.mark.parametrize(("client_id", "secret"), [("", "s"), ("k", ""), (None, "s"), ("k", None)])
    def test_missing_credentials(self, client_id, secret):
        with pytest.raises(SequenceConfigurationError):
            SequenceClient("https://x/api", client_id, secret)

    def test_a_client_id_with_a_colon_can_not_be_sent(self):
        """HTTP Basic would cut it there, and take the rest for the secret."""
        with pytest.raises(SequenceConfigurationError):
            SequenceClient("https://x/api", "key:1", SECRET)

    @pytest.mark.parametrize("version", ["", "2024-07-30\r\nX-Evil: 1", "2024-07-30\n"])
    def test_a_version_that_is_no_header(self, version):
        with pytest.raises(SequenceConfigurationError, match="api_version") as caught:
            SequenceClient("https://x/api", "key", SECRET, api_version=version)
        assert SECRET not in told(caught.value)
