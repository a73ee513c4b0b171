"""What is logged while requests fail: one warning an outage, and one line when it is over."""

from __future__ import annotations

import logging
import re
import threading

import pytest

from airflow_provider_sequence.api.http.outage import QUIET, OutageLog
from airflow_provider_sequence.api.resources import USAGE_EVENTS
from airflow_provider_sequence.exceptions import SequenceUnavailableError
from tests.unit.events import usage_event
from tests.unit.loopback import Reply
from tests.unit.virtual_time import Clock

THREADS = 32
UNAVAILABLE = Reply(503, {"error": {"type": "UNAVAILABLE", "message": "try later"}})


@pytest.fixture
def lines(caplog):
    """The lines so far, as level and text."""
    caplog.set_level(logging.INFO, "airflow_provider_sequence")
    return lambda: [(r.levelname, r.getMessage()) for r in caplog.records]


@pytest.fixture
def outages():
    clock = Clock()
    return OutageLog("Sequence", 300, clock), clock


def together(body):
    threads = [threading.Thread(target=body, args=(n,)) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)


def test_an_outage_of_many_threads_is_one_warning_and_one_end(outages, lines):
    log, clock = outages
    for _ in range(3):
        together(lambda n: log.failed(n, "POST /usage-events: 503", throttled=False))
        clock.wait(5)
    assert re.fullmatch(
        r"96 attempts failed since \d\d:\d\d:\d\d UTC; gives up at \d\d:\d\d:\d\d UTC; last: POST /usage-events: 503",
        log.text(),
    )
    together(log.passed)
    warning, end = lines()
    assert warning[0] == "WARNING"
    assert re.fullmatch(
        r"A request to Sequence fails; it is retried until \d\d:\d\d:\d\d UTC\nPOST /usage-events: 503",
        warning[1],
    )
    assert end[0] == "INFO"
    assert re.fullmatch(r"Sequence answers again; 96 attempts failed since \S+ UTC", end[1])
    assert log.text() == ""


@pytest.mark.parametrize(
    ("throttled", "pause", "levels"),
    [
        (False, 1, ["WARNING", "INFO"]),  # a server that fails now and then: once
        (False, QUIET + 1, ["WARNING", "INFO"] * 3),
        (True, QUIET + 1, []),  # 429s are usual
    ],
)
def test_short_failures(outages, lines, throttled, pause, levels):
    log, clock = outages
    for request in range(3):
        log.failed(request, "", throttled=throttled)
        log.passed(request)
        clock.wait(pause)
    assert [level for level, _ in lines()] == levels


def test_a_request_that_gets_429s_for_long_is_warned_of(outages, lines):
    log, clock = outages
    for _ in range(4):
        log.failed("one", "429", throttled=True)
        clock.wait(QUIET / 2)
    assert [level for level, _ in lines()] == ["WARNING"]


def test_what_was_given_up_is_not_said_to_answer(outages, lines):
    log, _ = outages
    log.failed("one", "", throttled=False)
    log.gave_up("one")
    assert log.text() == ""
    assert [level for level, _ in lines()] == ["WARNING"]


def test_client_warns_and_says_when_it_is_over(loopback, connect, lines):
    loopback.responses = [UNAVAILABLE, UNAVAILABLE, Reply(201, {"id": "1"})]
    connect(loopback).create(USAGE_EVENTS, usage_event())
    (level, text), (_, end) = lines()
    assert level == "WARNING"
    assert text.startswith(f"A request to Sequence at {loopback.api_url} fails; it is retried until ")
    assert "\nPOST /usage-events: 503" in text
    assert "answers again; 2 attempts failed since" in end


def test_last_error_says_where_and_how_often(loopback, connect):
    loopback.responses = [UNAVAILABLE]
    with pytest.raises(SequenceUnavailableError) as caught:
        connect(loopback, deadline=0.2, name="the connection sequence_default").create(
            USAGE_EVENTS, usage_event()
        )
    said, where = str(caught.value).splitlines()
    assert said.startswith("POST /usage-events: 503 ")
    counted = re.fullmatch(
        rf"Sequence at {loopback.api_url} \(the connection sequence_default\): (\d+) attempts failed in 0 s",
        where,
    )
    assert counted
    assert int(counted[1]) == len(loopback.requests)
