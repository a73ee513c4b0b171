"""Usage and seat events: a row becomes a checked body with an id, or a reason why not."""

from __future__ import annotations

import datetime as dt
import math
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from airflow_provider_sequence.api import lossless_json
from airflow_provider_sequence.api.timestamps import long_fraction
from airflow_provider_sequence.exceptions import InvalidEventError, SequenceConfigurationError

#: The namespace of ids derived from key columns. It must never change: the same row must have the same id in
#: every release, or a rerun would bill it again.
EVENT_NAMESPACE = uuid.UUID("8f0c6d1e-52f5-5c53-9d0e-6a3a4e0f9b27")


class Event(msgspec.Struct, frozen=True):
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
    What the API asks of one kind of event.

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


def _text(value: Any, field: str, _zone: dt.tzinfo) -> str:
    if type(value) is str and value.isascii() and value.strip():
        return value  # most of them
    if value is None:
        raise InvalidEventError(field, "is NULL; every event needs it")
    if isinstance(value, (str, uuid.UUID)) or (isinstance(value, int) and not isinstance(value, bool)):
        text: str = lossless_json.to_json_value(str(value), field)
        if not text.strip():
            raise InvalidEventError(field, "is empty; every event needs it")
        return text
    raise InvalidEventError(field, f"is of type {type(value).__name__}, not text; cast it in the query")


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
    raise InvalidEventError(
        field, f"is of type {type(value).__name__}, not a timestamp; turn it into one in the query"
    )


def _whole_number(value: Any, field: str, _zone: dt.tzinfo) -> int:
    if value is None:
        raise InvalidEventError(field, "is NULL; every event needs it")
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise InvalidEventError(field, f"is of type {type(value).__name__}, not a whole number")
    if isinstance(value, int):
        return int(value)
    if not math.isfinite(value) or value != int(value):
        raise InvalidEventError(field, "is not a whole number")
    return int(value)


_ALIAS = EventField("customerAlias", "customer_alias", _text)
_TIMESTAMP = EventField("eventTimestamp", "event_timestamp", _timestamp)

#: ``POST /usage-events``. The API lets ``eventTimestamp`` out and would then take the time of arrival: a retry
#: could move the event into another billing period, so rows must have it.
USAGE_EVENT = EventKind(
    "usage_events", (_ALIAS, EventField("eventType", "event_type", _text), _TIMESTAMP), has_properties=True
)
#: ``POST /seat-events``. ``total`` is the number of seats in use, not a change, and what Sequence makes of totals that
#: arrive out of order is not documented.
SEAT_EVENT = EventKind(
    "seat_events",
    (
        _ALIAS,
        EventField("seatType", "seat_type", _text),
        _TIMESTAMP,
        EventField("total", "total", _whole_number),
    ),
    ordered_within=("customerAlias", "seatType"),
)

#: The alias of an event that voids an earlier one with the same id. ``POST /usage-events``.
VOID_ALIAS = "VOID"
#: A usage event that voids another; what it says beside the alias does not matter.
VOID_EVENT = EventKind(
    "usage_events",
    (
        _ALIAS,
        EventField("eventType", "event_type", _text),
        EventField("eventTimestamp", "event_timestamp", _timestamp, optional=True),
    ),
)


def event_id_from_key(values: Sequence[Any], names: Sequence[str], zone: dt.tzinfo = dt.UTC) -> str:
    """
    Derive an event's id from the values of its key columns: a UUIDv5, the same for ever.

    Values are compared as text, numbers by value (1, 1.0 and 1.00 are one key) and times in UTC, so that a
    column whose scale or zone changes does not give its rows new ids.

    :param values: the key columns' values, in the order of ``event_key``.
    :param names: the columns' names, for errors.
    :param zone: the zone of times that have none.
    :raises InvalidEventError: if a value is NULL or has no text that stays the same.
    """
    key = [_key_text(value, name, zone) for value, name in zip(values, names, strict=True)]
    return str(uuid.uuid5(EVENT_NAMESPACE, lossless_json.encode(key).decode()))


def _key_text(value: Any, name: str, zone: dt.tzinfo) -> str:
    if value is None:
        raise InvalidEventError(
            name, "is NULL, but it is part of event_key: rows without it would share one id"
        )
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float, Decimal)):
        lossless_json.to_json_value(value, name)
        number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
        text = lossless_json.format_decimal(number)
        text = text.rstrip("0").rstrip(".") if "." in text else text
        return "0" if text == "-0" else text
    if isinstance(value, dt.datetime):
        return lossless_json.checked_utc_text(
            value if value.tzinfo is not None else value.replace(tzinfo=zone), name
        )
    if isinstance(value, (Mapping, list, tuple)):
        raise InvalidEventError(
            name, "is JSON or an array, which has no fixed text; take plain columns as event_key"
        )
    return str(lossless_json.to_json_value(value, name))


def _given(constant: Any) -> Callable[[Any, str, dt.tzinfo], Any]:
    return lambda *_: constant


class EventMapper:
    """
    Makes events of one kind from rows of one query.

    :param kind: :data:`USAGE_EVENT` or :data:`SEAT_EVENT`.
    :param column_names: the query's columns, in order.
    :param columns: ``{column the event knows: column of the query}`` where the names differ.
    :param constants: ``{column the event knows: value}`` for fields that are the same for each row.
    :param event_key: columns of the query that identify an event, where there is no ``customer_event_id``.
    :param timezone: the zone of timestamps that have none.
    :raises SequenceConfigurationError: if the query lacks a column, has one twice, or has none to make an id of.
    """

    def __init__(
        self,
        kind: EventKind,
        column_names: Sequence[str],
        *,
        columns: Mapping[str, str] | None = None,
        constants: Mapping[str, str | None] | None = None,
        event_key: Sequence[str] | None = None,
        timezone: dt.tzinfo | str = dt.UTC,
    ) -> None:
        self._kind = kind
        self._zone = parse_timezone(timezone)
        self._constants = {k: v for k, v in (constants or {}).items() if v is not None}
        self._columns = dict(columns or {})
        if unknown := set(self._columns) - set(kind.columns()):
            raise SequenceConfigurationError(
                f"columns= knows no {_names(sorted(unknown))}; it knows {_names(kind.columns())}"
            )
        self._index = self._index_columns(column_names)
        used = set()

        def take(column: str) -> int | None:
            index = self._find(column)
            used.add(index)
            return index

        key = tuple(event_key or ())
        id_index = take(CUSTOMER_EVENT_ID)
        if id_index is None and not key:
            raise SequenceConfigurationError(
                f"the query has no column {CUSTOMER_EVENT_ID} (it gives {_names(self._index)}), and no event_key is "
                "set. An event sent without an id can't be told from its own retry, so the customer would be "
                "billed twice. Select a "
                f"{CUSTOMER_EVENT_ID}, name it with columns=, or set event_key to the columns that identify a row."
            )
        if id_index is not None and key:
            raise SequenceConfigurationError(
                f"both a {CUSTOMER_EVENT_ID} column and event_key are given; an event has one id. Leave one out."
            )
        if missing := [name for name in key if name not in self._index]:
            raise SequenceConfigurationError(f"event_key names {_names(missing)}, {self._not_in_query()}")
        self._id_index = id_index
        self._key = tuple((self._index[name], name) for name in key)
        fields = [(field, take(field.column)) for field in kind.fields]
        missing = [
            f.column
            for f, index in fields
            if index is None and not f.optional and f.column not in self._constants
        ]
        if missing:
            raise SequenceConfigurationError(
                f"a row of {kind.name} needs {_names(missing)}, {self._not_in_query()} Rename it in the query or "
                "name it with columns={…}."
            )
        self._properties_index = take(PROPERTIES) if kind.has_properties else None
        self._properties = (
            [
                (name, index, f"eventProperties.{name}")
                for name, index in self._index.items()
                if index not in used
            ]
            if kind.has_properties and self._properties_index is None
            else []
        )
        #: Columns of the query that go into no event.
        self.unused = (
            ()
            if self._properties
            else tuple(name for name, index in self._index.items() if index not in used and name not in key)
        )
        # A constant is checked once, here, so that a mistake in it is one error and not one for each row.
        self._fields = [
            (field.name, field.check, index, field.optional)
            if index is not None
            else (field.name, _given(self._checked_constant(field)), 0, False)
            for field, index in fields
            if index is not None or field.column in self._constants
        ]

    def __call__(self, row: Sequence[Any]) -> Event:
        """
        Make the event of a row.

        :param row: values in the order of the query's columns.
        :raises InvalidEventError: if the row can't become an event; it names the field and the reason.
        """
        zone = self._zone
        if self._id_index is not None:
            event_id = _text(row[self._id_index], "customerEventId", zone)
            if "\0" in event_id:
                raise InvalidEventError(
                    "customerEventId", "holds the character U+0000, which no log can keep"
                )
        else:
            names = [name for _, name in self._key]
            event_id = event_id_from_key([row[index] for index, _ in self._key], names, zone)
        try:
            body = self._body(event_id, row)
            return _event(self._kind, body, lossless_json.encode(body))
        except InvalidEventError as e:
            e.event_id = event_id
            raise
        except RecursionError:
            error = InvalidEventError("eventProperties", "is nested too deeply")
            error.event_id = event_id
            raise error from None

    def _body(self, event_id: str, row: Sequence[Any]) -> dict[str, Any]:
        body: dict[str, Any] = {"customerEventId": event_id}
        zone = self._zone
        for name, check, index, optional in self._fields:
            value = row[index]
            if value is not None or not optional:
                body[name] = check(value, name, zone)
        if self._properties_index is not None:
            properties: Any = _json_object(row[self._properties_index])
        else:
            properties = {
                name: value if type(value) is int else lossless_json.to_json_value(value, field)
                for name, index, field in self._properties
                if (value := row[index]) is not None
            }
        if properties:
            body["eventProperties"] = properties
        return body

    def _index_columns(self, names: Sequence[str]) -> dict[str, int]:
        index = {name: i for i, name in enumerate(names)}
        for name in names:
            lossless_json.check_text(name, "a column's name")
        if len(index) < len(names):
            twice = sorted({name for name in names if list(names).count(name) > 1})
            raise SequenceConfigurationError(
                f"the query gives {_names(twice)} more than once; name each column once"
            )
        return index

    def _find(self, column: str) -> int | None:
        name = self._columns.get(column, column)
        if name not in self._index and column not in self._columns:
            name = name.upper()  # Snowflake and Oracle give unquoted names in capitals.
        index = self._index.get(name)
        if index is None and column in self._columns:
            raise SequenceConfigurationError(f"columns= maps {column} to {name}, {self._not_in_query()}")
        if index is not None and column in self._constants:
            raise SequenceConfigurationError(
                f"{column} is given both as a constant and as a column of the query"
            )
        return index

    def _checked_constant(self, field: EventField) -> Any:
        value = self._constants[field.column]
        try:
            return field.check(value, field.name, self._zone)
        except InvalidEventError as e:
            raise SequenceConfigurationError(f"{field.column}= {e.reason}") from None

    def _not_in_query(self) -> str:
        return f"which the query does not give. It gives {_names(self._index)}."


def make_event(kind: EventKind, fields: Mapping[str, Any], *, timezone: dt.tzinfo | str = dt.UTC) -> Event:
    """
    Make one event from named values, as a row with just these columns would give it.

    :raises InvalidEventError: if a value is missing or wrong.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    for column in kind.columns():
        if column != PROPERTIES and column not in given:
            raise InvalidEventError(column, "is missing; every event needs it")
    return EventMapper(kind, list(given), timezone=timezone)(list(given.values()))


def event_of_body(kind: EventKind, body: bytes) -> Event:
    """
    Make an event of a body that was made before.

    :param body: its JSON.
    """
    return _event(kind, lossless_json.decode(body), body)


def is_void(body: bytes) -> bool:
    """Tell whether a body voids an event."""
    return bool(lossless_json.decode(body).get("customerAlias") == VOID_ALIAS)


def _event(kind: EventKind, fields: Mapping[str, Any], body: bytes) -> Event:
    event_id: str = fields["customerEventId"]
    within = kind.ordered_within
    ordering_key = lossless_json.encode([fields[name] for name in within]).decode() if within else event_id
    return Event(event_id, body, fields.get("eventTimestamp", "").removesuffix("Z"), ordering_key)


def parse_timezone(zone: dt.tzinfo | str) -> dt.tzinfo:
    """
    Make a time zone of its IANA name.

    :raises SequenceConfigurationError: if there is no zone of that name.
    """
    if not isinstance(zone, str):
        return zone
    try:
        return dt.UTC if zone.upper() == "UTC" else ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise SequenceConfigurationError(
            f"timezone={zone!r} is no time zone; give an IANA name such as 'UTC' or 'Europe/Berlin'"
        ) from None


def _json_object(value: Any) -> Any:
    if value is None:
        return None
    field = "eventProperties"
    if isinstance(value, (str, msgspec.Raw)):
        # The text itself is sent on, so that its numbers keep the digits they are written with.
        try:
            if not isinstance(lossless_json.decode(value), dict):
                raise InvalidEventError(field, "is not a JSON object")
            return msgspec.Raw(value.encode()) if isinstance(value, str) else value
        except (msgspec.DecodeError, UnicodeEncodeError):
            raise InvalidEventError(field, "is not JSON") from None
    if isinstance(value, Mapping):
        return lossless_json.to_json_value(value, field)
    raise InvalidEventError(field, f"is of type {type(value).__name__}, not a JSON object")


def _names(names: Sequence[str] | Mapping[str, Any]) -> str:
    return ", ".join(names)
