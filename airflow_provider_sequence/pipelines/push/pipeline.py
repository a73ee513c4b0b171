"""Rows -> events -> lanes -> outcomes."""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from airflow_provider_sequence.api.events import Event
from airflow_provider_sequence.api.resource import Resource
from airflow_provider_sequence.exceptions import InvalidEventError
from airflow_provider_sequence.pipelines.delivery_log import KnownDelivery, body_hash
from airflow_provider_sequence.pipelines.push.outcomes import (
    DeliveryState,
    Outcome,
    RowFlag,
    RunState,
    Status,
)
from airflow_provider_sequence.pipelines.push.senders import Sender, SenderPool, SendTask
from airflow_provider_sequence.pipelines.push.sort import MappedRow, sort_by_time
from airflow_provider_sequence.pipelines.push.summary import MAX_ROWS_SHOWN, PushSummary
from airflow_provider_sequence.pipelines.push.timestamps import TimestampPolicy

#: Events that may be under way or waiting for a lane: enough to keep the lanes busy, little to repeat after a kill.
MAX_IN_FLIGHT = 2000
#: Rows of a batch: one look-up in the memory of what was delivered.
BATCH_ROWS = 1000
#: Outcomes are remembered after this many, or after this many seconds, whichever comes first.
RECORD_AFTER_OUTCOMES, RECORD_AFTER_SECONDS = 500, 1.0


@dataclass(slots=True)
class _Pending:
    """
    An id whose outcome is not remembered yet.

    :param line: what its rows line up for: they are sent one after the other.
    :param hash: what its last row says.
    :param rows: how many of its rows there are.
    :param held_hash: what Sequence holds of it by this run, if anything.
    :param sequence_id: Sequence's id of that.
    """

    line: str
    hash: str
    rows: int = 0
    held_hash: str | None = None
    sequence_id: str | None = None


def push(
    made: Iterable[MappedRow],
    client: Sender,
    resource: Resource,
    *,
    lanes: int,
    memory: DeliveryState | None = None,
    guards: TimestampPolicy | None = None,
    on_progress: Callable[[PushSummary], None] = lambda _: None,
) -> PushSummary:
    """
    Send the events of rows, and see to it that the last row of each id is what Sequence holds in the end.

    Rows of one id line up: each is sent when the one before it has its answer. Where the order of times counts, as it
    does for seats, what has to be in order lines up too. All else travels side by side, in as many lanes, each a thread
    that sends. The caller's thread reads rows and remembers outcomes. If anything but a rejected row goes wrong, the
    requests under way are waited for, their outcomes remembered, the client is closed, and the error raised.

    :param made: what the rows became; see :func:`make_events`.
    :param client: sends the events.
    :param resource: where to.
    :param lanes: how many requests may be under way at a time.
    :param memory: what was delivered before; rows that say the same again cost no request.
    :param guards: what is checked of the times of events that are about to be sent.
    :param on_progress: called now and then with the summary so far.
    :raises SequenceApiError: if it can't be known whether Sequence has an event; a later try goes on from there.
    """
    started = time.monotonic()
    requests_before, throttled_before = client.requests_sent, client.requests_throttled
    delivery = _Delivery(
        client, resource, lanes, memory or RunState(), guards or TimestampPolicy(), on_progress
    )
    summary = delivery.summary
    on_progress(summary)
    try:
        ordered = resource.event is not None and resource.event.ordered_within
        events = sort_by_time(made) if ordered else iter(made)
        while batch := list(islice(events, BATCH_ROWS)):
            delivery.dispatch(batch)
            delivery.collect(down_to=MAX_IN_FLIGHT)
        delivery.collect(down_to=0)
    except BaseException:
        client.close()
        raise
    finally:
        delivery.finish()
        summary.requests = client.requests_sent - requests_before
        summary.throttled = client.requests_throttled - throttled_before
        summary.seconds = time.monotonic() - started
    return summary


class _Delivery:
    """The bookkeeping of what is under way in the lanes. All of it is the caller's thread."""

    def __init__(
        self,
        client: Sender,
        resource: Resource,
        lanes: int,
        memory: DeliveryState,
        guards: TimestampPolicy,
        on_progress: Callable[[PushSummary], None],
    ) -> None:
        self.summary = PushSummary()
        self._in_flight = 0
        self._on_progress = on_progress
        self._memory = memory
        self._guards = guards
        self._unrecorded: list[Outcome] = []
        self._recorded_at = time.monotonic()
        # What is remembered of these ids is out of date.
        self._pending: dict[str | None, _Pending] = {}
        # Ids of rows that have their outcomes and are not remembered yet.
        self._returned: list[str | None] = []
        # What waits behind an event that is out with a lane.
        self._lines: dict[str, deque[SendTask | Outcome]] = {}
        # Ids of the batch that were found unchanged.
        self._unchanged: set[str] = set()
        # The newest time that Sequence holds.
        self._newest = ""
        self._lanes = SenderPool(client, resource, lanes)

    def dispatch(self, batch: Sequence[MappedRow]) -> None:
        """Line up a batch's events."""
        self.summary.rows += len(batch)
        pending_ids = self._pending
        known = self._memory.known([
            event.id for _, event in batch if isinstance(event, Event) and event.id not in pending_ids
        ])
        self._unchanged.clear()
        begun: list[str] = []
        replaced: list[str] = []
        settled: list[Outcome] = []
        for row, event in batch:
            work = self._examine(row, event, known)
            if isinstance(work, SendTask):
                event = work.event
                pending = pending_ids.setdefault(event.id, _Pending(event.lane, work.hash))
                pending.hash = work.hash
                if work.held_hash is not None:
                    replaced.append(event.id)
            elif work.event_id in pending_ids:
                # It waits its turn all the same, so that an id's outcomes come in the order of its rows.
                pending = pending_ids[work.event_id]
            else:
                settled.append(work)
                continue
            pending.rows += 1
            self._in_flight += 1
            if pending.line in self._lines:
                self._lines[pending.line].append(work)
            else:
                self._lines[pending.line] = deque([work])
                begun.append(pending.line)
        # From here on Sequence may hold the new body, whether or not we live to see the answer.
        self._memory.doubt(replaced)
        for line in begun:
            self._advance(line)
        # At the end: once these are remembered, so is what was pending, and what was looked up is out of date.
        for outcome in settled:
            self._take(outcome)
        if settled:
            self._record()

    def _examine(
        self, row: int, event: Event | InvalidEventError, known: Mapping[str, KnownDelivery]
    ) -> SendTask | Outcome:
        """Find the outcome of a row that need not or must not be sent, or what is to be said of one that is."""
        if isinstance(event, InvalidEventError):
            return Outcome(row, Status.REJECTED, event.event_id, reason=str(event))
        hashed = body_hash(event.body)
        before = known.get(event.id)
        if pending := self._pending.get(event.id):
            # Whether Sequence takes that one is not known yet.
            before = KnownDelivery(pending.hash, holds=False, this_run=True)
        if before is not None and before.voided and before.body_hash in {None, hashed}:
            return Outcome(row, Status.UNCHANGED, event.id, hashed, remarks=(RowFlag.VOIDED,))
        held = before.body_hash if before is not None and before.holds else None
        if held == hashed:
            self._newest = max(self._newest, event.time)
            self._unchanged.add(event.id)
            return Outcome(row, Status.UNCHANGED, event.id, hashed)
        conflicting = before is not None and before.body_hash != hashed and self._was_met(event.id, before)
        remarks: tuple[RowFlag, ...] = (RowFlag.CONFLICTING,) if conflicting else ()
        try:
            late = self._guards.is_late(event)
        except InvalidEventError as e:
            return Outcome(
                row, Status.REJECTED, event.id, hashed, reason=str(e), body=event.body, remarks=remarks
            )
        if held is not None and not conflicting:
            remarks += (RowFlag.CORRECTED,)
        return SendTask(row, event, hashed, held, (*remarks, RowFlag.LATE) if late else remarks)

    def _was_met(self, event_id: str, before: KnownDelivery) -> bool:
        """Tell whether an earlier row of this run has the id."""
        return before.this_run or event_id in self._unchanged or self._memory.was_unchanged(event_id)

    def _advance(self, line: str) -> None:
        """Send what is next in a line, or close it; what says again what Sequence holds by now needs no request."""
        waiting = self._lines[line]
        while waiting:
            work = waiting.popleft()
            if isinstance(work, SendTask):
                event_id = work.event.id
                pending = self._pending[event_id]
                if work.hash != pending.held_hash:
                    self._lanes.put(work)
                    return
                self._newest = max(self._newest, work.event.time)
                sequence_id = pending.sequence_id
                work = Outcome(
                    work.row, Status.UNCHANGED, event_id, work.hash, sequence_id, remarks=work.remarks
                )
            self._settle(work)
        del self._lines[line]

    def collect(self, *, down_to: int) -> None:
        """
        Take in outcomes until no more than ``down_to`` events are under way.

        :raises BaseException: what a lane raised.
        """
        results = self._lanes.results
        while self._in_flight > down_to or not results.empty():
            try:
                result = results.get(timeout=RECORD_AFTER_SECONDS)
            except queue.Empty:
                self._record()
                continue
            if isinstance(result, BaseException):
                raise result
            line = self._pending[result[0].event.id].line
            self._return(*result)
            self._advance(line)

    def finish(self) -> None:
        """Stop the lanes, wait for the requests under way, and remember what came of them."""
        self._lanes.stop()
        results = self._lanes.results
        while not results.empty():
            result = results.get()
            if not isinstance(result, BaseException):
                self._return(*result)
        self._record()
        self.summary.watermark = f"{self._newest}Z" if self._newest else None

    def _return(self, work: SendTask, outcome: Outcome) -> None:
        """Take what came of an event back from its lane."""
        if outcome.status is Status.DELIVERED:
            pending = self._pending[work.event.id]
            pending.held_hash, pending.sequence_id = work.hash, outcome.sequence_id
            self._newest = max(self._newest, work.event.time)
        self._settle(outcome)

    def _settle(self, outcome: Outcome) -> None:
        """Take in the outcome of a row that was under way."""
        self._in_flight -= 1
        self._returned.append(outcome.event_id)
        self._take(outcome)
        late = time.monotonic() - self._recorded_at > RECORD_AFTER_SECONDS
        if late or len(self._unrecorded) >= RECORD_AFTER_OUTCOMES:
            self._record()

    def _take(self, outcome: Outcome) -> None:
        self.summary.counts[outcome.status] += 1
        if outcome.remarks:
            # A row that was sent late or as a correction only counts as such once it is delivered.
            delivered = outcome.status is Status.DELIVERED
            counted = (
                outcome.remarks
                if delivered
                else {RowFlag.CONFLICTING, RowFlag.VOIDED}.intersection(outcome.remarks)
            )
            self.summary.remarks.update(counted)
            if (
                RowFlag.CONFLICTING in outcome.remarks
                and len(self.summary.first_conflicting) < MAX_ROWS_SHOWN
            ):
                self.summary.first_conflicting.append(outcome)
        if outcome.status is Status.REJECTED and len(self.summary.first_rejected) < MAX_ROWS_SHOWN:
            self.summary.first_rejected.append(outcome)
        self._unrecorded.append(outcome)

    def _record(self) -> None:
        for event_id in self._returned:
            pending = self._pending[event_id]
            pending.rows -= 1
            if not pending.rows:
                del self._pending[event_id]
        self._returned = []
        if self._unrecorded:
            self._memory.record(self._unrecorded, self._pending)
            self._unrecorded = []
        self._recorded_at = time.monotonic()
        self._on_progress(self.summary)


def make_events(
    batches: Iterable[Sequence[Sequence[Any]]], make_event: Callable[[Sequence[Any]], Event]
) -> Iterator[MappedRow]:
    """
    Make events of rows, and number the rows from 1.

    :param batches: rows, in lists of any length.
    :param make_event: makes a row's event, or raises InvalidEventError.
    :return: for each row its number, and its event or the reason why there is none.
    """
    rows = (row for batch in batches for row in batch)
    for number, row in enumerate(rows, 1):
        try:
            yield number, make_event(row)
        except InvalidEventError as e:
            yield number, e
