"""Detection of events that arrived in Sequence since the last poll, by the order of the list, in constant memory."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from itertools import islice
from typing import Any

from airflow_provider_sequence.api.answer_size import MAX_ID
from airflow_provider_sequence.api.client import SequenceClient
from airflow_provider_sequence.api.resource import Resource
from airflow_provider_sequence.api.shown_text import one_line
from airflow_provider_sequence.api.timestamps import MAX_TIME, MIN_TIME, TICK
from airflow_provider_sequence.exceptions import SequenceConfigurationError

#: How many of the newest events are remembered. The older half of them ends a poll, the newer half lets an event be
#: found that became visible later than one that arrived after it.
REMEMBERED = 1000

#: Filters that would change the order of the list.
_ORDER = frozenset({"sort_by", "sort_order"})

#: Events in a row that seem to be old, after which a poll ends.
_OLD_IN_A_ROW = 100

#: An event that was seen: a hash of its id, and when it arrived, in milliseconds, where its id tells; a list, as JSON
#: gives it back.
Seen = list[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Watermark:
    """
    How far events have been seen, small enough to be stored. Its fields are JSON.

    :param seen: the newest events that were there, newest first.
    """

    seen: Sequence[Seen]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """
    Events that arrived between two polls. Its fields are JSON, and hold no customers' data.

    :param resource: ``usage_events`` or ``seat_events``.
    :param count: how many; a copy that supersedes an earlier one is an event that arrived.
    :param window_start: the earliest of their timestamps, ISO 8601 in UTC.
    :param window_end: a microsecond after the latest: ``[window_start, window_end)`` holds them all.
    :param newest_id: Sequence's id of the one that arrived last. It names the arrival: where it is announced a second
        time, because the process that announced it was killed, it is the same.
    """

    resource: str
    count: int
    window_start: str
    window_end: str
    newest_id: str

    def as_dict(self) -> dict[str, Any]:
        """Return the payload of an event of a trigger."""
        return asdict(self)


def find_new_events(
    client: SequenceClient, resource: Resource, filters: Mapping[str, Any], last: Watermark | None
) -> tuple[Arrival | None, Watermark]:
    """
    Find the events that arrived since a watermark, and make the next watermark.

    Sequence lists events newest first, in the order of their arrival. There is no filter on the time of arrival, and
    superseded copies may vanish from lists or not: so the newest events are remembered one by one, and a poll reads
    down to those. Where all of them vanished, the time in the ids (UUIDv7) tells what is old; ids without one would have
    the whole list announced anew.

    :param filters: filters of the resource.
    :param last: the watermark of the poll before, or None for a first one, which finds nothing.
    :return: what arrived, or None, and the next watermark.
    :raises SequenceConfigurationError: if the resource is no list of events, or a filter is not known or sets an order.
    :raises SequenceApiError: if the list can't be read.
    """
    check_watchable(resource, filters)
    if last is None:
        newest = islice(client.items(resource, filters), REMEMBERED)
        return None, Watermark(seen=[_seen(resource.id_of(item)) for item in newest])
    known = {name: rank for rank, (name, _) in enumerate(last.seen)}
    # With fewer than that, all there is was seen: the list is read to its end.
    full = len(known) == REMEMBERED
    bottom = REMEMBERED // 2 if full else REMEMBERED
    floor = last.seen[-1][1] if full else None
    seen: dict[str, int | None] = {}
    passed = _Recent()
    new, doubtful = _Batch(), _Batch()
    for item in client.items(resource, filters):
        event_id = resource.id_of(item)
        name, arrived = _seen(event_id)
        if name in passed:
            continue  # events that arrive meanwhile may push others onto the next page
        passed.add(name)
        if len(seen) < REMEMBERED:
            seen[name] = arrived
        rank = known.get(name)
        if rank is None and floor is not None and arrived is not None and arrived <= floor:
            # Old, if what was remembered is no longer listed; or of a clock that is slow, if more that is new follows.
            doubtful.add(event_id, resource.time_of(item))
            if doubtful.count == _OLD_IN_A_ROW:
                break
            continue
        new.merge(doubtful)
        doubtful = _Batch()
        if rank is None:
            new.add(event_id, resource.time_of(item))
        elif rank >= bottom:
            break
    # What lies below was not read again.
    seen.update((name, arrived) for name, arrived in last.seen if name not in seen)
    watermark = Watermark(seen=[list(each) for each in islice(seen.items(), REMEMBERED)])
    if not new.count:
        return None, watermark
    arrival = Arrival(
        resource=resource.name,
        count=new.count,
        window_start=new.earliest.isoformat(),
        window_end=_after(new.latest).isoformat(),
        newest_id=one_line(new.newest_id, MAX_ID),
    )
    return arrival, watermark


@dataclass(slots=True)
class _Batch:
    """Events that a poll found: how many, and the times between which they lie."""

    count: int = 0
    newest_id: str = ""
    earliest: dt.datetime = MAX_TIME
    latest: dt.datetime = MIN_TIME

    def add(self, event_id: str, time: dt.datetime) -> None:
        """Add an event, which arrived before the others."""
        self.merge(_Batch(1, event_id, time, time))

    def merge(self, others: _Batch) -> None:
        """Add events that arrived before these."""
        self.count += others.count
        self.newest_id = self.newest_id or others.newest_id
        self.earliest = min(self.earliest, others.earliest)
        self.latest = max(self.latest, others.latest)


class _Recent:
    """Set of the last names that were added."""

    def __init__(self) -> None:
        self._names: dict[str, None] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def add(self, name: str) -> None:
        self._names[name] = None
        if len(self._names) > REMEMBERED:
            del self._names[next(iter(self._names))]


def check_watchable(resource: Resource, filters: Mapping[str, Any]) -> None:
    """
    Check that new events of a resource can be found.

    :raises SequenceConfigurationError: if the resource is no list of events, or a filter is not known or sets an order.
    """
    if resource.event is None:
        raise SequenceConfigurationError(f"{resource.name} are no events; usage_events and seat_events are")
    if wrong := sorted(_ORDER & set(filters)):
        raise SequenceConfigurationError(
            f"{', '.join(wrong)}: new events are found by the order of the list itself"
        )
    if len(resource.select(filters, whole=True).queries()) > 1:
        raise SequenceConfigurationError(
            f"the filters of {resource.name} take several lists, which have no common order\nMake several triggers"
        )


def _seen(event_id: str) -> Seen:
    return [blake2b(event_id.encode(), digest_size=8).hexdigest(), _milliseconds(event_id)]


def _after(time: dt.datetime) -> dt.datetime:
    return time + min(TICK, MAX_TIME - time)


def _milliseconds(event_id: str) -> int | None:
    """Tell when an event arrived, in milliseconds since 1970, where its id is a UUIDv7."""
    try:
        value = uuid.UUID(event_id)
    except ValueError:
        return None
    return value.int >> 80 if value.version == 7 else None
