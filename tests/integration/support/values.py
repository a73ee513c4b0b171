"""Values of databases, JSON and errors, in a form that can be compared."""

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


def error_text(error: BaseException | None) -> str:
    """The texts of an error and of the errors that led to it: what a log shows of it, without the source code."""
    words = []
    while error is not None:
        words += [str(error), repr(error), *getattr(error, "__notes__", [])]
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join(words)
