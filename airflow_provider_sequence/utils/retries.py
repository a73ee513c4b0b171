"""Which failures Airflow should not retry, and settings that arrive as rendered text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_sequence.exceptions import (
    SequenceAuthenticationError,
    SequenceConfigurationError,
    SequenceRejectedError,
    WarehouseError,
)


@contextmanager
def fail_without_retry() -> Iterator[None]:
    """Fail the task at once, without retries, where only a change of the DAG or the connection can help."""
    try:
        yield
    except (SequenceConfigurationError, SequenceAuthenticationError, SequenceRejectedError) as e:
        raise AirflowFailException(str(e)) from e
    except WarehouseError as e:
        if e.permanent:
            raise AirflowFailException(str(e)) from e
        raise


def whole_number(name: str, value: object, *, least: int = 1) -> int:
    """
    Read a setting that may have been rendered to text.

    :raises SequenceConfigurationError: if it is no whole number, or less than ``least``.
    """
    try:
        number = int(str(value))
    except ValueError:
        number = least - 1
    if number < least:
        raise SequenceConfigurationError(f"{name}={value!r} is no whole number of at least {least}")
    return number


def exact_number(name: str, value: object) -> Decimal:
    """
    Read a number that may have been rendered to text, with every digit.

    :raises SequenceConfigurationError: if it is none.
    """
    try:
        number = Decimal("NaN" if isinstance(value, bool) else str(value).strip())
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise SequenceConfigurationError(f"{name} is no number")
    return number
