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


def test_documented_credentials_are_accepted(api: Api) -> None:
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
        "Basic " + base64.b64encode(b"key:secret-7f3a").decode(),
        "Basic " + base64.b64encode(b"other-7f3a:secret").decode(),
    ],
)
def test_wrong_or_missing_credentials_are_refused(api: Api, header: str | None) -> None:
    headers = {"Authorization": header} if header else {}
    for path in ("/usage-events", "/nothing"):
        answer = api.get(path, auth=None, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Basic")
        assert answer.json()["error"]["type"] == "Unauthorized"
        assert "7f3a" not in answer.text


def test_answer_names_the_version_that_was_asked_for_or_the_newest(api: Api) -> None:
    for version in ("2024-01-01", "2024-05-09", "2024-07-30"):
        for path, status in (("/usage-events", 200), ("/nothing", 404)):
            answer = api.get(path, headers={"Sequence-Version": version})
            assert (answer.status_code, answer.headers["Sequence-Version"]) == (status, version)
    assert api.get("/usage-events").headers["Sequence-Version"] == "2024-07-30"


def test_unknown_version_has_the_documented_error_body(api: Api) -> None:
    api.set(error_body="empty")
    answer = api.get("/usage-events", headers={"Sequence-Version": "2023-01-01"})
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "UnrecognisedApiVersion"
    assert "2023-01-01" in answer.json()["error"]["message"]


def test_unknown_paths_and_methods_are_refused(api: Api) -> None:
    stored = api.event()
    for path in (
        "/nothing",
        "/usage-events/x/y",
        f"/usage-events/{stored['id']}",
        "/",
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
        ("error", "application/json", '{"error":{"type":"'),
        ("errors", "application/json", '{"errors":[{"type":"'),
        ("text", "text/plain; charset=utf-8", ""),
        ("html", "text/html; charset=utf-8", "<html>"),
        ("empty", None, ""),
    ],
)
def test_error_body(api: Api, shape: str, content_type: str | None, start: str) -> None:
    api.set(error_body=shape, requests_per_minute=2)
    answers = [
        api.get("/usage-events?limit=0"),
        api.get("/usage-events", auth=("key", "wrong")),
        api.get("/seat-events/nothing"),
        api.get("/usage-events"),
    ]
    assert [answer.status_code for answer in answers] == [400, 401, 400, 429]
    for answer in answers:
        assert answer.headers.get("Content-Type") == content_type
        assert answer.text.startswith(start)
        assert bool(answer.text) == (shape != "empty")
    assert ("limit must be" in answers[0].text) == (shape != "empty")


def test_usage_posts_and_other_requests_have_separate_budgets(api: Api) -> None:
    api.set(usage_events_per_minute=3, requests_per_minute=2)
    assert [api.post("/usage-events", EVENT).status_code for _ in range(4)] == [201, 201, 201, 429]
    assert [api.get(path).status_code for path in ("/usage-events", "/seat-events", "/customers")] == [
        *(200, 200, 429)
    ]
    summary = api.admin("GET", "/summary")
    assert (summary["applied"], summary["posts_received"], summary["throttled"]) == (3, 4, 2)
    assert summary["by_status"] == {"201": 3, "429": 2, "200": 2}


def test_usage_posts_can_count_in_the_general_budget(api: Api) -> None:
    api.set(usage_events_per_minute=10, requests_per_minute=2, usage_posts_in_general_budget=True)
    assert [api.post("/usage-events", EVENT).status_code for _ in range(3)] == [201, 201, 429]
    assert api.get("/usage-events").status_code == 429


@pytest.fixture
def spent(api: Api) -> Api:
    """A sandbox whose budget of requests is spent."""
    api.set(requests_per_minute=1)
    api.get("/usage-events")
    return api


def test_retry_after_in_seconds(spent: Api) -> None:
    assert 1 <= int(spent.get("/usage-events").headers["Retry-After"]) <= 60


def test_retry_after_as_a_date(spent: Api) -> None:
    spent.set(retry_after="date")
    moment = parsedate_to_datetime(spent.get("/usage-events").headers["Retry-After"]).timestamp()
    assert 0 < moment - time.time() <= 61


def test_retry_after_left_out(spent: Api) -> None:
    spent.set(retry_after="none")
    answer = spent.get("/usage-events")
    assert (answer.status_code, answer.headers.get("Retry-After")) == (429, None)


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
def test_request_is_admitted_after_the_told_wait(algorithm: str) -> None:
    clock = Clock()
    limits = Limits(clock)
    settings = SandboxSettings(requests_per_minute=7, rate_algorithm=algorithm)  # type: ignore[arg-type]
    for _ in range(40):
        wait = limits.admit(False, settings)
        if wait:
            assert wait <= 60
            clock.now += wait + 1e-6
            assert limits.admit(False, settings) == 0


def test_limit_of_zero_is_no_limit(api: Api) -> None:
    api.set(usage_events_per_minute=0, requests_per_minute=0)
    assert {api.get("/usage-events").status_code for _ in range(20)} == {200}


def test_latency_delays_every_answer(api: Api) -> None:
    api.set(latency_ms=150)
    before = time.monotonic()
    api.get("/usage-events")
    assert time.monotonic() - before >= 0.15
