"""Converters: what a driver's values become that would lose something on the way to an event."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

Converter = Callable[[Any], Any]


def each_column(
    find: Callable[[Sequence[Any]], Converter | None],
) -> Callable[[Sequence[Sequence[Any]], Any], Mapping[int, Converter]]:
    """Find converters by the driver's description of each column alone."""

    def find_all(columns: Sequence[Sequence[Any]], _connection: Any) -> Mapping[int, Converter]:
        found = {place: find(column) for place, column in enumerate(columns)}
        return {place: convert for place, convert in found.items() if convert is not None}

    return find_all


def json_text(value: str | bytes) -> msgspec.Raw:
    """JSON that the driver gives as text: it is sent on as it is, with every digit."""
    return msgspec.Raw(value.encode() if isinstance(value, str) else bytes(value))


def compact_json(text: str) -> msgspec.Raw:
    """JSON that the driver gives as text, without line breaks and indents, which are a setting of the session."""
    try:
        return msgspec.Raw(msgspec.json.format(text.encode(), indent=-1))
    except msgspec.DecodeError:
        return json_text(text)  # for the row to be rejected


def utc_instant(value: Any) -> Any:
    """Instant whose zone, UTC, the driver does not tell."""
    return value.replace(tzinfo=dt.UTC) if isinstance(value, dt.datetime) else value
