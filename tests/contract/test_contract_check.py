"""The middleware: it sees everything, changes nothing, and keeps what does not fit."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.contract.examples import BODY_HEADERS, NEW_USAGE_EVENT, REQUEST_HEADERS, encoded
from tests.contract.small_sandbox import SmallSandbox, break_off, reply
from tests.support.contract_check import MOST_VIOLATIONS, ContractCheck


class Wire:
    """Calls an ASGI app as a server would, and keeps the messages that it sends."""

    def __init__(self, app):
        self.app = app

    def __call__(self, method, path, body=b"", query=b"", headers=None, cut=False):
        headers = (BODY_HEADERS if body else REQUEST_HEADERS) if headers is None else headers
        half = len(body) // 2
        incoming = [
            {"type": "http.request", "body": body[:half], "more_body": True},
            {"type": "http.disconnect"} if cut else {"type": "http.request", "body": body[half:]},
        ]
        self.sent = []

        async def receive():
            return incoming.pop(0) if incoming else {"type": "http.disconnect"}

        async def send(message):
            self.sent.append(dict(message))

        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query,
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        }
        asyncio.run(self.app(scope, receive, send))
        return self.sent[0]["status"], b"".join(message.get("body", b"") for message in self.sent[1:])

    def findings(self):
        status, body = self("GET", "/_contract/violations")
        assert status == 200
        return json.loads(body)

    def set(self, **switches):
        return self("PATCH", "/_contract/settings", encoded(switches))


@pytest.fixture
def sandbox():
    return SmallSandbox()


@pytest.fixture
def wire(sandbox):
    return Wire(ContractCheck(sandbox))


def test_what_is_right_is_counted_and_unchanged(wire, sandbox):
    body = encoded(NEW_USAGE_EVENT)
    through = wire("POST", "/api/usage-events", body)
    sent = wire.sent
    assert sandbox.seen == [body]
    direct = Wire(sandbox)
    assert direct("POST", "/api/usage-events", body) == through
    assert direct.sent == sent
    wire("GET", "/api/usage-events", query=b"limit=5")
    assert wire.findings() == {"checked_requests": 2, "checked_answers": 2, "violations": [], "dropped": 0}


def test_a_wrong_request_is_told_and_still_goes_through(wire, sandbox):
    assert wire("POST", "/api/usage-events", b'{"customerAlias": 5}')[0] == 201
    assert sandbox.seen == [b'{"customerAlias": 5}']
    violations = wire.findings()["violations"]
    assert len(violations) == 3
    assert all(told.startswith("POST /usage-events: body field ") for told in violations)


def test_the_query_and_the_headers_are_seen(wire):
    wire("GET", "/api/usage-events", query=b"limit=500", headers={"User-Agent": "x"})
    violations = wire.findings()["violations"]
    assert [told.split(":")[1].strip() for told in violations] == [
        "header Authorization",
        "header Sequence-Version",
        "query parameter limit",
    ]


@pytest.mark.parametrize("pieces", [1, 3])
def test_a_wrong_answer_is_told_whole_or_in_pieces(wire, sandbox, pieces):
    sandbox.answer = lambda scope, receive, send: reply(send, 201, {"id": "x"}, pieces)
    assert wire("POST", "/api/usage-events", encoded(NEW_USAGE_EVENT)) == (201, b'{"id": "x"}')
    assert len(wire.sent) == 1 + pieces
    findings = wire.findings()
    assert (findings["checked_requests"], findings["checked_answers"]) == (1, 1)
    assert len(findings["violations"]) == 6
    assert all(told.startswith("POST /usage-events -> 201: body field") for told in findings["violations"])


def test_the_way_in_is_part_of_a_path_as_it_stands_on_the_wire(wire):
    wire("GET", "/api/seat-events/a%2Fb")
    assert [told for told in wire.findings()["violations"] if "->" not in told] == []
    wire("GET", "/api/seat-events/a/b")
    assert any(
        told.startswith("GET /seat-events/a/b: expected a call") for told in wire.findings()["violations"]
    )


@pytest.mark.parametrize("path", ["/usage-events", "/", "/apiusage-events", "/v1/usage-events"])
def test_a_path_outside_the_api(wire, path):
    assert wire("GET", path)[0] == 200
    findings = wire.findings()
    assert findings["violations"] == [f"GET {path}: expected a path under /api"]
    assert findings["checked_requests"] == 1


def test_the_sandboxs_own_paths_are_not_checked(wire, sandbox):
    assert wire("PATCH", "/_sandbox/settings", b"not json", headers={}) == (200, b"{}")
    assert sandbox.seen == [b"not json"]
    assert wire.findings() == {"checked_requests": 0, "checked_answers": 0, "violations": [], "dropped": 0}


def test_requests_that_are_wrong_on_purpose(wire):
    assert wire.set(check_requests=False) == (200, b'{"check_requests": false, "check_answers": true}')
    wire("POST", "/api/usage-events", b"{}")
    wire("GET", "/usage-events")
    assert wire.findings() == {"checked_requests": 0, "checked_answers": 1, "violations": [], "dropped": 0}
    wire.set(check_requests=True)
    wire("POST", "/api/usage-events", b"{}")
    assert len(wire.findings()["violations"]) == 3


def test_answers_that_are_wrong_on_purpose(wire, sandbox):
    sandbox.answer = lambda scope, receive, send: reply(send, 200, None)
    wire.set(check_answers=False)
    wire("POST", "/api/usage-events", encoded(NEW_USAGE_EVENT))
    assert wire.findings() == {"checked_requests": 1, "checked_answers": 0, "violations": [], "dropped": 0}
    wire.set(check_answers=True)
    wire("POST", "/api/usage-events", encoded(NEW_USAGE_EVENT))
    assert len(wire.findings()["violations"]) == 1


def test_a_switch_counts_for_an_answer_that_is_under_way(sandbox):
    check = ContractCheck(sandbox)
    wire = Wire(check)

    async def late(scope, receive, send):
        check.settings.check_answers = False
        await reply(send, 200, None)

    sandbox.answer = late
    wire("GET", "/api/usage-events")
    assert wire.findings()["violations"] == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no json",
        b"[]",
        b'{"check_nothing": true}',
        b'{"check_requests": 0}',
        b'{"check_requests": null}',
    ],
)
def test_a_wrong_switch_is_refused_and_changes_nothing(wire, body):
    assert wire("PATCH", "/_contract/settings", body)[0] == 400
    assert wire("GET", "/_contract/settings") == (200, b'{"check_requests": true, "check_answers": true}')


def test_an_unknown_path_of_the_check_itself(wire, sandbox):
    assert wire("GET", "/_contract/nothing")[0] == 404
    assert wire("POST", "/_contract/violations", b"{}")[0] == 404
    assert sandbox.seen == []


def test_clearing(wire):
    wire("POST", "/api/usage-events", b"{}")
    assert wire.findings()["violations"] != []
    assert wire("DELETE", "/_contract/violations")[0] == 200
    assert wire.findings() == {"checked_requests": 0, "checked_answers": 0, "violations": [], "dropped": 0}


def test_the_list_is_bounded(wire):
    requests = MOST_VIOLATIONS // 3 + 5
    for _ in range(requests):
        wire("POST", "/api/usage-events", b"{}")
    findings = wire.findings()
    assert len(findings["violations"]) == MOST_VIOLATIONS
    assert findings["dropped"] == requests * 3 - MOST_VIOLATIONS


def test_an_answer_that_breaks_off_passes_through_and_is_not_looked_at(wire, sandbox):
    sandbox.answer = break_off
    with pytest.raises(ConnectionResetError, match="on purpose"):
        wire("GET", "/api/usage-events")
    assert [message["type"] for message in wire.sent] == ["http.response.start", "http.response.body"]
    findings = wire.findings()
    assert (findings["checked_requests"], findings["checked_answers"], findings["violations"]) == (1, 0, [])


def test_a_client_that_goes_away_in_the_middle_of_its_request(wire, sandbox):
    sandbox.answer = lambda scope, receive, send: reply(send, 400, {})
    wire("POST", "/api/usage-events", encoded(NEW_USAGE_EVENT), cut=True)
    assert encoded(NEW_USAGE_EVENT).startswith(sandbox.seen[0])
    assert wire.findings()["checked_requests"] == 0


def test_the_app_may_wait_for_the_end_of_the_connection(wire, sandbox):
    seen = []

    async def wait(scope, receive, send):
        seen.append(await receive())
        await reply(send, 201, None)

    sandbox.answer = wait
    wire.set(check_answers=False)
    wire("POST", "/api/usage-events", encoded(NEW_USAGE_EVENT))
    assert seen == [{"type": "http.disconnect"}]


def test_what_is_not_http_passes_through(sandbox):
    with pytest.raises(NotImplementedError, match="lifespan"):
        asyncio.run(ContractCheck(sandbox)({"type": "lifespan"}, None, None))
