"""Seats go out in the order of their times, whatever the order of the query, and the last row of an id still wins."""

from __future__ import annotations

import datetime as dt
import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_sequence.api.event_mapper import EventMapper
from airflow_provider_sequence.api.events import SEAT_EVENT
from airflow_provider_sequence.api.resources import SEAT_EVENTS
from airflow_provider_sequence.exceptions import InvalidEventError
from airflow_provider_sequence.pipelines.push.pipeline import map_rows, push
from airflow_provider_sequence.pipelines.push.sort import MappedRow, sort_by_time
from tests.support.server import Server

Row = tuple[Any, ...]

COLUMNS = ["customer_event_id", "customer_alias", "seat_type", "event_timestamp", "total"]
MAKE_EVENT = EventMapper(SEAT_EVENT, COLUMNS)
START = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)

ROWS = st.lists(
    st.tuples(
        st.sampled_from([f"e-{n}" for n in range(12)]),
        st.sampled_from(["acme", "globex"]),
        st.sampled_from(["viewer", "editor"]),
        st.sampled_from(
            [START + dt.timedelta(hours=n) for n in range(6)] + ["2026-03-01T01:00:00.000000001Z"]
        ),
        st.sampled_from([1, 2, 3, None]),
    ),
    max_size=60,
)


def made(rows: Sequence[Row]) -> list[MappedRow]:
    result: list[MappedRow] = []
    for number, row in enumerate(rows, 1):
        try:
            result.append((number, MAKE_EVENT(row)))
        except InvalidEventError as e:
            result.append((number, e))
    return result


def received(server: Server) -> list[dict[str, Any]]:
    """All seat events, in the order received."""
    return server._admin("GET", "/_sandbox/ledger?resource=seat-events&limit=1000")["items"]


def body(event: Any) -> dict[str, Any]:
    return json.loads(event.body)


@given(ROWS)
def test_nothing_but_the_order_changes(rows):
    before, after = made(rows), list(sort_by_time(iter(made(rows))))
    assert sorted(number for number, _ in after) == [number for number, _ in before]
    bodies = {
        number: None if isinstance(event, InvalidEventError) else event.body for number, event in before
    }
    assert {
        number: None if isinstance(event, InvalidEventError) else event.body for number, event in after
    } == bodies


@given(ROWS)
def test_what_counts_in_the_end_goes_out_in_time_order_and_after_what_it_supersedes(rows):
    sent = [
        (number, e) for number, e in sort_by_time(iter(made(rows))) if not isinstance(e, InvalidEventError)
    ]
    last_row = {event.id: number for number, event in sorted(sent, key=lambda pair: pair[0])}
    of_id = defaultdict(list)
    for number, event in sent:
        of_id[event.id].append((number, event.ordering_key))
    for numbers in of_id.values():
        assert [number for number, _ in numbers] == sorted(number for number, _ in numbers)
        assert len({lane for _, lane in numbers}) == 1
    times = defaultdict(list)
    for number, event in sent:
        if last_row[event.id] == number:
            fields = body(event)
            assert json.loads(event.ordering_key) == [fields["customerAlias"], fields["seatType"]]
            times[event.ordering_key].append(fields["eventTimestamp"].removesuffix("Z"))
    assert all(each == sorted(each) for each in times.values())


@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(ROWS)
def test_sequence_receives_them_so_on_many_lanes(server, client, rows):
    server.start_over()
    summary = push(map_rows(iter([rows]), MAKE_EVENT), client, SEAT_EVENTS, threads=8)
    assert sum(summary.counts.values()) == summary.rows == len(rows)
    good = [row for row in rows if row[4] is not None]
    last = {row[0]: row for row in good}
    holds = {item["customerEventId"]: json.loads(item["body"]) for item in received(server)}
    assert {key: (b["customerAlias"], b["seatType"], b["total"]) for key, b in holds.items()} == {
        key: (row[1], row[2], row[4]) for key, row in last.items()
    }
    arrived = defaultdict(list)
    for position, item in enumerate(received(server)):
        arrived[item["customerEventId"]].append((position, json.loads(item["body"])))
    times = defaultdict(list)
    for _, fields in sorted((each[-1] for each in arrived.values()), key=lambda pair: pair[0]):
        times[fields["customerAlias"], fields["seatType"]].append(fields["eventTimestamp"].removesuffix("Z"))
    assert all(each == sorted(each) for each in times.values())
