"""Outcome of a pushed row: delivered, unchanged or rejected, exactly one of them."""

from __future__ import annotations

from enum import StrEnum

from airflow_provider_sequence.api.events import EventFacts
from airflow_provider_sequence.api.shown_text import PrivateStruct, one_line


class Status(StrEnum):
    """How a row ended. An outage is none of these: it fails the task."""

    DELIVERED = "delivered"
    UNCHANGED = "unchanged"
    REJECTED = "rejected"


class RowFlag(StrEnum):
    """A further property of a row, beside its status."""

    #: It was delivered, and replaces what an earlier run had delivered for the id.
    CORRECTED = "corrected"
    #: It was delivered, and its timestamp lies further back than ``late_after``.
    LATE = "late"
    #: An earlier row of the same query has the same id and another body.
    CONFLICTING = "conflicting"
    #: Its event was voided, and stays voided.
    VOIDED = "voided"


class Outcome(PrivateStruct, frozen=True):
    """
    Outcome of one row.

    :param row: the row's number in the query, from 1.
    :param status: how it ended.
    :param event_id: the event's ``customerEventId``, where the row got as far as having one.
    :param body_hash: hash of the event's body, where it got as far as having one.
    :param sequence_id: the id that Sequence gave it, where this run delivered it, or the same body before.
    :param http_status: the response's status, where there was a response.
    :param reason: why it was rejected.
    :param body: the event's JSON, where Sequence rejected it.
    :param facts: what the event says, or what is right in a row that became no event.
    :param flags: further properties.
    """

    row: int
    status: Status
    event_id: str | None = None
    body_hash: str | None = None
    sequence_id: str | None = None
    http_status: int | None = None
    reason: str | None = None
    body: bytes | None = None
    facts: EventFacts | None = None
    flags: tuple[RowFlag, ...] = ()

    @property
    def shown_row(self) -> str:
        """The row's number, and its event's id where it has one, for a log."""
        return f"row {self.row}{f' ({self.shown_id})' if self.event_id else ''}"

    @property
    def shown_id(self) -> str | None:
        """The event's id, as it may stand in a log."""
        return None if self.event_id is None else one_line(self.event_id)
