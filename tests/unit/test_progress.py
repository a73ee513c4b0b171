"""The line that says how far a task is."""

from __future__ import annotations

import logging
import time

import pytest

from airflow_provider_sequence.utils import progress
from airflow_provider_sequence.utils.progress import Progress, ProgressLine, log_progress


class Client:
    requests_sent = 0
    limits = {"requests": 1500.0, "usage_events": 12000.0}  # noqa: RUF012


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def measured():
    client, clock = Client(), Clock()
    return ProgressLine(lambda: client.requests_sent, 1500, clock), client, clock


def test_rows_rate_share_and_time_left(measured):
    meter, client, clock = measured
    clock.now, client.requests_sent = 110.0, 125
    assert (
        meter.text(Progress(12_500, total=100_000))
        == "12,500 rows, 1,250 a second, 50% of the limit, 0:01:10 left"
    )


def test_rates_are_those_since_the_last_line(measured):
    meter, client, clock = measured
    clock.now, client.requests_sent = 110.0, 250
    meter.text(Progress(25_000))
    clock.now, client.requests_sent = 120.0, 275
    assert meter.text(Progress(27_500)) == "27,500 rows, 250 a second, 10% of the limit"


def test_requests_before_do_not_count():
    client, clock = Client(), Clock()
    client.requests_sent = 5000
    meter = ProgressLine(lambda: client.requests_sent, 1500, clock)
    clock.now, client.requests_sent = 110.0, 5250
    assert "100% of the limit" in meter.text(Progress(1))


def test_rejected_rows(measured):
    meter, _, clock = measured
    clock.now = 110.0
    assert meter.text(Progress(1000, rejected=3)) == "1,000 rows, 100 a second, 0% of the limit, 3 rejected"


def test_nothing_gets_through(measured):
    """Nobody knows how long it takes then."""
    meter, _, clock = measured
    clock.now = 110.0
    assert meter.text(Progress(0, total=10)) == "0 rows, 0 a second, 0% of the limit"


def test_is_told_while_it_lasts_and_no_longer(monkeypatch, caplog):
    monkeypatch.setattr(progress, "INTERVAL", 0.05)
    reached = Progress()
    log = logging.getLogger("test_progress")
    with caplog.at_level(logging.INFO, "test_progress"):
        with log_progress(log, "usage_events", Client(), "usage_events", lambda: reached):
            reached.update(10, 20)
            until = time.monotonic() + 10
            while len(caplog.messages) < 2 and time.monotonic() < until:
                time.sleep(0.01)
        told_by_then = list(caplog.messages)
        time.sleep(0.2)
    assert len(told_by_then) >= 2
    assert told_by_then == caplog.messages
    assert told_by_then[0].startswith("usage_events: 10 rows, ")
