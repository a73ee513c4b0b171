"""What becomes of a row: exactly one outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


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
    """What was delivered before, as far as somebody remembers. See the delivery log."""

    def delivered_hashes(self, event_ids: Sequence[str]) -> Mapping[str, str]:
        """Find the hash of the body last delivered for each of these ids that has one."""

    def record(self, outcomes: Sequence[Outcome]) -> None:
        """Remember outcomes; they are given after Sequence's answers, in the order of the answers."""


class NoMemory:
    """Remembers nothing: every row is sent."""

    def delivered_hashes(self, event_ids: Sequence[str]) -> Mapping[str, str]:
        """Find nothing."""
        return {}

    def record(self, outcomes: Sequence[Outcome]) -> None:
        """Forget them."""
