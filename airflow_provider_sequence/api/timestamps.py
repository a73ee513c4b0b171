"""Timestamps of the API: parse and format."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any
from zoneinfo import ZoneInfo

from airflow_provider_sequence.exceptions import SequenceConfigurationError

#: First and last instant that ``datetime`` can hold, and the distance between two neighbouring ones.
MIN_TIME, MAX_TIME = dt.datetime.min.replace(tzinfo=dt.UTC), dt.datetime.max.replace(tzinfo=dt.UTC)
TICK = dt.timedelta(microseconds=1)

#: Digits of a second's fraction that ``datetime``, and most databases, keep.
KEPT_DIGITS = 6

_FRACTION = re.compile(r"\d[T ]\d{2}.*?[.,](\d+)")
#: What each of the longer ones has: found in a third of the time.
_LONG_FRACTION = re.compile(rf"[.,]\d{{{KEPT_DIGITS + 1}}}")


def utc_text(time: dt.datetime) -> str:
    """
    A time that has a zone, in ISO 8601, in UTC with ``Z``; microseconds where there are any.

    :raises OverflowError: if it lies outside the years 1 to 9999 in UTC.
    """
    utc = time if time.tzinfo is dt.UTC else time.astimezone(dt.UTC)
    return utc.replace(tzinfo=None).isoformat() + "Z"


def parse_timestamp(value: Any) -> dt.datetime:
    """
    Read a timestamp of the API, to the microsecond. One without a zone is UTC, as all that is sent.

    :raises ValueError: if it is no time in ISO 8601, or TypeError if it is not even text.
    """
    time = dt.datetime.fromisoformat(value)
    try:
        return time.replace(tzinfo=dt.UTC) if time.tzinfo is None else time.astimezone(dt.UTC)
    except OverflowError:
        raise ValueError("outside the years 1 to 9999 in UTC") from None


def long_fraction(text: str) -> str | None:
    """The digits of a timestamp's fraction, where there are more than :data:`KEPT_DIGITS`."""
    found = _FRACTION.search(text) if _LONG_FRACTION.search(text) else None
    return found[1] if found is not None and len(found[1]) > KEPT_DIGITS else None


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
            f"timezone={zone!r} is no time zone\nGive an IANA name such as 'UTC' or 'Europe/Berlin'"
        ) from None
