"""Event ids derived from key columns: a UUIDv5, the same for ever."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from airflow_provider_sequence.api import lossless_json
from airflow_provider_sequence.exceptions import InvalidEventError

#: The namespace of ids derived from key columns. It must never change: the same row must have the same id in
#: every release, or a rerun would bill it again.
EVENT_NAMESPACE = uuid.UUID("8f0c6d1e-52f5-5c53-9d0e-6a3a4e0f9b27")


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
    if isinstance(value, (Mapping, list, tuple, msgspec.Raw)):
        raise InvalidEventError(
            name, "is JSON or an array, which has no fixed text; take plain columns as event_key"
        )
    return str(lossless_json.to_json_value(value, name))
