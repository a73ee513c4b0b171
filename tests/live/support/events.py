"""Events for the sandbox."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

from tests.support.server import Server

TICK = dt.timedelta(microseconds=1)


def usage(event_id: str, at: dt.datetime, alias: str = "acme", quantity: int = 1) -> dict[str, Any]:
    """A usage event."""
    return {
        "customerEventId": event_id,
        "customerAlias": alias,
        "eventType": "api-call",
        "eventTimestamp": f"{at:%Y-%m-%dT%H:%M:%S.%fZ}",
        "eventProperties": {"quantity": quantity},
    }


def send(server: Server, events: Iterable[dict[str, Any]]) -> list[str]:
    """Have them arrive one after the other; return the ids that Sequence gave them."""
    ids = []
    for event in events:
        answer = server.call("POST", "/usage-events", json=event)
        assert answer.status_code == 201, answer.text
        ids.append(answer.json()["id"])
    return ids
