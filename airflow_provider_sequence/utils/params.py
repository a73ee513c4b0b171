"""Parameters as they come from a DAG: numbers that a template rendered to text, filters from XCom."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from decimal import Decimal, InvalidOperation
from typing import Any

from airflow_provider_sequence.exceptions import SequenceConfigurationError


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


def parse_filters(filters: Any) -> dict[str, Any]:
    """
    Make JSON of filters, so that a trigger can have them: lists of sets, generators and lazy XCom sequences.

    :raises SequenceConfigurationError: if it is no mapping of names to texts, numbers and lists of such.
    """
    if not isinstance(filters or {}, Mapping):
        raise SequenceConfigurationError(
            f"filters is of type {type(filters).__name__}, and no mapping of names"
        )
    return {str(name): _plain(name, value) for name, value in (filters or {}).items()}


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
        f"filter {name} holds a value of type {type(value).__name__}; give text, a number or a list of them"
    )
