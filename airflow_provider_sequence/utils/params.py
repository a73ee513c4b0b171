"""Parameters of tasks, which a template or an XCom may have rendered to text, or to nothing."""

from __future__ import annotations

import datetime as dt
import operator
import re
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from decimal import Decimal, InvalidOperation
from typing import Any

from airflow_provider_sequence.exceptions import SequenceConfigurationError, TooFewRowsError

_NUMBER = r"(\d+(?:[.,]\d+)?)"
#: A duration in ISO 8601, without years and months, whose lengths differ.
_ISO_DURATION = re.compile(
    rf"P(?=.)(?:{_NUMBER}W)?(?:{_NUMBER}D)?(?:T(?=.)(?:{_NUMBER}H)?(?:{_NUMBER}M)?(?:{_NUMBER}S)?)?",
    re.IGNORECASE,
)
#: What a template makes of a timedelta.
_TIMEDELTA_TEXT = re.compile(r"(?:(-?\d+) days?, )?(\d+):(\d\d):(\d\d(?:\.\d+)?)")


def parse_int(name: str, value: object, *, min_value: int = 1) -> int:
    """
    Parse a whole number.

    :param name: the parameter's name, for the error.
    :raises SequenceConfigurationError: if it is no whole number, or less than ``min_value``.
    """
    try:
        number = int(str(value))
    except ValueError:
        number = min_value - 1
    if number < min_value:
        raise SequenceConfigurationError(f"{name}={value!r} is no whole number of at least {min_value}")
    return number


def parse_decimal(name: str, value: object) -> Decimal:
    """
    Parse a number, with every digit.

    :param name: the parameter's name, for the error.
    :raises SequenceConfigurationError: if it is none.
    """
    try:
        number = Decimal("NaN" if isinstance(value, bool) else str(value).strip())
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise SequenceConfigurationError(f"{name} is no number")
    return number


def parse_bool(name: str, value: object) -> bool:
    """
    Parse a flag: a bool, or ``true`` or ``false`` as text.

    :param name: the parameter's name, for the error.
    :raises SequenceConfigurationError: if it is neither.
    """
    text = str(value).strip().lower()
    if text not in {"true", "false"}:
        raise SequenceConfigurationError(f"{name}={value!r} is neither true nor false")
    return text == "true"


def parse_duration(name: str, value: object, *, more_than_zero: bool = False) -> dt.timedelta:
    """
    Parse a length of time: a timedelta, seconds, or text: seconds, ISO 8601 (``PT6H``) or a timedelta's own.

    :param name: the parameter's name, for the error.
    :param more_than_zero: whether 0 is refused, too.
    :raises SequenceConfigurationError: if it is no length of time, is negative, or has years or months.
    """
    try:
        duration = _duration(value)
    except (InvalidOperation, OverflowError, ValueError):
        duration = None
    if duration is None:
        raise SequenceConfigurationError(
            f"{name}={value!r} is no length of time\nGive a timedelta, a number of seconds, or text such as 'PT6H' "
            "or 'P2D'; years and months have no fixed length"
        )
    if duration < dt.timedelta(0) or (more_than_zero and not duration):
        wrong = "is not greater than 0" if more_than_zero else "is less than 0"
        raise SequenceConfigurationError(f"{name}={value!r} {wrong}")
    return duration


def _duration(value: object) -> dt.timedelta | None:
    if isinstance(value, dt.timedelta):
        # pendulum's class also has calendar units.
        if getattr(value, "years", 0) or getattr(value, "months", 0):
            return None
        return (
            dt.timedelta(value.days, value.seconds, value.microseconds)
            if type(value) is dt.timedelta
            else (dt.timedelta(microseconds=round(value.total_seconds() * 1_000_000)))
        )
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal, str)):
        return None
    text = str(value).strip()
    if found := _ISO_DURATION.fullmatch(text):
        weeks, days, hours, minutes, seconds = (
            float((part or "0").replace(",", ".")) for part in found.groups()
        )
        return dt.timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    if found := _TIMEDELTA_TEXT.fullmatch(text):
        days, hours, minutes, seconds = (float(part or "0") for part in found.groups())
        return dt.timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    return dt.timedelta(seconds=float(Decimal(text)))


def require_rows(rows: int, min_rows: int, source: str) -> None:
    """
    Check that there were enough rows.

    :param source: where they came from, for the error.
    :raises TooFewRowsError: if there were fewer.
    """
    if rows < min_rows:
        raise TooFewRowsError(f"{rows} rows, and at least {min_rows} are expected (min_rows)\n{source}")


def parse_filters(filters: object) -> dict[str, Any]:
    """
    Parse a task's filters: a filter that is named has a value, and one that can be written as JSON.

    :raises SequenceConfigurationError: if they are no mapping, or a filter's value is None: it would ask for all.
    """
    if filters is None:
        return {}
    if not isinstance(filters, Mapping):
        raise SequenceConfigurationError(
            f"filters is of type {type(filters).__name__}\nGive a dict, such as {{'customer_alias': ['acme']}}"
        )
    for name, value in filters.items():
        if value is None or value == "":
            raise SequenceConfigurationError(
                f"the filter {name} is {'None' if value is None else 'empty'}, which would ask for everything\n"
                "Give it a value, or leave it out"
            )
    # Lazy XCom sequences, sets and generators have no JSON, which a trigger needs, and can be read once.
    return {str(name): _plain(name, value) for name, value in filters.items()}


def _plain(name: object, value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if hasattr(type(value), "__index__"):
        return operator.index(value)
    if isinstance(value, Iterable) and not isinstance(value, (bytes, bytearray, memoryview, Mapping)):
        values = [_plain(name, each) for each in value]
        # The order of a set differs from process to process, and a watcher's state goes by its filters.
        return sorted(values, key=str) if isinstance(value, AbstractSet) else values
    raise SequenceConfigurationError(
        f"filter {name} holds a value of type {type(value).__name__}\nGive text, a number or a list of them"
    )


#: Text of the error about a parameter that has a name, and no value.
RENDERED_TO_NOTHING = (
    "{name} is set in the DAG, but its template or XCom was rendered to nothing\n"
    "That is None, or an empty text. Let it have a value, or leave it out"
)


def is_nothing(value: object) -> bool:
    """Whether a value is None, or the text of it."""
    return value is None or (isinstance(value, str) and value.strip() in {"", "None"})


def find_nothing(name: str, named: object, rendered: object) -> str | None:
    """
    Find what a template or an XCom has made nothing of: None, or the text of it.

    :param name: the parameter's name.
    :param named: the value as the DAG has it; what is None there already is meant.
    :param rendered: the value after rendering.
    :return: the name, or that of a part of the value, such as ``filters['customer_alias']``.
    """
    if is_nothing(rendered):
        # Text in what an XCom holds is the XCom's own.
        return name if (rendered is None if named is _UNKNOWN else named != rendered) else None
    parts = (find_nothing(f"{name}[{key!r}]", *values) for key, *values in _parts(named, rendered))
    return next(filter(None, parts), None)


_UNKNOWN = object()


def _parts(named: object, rendered: object) -> Iterator[tuple[object, object, object]]:
    if isinstance(rendered, Mapping):
        names = named if isinstance(named, Mapping) else {}
        yield from ((key, names.get(key, _UNKNOWN), value) for key, value in rendered.items())
    elif isinstance(rendered, (list, tuple)):
        known = isinstance(named, (list, tuple)) and len(named) == len(rendered)
        befores: Iterable[object] = named if known else [_UNKNOWN] * len(rendered)  # type: ignore[assignment]
        yield from zip(range(len(rendered)), befores, rendered, strict=True)
