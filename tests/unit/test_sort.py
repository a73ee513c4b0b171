"""Sorting of seat events by time."""

from __future__ import annotations

import datetime as dt
import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sequence.api.resources import SEAT_EVENTS
from airflow_provider_sequence.exceptions import InvalidEventError
from airflow_provider_sequence.pipelines.push.pipeline import map_rows, push
from airflow_provider_sequence.pipelines.push.sort import MappedRow, sort_by_time
from tests.unit.events import Row, map_seat_row, received_events
from tests.unit.strategies import few_examples, few_examples_with_sandbox

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


def mapped(rows: Sequence[Row]) -> list[MappedRow]:
    result: list[MappedRow] = []
    for number, row in enumerate(rows, 1):
        try:
            result.append((number, map_seat_row(row)))
        except InvalidEventError as e:
            result.append((number, e))
    return result


def body(event: Any) -> dict[str, Any]:
    return json.loads(event.body)


@few_examples
@given(ROWS)
def test_sort_changes_only_the_order(rows):
    before, after = mapped(rows), list(sort_by_time(iter(mapped(rows))))
    assert sorted(number for number, _ in after) == [number for number, _ in before]
    bodies = {
        number: None if isinstance(event, InvalidEventError) else event.body for number, event in before
    }
    assert {
        number: None if isinstance(event, InvalidEventError) else event.body for number, event in after
    } == bodies


@few_examples
@given(ROWS)
def test_last_rows_are_in_time_order_and_after_the_rows_they_supersede(rows):
    sent = [
        (number, e) for number, e in sort_by_time(iter(mapped(rows))) if not isinstance(e, InvalidEventError)
    ]
    last_row = {event.id: number for number, event in sorted(sent, key=lambda pair: pair[0])}
    of_id = defaultdict(list)
    for number, event in sent:
        of_id[event.id].append((number, event.ordering_key))
    for numbers in of_id.values():
        assert [number for number, _ in numbers] == sorted(number for number, _ in numbers)
        assert len({key for _, key in numbers}) == 1
    times = defaultdict(list)
    for number, event in sent:
        if last_row[event.id] == number:
            fields = body(event)
            assert json.loads(event.ordering_key) == [fields["customerAlias"], fields["seatType"]]
            times[event.ordering_key].append(fields["eventTimestamp"].removesuffix("Z"))
    assert all(each == sorted(each) for each in times.values())


@few_examples_with_sandbox
@given(ROWS)
def test_events_are_received_in_time_order(server, client, rows):
    server.start_over()
    summary = push(map_rows(iter([rows]), map_seat_row), client, SEAT_EVENTS, threads=8)
    assert sum(summary.counts.values()) == summary.rows == len(rows)
    good = [row for row in rows if row[4] is not None]
    last = {row[0]: row for row in good}
    holds = {
        item["customerEventId"]: json.loads(item["body"]) for item in received_events(server, "seat-events")
    }
    assert {key: (b["customerAlias"], b["seatType"], b["total"]) for key, b in holds.items()} == {
        key: (row[1], row[2], row[4]) for key, row in last.items()
    }
    arrived = defaultdict(list)
    for position, item in enumerate(received_events(server, "seat-events")):
        arrived[item["customerEventId"]].append((position, json.loads(item["body"])))
    times = defaultdict(list)
    for _, fields in sorted((each[-1] for each in arrived.values()), key=lambda pair: pair[0]):
        times[fields["customerAlias"], fields["seatType"]].append(fields["eventTimestamp"].removesuffix("Z"))
    assert all(each == sorted(each) for each in times.values())
