"""The middleware of the contract check: it passes everything on unchanged, and keeps the violations."""

from __future__ import annotations

import asyncio
import json

import pytest

from airflow_provider_sequence.sandbox.app import create_app
from tests.contract.examples import (
    ANSWER_HEADERS,
    BODY_HEADERS,
    NEW_USAGE_EVENT,
    REQUEST_HEADERS,
    USAGE_EVENT,
    encoded,
)
from tests.support.contract_check import MOST_VIOLATIONS, ContractCheck

EVENT = encoded(NEW_USAGE_EVENT)
NOTHING = {"checked_requests": 0, "checked_answers": 0, "violations": [], "dropped": 0}


def pairs(headers):
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


def answering(status, *pieces):
    """Return an ASGI app that answers in pieces."""

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": status, "headers": pairs(ANSWER_HEADERS)})
        for number, piece in enumerate(pieces, start=1):
            await send({"type": "http.response.body", "body": piece, "more_body": number < len(pieces)})

    return app


class Wire:
    """Calls an ASGI app as a server does, and keeps the messages it sends."""

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
            "headers": pairs(headers),
        }
        asyncio.run(self.app(scope, receive, send))
        return self.sent[0]["status"], b"".join(message.get("body", b"") for message in self.sent[1:])

    def findings(self):
        return json.loads(self("GET", "/_contract/violations")[1])

    def set(self, **switches):
        return self("PATCH", "/_contract/settings", encoded(switches))


@pytest.fixture
def wire():
    """The sandbox behind the check."""
    return Wire(ContractCheck(create_app()))


def test_right_requests_are_counted_and_passed_on_unchanged(wire):
    status, body = wire("POST", "/api/usage-events", EVENT)
    assert (status, json.loads(body)["customerEventId"]) == (201, NEW_USAGE_EVENT["customerEventId"])
    assert wire("GET", "/api/usage-events", query=b"limit=5") == (
        200,
        b'{"items":[' + body + b'],"pagination":{"totalResultSize":1}}',
    )
    [stored] = json.loads(wire("GET", "/_sandbox/ledger")[1])["items"]
    assert stored["body"].encode() == EVENT
    assert wire.findings() == NOTHING | {"checked_requests": 2, "checked_answers": 2}


def test_wrong_query_headers_and_body_are_reported_and_passed_on(wire):
    assert wire("POST", "/api/usage-events", b'{"customerAlias": 5}')[0] == 400
    assert all(told.startswith("POST /usage-events: body field ") for told in wire.findings()["violations"])
    assert len(wire.findings()["violations"]) == 3
    wire("DELETE", "/_contract/violations")
    assert wire.findings() == NOTHING
    assert wire("GET", "/api/usage-events", query=b"limit=500", headers={"User-Agent": "x"})[0] == 401
    assert [told.split(":")[1].strip() for told in wire.findings()["violations"]] == [
        "header Authorization",
        "header Sequence-Version",
        "query parameter limit",
    ]


@pytest.mark.parametrize("pieces", [[b'{"id": "x"}'], [b'{"id', b'": "x', b'"}']])
def test_wrong_answer_is_reported_whole_or_in_pieces(pieces):
    wire = Wire(ContractCheck(answering(201, *pieces)))
    assert wire("POST", "/api/usage-events", EVENT) == (201, b'{"id": "x"}')
    assert len(wire.sent) == 1 + len(pieces)
    findings = wire.findings()
    assert (findings["checked_requests"], findings["checked_answers"]) == (1, 1)
    assert len(findings["violations"]) == 6
    assert all(told.startswith("POST /usage-events -> 201: body field") for told in findings["violations"])


def test_path_is_checked_as_it_stands_on_the_wire(wire):
    wire("GET", "/api/seat-events/a%2Fb")
    assert [told for told in wire.findings()["violations"] if "->" not in told] == []
    wire("GET", "/api/seat-events/a/b")
    assert "GET /seat-events/a/b: expected a call" in wire.findings()["violations"][-1]


def test_path_outside_the_api_is_reported(wire):
    for path in ("/usage-events", "/", "/apiusage-events"):
        assert wire("GET", path)[0] == 404
    findings = wire.findings()
    assert findings["violations"][0] == "GET /usage-events: expected a path under /api"
    assert len(findings["violations"]) == findings["checked_requests"] == 3


def test_admin_paths_are_not_checked(wire):
    assert wire("PATCH", "/_sandbox/settings", b'{"total": "null"}', headers={})[0] == 422
    assert wire.findings() == NOTHING


def test_checks_of_requests_and_answers_can_be_turned_off():
    wire = Wire(ContractCheck(answering(200, b"null")))
    wire.set(check_requests=False)
    wire("POST", "/api/usage-events", b"{}")
    wire("GET", "/usage-events")
    assert wire.findings() == {
        "checked_requests": 0,
        "checked_answers": 1,
        "dropped": 0,
        "violations": wire.findings()["violations"][:1],
    }
    wire.set(check_requests=True, check_answers=False)
    wire("DELETE", "/_contract/violations")
    wire("POST", "/api/usage-events", EVENT)
    assert wire.findings() == NOTHING | {"checked_requests": 1}


def test_check_turned_off_during_an_answer_does_not_report_it():
    async def app(scope, receive, send):
        check.settings.check_answers = False
        await answering(200, b"null")(scope, receive, send)

    check = ContractCheck(app)
    wire = Wire(check)
    wire("GET", "/api/usage-events")
    assert wire.findings()["violations"] == []


def test_wrong_switch_is_refused_and_changes_nothing(wire):
    for body in (b"", b"no json", b"[]", b'{"check_nothing": true}', b'{"check_requests": 0}'):
        assert wire("PATCH", "/_contract/settings", body)[0] == 400
    assert wire("GET", "/_contract/settings") == (200, b'{"check_requests": true, "check_answers": true}')
    assert wire("GET", "/_contract/nothing")[0] == wire("POST", "/_contract/violations", b"{}")[0] == 404


def test_list_of_violations_is_bounded():
    wire = Wire(ContractCheck(answering(201, encoded(USAGE_EVENT))))
    requests = MOST_VIOLATIONS // 3 + 5
    for _ in range(requests):
        wire("POST", "/api/usage-events", b"{}")
    findings = wire.findings()
    assert len(findings["violations"]) == MOST_VIOLATIONS
    assert findings["dropped"] == requests * 3 - MOST_VIOLATIONS


def test_answer_that_breaks_off_is_passed_on_and_not_checked():
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{", "more_body": True})
        raise ConnectionResetError("on purpose")

    wire = Wire(ContractCheck(app))
    with pytest.raises(ConnectionResetError, match="on purpose"):
        wire("GET", "/api/usage-events")
    assert [message["type"] for message in wire.sent] == ["http.response.start", "http.response.body"]
    assert wire.findings() == NOTHING | {"checked_requests": 1}


def test_disconnect_of_the_client_reaches_the_app():
    seen = []

    async def app(scope, receive, send):
        seen.extend([await receive(), await receive(), await receive()])
        await answering(201, encoded(USAGE_EVENT))(scope, receive, send)

    wire = Wire(ContractCheck(app))
    wire("POST", "/api/usage-events", EVENT)
    assert [message["type"] for message in seen] == ["http.request", "http.request", "http.disconnect"]
    assert wire.findings()["checked_requests"] == 1
    wire("POST", "/api/usage-events", EVENT, cut=True)
    assert [message["type"] for message in seen[3:]] == ["http.request", "http.disconnect", "http.disconnect"]
    assert wire.findings()["checked_requests"] == 1


def test_other_protocols_are_passed_on():
    async def app(scope, receive, send):
        seen.append(scope["type"])

    seen: list[str] = []
    asyncio.run(ContractCheck(app)({"type": "lifespan"}, None, None))
    assert seen == ["lifespan"]
