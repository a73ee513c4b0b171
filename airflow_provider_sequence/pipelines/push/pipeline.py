"""
Push pipeline: rows become events, sender threads send them, outcomes are recorded in the order of the responses.

The caller's thread does everything but sending: it maps rows, looks up what was delivered before, classifies each row,
queues events by ordering key, and records outcomes.
"""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_sequence.api.events import Event, read_facts
from airflow_provider_sequence.api.resource import Resource
from airflow_provider_sequence.exceptions import InvalidEventError
from airflow_provider_sequence.pipelines.delivery_log import KnownDelivery, hash_body
from airflow_provider_sequence.pipelines.push.delivery_state import DeliveryState, RunState
from airflow_provider_sequence.pipelines.push.outcomes import Outcome, RowFlag, Status
from airflow_provider_sequence.pipelines.push.senders import Sender, SenderPool, SendTask
from airflow_provider_sequence.pipelines.push.sort import MappedRow, sort_by_time
from airflow_provider_sequence.pipelines.push.summary import PushSummary
from airflow_provider_sequence.pipelines.push.timestamps import TimestampPolicy

#: Events that may be queued or in flight: enough to keep all sender threads busy, few to repeat after a kill. And bytes
#: of their bodies: an event may hold a document.
MAX_IN_FLIGHT, MAX_BYTES_IN_FLIGHT = 2000, 16_000_000
#: Rows, and bytes of their bodies, of a batch: one look-up of what was delivered before.
BATCH_ROWS, BATCH_BYTES = 1000, 4_000_000
#: Outcomes are recorded after this many, or after this many seconds, whichever comes first.
RECORD_AFTER_OUTCOMES, RECORD_AFTER_SECONDS = 500, 1.0


def push(
    rows: Iterable[MappedRow],
    client: Sender,
    resource: Resource,
    *,
    threads: int,
    state: DeliveryState | None = None,
    policy: TimestampPolicy | None = None,
    on_progress: Callable[[PushSummary], None] = lambda _: None,
) -> PushSummary:
    """
    Send the events of rows; the last row of each id is what Sequence holds in the end.

    Events of one ordering key (the id; for seats, customer and seat type) are sent one after another, each when the one
    before it has its response. All others are sent concurrently. If anything but a rejected row goes wrong, the
    requests in flight are waited for, their outcomes recorded, the client is closed, and the error is raised.

    :param rows: mapped rows; see :func:`map_rows`.
    :param client: sends the events.
    :param resource: where to.
    :param threads: how many requests may be in flight at a time.
    :param state: what was delivered before; rows with the same body again cost no request.
    :param policy: what timestamps events may have that are about to be sent.
    :param on_progress: called now and then with the summary so far.
    :raises SequenceApiError: if it can't be known whether Sequence has an event; a later attempt goes on from there.
    """
    started = time.monotonic()
    requests_before, throttled_before = client.requests_sent, client.requests_throttled
    dispatcher = _Dispatcher(
        SenderPool(client, resource, threads), state or RunState(), policy or TimestampPolicy(), on_progress
    )
    summary = dispatcher.summary
    on_progress(summary)
    try:
        ordered = resource.event is not None and resource.event.ordered_within
        events = sort_by_time(rows) if ordered else iter(rows)
        for batch in _batches(events):
            dispatcher.dispatch(batch)
            dispatcher.collect(down_to=MAX_IN_FLIGHT)
        dispatcher.collect(down_to=0)
    except BaseException:
        client.close()
        raise
    finally:
        dispatcher.finish()
        summary.requests = client.requests_sent - requests_before
        summary.throttled = client.requests_throttled - throttled_before
        summary.seconds = time.monotonic() - started
    return summary


def map_rows(
    batches: Iterable[Sequence[Sequence[Any]]], to_event: Callable[[Sequence[Any]], Event]
) -> Iterator[MappedRow]:
    """
    Map rows to events, and number the rows from 1.

    :param batches: rows, in lists of any length.
    :param to_event: makes a row's event, or raises InvalidEventError.
    :return: for each row its number, and its event or why there is none.
    """
    rows = (row for batch in batches for row in batch)
    for number, row in enumerate(rows, 1):
        try:
            yield number, to_event(row)
        except InvalidEventError as e:
            yield number, e


def _batches(rows: Iterable[MappedRow]) -> Iterator[list[MappedRow]]:
    batch: list[MappedRow] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += len(row[1].body) if isinstance(row[1], Event) else 0
        if len(batch) >= BATCH_ROWS or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


@dataclass(slots=True)
class _PendingId:
    """
    An event id whose last outcome is not recorded yet: what the delivery state knows of it is out of date.

    :param queue_key: the ordering key whose queue its rows are in.
    :param last_hash: hash of its last row's body.
    :param rows: how many of its rows have no recorded outcome.
    :param delivered_hash: hash of the body that this run delivered, if any.
    :param sequence_id: Sequence's id of that.
    """

    queue_key: str
    last_hash: str
    rows: int = 0
    delivered_hash: str | None = None
    sequence_id: str | None = None


class _Dispatcher:
    """Classifies rows, queues events by ordering key, and records outcomes; all of it in the caller's thread."""

    def __init__(
        self,
        senders: SenderPool,
        state: DeliveryState,
        policy: TimestampPolicy,
        on_progress: Callable[[PushSummary], None],
    ) -> None:
        self.summary = PushSummary()
        self._senders = senders
        self._state = state
        self._policy = policy
        self._on_progress = on_progress
        self._in_flight = self._bytes_in_flight = 0
        self._pending: dict[str | None, _PendingId] = {}
        # By ordering key: what waits behind the event that a sender has.
        self._queues: dict[str, deque[SendTask | Outcome]] = {}
        # Ids of rows that have their outcomes, which are not recorded yet.
        self._completed: list[str | None] = []
        self._unrecorded: list[Outcome] = []
        self._recorded_at = time.monotonic()
        # Ids of the batch that were found unchanged.
        self._unchanged: set[str] = set()
        # The newest timestamp that Sequence holds.
        self._newest = ""

    def dispatch(self, batch: Sequence[MappedRow]) -> None:
        """Classify a batch's rows, and queue those that have to be sent."""
        self.summary.rows += len(batch)
        known = self._state.known([
            event.id for _, event in batch if isinstance(event, Event) and event.id not in self._pending
        ])
        self._unchanged.clear()
        new_queues: list[str] = []
        replaced: list[str] = []
        settled: list[Outcome] = []
        for row, event in batch:
            entry = self._classify(row, event, known)
            if isinstance(entry, SendTask):
                event = entry.event
                self._bytes_in_flight += len(event.body)
                pending = self._pending.setdefault(event.id, _PendingId(event.ordering_key, entry.body_hash))
                pending.last_hash = entry.body_hash
                if entry.replaces:
                    replaced.append(event.id)
            elif entry.event_id in self._pending:
                # It is queued all the same, so that an id's outcomes come in the order of its rows.
                pending = self._pending[entry.event_id]
            else:
                settled.append(entry)
                continue
            pending.rows += 1
            self._in_flight += 1
            if pending.queue_key in self._queues:
                self._queues[pending.queue_key].append(entry)
            else:
                self._queues[pending.queue_key] = deque([entry])
                new_queues.append(pending.queue_key)
        # From here on Sequence may hold the new body, whether or not this process lives to see the response.
        self._state.mark_in_doubt(replaced)
        for queue_key in new_queues:
            self._send_next(queue_key)
        # Last: recording them also records what was pending, and what was looked up is out of date then.
        for outcome in settled:
            self._tally(outcome)
        if settled:
            self._record()

    def _classify(
        self, row: int, event: Event | InvalidEventError, known: Mapping[str, KnownDelivery]
    ) -> SendTask | Outcome:
        """Decide whether a row is sent; the outcome of one that need not or must not be."""
        if isinstance(event, InvalidEventError):
            return Outcome(
                row,
                Status.REJECTED,
                event.event_id,
                reason=str(event),
                facts=read_facts(event.facts or b"{}"),
            )
        hashed = hash_body(event.body)
        before = known.get(event.id)
        if pending := self._pending.get(event.id):
            # Whether Sequence accepts that one is not known yet.
            before = KnownDelivery(pending.last_hash, is_current=False, this_run=True)
        if before is not None and before.voided and before.body_hash in {None, hashed}:
            return Outcome(row, Status.UNCHANGED, event.id, hashed, flags=(RowFlag.VOIDED,))
        current = before.body_hash if before is not None and before.is_current else None
        if current == hashed:
            self._newest = max(self._newest, event.time)
            self._unchanged.add(event.id)
            return Outcome(row, Status.UNCHANGED, event.id, hashed)
        conflicting = (
            before is not None and before.body_hash != hashed and self._is_repeated(event.id, before)
        )
        flags: tuple[RowFlag, ...] = (RowFlag.CONFLICTING,) if conflicting else ()
        try:
            late = self._policy.is_late(event)
        except InvalidEventError as e:
            return Outcome(
                row,
                Status.REJECTED,
                event.id,
                hashed,
                reason=str(e),
                body=event.body,
                facts=read_facts(event.body),
                flags=flags,
            )
        if current is not None and not conflicting:
            flags += (RowFlag.CORRECTED,)
        return SendTask(row, event, hashed, current is not None, (*flags, RowFlag.LATE) if late else flags)

    def _is_repeated(self, event_id: str, before: KnownDelivery) -> bool:
        """Whether an earlier row of this run has the id."""
        return before.this_run or event_id in self._unchanged or self._state.was_unchanged(event_id)

    def _send_next(self, queue_key: str) -> None:
        """Send the key's next event, skipping bodies that Sequence holds already; drop the queue when it is empty."""
        waiting = self._queues[queue_key]
        while waiting:
            entry = waiting.popleft()
            if isinstance(entry, SendTask):
                event_id = entry.event.id
                pending = self._pending[event_id]
                if entry.body_hash != pending.delivered_hash:
                    self._senders.submit(entry)
                    return
                self._newest = max(self._newest, entry.event.time)
                self._bytes_in_flight -= len(entry.event.body)
                entry = Outcome(
                    entry.row,
                    Status.UNCHANGED,
                    event_id,
                    entry.body_hash,
                    pending.sequence_id,
                    facts=read_facts(entry.event.body),
                    flags=entry.flags,
                )
            self._complete(entry)
        del self._queues[queue_key]

    def collect(self, *, down_to: int) -> None:
        """
        Take outcomes from the senders until no more than ``down_to`` events are in flight.

        :raises BaseException: what a sender thread raised.
        """
        results = self._senders.results
        while self._in_flight > down_to or self._bytes_in_flight > MAX_BYTES_IN_FLIGHT or not results.empty():
            try:
                result = results.get(timeout=RECORD_AFTER_SECONDS)
            except queue.Empty:
                self._record()
                continue
            if isinstance(result, BaseException):
                raise result
            queue_key = self._pending[result[0].event.id].queue_key
            self._receive(*result)
            self._send_next(queue_key)

    def finish(self) -> None:
        """Stop the senders, wait for the requests in flight, and record their outcomes."""
        self._senders.stop()
        results = self._senders.results
        while not results.empty():
            result = results.get()
            if not isinstance(result, BaseException):
                self._receive(*result)
        self._record()
        self.summary.watermark = f"{self._newest}Z" if self._newest else None

    def _receive(self, task: SendTask, outcome: Outcome) -> None:
        """Take the outcome of an event from its sender."""
        self._bytes_in_flight -= len(task.event.body)
        if outcome.status is Status.DELIVERED:
            pending = self._pending[task.event.id]
            pending.delivered_hash, pending.sequence_id = task.body_hash, outcome.sequence_id
            self._newest = max(self._newest, task.event.time)
        self._complete(outcome)

    def _complete(self, outcome: Outcome) -> None:
        """Complete a row that was queued or in flight; record outcomes when there are many, or it is time."""
        self._in_flight -= 1
        self._completed.append(outcome.event_id)
        self._tally(outcome)
        due = time.monotonic() - self._recorded_at > RECORD_AFTER_SECONDS
        if due or len(self._unrecorded) >= RECORD_AFTER_OUTCOMES:
            self._record()

    def _tally(self, outcome: Outcome) -> None:
        self.summary.add(outcome)
        self._unrecorded.append(outcome)

    def _record(self) -> None:
        for event_id in self._completed:
            pending = self._pending[event_id]
            pending.rows -= 1
            if not pending.rows:
                del self._pending[event_id]
        self._completed = []
        if self._unrecorded:
            self._state.record(self._unrecorded, self._pending)
            self._unrecorded = []
        self._recorded_at = time.monotonic()
        self._on_progress(self.summary)
