"""Delivery state: what is known of the events that were delivered before, in a delivery log or for one run."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Protocol

from airflow_provider_sequence.pipelines.delivery_log import DeliveryLog, KnownDelivery
from airflow_provider_sequence.pipelines.push.outcomes import Outcome, RowFlag, Status
from airflow_provider_sequence.temp_storage import open_temp_db


class DeliveryState(Protocol):
    """Lookup and record of deliveries. One thread uses it."""

    def known(self, event_ids: Sequence[str]) -> Mapping[str, KnownDelivery]:
        """Look up what is known of each of these ids; ids of which nothing is known are left out."""

    def was_unchanged(self, event_id: str) -> bool:
        """Whether this run found the id unchanged, where :meth:`known` does not say so."""

    def mark_in_doubt(self, event_ids: Sequence[str]) -> None:
        """Record, before another body is sent, that it is not known which body Sequence holds of these ids."""

    def record(self, outcomes: Sequence[Outcome], pending_ids: Container[str | None]) -> None:
        """
        Record outcomes; they are given after Sequence's responses, in the order of the responses.

        :param pending_ids: ids of which another row is still in flight, so that these are not the last word.
        """


class RunState:
    """Delivery state of one run without a log, in a temporary file."""

    def __init__(self) -> None:
        self._db = open_temp_db(
            "CREATE TABLE known (id TEXT PRIMARY KEY, hash TEXT, delivered BOOLEAN) WITHOUT ROWID"
        )

    def known(self, event_ids: Sequence[str]) -> Mapping[str, KnownDelivery]:
        """Look up what this run delivered so far."""
        places = ", ".join("?" * len(event_ids))
        query = f"SELECT id, hash, delivered FROM known WHERE id IN ({places})"  # noqa: S608  placeholders only
        return {
            event_id: KnownDelivery(body_hash, is_current=bool(delivered), this_run=True)
            for event_id, body_hash, delivered in self._db.execute(query, event_ids)
        }

    def was_unchanged(self, event_id: str) -> bool:
        """Always false: :meth:`known` returns unchanged rows of this run."""
        return False

    def mark_in_doubt(self, event_ids: Sequence[str]) -> None:
        """Do nothing: the state does not outlast the run, which knows what it sends."""

    def record(self, outcomes: Sequence[Outcome], pending_ids: Container[str | None]) -> None:
        """Keep the last outcome of each id."""
        self._db.executemany(
            "INSERT OR REPLACE INTO known VALUES (?, ?, ?)",
            [
                (outcome.event_id, outcome.body_hash, outcome.status is not Status.REJECTED)
                for outcome in outcomes
                if outcome.event_id is not None and outcome.body_hash is not None
            ],
        )


class DryRunState(RunState):
    """
    Delivery state of a dry run: reads a delivery log, and writes nothing that outlasts the run.

    :param log: the log, or None where there is none.
    """

    def __init__(self, log: DeliveryLog | None) -> None:
        super().__init__()
        self._log = log

    def known(self, event_ids: Sequence[str]) -> Mapping[str, KnownDelivery]:
        """Look up what this run would have delivered so far, or else what the log holds."""
        return {**(self._log.known(event_ids) if self._log else {}), **super().known(event_ids)}


class LoggedState:
    """
    Delivery state in a delivery log.

    :param log: the log. Rows that never had an id have no place in it.
    """

    def __init__(self, log: DeliveryLog) -> None:
        self._log = log
        # Ids that this run found unchanged, of which the log has no mark of this run. Eight bytes each: where two ids
        # have the same hash, a correction is reported as a conflict.
        self._unchanged = open_temp_db("CREATE TABLE unchanged (hash INTEGER)")

    def known(self, event_ids: Sequence[str]) -> Mapping[str, KnownDelivery]:
        """Look the ids up in the log."""
        return self._log.known(event_ids)

    def was_unchanged(self, event_id: str) -> bool:
        """Whether a row of this run had the id, and the body that the log knows."""
        # Made when it is first needed: most runs need it never, and an index costs each row more than all else here.
        self._unchanged.execute("CREATE INDEX IF NOT EXISTS by_hash ON unchanged (hash)")
        query = "SELECT 1 FROM unchanged WHERE hash = ?"
        return self._unchanged.execute(query, (hash(event_id),)).fetchone() is not None

    def mark_in_doubt(self, event_ids: Sequence[str]) -> None:
        """Mark the ids in the log."""
        self._log.mark_in_doubt(event_ids)

    def record(self, outcomes: Sequence[Outcome], pending_ids: Container[str | None]) -> None:
        """Store delivered and rejected rows in the log; remember unchanged ones for this run."""
        unchanged: list[tuple[int]] = []
        to_store: list[Outcome] = []
        for outcome in outcomes:
            event_id = outcome.event_id
            if event_id is None:
                continue
            if outcome.status is Status.UNCHANGED and RowFlag.VOIDED in outcome.flags and outcome.body_hash:
                self._log.record_voided_hash(event_id, outcome.body_hash)
            elif outcome.status is Status.UNCHANGED and outcome.sequence_id is None:
                unchanged.append((hash(event_id),))
            # An unchanged row is in the log already, unless it repeats the row before it, which may not be.
            elif event_id not in pending_ids:
                to_store.append(outcome)
        # First what Sequence holds, which is sent again if it is not in the log.
        if to_store:
            self._log.store(to_store)
        self._unchanged.executemany("INSERT INTO unchanged VALUES (?)", unchanged)


class ResendState(LoggedState):
    """Delivery state in a delivery log for a repair: everything is sent again, whatever the log holds."""

    def known(self, event_ids: Sequence[str]) -> Mapping[str, KnownDelivery]:
        """Return voided ids only, and mark all others as in doubt."""
        voided = {event_id: known for event_id, known in super().known(event_ids).items() if known.voided}
        self.mark_in_doubt([event_id for event_id in event_ids if event_id not in voided])
        return voided
