"""Faults of the sandbox reach the client through the check as they would without it."""

from __future__ import annotations

import time

import pytest
import requests

from tests.contract.examples import NEW_USAGE_EVENT


def post(server, **options):
    return server.call("POST", "/usage-events", json=NEW_USAGE_EVENT, **options)


def stored(server):
    return len(server.call("GET", "/usage-events").json()["items"])


@pytest.mark.parametrize(("kind", "kept"), [("reset_before", 0), ("reset_after", 1)])
def test_a_reset_connection(server, kind, kept):
    server.fault(kind=kind, method="POST", times=1)
    with pytest.raises(requests.ConnectionError):
        post(server)
    assert stored(server) == kept
    assert post(server).status_code == 201
    findings = server.findings()
    assert findings["violations"] == []
    assert findings["checked_requests"] == findings["checked_answers"] + 1


def test_an_answer_that_breaks_off(server):
    server.fault(kind="truncate", method="POST", times=1)
    with pytest.raises(requests.RequestException):
        post(server)
    assert post(server).status_code == 201


@pytest.mark.parametrize("kind", ["hang", "hang_after"])
def test_an_answer_that_does_not_come(server, kind):
    server.fault(kind=kind, method="POST", times=1, seconds=60)
    before = time.monotonic()
    with pytest.raises(requests.RequestException):
        server._session.post(f"{server.api_url}/usage-events", json=NEW_USAGE_EVENT, timeout=0.5)
    assert time.monotonic() - before < 20
    server.clear_violations()  # that request had no headers of this project's client


@pytest.mark.parametrize("status", [400, 403, 429, 500, 502, 503, 504])
def test_an_error_is_no_breach_of_the_contract(server, status):
    server.fault(kind="status", status=status, times=1)
    assert post(server).status_code == status
    assert server.findings()["checked_answers"] == 1


def test_a_page_of_a_gateway_is_no_breach_of_the_contract(server):
    server.fault(kind="html", status=502, times=1)
    answer = post(server)
    assert answer.status_code == 502
    assert "html" in answer.headers["Content-Type"]


@pytest.mark.parametrize("kind", ["invalid_json", "empty_body", "wrong_content_type"])
def test_a_spoilt_answer_is_noticed_unless_it_is_meant(server, kind):
    server.fault(kind=kind, method="POST", times=2)
    server.check(check_answers=False)
    first = post(server)
    assert server.violations() == []
    server.check(check_answers=True)
    second = post(server)
    assert len(server.violations()) >= 1
    assert all(told.startswith("POST /usage-events -> 201: ") for told in server.violations())
    assert (first.status_code, second.status_code) == (201, 201)
    assert post(server).status_code == 201
    server.clear_violations()


def test_a_redirect_is_noticed(server):
    server.fault(kind="redirect", method="POST", times=1)
    assert 300 <= post(server, allow_redirects=False).status_code < 400
    assert ["status: expected one of" in told for told in server.violations()] == [True]
    server.clear_violations()


def test_a_slow_answer_is_whole(server):
    server.fault(kind="slow_drip", method="POST", times=1, seconds=0.5)
    answer = post(server)
    assert answer.status_code == 201
    assert answer.json()["customerEventId"] == NEW_USAGE_EVENT["customerEventId"]
    assert server.findings()["checked_answers"] == 1
