"""Rows -> events -> lanes -> outcomes."""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Protocol

from airflow_provider_sequence.api.events import Event
from airflow_provider_sequence.api.lists import Resource
from airflow_provider_sequence.exceptions import (
    InvalidEventError,
    RejectedRowsError,
    SequenceConfigurationError,
    SequenceRejectedError,
)
from airflow_provider_sequence.pipelines.guards import Guards
from airflow_provider_sequence.pipelines.outcomes import (
    DeliveryMemory,
    Outcome,
    Remark,
    RunMemory,
    Status,
)
from airflow_provider_sequence.pipelines.time_order import Made, in_time_order
from airflow_provider_sequence.warehouse.delivery_log import Known, body_hash

#: Events that may be under way or waiting in lanes: enough to keep the lanes busy, little to repeat after a kill.
MOST_UNDER_WAY = 2000
#: Rows of a batch: one look-up in the memory of what was delivered.
BATCH_ROWS = 500
#: Outcomes are remembered after this many, or after this many seconds, whichever comes first.
RECORD_AFTER_OUTCOMES, RECORD_AFTER_SECONDS = 500, 1.0
#: Rejected rows that a summary shows.
REASONS_SHOWN = 10
#: Ids of which each lane remembers what Sequence holds.
LANE_MEMORY = 1000


@dataclass
class PushSummary:
    """
    What a push did.

    :param rows: rows the query gave.
    :param counts: rows by their status.
    :param remarks: rows by what else there is to say of them.
    :param requests: requests sent, each try counted.
    :param throttled: requests that were answered with a 429.
    :param seconds: how long it took.
    :param first_rejected: the first rejected rows.
    :param first_conflicting: the first rows whose id an earlier row has, with something else to say.
    :param watermark: the newest timestamp of a row that was delivered or is unchanged, in ISO 8601.
    """

    rows: int = 0
    counts: Counter[Status] = field(default_factory=Counter)
    remarks: Counter[Remark] = field(default_factory=Counter)
    requests: int = 0
    throttled: int = 0
    seconds: float = 0.0
    first_rejected: list[Outcome] = field(default_factory=list)
    first_conflicting: list[Outcome] = field(default_factory=list)
    watermark: str | None = None

    def as_table(self) -> str:
        """Return what goes into the task's log."""
        lines: dict[str, float] = {
            "rows in the query": self.rows,
            **{status.value: self.counts[status] for status in Status},
            **{remark.value: count for remark, count in self.remarks.items()},
            "requests": self.requests,
            "seconds": round(self.seconds, 1),
        }
        return "\n".join(f"  {name:<20} {number:>12,}" for name, number in lines.items())

    def as_dict(self) -> dict[str, Any]:
        """Return what goes into XCom: numbers, and reasons without customers' data."""
        return {
            "rows": self.rows,
            **{status.value: self.counts[status] for status in Status},
            **{remark.value: self.remarks[remark] for remark in Remark},
            "requests": self.requests,
            "throttled": self.throttled,
            "seconds": round(self.seconds, 3),
            "rejected_rows": [
                {"row": o.row, "customer_event_id": o.event_id, "reason": o.reason}
                for o in self.first_rejected
            ],
            "conflicting_rows": [
                {"row": o.row, "customer_event_id": o.event_id} for o in self.first_conflicting
            ],
        }


@dataclass(frozen=True, slots=True)
class RejectionLimit:
    """
    How many rows may be rejected before the task fails.

    :param number: this many rows, or None where ``share`` counts.
    :param share: this part of all rows, 0 to 1.
    """

    number: int | None = 0
    share: float = 0.0

    @classmethod
    def parse(cls, value: object, name: str = "max_rejected") -> RejectionLimit:
        """
        Read a whole number of rows (``10``), or a part of them (``0.01``); text is read alike.

        :param name: the setting's name.

        :raises SequenceConfigurationError: if it is neither.
        """
        text = str(value).strip()
        try:
            if text.isdigit():
                return cls(number=int(text))
            share = float(text)
        except ValueError:
            share = -1.0
        if isinstance(value, bool) or not 0 <= share <= 1:
            raise SequenceConfigurationError(
                f"{name}={value!r} is neither a number of rows (10) nor a part of them (0.01)"
            )
        return cls(number=None, share=share)

    def allowed(self, rows: int) -> float:
        """Tell how many of so many rows may be."""
        return self.number if self.number is not None else self.share * rows

    def check(self, summary: PushSummary, where_to_look: str = "") -> None:
        """
        Fail if more rows were rejected than may be.

        :param where_to_look: how to see all that were.
        :raises RejectedRowsError: it names the first rows and reasons.
        """
        rejected = summary.counts[Status.REJECTED]
        allowed = self.allowed(summary.rows)
        if rejected <= allowed:
            return
        first = "\n".join(
            f"  row {o.row}{f' ({o.event_id})' if o.event_id else ''}: {o.reason}"
            for o in summary.first_rejected
        )
        more = f"\nAll that have an id: {where_to_look}" if where_to_look else ""
        raise RejectedRowsError(
            f"{rejected} of {summary.rows} rows were rejected, {allowed:g} are allowed (max_rejected); "
            f"the others have been delivered. The first:\n{first}{more}"
        )


class Sender(Protocol):
    """Who sends events: a client, or nobody in a dry run."""

    @property
    def requests_sent(self) -> int:
        """Requests sent so far, each try counted."""

    @property
    def requests_throttled(self) -> int:
        """Requests that were answered with a 429."""

    def create(self, resource: Resource, event: Event) -> str:
        """Send one event; return the id that Sequence gave it."""

    def close(self) -> None:
        """End every wait."""


class NobodySends:
    """Stands in for a client in a dry run: every event would be delivered."""

    requests_sent = requests_throttled = 0

    def create(self, resource: Resource, event: Event) -> str:
        """Send nothing."""
        return ""

    def close(self) -> None:
        """There is nothing to end."""


@dataclass(frozen=True, slots=True)
class _Work:
    """An event on its way: the row it came from, and the body that Sequence holds of its id, if that is known."""

    row: int
    event: Event
    hash: str
    held_hash: str | None
    remarks: tuple[Remark, ...]


@dataclass(slots=True)
class _Pending:
    """An id whose outcome is not remembered yet: its lane, how many of its rows, and what the last one says."""

    lane: int
    hash: str
    rows: int = 0


def push(
    made: Iterable[Made],
    client: Sender,
    resource: Resource,
    *,
    lanes: int,
    memory: DeliveryMemory | None = None,
    guards: Guards | None = None,
    on_progress: Callable[[PushSummary], None] = lambda _: None,
) -> PushSummary:
    """
    Send the events of rows, and see to it that the last row of each id is what Sequence holds in the end.

    Rows of one id travel in one lane, one after the other; different ids travel side by side. Where the order of times
    counts, as it does for seats, what has to be in order travels in one lane too. The caller's thread reads rows and
    remembers outcomes, each lane is a thread that sends. If anything but a rejected row goes wrong, the requests under
    way are waited for, their outcomes remembered, the client is closed, and the error raised.

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
    delivery = _Delivery(client, resource, lanes, memory or RunMemory(), guards or Guards(), on_progress)
    summary = delivery.summary
    on_progress(summary)
    try:
        ordered = resource.event is not None and resource.event.ordered_within
        events = in_time_order(made) if ordered else iter(made)
        while batch := list(islice(events, BATCH_ROWS)):
            delivery.dispatch(batch)
            delivery.collect(down_to=MOST_UNDER_WAY)
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
    """The lanes, and the bookkeeping of what is under way in them. All but the lanes is the caller's thread."""

    def __init__(
        self,
        client: Sender,
        resource: Resource,
        lanes: int,
        memory: DeliveryMemory,
        guards: Guards,
        on_progress: Callable[[PushSummary], None],
    ) -> None:
        self.summary = PushSummary()
        self._under_way = 0
        self._on_progress = on_progress
        self._memory = memory
        self._guards = guards
        self._results: queue.SimpleQueue[Outcome | BaseException] = queue.SimpleQueue()
        self._unrecorded: list[Outcome] = []
        self._recorded_at = time.monotonic()
        # What is remembered of these ids is out of date.
        self._pending: dict[str | None, _Pending] = {}
        # Ids of rows that came back from their lanes and are not remembered yet.
        self._returned: list[str | None] = []
        # The newest time that Sequence holds.
        self._newest = ""
        self._lanes = [_Lane(client, resource, self._results) for _ in range(lanes)]

    def dispatch(self, batch: Sequence[Made]) -> None:
        """Give a batch's events to their lanes."""
        self.summary.rows += len(batch)
        known = dict(
            self._memory.known([
                event.id for _, event in batch if isinstance(event, Event) and event.id not in self._pending
            ])
        )
        chunks: dict[int, list[_Work | Outcome]] = {}
        replaced = []
        settled: list[Outcome] = []
        for row, event in batch:
            work = self._examine(row, event, known)
            if isinstance(work, _Work):
                lane = hash(work.event.lane) % len(self._lanes)
                pending = self._pending.setdefault(work.event.id, _Pending(lane, work.hash))
                pending.hash = work.hash
                if work.held_hash is not None:
                    replaced.append(work.event.id)
            elif work.event_id in self._pending:
                # It waits its turn all the same, so that an id's outcomes come in the order of its rows.
                pending = self._pending[work.event_id]
            else:
                settled.append(work)
                if work.status is Status.UNCHANGED and work.event_id in known:
                    known[work.event_id] = replace(known[work.event_id], this_run=True)
                continue
            pending.rows += 1
            self._under_way += 1
            chunks.setdefault(pending.lane, []).append(work)
        # From here on Sequence may hold the new body, whether or not we live to see the answer.
        self._memory.doubt(replaced)
        for lane, chunk in chunks.items():
            self._lanes[lane].inbox.put(chunk)
        # At the end: once these are remembered, so is what was pending, and what was looked up is out of date.
        for outcome in settled:
            self._take(outcome)
        if settled:
            self._record()

    def _examine(
        self, row: int, event: Event | InvalidEventError, known: Mapping[str, Known]
    ) -> _Work | Outcome:
        """Find the outcome of a row that need not or must not be sent, or what is to be said of one that is."""
        if isinstance(event, InvalidEventError):
            return Outcome(row, Status.REJECTED, event.event_id, reason=str(event))
        hashed = body_hash(event.body)
        before = known.get(event.id)
        if pending := self._pending.get(event.id):
            # Whether Sequence takes that one is not known yet.
            before = Known(pending.hash, holds=False, this_run=True)
        if before is not None and before.voided and before.body_hash in {None, hashed}:
            return Outcome(row, Status.UNCHANGED, event.id, hashed, remarks=(Remark.VOIDED,))
        held = before.body_hash if before is not None and before.holds else None
        if held == hashed:
            self._newest = max(self._newest, event.time)
            return Outcome(row, Status.UNCHANGED, event.id, hashed)
        conflicting = before is not None and before.this_run and before.body_hash != hashed
        remarks: tuple[Remark, ...] = (Remark.CONFLICTING,) if conflicting else ()
        try:
            late = self._guards.is_late(event)
        except InvalidEventError as e:
            return Outcome(
                row, Status.REJECTED, event.id, hashed, reason=str(e), body=event.body, remarks=remarks
            )
        if held is not None and not conflicting:
            remarks += (Remark.CORRECTED,)
        return _Work(row, event, hashed, held, (*remarks, Remark.LATE) if late else remarks)

    def collect(self, *, down_to: int) -> None:
        """
        Take in outcomes until no more than ``down_to`` events are under way.

        :raises BaseException: what a lane raised.
        """
        while self._under_way > down_to or not self._results.empty():
            try:
                result = self._results.get(timeout=RECORD_AFTER_SECONDS)
            except queue.Empty:
                self._record()
                continue
            if isinstance(result, BaseException):
                raise result
            self._under_way -= 1
            self._returned.append(result.event_id)
            self._take(result)

    def finish(self) -> None:
        """Stop the lanes, wait for the requests under way, and remember what came of them."""
        for lane in self._lanes:
            lane.stopped = True
            lane.inbox.put(None)
        for lane in self._lanes:
            lane.join()
        newest = max(self._newest, *(lane.newest for lane in self._lanes))
        self.summary.watermark = f"{newest}Z" if newest else None
        while not self._results.empty():
            result = self._results.get()
            if isinstance(result, Outcome):
                self._returned.append(result.event_id)
                self._take(result)
        self._record()

    def _take(self, outcome: Outcome) -> None:
        self.summary.counts[outcome.status] += 1
        # A row that was sent late or as a correction only counts as such once it is delivered.
        if outcome.status is Status.DELIVERED:
            self.summary.remarks.update(outcome.remarks)
        else:
            self.summary.remarks.update({Remark.CONFLICTING, Remark.VOIDED}.intersection(outcome.remarks))
        if Remark.CONFLICTING in outcome.remarks and len(self.summary.first_conflicting) < REASONS_SHOWN:
            self.summary.first_conflicting.append(outcome)
        if outcome.status is Status.REJECTED and len(self.summary.first_rejected) < REASONS_SHOWN:
            self.summary.first_rejected.append(outcome)
        self._unrecorded.append(outcome)
        late = time.monotonic() - self._recorded_at > RECORD_AFTER_SECONDS
        if late or len(self._unrecorded) >= RECORD_AFTER_OUTCOMES:
            self._record()

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


class _Lane(threading.Thread):
    """One thread that sends the events of some ids, in the order of their rows."""

    def __init__(
        self, client: Sender, resource: Resource, results: queue.SimpleQueue[Outcome | BaseException]
    ) -> None:
        super().__init__(name="sequence-lane", daemon=True)
        self.inbox: queue.SimpleQueue[list[_Work | Outcome] | None] = queue.SimpleQueue()
        self.stopped = False
        self._client = client
        self._resource = resource
        self._results = results
        # The newest time that Sequence holds.
        self.newest = ""
        # What Sequence holds of the ids sent last: a row may repeat the one before it.
        self._known: dict[str, tuple[str, str]] = {}
        self.start()

    def run(self) -> None:
        try:
            while (chunk := self.inbox.get()) is not None:
                for work in chunk:
                    if self.stopped:
                        return
                    self._results.put(work if isinstance(work, Outcome) else self._deliver(work))
        except BaseException as e:  # noqa: BLE001  the caller's thread raises it
            self._results.put(e)

    def _deliver(self, work: _Work) -> Outcome:
        event = work.event
        held_hash, sequence_id = self._known.get(event.id, (None, ""))
        if held_hash == work.hash:
            self._remember(work, sequence_id)
            return Outcome(work.row, Status.UNCHANGED, event.id, work.hash, sequence_id, remarks=work.remarks)
        try:
            sequence_id = self._client.create(self._resource, event)
        except SequenceRejectedError as e:
            reason = ": ".join(filter(None, [e.error_type, e.message]))
            return Outcome(
                work.row,
                Status.REJECTED,
                event.id,
                work.hash,
                http_status=e.status,
                reason=f"{e.status} {reason}",
                body=event.body,
                remarks=work.remarks,
            )
        self._remember(work, sequence_id)
        return Outcome(work.row, Status.DELIVERED, event.id, work.hash, sequence_id, remarks=work.remarks)

    def _remember(self, work: _Work, sequence_id: str) -> None:
        self.newest = max(self.newest, work.event.time)
        self._known.pop(work.event.id, None)
        self._known[work.event.id] = (work.hash, sequence_id)
        if len(self._known) > LANE_MEMORY:
            del self._known[next(iter(self._known))]


def make_events(
    batches: Iterable[Sequence[Sequence[Any]]], make_event: Callable[[Sequence[Any]], Event]
) -> Iterator[Made]:
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
