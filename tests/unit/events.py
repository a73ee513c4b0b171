"""Builders of rows and events, and the events that a sandbox has received."""

from __future__ import annotations

import datetime as dt
from typing import Any

from airflow_provider_sequence.api.event_mapper import EventMapper, make_event
from airflow_provider_sequence.api.events import SEAT_EVENT, USAGE_EVENT, Event
from tests.support.server import Server

USAGE = {
    "customer_event_id": "e-1",
    "customer_alias": "acme",
    "event_type": "sent",
    "event_timestamp": "2024-01-01T00:00:00Z",
}
SEAT = {
    "customer_event_id": "s-1",
    "customer_alias": "acme",
    "seat_type": "admin",
    "event_timestamp": "2024-01-01T00:00:00Z",
    "total": 3,
}

Row = tuple[Any, ...]

#: Maps rows of :func:`usage_row`.
map_usage_row = EventMapper(USAGE_EVENT, [*USAGE, "n"])
#: Maps rows of the columns of ``SEAT``.
map_seat_row = EventMapper(SEAT_EVENT, [*SEAT])


def usage_event(event_id: Any = "e-1", timezone: dt.tzinfo | str = dt.UTC, **fields: Any) -> Event:
    """Usage event of ``USAGE`` with some fields changed; fields that it does not know are properties."""
    return make_event(USAGE_EVENT, USAGE | {"customer_event_id": event_id} | fields, timezone=timezone)


def seat_event(event_id: Any = "s-1", **fields: Any) -> Event:
    """Seat event of ``SEAT`` with some fields changed."""
    return make_event(SEAT_EVENT, SEAT | {"customer_event_id": event_id} | fields)


def usage_row(event_id: str | None, n: Any = 0, alias: str | None = "acme") -> Row:
    """Row of a usage event; ``n`` is its one property."""
    return (event_id, alias, USAGE["event_type"], USAGE["event_timestamp"], n)


def post_event(server: Server, event: Event) -> None:
    """Send an event to the sandbox past the client."""
    response = server.call(
        "POST", "/usage-events", data=event.body, headers={"Content-Type": "application/json"}
    )
    assert response.ok, response.text


def received_events(server: Server, resource: str = "usage-events") -> list[dict[str, Any]]:
    """Ledger entries of all events that the sandbox stored, in the order received."""
    items: list[dict[str, Any]] = []
    after = 0
    while page := server._admin("GET", f"/_sandbox/ledger?resource={resource}&limit=1000&after_seq={after}")[
        "items"
    ]:
        items += page
        after = page[-1]["seq"]
    return items
