"""Times as databases give them, and as the page writes them: in UTC."""

from __future__ import annotations

import datetime as dt
from typing import Any


def as_utc(value: Any) -> dt.datetime:
    """Return a time that a database gave, in UTC; one without a zone is in UTC already."""
    time: dt.datetime = value if isinstance(value, dt.datetime) else dt.datetime.fromisoformat(str(value))
    return time.replace(tzinfo=dt.UTC) if time.tzinfo is None else time.astimezone(dt.UTC)


def write_time(value: Any) -> str:
    """Write a time to the second."""
    return "" if value is None else f"{as_utc(value):%Y-%m-%d %H:%M:%S}"


def write_window(start: Any, end: Any) -> str:
    """Write a half-open window: of whole days by their dates."""
    if start is None or end is None:
        return ""
    first, last = as_utc(start), as_utc(end)
    if first.time() == last.time() == dt.time.min:
        return (
            f"{first:%Y-%m-%d}"
            if last - first == dt.timedelta(days=1)
            else f"{first:%Y-%m-%d} – {last:%Y-%m-%d}"
        )
    return (
        f"{first:%Y-%m-%d %H:%M} – {last:%Y-%m-%d %H:%M}"
        if first.date() != last.date()
        else f"{first:%Y-%m-%d %H:%M} – {last:%H:%M}"
    )


def write_duration(seconds: float | None) -> str:
    """Write a duration: ``42 s``, ``3 min 5 s``, ``2 h 10 min``."""
    if seconds is None:
        return ""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
