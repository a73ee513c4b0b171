"""Items of a list to rows of a staging table, with nothing lost on the way."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import msgspec

from airflow_provider_sequence.api import lossless_json
from airflow_provider_sequence.api.pagination import Item
from airflow_provider_sequence.api.resource import Resource
from airflow_provider_sequence.api.timestamps import long_fraction, parse_timestamp, parse_utc_fast
from airflow_provider_sequence.exceptions import SequenceResponseError
from airflow_provider_sequence.warehouse.staging import StagingColumn

#: Fields that have no column, or don't fit it, as one JSON object by the API's names.
EXTRA_COLUMN = "_extra"
#: When the row was loaded last.
LOADED_AT_COLUMN = "_loaded_at"


#: The escape of U+0000 in JSON, and not a backslash that is escaped itself and followed by "u0000".
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


class _DoesNotFitError(Exception):
    """A value is not of its column's type."""


def staging_columns(resource: Resource) -> list[StagingColumn]:
    """Columns of a resource's staging table."""
    return [
        *(
            StagingColumn(field.column, "key" if field is resource.key else field.type)
            for field in resource.fields
        ),
        StagingColumn(EXTRA_COLUMN, "json"),
        StagingColumn(LOADED_AT_COLUMN, "timestamp"),
    ]


class ItemMapper:
    """
    Makes rows of a resource's items.

    :param resource: what the items are.
    :param columns: names of the columns that the staging table has; fields of others go into ``_extra``.
    :param loaded_at: the time to write into each row.
    :param holds_nul: whether the database can hold the character U+0000. Where it can't, a value with one goes into
        ``_extra``, as a text that is its JSON.
    """

    def __init__(
        self, resource: Resource, columns: Sequence[str], loaded_at: dt.datetime, *, holds_nul: bool = True
    ) -> None:
        there = set(columns)
        self._holds_nul = holds_nul
        self._fields = [(f.name, _CONVERTERS[f.type]) for f in resource.fields if f.column in there]
        self._usual = [(f.name, _READ_USUAL[f.type]) for f in resource.fields if f.column in there]
        self._not_extra = frozenset([*(name for name, _ in self._usual), *resource.secrets])
        self._loaded_at = loaded_at
        self._path = resource.path
        self._secrets = resource.secrets

    def __call__(self, item: Item) -> tuple[Any, ...]:
        """
        Make a row: the fields' values, the rest as JSON, and the time.

        :raises SequenceResponseError: if the item has no id.
        """
        return self._usual_row(item) or self._row(item)

    def _usual_row(self, item: Item) -> tuple[Any, ...] | None:
        """Make the row of an item whose fields fit their columns: a third of the work."""
        row: list[Any] = []
        there = 0
        try:
            for name, read in self._usual:
                raw = item.get(name)
                there += raw is not None
                row.append(None if raw is None else read(raw))
        except (msgspec.ValidationError, _DoesNotFitError):
            return None
        if not row[0]:
            return None
        extra = None
        if there < len(item):
            others = {name: raw for name, raw in item.items() if name not in self._not_extra}
            extra = lossless_json.encode(others).decode() if others else None
        row += (extra, self._loaded_at)
        if not self._holds_nul:
            text = "".join([value for value in row if type(value) is str])
            if "\0" in text or "\\u0000" in text:
                return None
        return tuple(row)

    def _row(self, item: Item) -> tuple[Any, ...]:
        rest: dict[str, Any] = dict(item)
        for name in self._secrets:
            rest.pop(name, None)
        quoted = {} if self._holds_nul else {name: raw for name, raw in rest.items() if _has_nul(name, raw)}
        for name in quoted:
            del rest[name]
        row: list[Any] = []
        for name, convert in self._fields:
            raw = rest.get(name)
            if raw is None:
                row.append(None)
                continue
            try:
                row.append(convert(raw))
                del rest[name]
            except _DoesNotFitError as e:
                # Kept as it came; what can be said of it in the column's type stands there.
                row.append(e.args[0])
        if not row[0]:
            raise SequenceResponseError("GET", self._path, "an item has no id")
        for name, raw in quoted.items():
            rest[name.replace("\0", "\\u0000")] = bytes(raw).decode()
        extra = lossless_json.encode(rest).decode() if rest else None
        return (*row, extra, self._loaded_at)


def _has_nul(name: str, raw: msgspec.Raw) -> bool:
    return "\0" in name or _NUL.search(bytes(raw)) is not None


def _text(raw: msgspec.Raw) -> str | None:
    value = lossless_json.decode(raw)
    if value is None or isinstance(value, str):
        return value
    raise _DoesNotFitError(None)


def _integer(raw: msgspec.Raw) -> int | None:
    value = lossless_json.decode(raw)
    if value is None or (
        isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
    ):
        return value
    raise _DoesNotFitError(None)


def _boolean(raw: msgspec.Raw) -> bool | None:
    value = lossless_json.decode(raw)
    if value is None or isinstance(value, bool):
        return value
    raise _DoesNotFitError(None)


def _json(raw: msgspec.Raw) -> str | None:
    text = bytes(raw).decode()
    return None if text == "null" else text


def _timestamp(raw: msgspec.Raw) -> dt.datetime | None:
    value = lossless_json.decode(raw)
    if value is None:
        return None
    try:
        time = parse_timestamp(value)
    except (TypeError, ValueError):
        raise _DoesNotFitError(None) from None
    if long_fraction(value):
        raise _DoesNotFitError(time)
    return time


def _usual_timestamp(raw: msgspec.Raw) -> dt.datetime:
    time = parse_utc_fast(bytes(raw))
    if time is None:
        raise _DoesNotFitError
    return time


_READ_USUAL: dict[str, Callable[[msgspec.Raw], Any]] = {
    "text": msgspec.json.Decoder(str | None).decode,
    "integer": msgspec.json.Decoder(Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] | None).decode,
    "boolean": msgspec.json.Decoder(bool | None).decode,
    "json": _json,
    "timestamp": _usual_timestamp,
}
_CONVERTERS: dict[str, Callable[[msgspec.Raw], Any]] = {
    "text": _text,
    "integer": _integer,
    "boolean": _boolean,
    "json": _json,
    "timestamp": _timestamp,
}
