"""What databases and JSON give back, in one form that can be compared."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import Any


def utc(value: Any) -> dt.datetime:
    """A time as a database gives it, in UTC; without a zone it is in UTC already."""
    time = value if isinstance(value, dt.datetime) else dt.datetime.fromisoformat(value)
    return time.astimezone(dt.UTC) if time.tzinfo else time.replace(tzinfo=dt.UTC)


def exact(text: str | bytes) -> Any:
    """JSON with every digit."""
    return json.loads(text, parse_float=Decimal)


def said(error: BaseException | None) -> str:
    """All that a log shows of an error but the source code: its words, and those of the errors that led to it."""
    words = []
    while error is not None:
        words += [str(error), repr(error), *getattr(error, "__notes__", [])]
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join(words)
