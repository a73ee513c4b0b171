"""Usage and seat events: checks, the id, and the exact JSON of a body."""

from __future__ import annotations

import datetime as dt
import math
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from airflow_provider_sequence.api import lossless_json
from airflow_provider_sequence.api.shown_text import PrivateStruct
from airflow_provider_sequence.api.timestamps import long_fraction
from airflow_provider_sequence.exceptions import InvalidEventError
from airflow_provider_sequence.unreadable import wrong_type


class Event(PrivateStruct, frozen=True):
    """
    A checked event, ready to send.

    :param id: its ``customerEventId``. Another event with the same id supersedes this one.
    :param body: its JSON, UTF-8, as it is sent.
    :param time: its ``eventTimestamp`` as it is sent, but for the ``Z``: so, text is in the order of time.
    :param ordering_key: events with the same key are sent one after another.
    """

    id: str
    body: bytes
    time: str
    ordering_key: str


class EventFacts(PrivateStruct, frozen=True):
    """What an event says of customer, type and time, by the API's names; what a row does not have is None."""

    customerAlias: str | None = None
    eventType: str | None = None
    seatType: str | None = None
    eventTimestamp: str | None = None


#: Read it of an event's JSON.
read_facts: Callable[[bytes], EventFacts] = msgspec.json.Decoder(EventFacts).decode


@dataclass(frozen=True, slots=True)
class EventField:
    """
    One field of an event's body.

    :param name: the API's name.
    :param column: the name of the column it is taken from, unless the user names another.
    :param check: turns a column's value into the field's JSON value; raises InvalidEventError.
    :param optional: whether it may be missing, or NULL.
    """

    name: str
    column: str
    check: Callable[[Any, str, dt.tzinfo], Any]
    optional: bool = False


@dataclass(frozen=True, slots=True)
class EventKind:
    """
    Kind of event: its fields, and the order in which events have to be sent.

    :param name: the kind's name, as the resource's.
    :param fields: the required fields, in the order they are written. ``customerEventId`` comes before them.
    :param has_properties: whether the event carries ``eventProperties``.
    :param ordered_within: events that are alike in these fields have to go out in the order of their times.
    """

    name: str
    fields: tuple[EventField, ...]
    has_properties: bool = False
    ordered_within: tuple[str, ...] = ()

    def columns(self) -> tuple[str, ...]:
        """Names of the columns that this kind of event knows."""
        properties = (PROPERTIES,) if self.has_properties else ()
        return (CUSTOMER_EVENT_ID, *(field.column for field in self.fields), *properties)


CUSTOMER_EVENT_ID = "customer_event_id"
PROPERTIES = "event_properties"


def check_text_field(value: Any, field: str, _zone: dt.tzinfo) -> str:
    if type(value) is str and value.isascii() and value.strip():
        return value  # most of them
    if value is None:
        raise InvalidEventError(field, "is NULL; every event needs it")
    if isinstance(value, (str, uuid.UUID)) or (isinstance(value, int) and not isinstance(value, bool)):
        text: str = lossless_json.to_json_value(str(value), field)
        if not text.strip():
            raise InvalidEventError(field, "is empty; every event needs it")
        return text
    raise InvalidEventError(field, wrong_type(value, "not text; cast it in the query"))


def _timestamp(value: Any, field: str, zone: dt.tzinfo) -> str:
    if value is None:
        raise InvalidEventError(field, "is NULL; it decides the billing period")
    if isinstance(value, dt.datetime):
        if value.tzinfo is None and zone is dt.UTC:
            return value.isoformat() + "Z"
        return lossless_json.checked_utc_text(
            value if value.tzinfo is not None else value.replace(tzinfo=zone), field
        )
    if isinstance(value, dt.date):
        return lossless_json.checked_utc_text(
            dt.datetime(value.year, value.month, value.day, tzinfo=zone), field
        )
    if isinstance(value, str):
        text = value.strip()
        try:
            time = dt.datetime.fromisoformat(text)
        except ValueError:
            raise InvalidEventError(field, "is not a timestamp in ISO 8601") from None
        written = lossless_json.checked_utc_text(
            time if time.tzinfo is not None else time.replace(tzinfo=zone), field
        )
        if fraction := long_fraction(text):
            # An offset moves whole seconds, so the fraction may be kept as the warehouse holds it.
            written = f"{written[:19]}.{fraction}Z"
        return written
    raise InvalidEventError(field, wrong_type(value, "not a timestamp; turn it into one in the query"))


def _whole_number(value: Any, field: str, _zone: dt.tzinfo) -> int:
    if value is None:
        raise InvalidEventError(field, "is NULL; every event needs it")
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise InvalidEventError(field, wrong_type(value, "not a whole number"))
    if isinstance(value, int):
        return int(value)
    if not math.isfinite(value) or value != int(value):
        raise InvalidEventError(field, "is not a whole number")
    return int(value)


def _alias(value: Any, field: str, zone: dt.tzinfo) -> str:
    text = check_text_field(value, field, zone)
    if text == VOID_ALIAS:
        raise InvalidEventError(
            field,
            "is VOID, which would void an earlier event; void events with SequenceVoidUsageEventsOperator",
        )
    return text


#: The alias of an event that voids an earlier one with the same id. ``POST /usage-events``.
VOID_ALIAS = "VOID"

_ALIAS = EventField("customerAlias", "customer_alias", _alias)
_TIMESTAMP = EventField("eventTimestamp", "event_timestamp", _timestamp)

#: ``POST /usage-events``. The API lets ``eventTimestamp`` out and would then take the time of arrival: a retry
#: could move the event into another billing period, so rows must have it.
USAGE_EVENT = EventKind(
    "usage_events",
    (_ALIAS, EventField("eventType", "event_type", check_text_field), _TIMESTAMP),
    has_properties=True,
)
#: ``POST /seat-events``. ``total`` is the number of seats in use, not a change. Sent in order: assumption seat-order.
SEAT_EVENT = EventKind(
    "seat_events",
    (
        _ALIAS,
        EventField("seatType", "seat_type", check_text_field),
        _TIMESTAMP,
        EventField("total", "total", _whole_number),
    ),
    ordered_within=("customerAlias", "seatType"),
)

#: A usage event that voids another; what it says beside the alias does not matter.
VOID_EVENT = EventKind(
    "usage_events",
    (
        EventField("customerAlias", "customer_alias", check_text_field),
        EventField("eventType", "event_type", check_text_field),
        EventField("eventTimestamp", "event_timestamp", _timestamp, optional=True),
    ),
)


def event_of_body(kind: EventKind, body: bytes) -> Event:
    """
    Make an event of a body that was made before.

    :param body: its JSON.
    """
    return build_event(kind, lossless_json.decode(body), body)


def is_void(body: bytes) -> bool:
    """Whether a body voids an event."""
    return bool(lossless_json.decode(body).get("customerAlias") == VOID_ALIAS)


def build_event(kind: EventKind, fields: Mapping[str, Any], body: bytes) -> Event:
    event_id: str = fields["customerEventId"]
    within = kind.ordered_within
    ordering_key = lossless_json.encode([fields[name] for name in within]).decode() if within else event_id
    return Event(event_id, body, fields.get("eventTimestamp", "").removesuffix("Z"), ordering_key)
