"""Converters: what a driver's values become that would lose something on the way to an event."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import msgspec

Converter = Callable[[Any], Any]


def json_text(value: str | bytes) -> msgspec.Raw:
    """JSON that the driver gives as text: it is sent on as it is, with every digit."""
    return msgspec.Raw(value.encode() if isinstance(value, str) else bytes(value))


def utc_instant(value: Any) -> Any:
    """Instant whose zone, UTC, the driver does not tell."""
    return value.replace(tzinfo=dt.UTC) if isinstance(value, dt.datetime) else value
