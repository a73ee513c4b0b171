"""Numeric parameters that a template may have rendered to text."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

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
