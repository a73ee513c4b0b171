"""Everything that can go wrong on the way to an answer, as a client sees it."""

from __future__ import annotations

import socket
import time

import pytest
import requests

from tests.sandbox.support import Api

EVENT = {"customerEventId": "e", "customerAlias": "acme", "eventType": "t"}


def applied(api: Api) -> int:
    return api.admin("GET", "/summary")["applied"]


def test_status_with_a_body_and_headers(api: Api) -> None:
    api.fault(status=503, body={"wait": True}, headers={"Retry-After": "7"})
    answer = api.post("/usage-events", EVENT)
    assert (answer.status_code, answer.json(), answer.headers["Retry-After"]) == (503, {"wait": True}, "7")
    assert applied(api) == 0
    api.admin("DELETE", "/faults")
    api.fault(status=500, body="gone", content_type="text/x", applied=True)
    answer = api.post("/usage-events", EVENT)
    assert (answer.status_code, answer.text, answer.headers["Content-Type"]) == (500, "gone", "text/x")
    assert applied(api) == 1
    assert api.admin("DELETE", "/faults") == {"items": []}
    assert api.post("/usage-events", EVENT).status_code == 201


def test_rule_matches_method_path_and_body(api: Api) -> None:
    api.fault(status=500, method="POST", path="/usage-events", match={"customerAlias": "acme"})
    api.fault(status=502, path="/invoices/*/line-items")
    api.fault(status=504, match={"customerAlias": "acme", "seatType": "admin"})
    assert api.post("/usage-events", EVENT).status_code == 500
    assert api.post("/usage-events", EVENT | {"customerAlias": "other"}).status_code == 201
    assert api.post("/usage-events", b"no json").status_code == 400
    assert api.post("/seat-events", {"customerAlias": "acme", "seatType": "admin"}).status_code == 504
    assert api.post("/seat-events", EVENT).status_code == 400
    assert api.get("/usage-events").status_code == 200
    assert api.get("/invoices/1/line-items").status_code == 502


def test_rule_starts_after_n_and_ends_after_times(api: Api) -> None:
    api.fault(status=500, after_n=2, times=2, method="GET")
    assert [api.get("/usage-events").status_code for _ in range(6)] == [200, 200, 500, 500, 200, 200]
    assert api.admin("GET", "/faults")["items"][0]["used"] == 2


def test_probability_is_repeatable(api: Api) -> None:
    runs = []
    for _ in "12":
        api.admin("POST", "/reset")
        api.fault(status=500, probability=0.5, seed=3)
        runs.append([api.get("/usage-events").status_code for _ in range(40)])
    assert runs[0] == runs[1]
    assert 5 < runs[0].count(500) < 35


@pytest.mark.parametrize(
    "rule", [{"kind": "flood"}, {"colour": 1}, {"status": 99}, {"probability": 2}, {"times": "often"}]
)
def test_wrong_rule_is_refused(api: Api, rule: dict[str, object]) -> None:
    answer = api.session.post(f"{api.root}/_sandbox/faults", json=rule, timeout=5)
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert api.admin("GET", "/faults")["items"] == []


@pytest.mark.parametrize(("kind", "kept"), [("reset_before", 0), ("reset_after", 1)])
def test_reset_is_a_tcp_reset(api: Api, kind: str, kept: int) -> None:
    api.fault(kind=kind, times=1)
    host, _, port = api.root.removeprefix("http://").partition(":")
    body = b'{"customerAlias":"a","eventType":"t"}'
    with socket.create_connection((host, int(port)), timeout=5) as raw:
        raw.sendall(
            b"POST /api/usage-events HTTP/1.1\r\nHost: x\r\nAuthorization: Basic a2V5OnNlY3JldA==\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        )
        with pytest.raises(ConnectionResetError):
            raw.recv(1)
    summary = api.admin("GET", "/summary")
    assert summary["applied"] == kept
    assert summary["by_status"] == {"none": 1}
    assert api.post("/usage-events", EVENT).status_code == 201


@pytest.mark.parametrize(("kind", "kept"), [("hang", 0), ("hang_after", 1)])
def test_hang_without_effect_and_hang_after_effect(api: Api, kind: str, kept: int) -> None:
    api.fault(kind=kind, seconds=30, times=1)
    with pytest.raises(requests.Timeout):
        api.call("POST", "/usage-events", json=EVENT, timeout=0.2)
    assert api.get("/usage-events").status_code == 200
    assert applied(api) == kept


def test_hang_can_take_effect_after_the_client_left(api: Api) -> None:
    api.fault(kind="hang", seconds=30, times=1, applied=True)
    with pytest.raises(requests.Timeout):
        api.call("POST", "/usage-events", json=EVENT, timeout=0.2)
    for _ in range(50):
        if applied(api):
            break
        time.sleep(0.02)
    assert applied(api) == 1


@pytest.mark.parametrize("kind", ["hang", "hang_after", "slow_drip"])
def test_slow_answer_comes_after_its_seconds(api: Api, kind: str) -> None:
    api.fault(kind=kind, seconds=0.3, times=1)
    before = time.monotonic()
    assert api.post("/usage-events", EVENT).json()["customerEventId"] == "e"
    assert time.monotonic() - before >= 0.29
    assert applied(api) == 1


def test_truncated_answer(api: Api) -> None:
    api.fault(kind="truncate", times=1)
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
        api.post("/usage-events", EVENT)
    assert applied(api) == 1


def test_invalid_empty_and_mislabelled_bodies(api: Api) -> None:
    seen = {}
    for kind in ("invalid_json", "empty_body", "wrong_content_type"):
        api.fault(kind=kind, times=1)
        seen[kind] = api.post("/usage-events", EVENT)
    assert {answer.status_code for answer in seen.values()} == {201}
    with pytest.raises(requests.JSONDecodeError):
        seen["invalid_json"].json()
    assert seen["invalid_json"].text.startswith('{"id":')
    assert seen["empty_body"].content == b""
    assert seen["wrong_content_type"].headers["Content-Type"].startswith("text/html")
    assert seen["wrong_content_type"].json()["customerEventId"] == "e"
    assert applied(api) == 3
    api.fault(kind="invalid_json", status=200, applied=False, times=1)
    assert api.post("/usage-events", EVENT).status_code == 200
    assert applied(api) == 3


def test_gateway_page_and_redirect(api: Api) -> None:
    api.fault(kind="html", times=1)
    answer = api.post("/usage-events", EVENT)
    assert (answer.status_code, answer.headers["Content-Type"]) == (502, "text/html; charset=utf-8")
    assert answer.text.startswith("<html>")
    api.fault(kind="redirect", status=307, headers={"Location": "http://127.0.0.1:1/"}, times=1)
    answer = api.post("/usage-events", EVENT)
    assert (answer.status_code, answer.headers["Location"]) == (307, "http://127.0.0.1:1/")
    assert applied(api) == 0
