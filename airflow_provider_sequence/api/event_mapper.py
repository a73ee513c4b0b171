"""Event mapper: rows become checked events, or errors that name the field and the reason."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal

import msgspec

from airflow_provider_sequence.api import lossless_json
from airflow_provider_sequence.api.event_ids import event_id_from_key
from airflow_provider_sequence.api.events import (
    CUSTOMER_EVENT_ID,
    PROPERTIES,
    Event,
    EventField,
    EventKind,
    build_event,
    check_text_field,
)
from airflow_provider_sequence.api.timestamps import parse_timezone
from airflow_provider_sequence.column_names import find_column
from airflow_provider_sequence.exceptions import InvalidEventError, SequenceConfigurationError
from airflow_provider_sequence.unreadable import wrong_type


def _given(constant: Any) -> Callable[[Any, str, dt.tzinfo], Any]:
    return lambda *_: constant


class EventMapper:
    """
    Mapper of rows to events of one kind.

    :param kind: :data:`USAGE_EVENT` or :data:`SEAT_EVENT`.
    :param column_names: the rows' columns, in order.
    :param columns: ``{column the event knows: column of the rows}`` where the names differ.
    :param constants: ``{column the event knows: value}`` for fields that are the same for each row.
    :param event_key: columns that identify an event, where there is no ``customer_event_id``.
    :param timezone: the zone of timestamps that have none.
    :param longest_id: how long an id may be, in ``bytes`` of UTF-8 or in ``characters``; None without a limit.
    :raises SequenceConfigurationError: if a column is missing or there twice, or there is none to make an id of.
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
        longest_id: tuple[int, Literal["bytes", "characters"]] | None = None,
    ) -> None:
        self._kind = kind
        self._longest_id = longest_id
        self._zone = parse_timezone(timezone)
        self._constants = {k: v for k, v in (constants or {}).items() if v is not None}
        self._columns = dict(columns or {})
        if unknown := set(self._columns) - set(kind.columns()):
            raise SequenceConfigurationError(
                f"columns= knows no {_names(sorted(unknown))}\nIt knows {_names(kind.columns())}"
            )
        self._index = self._index_columns(column_names)
        used = set()

        def take(column: str) -> int | None:
            index = self._find(column)
            used.add(index)
            return index

        if isinstance(event_key, str):
            raise SequenceConfigurationError(
                f"event_key={event_key!r} is text\nGive a list of columns, such as {[event_key]!r}"
            )
        key = tuple(event_key or ())
        id_index = take(CUSTOMER_EVENT_ID)
        if id_index is None and not key:
            raise SequenceConfigurationError(
                f"there is no column {CUSTOMER_EVENT_ID}, and no event_key is set\n{self._columns_there()}\n"
                "An event without an id can't be told from its own retry: the customer would be billed twice\n"
                f"Give a {CUSTOMER_EVENT_ID}, name it with columns=, or set event_key to the columns that "
                "identify a row"
            )
        if id_index is not None and key:
            raise SequenceConfigurationError(
                f"both a {CUSTOMER_EVENT_ID} column and event_key are given; an event has one id\nLeave one out"
            )
        if missing := [name for name in key if find_column(name, self._index) is None]:
            raise SequenceConfigurationError(f"event_key names {_names(missing)}, {self._no_column()}")
        self._id_index = id_index
        key = tuple(str(find_column(name, self._index)) for name in key)
        self._key = tuple((self._index[name], name) for name in key)
        fields = [(field, take(field.column)) for field in kind.fields]
        missing = [
            f.column
            for f, index in fields
            if index is None and not f.optional and f.column not in self._constants
        ]
        if missing:
            raise SequenceConfigurationError(
                f"a row of {kind.name} needs {_names(missing)}, {self._no_column()}\nRename a column, or "
                f"name it with columns={{…}}{_advice_on_constants(missing)}"
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
        #: Columns that go into no event.
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

        :param row: values in the order of the columns.
        :raises InvalidEventError: if the row can't become an event; it names the field and the reason.
        """
        zone = self._zone
        if self._id_index is not None:
            event_id = check_text_field(row[self._id_index], "customerEventId", zone)
            if "\0" in event_id:
                raise InvalidEventError(
                    "customerEventId", "holds the character U+0000, which no log can keep"
                )
            self._require_short(event_id)
        else:
            names = [name for _, name in self._key]
            event_id = event_id_from_key([row[index] for index, _ in self._key], names, zone)
        try:
            body = self._body(event_id, row)
            return build_event(self._kind, body, lossless_json.encode(body))
        except InvalidEventError as e:
            e.event_id, e.facts = event_id, self._facts(row)
            raise
        except RecursionError:
            error = InvalidEventError("eventProperties", "is nested too deeply")
            error.event_id, error.facts = event_id, self._facts(row)
            raise error from None

    def _require_short(self, event_id: str) -> None:
        """Refuse an id that is too long for the log: it would be sent again and again, as the log could not tell."""
        if self._longest_id is not None:
            most, unit = self._longest_id
            if len(event_id.encode() if unit == "bytes" else event_id) > most:
                raise InvalidEventError(
                    "customerEventId",
                    f"has more than {most:,} {unit}, which is more than the delivery log's database takes as a key",
                )

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

    def _facts(self, row: Sequence[Any]) -> bytes:
        """JSON of the fields that are right in a row that becomes no event."""
        facts = {}
        for name, check, index, _ in self._fields:
            with suppress(InvalidEventError):
                facts[name] = check(row[index], name, self._zone)
        return lossless_json.encode(facts)

    def _index_columns(self, names: Sequence[str]) -> dict[str, int]:
        index = {name: i for i, name in enumerate(names)}
        for name in names:
            lossless_json.check_text(name, "a column's name")
        if len(index) < len(names):
            twice = sorted({name for name in names if list(names).count(name) > 1})
            raise SequenceConfigurationError(
                f"the query gives {_names(twice)} more than once\nName each column once"
            )
        return index

    def _find(self, column: str) -> int | None:
        name = self._columns.get(column, column)
        found = find_column(name, self._index)
        if found is None and column in self._columns:
            raise SequenceConfigurationError(f"columns= maps {column} to {name}, {self._no_column()}")
        if found is not None and column in self._constants:
            raise SequenceConfigurationError(
                f"{column} is given both as a constant and as a column\nLeave one of them out"
            )
        return None if found is None else self._index[found]

    def _checked_constant(self, field: EventField) -> Any:
        value = self._constants[field.column]
        try:
            return field.check(value, field.name, self._zone)
        except InvalidEventError as e:
            raise SequenceConfigurationError(f"{field.column}= {e.reason}") from None

    def _no_column(self) -> str:
        return f"which is no column\n{self._columns_there()}"

    def _columns_there(self) -> str:
        return f"The columns are {_names(self._index)}"


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
    raise InvalidEventError(field, wrong_type(value, "not a JSON object"))


def _advice_on_constants(missing: Sequence[str]) -> str:
    return "".join(
        f'\nIf it is the same for each row, set {name}="…"; of a reconciliation, constants={{"{name}": "…"}}'
        for name in missing
        if name in {"event_type", "seat_type"}
    )


def _names(names: Sequence[str] | Mapping[str, Any]) -> str:
    return ", ".join(names)
