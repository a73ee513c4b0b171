"""Faults of the sandbox pass through the contract check, which reports those that break the contract."""

from __future__ import annotations

import pytest
import requests

from tests.contract.examples import NEW_USAGE_EVENT


def post(server, **options):
    return server.call("POST", "/usage-events", json=NEW_USAGE_EVENT, **options)


@pytest.mark.parametrize(("kind", "kept"), [("reset_before", 0), ("reset_after", 1), ("truncate", 1)])
def test_broken_connection_is_not_checked(server, kind, kept):
    server.fault(kind=kind, method="POST", times=1)
    with pytest.raises(requests.RequestException):
        post(server)
    assert server.summary()["applied"] == kept
    assert post(server).status_code == 201
    findings = server.findings()
    assert (findings["checked_requests"], findings["checked_answers"], findings["violations"]) == (2, 1, [])


def test_client_timeout_passes_through(server):
    server.fault(kind="hang_after", method="POST", times=1, seconds=60)
    server.check(check_requests=False)  # the session below sends no headers of the client
    with pytest.raises(requests.Timeout):
        server._session.post(f"{server.api_url}/usage-events", json=NEW_USAGE_EVENT, timeout=0.2)
    assert post(server).status_code == 201


@pytest.mark.parametrize("rule", [{"kind": "status", "status": 503}, {"kind": "html", "status": 502}])
def test_error_answer_is_no_violation(server, rule):
    server.fault(**rule, times=1)
    assert post(server).status_code == rule["status"]
    assert server.findings()["checked_answers"] == 1


def test_slow_answer_is_no_violation(server):
    server.fault(kind="slow_drip", method="POST", times=1, seconds=0.2)
    assert post(server).json()["customerEventId"] == NEW_USAGE_EVENT["customerEventId"]
    assert server.findings()["checked_answers"] == 1


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("invalid_json", "POST /usage-events -> 201: body: expected JSON"),
        ("empty_body", "POST /usage-events -> 201: body: expected JSON"),
        ("wrong_content_type", "POST /usage-events -> 201: header Content-Type"),
        ("redirect", "POST /usage-events -> 302: status: expected one of"),
    ],
)
def test_spoilt_answer_is_a_violation_unless_the_check_is_off(server, kind, told):
    server.fault(kind=kind, method="POST", times=2)
    server.check(check_answers=False)
    post(server, allow_redirects=False)
    assert server.violations() == []
    server.check(check_answers=True)
    post(server, allow_redirects=False)
    assert [violation.startswith(told) for violation in server.violations()] == [True]
    server.clear_violations()
