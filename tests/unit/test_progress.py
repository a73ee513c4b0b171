"""The log line with the progress of a task."""

from __future__ import annotations

import logging
import time

import pytest

from airflow_provider_sequence.utils import progress
from airflow_provider_sequence.utils.progress import Progress, ProgressLine, log_progress


class Client:
    requests_sent = requests_throttled = 0
    limits = {"requests": 1500.0, "usage_events": 12000.0}  # noqa: RUF012

    outage = ""

    def describe_outage(self) -> str:
        return self.outage


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def progress_line():
    client, clock = Client(), Clock()
    return ProgressLine(client, "requests", clock), client, clock


def test_line_has_rows_rate_share_and_time_left(progress_line):
    line, client, clock = progress_line
    clock.now, client.requests_sent = 110.0, 125
    assert (
        line.text(Progress(12_500, total=100_000))
        == "12,500 rows, 1,250 a second, 50% of the limit, 0:01:10 left"
    )


def test_rates_are_those_since_the_last_line(progress_line):
    line, client, clock = progress_line
    clock.now, client.requests_sent = 110.0, 250
    line.text(Progress(25_000))
    clock.now, client.requests_sent = 120.0, 275
    assert line.text(Progress(27_500)) == "27,500 rows, 250 a second, 10% of the limit"


def test_earlier_requests_are_not_counted():
    client, clock = Client(), Clock()
    client.requests_sent = 5000
    line = ProgressLine(client, "requests", clock)
    clock.now, client.requests_sent = 110.0, 5250
    assert "100% of the limit" in line.text(Progress(1))


def test_outages_and_429s_since_the_last_line(progress_line):
    line, client, clock = progress_line
    client.requests_throttled, client.outage = 4, "12 attempts failed"
    clock.now = 110.0
    assert line.text(Progress(0)).endswith("0% of the limit, 4 requests got a 429\n  12 attempts failed")
    client.outage = ""
    assert "429" not in line.text(Progress(0))


def test_rejected_rows(progress_line):
    line, _, clock = progress_line
    clock.now = 110.0
    assert line.text(Progress(1000, rejected=3)) == "1,000 rows, 100 a second, 0% of the limit, 3 rejected"


def test_line_without_progress(progress_line):
    """Without a rate there is no time left to show."""
    line, _, clock = progress_line
    clock.now = 110.0
    assert line.text(Progress(0, total=10)) == "0 rows, 0 a second, 0% of the limit"


def test_lines_are_logged_until_the_end(monkeypatch, caplog):
    monkeypatch.setattr(progress, "INTERVAL", 0.05)
    state = Progress()
    log = logging.getLogger("test_progress")
    with caplog.at_level(logging.INFO, "test_progress"):
        with log_progress(log, "usage_events", Client(), "usage_events", lambda: state):
            state.update(10, 20)
            until = time.monotonic() + 10
            while len(caplog.messages) < 2 and time.monotonic() < until:
                time.sleep(0.01)
        during = list(caplog.messages)
        time.sleep(0.2)
    assert len(during) >= 2
    assert during == caplog.messages
    assert during[0].startswith("usage_events: 10 rows, ")
