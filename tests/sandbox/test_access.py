"""Credentials, versions, paths, methods, the shapes of refusals, and the limits of a client."""

from __future__ import annotations

import base64
import time
from email.utils import parsedate_to_datetime

import pytest

from airflow_provider_sequence.sandbox.limits import Limits
from airflow_provider_sequence.sandbox.settings import SandboxSettings
from tests.sandbox.support import Api

EVENT = {"customerAlias": "a", "eventType": "t"}


def test_the_documented_header_opens_the_door(api: Api) -> None:
    assert api.get(
        "/usage-metrics?limit=1", auth=None, headers={"Authorization": "Basic a2V5OnNlY3JldA=="}
    ).ok


@pytest.mark.parametrize(
    "header",
    [
        None,
        "Basic",
        "Basic a2V5OnNlY3JldA",
        "Bearer a2V5OnNlY3JldA==",
        "Basic " + base64.b64encode(b"key:Secret").decode(),
        "Basic " + base64.b64encode(b"key:secret2").decode(),
    ],
)
def test_without_the_right_credentials_there_is_nothing(api: Api, header: str | None) -> None:
    headers = {"Authorization": header} if header else {}
    for path in ("/usage-events", "/nothing"):
        answer = api.get(path, auth=None, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Basic")
        assert answer.json()["error"]["type"] == "Unauthorized"


@pytest.mark.parametrize("version", ["2024-01-01", "2024-05-09", "2024-07-30"])
def test_the_version_is_echoed(api: Api, version: str) -> None:
    assert (
        api.get("/usage-events", headers={"Sequence-Version": version}).headers["Sequence-Version"] == version
    )
    assert api.get("/nothing", headers={"Sequence-Version": version}).headers["Sequence-Version"] == version


def test_without_a_version_the_newest_answers(api: Api) -> None:
    assert api.get("/usage-events").headers["Sequence-Version"] == "2024-07-30"


def test_an_unknown_version_has_the_documented_body_whatever_the_switch(api: Api) -> None:
    api.set(error_body="empty")
    answer = api.get("/usage-events", headers={"Sequence-Version": "2023-01-01"})
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "UnrecognisedApiVersion"
    assert "2023-01-01" in answer.json()["error"]["message"]


def test_unknown_paths_and_methods(api: Api) -> None:
    stored = api.event()
    for path in (
        "/nothing",
        "/usage-events/x/y",
        f"/usage-events/{stored['id']}",
        "/",
        "/usage-metrics/none",
        "//usage-events",
        "/usage-events/",
    ):
        assert api.get(path).status_code == 404, path
    for method, path in (("PUT", "/usage-events"), ("DELETE", "/usage-events"), ("POST", "/usage-metrics")):
        answer = api.call(method, path)
        assert answer.status_code == 405
        assert "GET" in answer.headers["Allow"]


@pytest.mark.parametrize(
    ("shape", "content_type", "start"),
    [
        ("error", "application/json", '{"error":{"type":"BadRequest","message":"limit'),
        ("errors", "application/json", '{"errors":[{"type":"BadRequest","message":"limit'),
        ("text", "text/plain; charset=utf-8", "limit must be"),
        ("html", "text/html; charset=utf-8", "<html>"),
        ("empty", None, ""),
    ],
)
def test_the_shape_of_a_refusal(api: Api, shape: str, content_type: str | None, start: str) -> None:
    api.set(error_body=shape)
    answer = api.get("/usage-events?limit=0")
    assert answer.status_code == 400
    assert answer.headers.get("Content-Type") == content_type
    assert answer.text.startswith(start)
    assert start or not answer.text


def test_two_budgets(api: Api) -> None:
    api.set(usage_events_per_minute=3, requests_per_minute=2)
    assert [api.post("/usage-events", EVENT).status_code for _ in range(4)] == [201, 201, 201, 429]
    assert [api.get("/usage-events").status_code for _ in range(3)] == [200, 200, 429]
    summary = api.admin("GET", "/summary")
    assert (summary["applied"], summary["posts_received"], summary["throttled"]) == (3, 4, 2)
    assert summary["by_status"] == {"201": 3, "429": 2, "200": 2}


def test_usage_posts_can_count_in_the_general_budget(api: Api) -> None:
    api.set(usage_events_per_minute=10, requests_per_minute=2, usage_posts_in_general_budget=True)
    assert [api.post("/usage-events", EVENT).status_code for _ in range(3)] == [201, 201, 429]
    assert api.get("/usage-events").status_code == 429


def test_how_a_429_says_when_to_come_back(api: Api) -> None:
    api.set(requests_per_minute=1)
    api.get("/usage-events")
    assert 1 <= int(api.get("/usage-events").headers["Retry-After"]) <= 60
    api.set(retry_after="date")
    moment = parsedate_to_datetime(api.get("/usage-events").headers["Retry-After"]).timestamp()
    assert 0 < moment - time.time() <= 61
    api.set(retry_after="none")
    assert "Retry-After" not in api.get("/usage-events").headers


class Clock:
    """A clock that stands until it is told to go on. It starts half a minute into a minute."""

    now = 1_000_000_020.0 - 1_000_000_020.0 % 60 + 30

    def __call__(self) -> float:
        return self.now


def admitted(clock: Clock, settings: SandboxSettings, seconds: list[float]) -> list[bool]:
    limits = Limits(clock)
    start = clock.now
    found = []
    for second in seconds:
        clock.now = start + second
        found.append(limits.admit(False, settings) == 0)
    return found


@pytest.mark.parametrize(
    ("algorithm", "burst", "expected"),
    [
        # at 29 s the budget of this minute is spent; at 30 s the next minute of the clock begins
        ("moving_window", 0, [True, True, False, False, True, True, False]),
        ("fixed_window", 0, [True, True, False, True, True, False, False]),
        ("token_bucket", 0, [True, True, False, True, True, False, False]),
        ("token_bucket", 1, [True, False, False, True, True, False, False]),
    ],
)
def test_rate_algorithms(algorithm: str, burst: int, expected: list[bool]) -> None:
    settings = SandboxSettings(requests_per_minute=2, rate_algorithm=algorithm, burst=burst)  # type: ignore[arg-type]
    assert admitted(Clock(), settings, [0, 1, 29, 30, 60, 61, 62]) == expected


@pytest.mark.parametrize("algorithm", ["moving_window", "fixed_window", "token_bucket"])
def test_whoever_waits_as_long_as_told_is_let_in(algorithm: str) -> None:
    clock = Clock()
    limits = Limits(clock)
    settings = SandboxSettings(requests_per_minute=7, rate_algorithm=algorithm)  # type: ignore[arg-type]
    for _ in range(40):
        wait = limits.admit(False, settings)
        if wait:
            assert wait <= 60
            clock.now += wait + 1e-6
            assert limits.admit(False, settings) == 0


def test_no_limit(api: Api) -> None:
    api.set(usage_events_per_minute=0, requests_per_minute=0)
    assert {api.get("/usage-events").status_code for _ in range(20)} == {200}


def test_latency(api: Api) -> None:
    api.set(latency_ms=150)
    before = time.monotonic()
    api.get("/usage-events")
    assert time.monotonic() - before >= 0.15
