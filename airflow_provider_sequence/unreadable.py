"""Unreadable values: what a database holds and its driver can't turn into a value of Python."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UnreadableValue:
    """
    Stands in a row for such a value, so that the row is rejected, and not the whole query.

    :param reason: why it can't be read, without the value.
    """

    reason: str


def wrong_type(value: object, instead: str) -> str:
    """Reason why a value is not of the right type: what else it is and what to do, or why it can't be read."""
    return (
        value.reason
        if isinstance(value, UnreadableValue)
        else f"is of type {type(value).__name__}, {instead}"
    )
