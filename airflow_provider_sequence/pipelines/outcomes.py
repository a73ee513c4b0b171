"""What becomes of a row: exactly one outcome."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from airflow_provider_sequence.warehouse.delivery_log import DeliveryLog, LogEntry


class Status(StrEnum):
    """How a row ended. An outage is none of these: it ends the task."""

    DELIVERED = "delivered"
    UNCHANGED = "unchanged"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    What became of one row.

    :param row: the row's number in the query, from 1.
    :param status: how it ended.
    :param event_id: the event's ``customerEventId``, where the row got as far as having one.
    :param body_hash: names the event's body, where it got as far as having one.
    :param sequence_id: the id that Sequence gave it, where it was delivered.
    :param http_status: the answer's status, where there was an answer.
    :param reason: why it was rejected.
    :param body: the event's JSON, where Sequence rejected it.
    """

    row: int
    status: Status
    event_id: str | None = None
    body_hash: str | None = None
    sequence_id: str | None = None
    http_status: int | None = None
    reason: str | None = None
    body: bytes | None = None


class DeliveryMemory(Protocol):
    """What was delivered before, as far as somebody remembers."""

    def delivered_hashes(self, event_ids: Sequence[str]) -> Mapping[str, str]:
        """Find the hash of the body last delivered for each of these ids that has one."""

    def doubt(self, event_ids: Sequence[str]) -> None:
        """Forget what was delivered for these ids: another body is about to be sent."""

    def record(self, outcomes: Sequence[Outcome], pending_ids: Container[str | None]) -> None:
        """
        Remember outcomes; they are given after Sequence's answers, in the order of the answers.

        :param pending_ids: ids of which another row is still under way, so that these are not the last word.
        """


class NoMemory:
    """Remembers nothing from run to run."""

    def delivered_hashes(self, event_ids: Sequence[str]) -> Mapping[str, str]:
        """Find nothing."""
        return {}

    def doubt(self, event_ids: Sequence[str]) -> None:
        """There is nothing to forget."""

    def record(self, outcomes: Sequence[Outcome], pending_ids: Container[str | None]) -> None:
        """Forget them."""


class LoggedMemory:
    """
    Remembers in a delivery log.

    :param log: the log. Rows that never had an id have no place in it.
    """

    def __init__(self, log: DeliveryLog) -> None:
        self._log = log

    def delivered_hashes(self, event_ids: Sequence[str]) -> Mapping[str, str]:
        """Look the ids up."""
        return self._log.delivered_hashes(event_ids)

    def doubt(self, event_ids: Sequence[str]) -> None:
        """Note that it is not known which body Sequence holds."""
        self._log.doubt(event_ids)

    def record(self, outcomes: Sequence[Outcome], pending_ids: Container[str | None]) -> None:
        """Store what was delivered and what was rejected; what is unchanged is in the log already."""
        entries = [
            LogEntry(
                outcome.event_id,
                delivered=outcome.status is Status.DELIVERED,
                body_hash=outcome.body_hash,
                sequence_id=outcome.sequence_id,
                http_status=outcome.http_status,
                reason=outcome.reason,
                rejected_body=None if outcome.body is None else outcome.body.decode(),
            )
            for outcome in outcomes
            if outcome.event_id is not None
            and outcome.event_id not in pending_ids
            and outcome.status is not Status.UNCHANGED
        ]
        if entries:
            self._log.store(entries)
