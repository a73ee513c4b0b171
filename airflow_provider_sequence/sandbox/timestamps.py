"""ISO 8601 instants, as integers of microseconds since 1970 (UTC)."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

_SHAPE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d([.,]\d+)?)?(?P<zone>Z|[+-]\d\d(:?\d\d)?)?", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

SECOND = 1_000_000
DAY = 86_400 * SECOND


def parse(text: str, naive: str) -> int:
    """
    Return the instant ``text`` names; digits beyond the microsecond are cut off.

    :param naive: ``utc`` reads a text without an offset as UTC, ``reject`` refuses it.
    :raises ValueError: with the reason, to be put after the name of the field.
    """
    shape = _SHAPE.fullmatch(text)
    if not shape:
        raise ValueError("must be an ISO 8601 timestamp such as 2022-10-01T00:00:00Z")
    if not shape["zone"] and naive == "reject":
        raise ValueError("must say its offset from UTC, such as the Z of 2022-10-01T00:00:00Z")
    try:
        moment = datetime.fromisoformat(text)
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"must be an instant that exists: {error}") from None
    return (moment - _EPOCH) // _MICROSECOND


def parse_date(text: str) -> date:
    """Return the day ``text`` names (yyyy-MM-dd); :raises ValueError: with the reason."""
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
            return date.fromisoformat(text)
    except ValueError:
        pass  # a day that does not exist gets the same reason as a text that is no day
    raise ValueError("must be a date in the form yyyy-MM-dd")


def start_of(day: date) -> int:
    """Return the first instant of a day in UTC."""
    return (datetime(day.year, day.month, day.day, tzinfo=UTC) - _EPOCH) // _MICROSECOND


def render(instant: int, form: str) -> str:
    """Return ``instant`` in one of the forms of the switch ``timestamp_format`` (not ``as_sent``)."""
    moment = _EPOCH + instant * _MICROSECOND
    if form == "utc_millis":
        return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
    return moment.isoformat() if form == "offset" else moment.replace(tzinfo=None).isoformat()
