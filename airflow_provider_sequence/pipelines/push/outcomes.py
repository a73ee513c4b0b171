"""What becomes of a row: exactly one outcome; and who remembers it."""

from __future__ import annotations

import sqlite3
from collections.abc import Container, Mapping, Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from airflow_provider_sequence.pipelines.delivery_log import DeliveryLog, KnownDelivery, LogEntry


class Status(StrEnum):
    """How a row ended. An outage is none of these: it ends the task."""

    DELIVERED = "delivered"
    UNCHANGED = "unchanged"
    REJECTED = "rejected"


class RowFlag(StrEnum):
    """What else there is to say of a row."""

    #: It was delivered, and what it says replaces what an earlier run had delivered for the id.
    CORRECTED = "corrected"
    #: It was delivered, and its time lies far back.
    LATE = "late"
    #: An earlier row of the same query has the same id, and says something else.
    CONFLICTING = "conflicting"
    #: Its event was voided, and stays so.
    VOIDED = "voided"


class Outcome(msgspec.Struct, frozen=True):
    """
    What became of one row.

    :param row: the row's number in the query, from 1.
    :param status: how it ended.
    :param event_id: the event's ``customerEventId``, where the row got as far as having one.
    :param body_hash: names the event's body, where it got as far as having one.
    :param sequence_id: the id that Sequence gave it, where this run delivered it, or the same body before.
    :param http_status: the answer's status, where there was an answer.
    :param reason: why it was rejected.
    :param body: the event's JSON, where Sequence rejected it.
    :param remarks: what else there is to say.
    """

    row: int
    status: Status
    event_id: str | None = None
    body_hash: str | None = None
    sequence_id: str | None = None
    http_status: int | None = None
    reason: str | None = None
    body: bytes | None = None
    remarks: tuple[RowFlag, ...] = ()


class DeliveryState(Protocol):
    """What was delivered before, as far as somebody remembers."""

    def known(self, event_ids: Sequence[str]) -> Mapping[str, KnownDelivery]:
        """Find what is known of each of these ids, where something is."""

    def was_unchanged(self, event_id: str) -> bool:
        """Tell whether this run found the id unchanged, which is not part of what is known."""

    def doubt(self, event_ids: Sequence[str]) -> None:
        """Forget what was delivered for these ids: another body is about to be sent."""

    def record(self, outcomes: Sequence[Outcome], pending_ids: Container[str | None]) -> None:
        """
        Remember outcomes; they are given after Sequence's answers, in the order of the answers.

        :param pending_ids: ids of which another row is still under way, so that these are not the last word.
        """


class RunState:
    """Remembers for one run, in a file that is gone with it."""

    def __init__(self) -> None:
        self._disk = _open_disk("known (id TEXT PRIMARY KEY, hash TEXT, delivered BOOLEAN) WITHOUT ROWID")

    def known(self, event_ids: Sequence[str]) -> Mapping[str, KnownDelivery]:
        """Find what this run made of these ids so far."""
        places = ", ".join("?" * len(event_ids))
        query = f"SELECT id, hash, delivered FROM known WHERE id IN ({places})"  # noqa: S608  placeholders only
        return {
            event_id: KnownDelivery(body_hash, holds=bool(delivered), this_run=True)
            for event_id, body_hash, delivered in self._disk.execute(query, event_ids)
        }

    def was_unchanged(self, event_id: str) -> bool:
        """It is known, if so."""
        return False

    def doubt(self, event_ids: Sequence[str]) -> None:
        """There is nothing to forget: the run knows what it sends."""

    def record(self, outcomes: Sequence[Outcome], pending_ids: Container[str | None]) -> None:
        """Keep what became of each id last."""
        self._disk.executemany(
            "INSERT OR REPLACE INTO known VALUES (?, ?, ?)",
            [
                (outcome.event_id, outcome.body_hash, outcome.status is not Status.REJECTED)
                for outcome in outcomes
                if outcome.event_id is not None and outcome.body_hash is not None
            ],
        )


class LoggedState:
    """
    Remembers in a delivery log.

    :param log: the log. Rows that never had an id have no place in it.
    """

    def __init__(self, log: DeliveryLog) -> None:
        self._log = log
        # What this run found unchanged it has seen, although the log has no word of that. Of the ids eight bytes each:
        # if two should ever be alike, a correction is called a conflict.
        self._unchanged = _open_disk("unchanged (hash INTEGER)")

    def known(self, event_ids: Sequence[str]) -> Mapping[str, KnownDelivery]:
        """PokeResult the ids up."""
        return self._log.known(event_ids)

    def was_unchanged(self, event_id: str) -> bool:
        """Tell whether a row of this run had the id, and the body that the log knows."""
        # Most runs ask for none, and an index costs each row more than all else of it here.
        self._unchanged.execute("CREATE INDEX IF NOT EXISTS by_hash ON unchanged (hash)")
        query = "SELECT 1 FROM unchanged WHERE hash = ?"
        return self._unchanged.execute(query, (hash(event_id),)).fetchone() is not None

    def doubt(self, event_ids: Sequence[str]) -> None:
        """Note that it is not known which body Sequence holds."""
        self._log.doubt(event_ids)

    def record(self, outcomes: Sequence[Outcome], pending_ids: Container[str | None]) -> None:
        """Store what was delivered and what was rejected; what the log knows already is kept for this run."""
        unchanged: list[tuple[int]] = []
        entries: list[LogEntry] = []
        for outcome in outcomes:
            event_id = outcome.event_id
            if event_id is None:
                continue
            if outcome.status is Status.UNCHANGED and RowFlag.VOIDED in outcome.remarks and outcome.body_hash:
                self._log.record_voided_hash(event_id, outcome.body_hash)
            elif outcome.status is Status.UNCHANGED and outcome.sequence_id is None:
                unchanged.append((hash(event_id),))
            # What is unchanged is in the log, unless it is so by the row before it, which may not be.
            elif event_id not in pending_ids:
                entries.append(_log_entry(event_id, outcome))
        self._unchanged.executemany("INSERT INTO unchanged VALUES (?)", unchanged)
        if entries:
            self._log.store(entries)


def _open_disk(table: str) -> sqlite3.Connection:
    # A database without a name is a file that is gone when it is closed; small ones never reach the disk. One
    # transaction that never ends: nobody wants the file after a crash.
    disk = sqlite3.connect("", isolation_level=None)
    disk.execute("PRAGMA journal_mode = OFF")
    disk.execute(f"CREATE TABLE {table}")
    disk.execute("BEGIN")
    return disk


def _log_entry(event_id: str, outcome: Outcome) -> LogEntry:
    return LogEntry(
        event_id,
        delivered=outcome.status is not Status.REJECTED,
        body_hash=outcome.body_hash,
        sequence_id=outcome.sequence_id,
        http_status=outcome.http_status,
        reason=outcome.reason,
        rejected_body=None if outcome.body is None else outcome.body.decode(),
    )


class DryRunState(RunState):
    """
    Looks into a delivery log, and remembers for one run: nothing is written that outlasts it.

    :param log: the log, or None where there is none.
    """

    def __init__(self, log: DeliveryLog | None) -> None:
        super().__init__()
        self._log = log

    def known(self, event_ids: Sequence[str]) -> Mapping[str, KnownDelivery]:
        """Find what this run made of these ids so far, or else what the log says."""
        return {**(self._log.known(event_ids) if self._log else {}), **super().known(event_ids)}


class ResendState(LoggedState):
    """Remembers in a delivery log, and has everything sent, whatever the log says."""

    def known(self, event_ids: Sequence[str]) -> Mapping[str, KnownDelivery]:
        """Forget what the log says, and note that it is in doubt; what was voided stays so."""
        voided = {event_id: known for event_id, known in super().known(event_ids).items() if known.voided}
        self.doubt([event_id for event_id in event_ids if event_id not in voided])
        return voided
