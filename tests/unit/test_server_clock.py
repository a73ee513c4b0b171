"""A worker whose clock is wrong: the responses' ``Date`` tells what time it is."""

from __future__ import annotations

import datetime as dt
import logging
import time
from email.utils import formatdate

import pytest

from airflow_provider_sequence.api.resources import USAGE_EVENTS
from airflow_provider_sequence.exceptions import InvalidEventError, SequenceUnavailableError
from airflow_provider_sequence.pipelines.push.timestamps import TimestampPolicy
from tests.unit.events import usage_event
from tests.unit.loopback import EMPTY_LIST, Reply

HOUR = 3600


def date(ahead: float, name: str = "Date") -> tuple[str, str]:
    """Header with a time of a server whose clock is ahead of ours."""
    return name, formatdate(time.time() + ahead, usegmt=True)


def listed(*headers: tuple[str, str]) -> Reply:
    return Reply(200, {"items": []}, headers)


def difference(client: object) -> float:
    return (client.now() - dt.datetime.now(dt.UTC)).total_seconds()


@pytest.mark.parametrize(
    ("told", "other", "ahead"),
    [
        (2 * HOUR, (), 2 * HOUR),
        (-2 * HOUR, (), -2 * HOUR),
        (90, (), 90),
        (30, (), 30),
        (1, (), 0),
        (None, (), 0),
        (None, (("Date", "yesterday"),), 0),
        (-2 * HOUR, (("Age", "7200"),), 0),
    ],
)
def test_time_is_the_servers(loopback, connect, caplog, told, other, ahead):
    loopback.responses = [lambda _: listed(*([] if told is None else [date(told)]), *other)]
    client = connect(loopback)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            list(client.items(USAGE_EVENTS))
    assert difference(client) == pytest.approx(ahead, abs=3)
    assert len([r for r in caplog.records if "clock" in r.message]) == (1 if abs(ahead) > 60 else 0)


@pytest.mark.parametrize("status", [200, 403, 503])
def test_time_is_asked_for_once(loopback, connect, status):
    loopback.responses = [Reply(status, {"items": []}, (date(HOUR),))]
    client = connect(loopback)
    assert [
        round((client.now(ask=True) - dt.datetime.now(dt.UTC)).total_seconds() / 60) for _ in range(3)
    ] == [60] * 3
    assert len(loopback.requests) == 1


def test_retry_after_date_goes_by_the_servers_clock(loopback, connect):
    """As an answer before told it: this one does not."""
    wait = Reply(503, b"", (date(2 * HOUR + 2, "Retry-After"),))
    loopback.responses = [listed(date(2 * HOUR)), wait, EMPTY_LIST]
    client = connect(loopback)
    list(client.items(USAGE_EVENTS))
    list(client.items(USAGE_EVENTS))
    assert 0.5 < loopback.gaps()[1] < 4


@pytest.mark.parametrize("status", [429, 503])
def test_error_says_how_long_it_was_asked_to_wait(loopback, connect, status):
    loopback.responses = [Reply(status, b"", (date(2 * HOUR, "Retry-After"),))]
    with pytest.raises(SequenceUnavailableError, match=r"asks to wait 7,(199|200) s, which is more than 5 s"):
        list(connect(loopback).items(USAGE_EVENTS))
    assert len(loopback.requests) == 1


@pytest.mark.parametrize(
    ("slow", "event", "accepted"),
    [(2, 1.5, True), (2, 2.5, False), (-2, -1, False), (-2, -2.5, True), (48, 47, True)],
)
def test_max_future_goes_by_the_servers_clock(slow, event, accepted):
    """Hours that the worker is slow, and that the event lies ahead of the worker's now."""
    now = dt.datetime.now(dt.UTC)
    asked: list[bool] = []

    def clock(*, ask: bool) -> dt.datetime:
        asked.append(ask)
        return dt.datetime.now(dt.UTC) + (dt.timedelta(hours=slow) if any(asked) else dt.timedelta())

    policy = TimestampPolicy(max_future=dt.timedelta(minutes=5), clock=clock)
    sent = usage_event(event_timestamp=now + dt.timedelta(hours=event))
    if accepted:
        assert policy.is_late(sent) is False
    else:
        with pytest.raises(
            InvalidEventError, match=f"ahead of now, {(now + dt.timedelta(hours=slow)):%Y-%m-%dT%H}:"
        ):
            policy.is_late(sent)
    assert asked == [False, True]


def test_nothing_is_asked_for_events_that_are_surely_past():
    asked: list[bool] = []

    def clock(*, ask: bool) -> dt.datetime:
        asked.append(ask)
        return dt.datetime.now(dt.UTC)

    policy = TimestampPolicy(max_future=dt.timedelta(minutes=5), clock=clock)
    policy.is_late(usage_event(event_timestamp=dt.datetime.now(dt.UTC) - dt.timedelta(days=2)))
    assert asked == [False]
