"""A Sequence of many events that costs nothing: lists of the events' times, asked for in the client's own words."""

from __future__ import annotations

import bisect
import datetime as dt
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from airflow_provider_sequence.api.pagination import Item, Page

PAGE = 100


class Account:
    """
    Stands in for a client, where there are too many events for a server and nothing depends on HTTP.

    :param times: when the events happened, in the order in which they arrived.
    :param inclusive: whether bounds belong to what is asked for.
    :param per_minute: requests a minute that it allows; it counts none.
    """

    def __init__(
        self, times: Sequence[dt.datetime], *, inclusive: bool = True, per_minute: float = 1e12
    ) -> None:
        self.inclusive = inclusive
        self.limits = {"requests": per_minute}
        self.requests_sent = 0
        self.closed = False
        self.lock = threading.Lock()
        self._by_time = sorted((time, number) for number, time in enumerate(times))

    def arrive(self, time: dt.datetime) -> None:
        """Let an event arrive."""
        with self.lock:
            bisect.insort(self._by_time, (time, len(self._by_time)))

    def close(self) -> None:
        self.closed = True

    def numbers(self, after: dt.datetime, before: dt.datetime) -> list[tuple[int, dt.datetime]]:
        """Events between bounds, those that arrived last first."""
        low, high = (after, -1), (before, 2**62)
        if not self.inclusive:
            low, high = (after, 2**62), (before, -1)
        with self.lock:
            found = self._by_time[
                bisect.bisect_left(self._by_time, low) : bisect.bisect_right(self._by_time, high)
            ]
        return sorted(((number, time) for time, number in found), reverse=True)

    def pages(self, resource: Any, query: Any, *, parent_id: str | None = None) -> Iterator[Page]:
        asked = dict(query)
        bounds = [
            dt.datetime.fromisoformat(asked[name]) for name in ("eventTimestampAfter", "eventTimestampBefore")
        ]
        last = 2**62
        there: list[tuple[int, dt.datetime]] = []
        events = -1
        while True:
            with self.lock:
                self.requests_sent += 1
            if events != len(self._by_time):  # else it is as it was
                events, there = len(self._by_time), self.numbers(*bounds)
            start = bisect.bisect_right(there, -last, key=lambda each: -each[0])
            page = there[start : start + PAGE]
            more = start + PAGE < len(there)
            last = page[-1][0] if page else last
            yield Page([item(*each) for each in page], str(last) if more else None, len(there))
            if not more:
                return


def item(number: int, time: dt.datetime) -> Item:
    """An event as Sequence lists it."""
    fields = {
        "id": f"{number:012}",
        "customerEventId": f"e-{number}",
        "customerAlias": "acme",
        "eventType": "call",
        "eventTimestamp": time.isoformat().replace("+00:00", "Z"),
        "eventProperties": {"n": number},
    }
    return {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in fields.items()}
