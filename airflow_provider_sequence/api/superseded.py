"""Which of several copies of an event counts."""

from __future__ import annotations

import datetime as dt
from typing import Any

from airflow_provider_sequence.api import lossless_json
from airflow_provider_sequence.api.client import SequenceClient
from airflow_provider_sequence.api.pagination import Item
from airflow_provider_sequence.api.resource import Resource
from airflow_provider_sequence.api.windows import Window

_TICK = dt.timedelta(microseconds=1)


def is_superseded(
    client: SequenceClient, resource: Resource, event_id: str, time: dt.datetime, sequence_id: str
) -> bool:
    """
    Tell whether a later event has the same id, as one has that was voided or sent again with the right alias.

    Whether lists show superseded events is not documented, nor which of the two ids the filter on ids means. So it
    is asked for the id first, and then for the event's own time, at which a correction mostly is.

    :param event_id: the event's ``customerEventId``.
    :param time: its own time.
    :param sequence_id: Sequence's id of the copy in question.
    """
    questions: list[tuple[dict[str, Any], Window | None]] = [({}, Window(time, time + _TICK))]
    if any(one.name == "event_id" for one in resource.filters):
        questions.insert(0, ({"event_id": event_id}, None))
    for filters, window in questions:
        for other in client.items(resource, filters, window):
            if text_of(other, "customerEventId") == event_id:
                return text_of(other, "id") != sequence_id
    return False


def text_of(item: Item, name: str) -> str:
    """Read a field of text."""
    return str(lossless_json.decode(item.get(name, b"null")))
