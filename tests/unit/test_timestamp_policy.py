"""TimestampPolicy: late events and events in the future."""

from __future__ import annotations

import datetime as dt
import time

import pytest

from airflow_provider_sequence.api.events import Event
from airflow_provider_sequence.exceptions import InvalidEventError
from airflow_provider_sequence.pipelines.push.timestamps import TimestampPolicy
from tests.unit.events import usage_event

DAY = dt.timedelta(days=1)
MINUTE = dt.timedelta(minutes=1)
NOTHING = dt.timedelta(0)
FAR = dt.timedelta(hours=14)


def at(moment: dt.datetime | str) -> Event:
    return usage_event(event_timestamp=moment)


def ahead(distance: dt.timedelta) -> Event:
    return at(dt.datetime.now(dt.UTC) + distance)


def ago(distance: dt.timedelta) -> Event:
    return ahead(-distance)


def test_default_policy_accepts_any_time():
    for distance in (-4000 * DAY, NOTHING, 4000 * DAY):
        assert TimestampPolicy().is_late(ahead(distance)) is False


def test_event_beyond_max_future_is_refused():
    with pytest.raises(InvalidEventError) as caught:
        TimestampPolicy(max_future=5 * MINUTE).is_late(ahead(6 * MINUTE))

    assert caught.value.field == "eventTimestamp"


@pytest.mark.parametrize("distance", [-DAY, NOTHING, 4 * MINUTE])
def test_event_within_max_future_is_accepted(distance):
    assert TimestampPolicy(max_future=5 * MINUTE).is_late(ahead(distance)) is False


def test_max_future_of_zero():
    policy = TimestampPolicy(max_future=NOTHING)
    assert policy.is_late(ago(MINUTE)) is False
    with pytest.raises(InvalidEventError):
        policy.is_late(ahead(MINUTE))


def test_event_before_late_after_is_late():
    policy = TimestampPolicy(late_after=DAY)
    assert policy.is_late(ago(DAY + MINUTE)) is True
    assert policy.is_late(ago(DAY - MINUTE)) is False
    assert policy.is_late(ahead(4000 * DAY)) is False


def test_late_event_is_refused_with_reject_late():
    policy = TimestampPolicy(late_after=DAY, reject_late=True)
    assert policy.is_late(ago(DAY - MINUTE)) is False
    with pytest.raises(InvalidEventError) as caught:
        policy.is_late(ago(DAY + MINUTE))

    assert caught.value.field == "eventTimestamp"


def test_error_does_not_contain_the_time():
    """Reasons are logged; values of customers are not."""
    event = ahead(300 * DAY)
    with pytest.raises(InvalidEventError) as caught:
        TimestampPolicy(max_future=5 * MINUTE).is_late(event)

    assert event.time[:10] not in str(caught.value)


@pytest.mark.parametrize("offset", [FAR, -FAR], ids=["east", "west"])
def test_time_zone_does_not_matter(offset):
    policy = TimestampPolicy(max_future=5 * MINUTE, late_after=10 * MINUTE)
    now = dt.datetime.now(dt.timezone(offset))

    assert policy.is_late(at(now)) is False
    assert policy.is_late(at(now - 11 * MINUTE)) is True
    with pytest.raises(InvalidEventError):
        policy.is_late(at(now + 6 * MINUTE))


@pytest.mark.parametrize("written", ["{:%Y-%m-%dT%H:%M:%SZ}", "{:%Y-%m-%dT%H:%M}", "{:%Y-%m-%d %H:%M:%S.%f}"])
def test_precision_does_not_matter(written):
    policy = TimestampPolicy(max_future=5 * MINUTE, late_after=10 * MINUTE)
    now = dt.datetime.now(dt.UTC)

    assert policy.is_late(at(written.format(now))) is False
    assert policy.is_late(at(written.format(now - 12 * MINUTE))) is True
    with pytest.raises(InvalidEventError):
        policy.is_late(at(written.format(now + 7 * MINUTE)))


def test_edges_of_the_calendar():
    policy = TimestampPolicy(max_future=5 * MINUTE, late_after=DAY)
    assert policy.is_late(at("0001-01-01T00:00:00Z")) is True
    with pytest.raises(InvalidEventError):
        policy.is_late(at("9999-12-31T23:59:59.999999Z"))


@pytest.mark.parametrize("distance", [dt.timedelta.max, 4_000_000 * DAY])
def test_limit_beyond_the_calendar_is_no_limit(distance):
    policy = TimestampPolicy(max_future=distance, late_after=distance)

    assert policy.is_late(at("9999-12-31T23:59:59Z")) is False


def test_clock_is_read_again_during_a_long_run():
    policy, event = TimestampPolicy(max_future=NOTHING, late_after=DAY), ahead(dt.timedelta(seconds=0.5))
    with pytest.raises(InvalidEventError):
        policy.is_late(event)
    time.sleep(1.6)

    assert policy.is_late(event) is False
