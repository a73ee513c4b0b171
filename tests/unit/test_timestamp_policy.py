"""What is checked of an event's time before it is sent."""

from __future__ import annotations

import datetime as dt
import time

import pytest

from airflow_provider_sequence.api.event_mapper import make_event
from airflow_provider_sequence.api.events import USAGE_EVENT, Event
from airflow_provider_sequence.exceptions import InvalidEventError
from airflow_provider_sequence.pipelines.push.timestamps import TimestampPolicy

DAY = dt.timedelta(days=1)
MINUTE = dt.timedelta(minutes=1)
NOTHING = dt.timedelta(0)
FAR = dt.timedelta(hours=14)


def at(moment: dt.datetime | str) -> Event:
    fields = {"customer_alias": "acme", "event_type": "call", "event_timestamp": moment}
    return make_event(USAGE_EVENT, {"customer_event_id": "a", **fields})


def ahead(distance: dt.timedelta) -> Event:
    return at(dt.datetime.now(dt.UTC) + distance)


def ago(distance: dt.timedelta) -> Event:
    return ahead(-distance)


def test_any_time_will_do_by_default():
    for distance in (-4000 * DAY, NOTHING, 4000 * DAY):
        assert TimestampPolicy().is_late(ahead(distance)) is False


def test_further_ahead_than_allowed_is_refused():
    with pytest.raises(InvalidEventError) as caught:
        TimestampPolicy(max_future=5 * MINUTE).is_late(ahead(6 * MINUTE))

    assert caught.value.field == "eventTimestamp"


@pytest.mark.parametrize("distance", [-DAY, NOTHING, 4 * MINUTE])
def test_less_far_ahead_is_let_through(distance):
    assert TimestampPolicy(max_future=5 * MINUTE).is_late(ahead(distance)) is False


def test_nothing_ahead_of_now():
    guards = TimestampPolicy(max_future=NOTHING)
    assert guards.is_late(ago(MINUTE)) is False
    with pytest.raises(InvalidEventError):
        guards.is_late(ahead(MINUTE))


def test_further_back_than_allowed_is_late():
    guards = TimestampPolicy(late_after=DAY)
    assert guards.is_late(ago(DAY + MINUTE)) is True
    assert guards.is_late(ago(DAY - MINUTE)) is False
    assert guards.is_late(ahead(4000 * DAY)) is False


def test_late_is_refused_where_it_is_to_be():
    guards = TimestampPolicy(late_after=DAY, reject_late=True)
    assert guards.is_late(ago(DAY - MINUTE)) is False
    with pytest.raises(InvalidEventError) as caught:
        guards.is_late(ago(DAY + MINUTE))

    assert caught.value.field == "eventTimestamp"


def test_reason_does_not_repeat_the_time():
    """Reasons go where the values of customers do not."""
    event = ahead(300 * DAY)
    with pytest.raises(InvalidEventError) as caught:
        TimestampPolicy(max_future=5 * MINUTE).is_late(event)

    assert event.time[:10] not in str(caught.value)


@pytest.mark.parametrize("offset", [FAR, -FAR], ids=["east", "west"])
def test_zone_does_not_matter(offset):
    guards = TimestampPolicy(max_future=5 * MINUTE, late_after=10 * MINUTE)
    now = dt.datetime.now(dt.timezone(offset))

    assert guards.is_late(at(now)) is False
    assert guards.is_late(at(now - 11 * MINUTE)) is True
    with pytest.raises(InvalidEventError):
        guards.is_late(at(now + 6 * MINUTE))


@pytest.mark.parametrize("written", ["{:%Y-%m-%dT%H:%M:%SZ}", "{:%Y-%m-%dT%H:%M}", "{:%Y-%m-%d %H:%M:%S.%f}"])
def test_fraction_does_not_matter(written):
    guards = TimestampPolicy(max_future=5 * MINUTE, late_after=10 * MINUTE)
    now = dt.datetime.now(dt.UTC)

    assert guards.is_late(at(written.format(now))) is False
    assert guards.is_late(at(written.format(now - 12 * MINUTE))) is True
    with pytest.raises(InvalidEventError):
        guards.is_late(at(written.format(now + 7 * MINUTE)))


def test_ends_of_the_calendar():
    guards = TimestampPolicy(max_future=5 * MINUTE, late_after=DAY)
    assert guards.is_late(at("0001-01-01T00:00:00Z")) is True
    with pytest.raises(InvalidEventError):
        guards.is_late(at("9999-12-31T23:59:59.999999Z"))


@pytest.mark.parametrize("distance", [dt.timedelta.max, 4_000_000 * DAY])
def test_distance_beyond_the_calendar_is_any_time(distance):
    guards = TimestampPolicy(max_future=distance, late_after=distance)

    assert guards.is_late(at("9999-12-31T23:59:59Z")) is False


def test_now_goes_on_during_a_long_run():
    guards, event = TimestampPolicy(max_future=NOTHING, late_after=DAY), ahead(dt.timedelta(seconds=0.6))
    with pytest.raises(InvalidEventError):
        guards.is_late(event)
    time.sleep(2)

    assert guards.is_late(event) is False
