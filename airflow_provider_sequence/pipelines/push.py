"""Rows -> events -> lanes -> outcomes."""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice
from typing import Any

from airflow_provider_sequence.api.client import SequenceClient
from airflow_provider_sequence.api.events import Event
from airflow_provider_sequence.api.lists import Resource
from airflow_provider_sequence.exceptions import (
    InvalidEventError,
    RejectedRowsError,
    SequenceConfigurationError,
    SequenceRejectedError,
)
from airflow_provider_sequence.pipelines.outcomes import DeliveryMemory, NoMemory, Outcome, Status

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
    :param requests: requests sent, each try counted.
    :param throttled: requests that were answered with a 429.
    :param seconds: how long it took.
    :param first_rejected: the first rejected rows.
    """

    rows: int = 0
    counts: Counter[Status] = field(default_factory=Counter)
    requests: int = 0
    throttled: int = 0
    seconds: float = 0.0
    first_rejected: list[Outcome] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return what goes into XCom: numbers, and reasons without customers' data."""
        return {
            "rows": self.rows,
            **{status.value: self.counts[status] for status in Status},
            "requests": self.requests,
            "throttled": self.throttled,
            "seconds": round(self.seconds, 3),
            "rejected_rows": [
                {"row": o.row, "customer_event_id": o.event_id, "reason": o.reason}
                for o in self.first_rejected
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
    def parse(cls, value: object) -> RejectionLimit:
        """
        Read ``max_rejected``: a whole number of rows (``10``), or a part of them (``0.01``); text is read alike.

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
                f"max_rejected={value!r} is neither a number of rows (10) nor a part of them (0.01)"
            )
        return cls(number=None, share=share)

    def check(self, summary: PushSummary) -> None:
        """
        Fail if more rows were rejected than may be.

        :raises RejectedRowsError: it names the first rows and reasons.
        """
        rejected = summary.counts[Status.REJECTED]
        allowed = self.number if self.number is not None else self.share * summary.rows
        if rejected <= allowed:
            return
        first = "\n".join(
            f"  row {o.row}{f' ({o.event_id})' if o.event_id else ''}: {o.reason}"
            for o in summary.first_rejected
        )
        raise RejectedRowsError(
            f"{rejected} of {summary.rows} rows were rejected, {allowed:g} are allowed (max_rejected); "
            f"the others have been delivered. The first:\n{first}"
        )


@dataclass(frozen=True, slots=True)
class _Work:
    """An event on its way: the row it came from, and what was last delivered for its id, if that is known."""

    row: int
    event: Event
    hash: str
    delivered_hash: str | None


def body_hash(body: bytes) -> str:
    """Name a body by its content, the same for ever."""
    return blake2b(body, digest_size=16).hexdigest()


def push(
    batches: Iterable[Sequence[Sequence[Any]]],
    make_event: Callable[[Sequence[Any]], Event],
    client: SequenceClient,
    resource: Resource,
    *,
    lanes: int,
    memory: DeliveryMemory | None = None,
    on_progress: Callable[[PushSummary], None] = lambda _: None,
) -> PushSummary:
    """
    Send the events of rows, and see to it that the last row of each id is what Sequence holds in the end.

    Rows of one id travel in one lane, one after the other; different ids travel side by side. The caller's thread
    reads rows and remembers outcomes, each lane is a thread that sends. If anything but a rejected row goes wrong,
    the requests under way are waited for, their outcomes remembered, the client is closed, and the error raised.

    :param batches: rows, in lists of any length.
    :param make_event: makes a row's event, or raises InvalidEventError.
    :param client: sends the events.
    :param resource: where to.
    :param lanes: how many requests may be under way at a time.
    :param memory: what was delivered before; rows that say the same again cost no request.
    :param on_progress: called now and then with the summary so far.
    :raises SequenceApiError: if it can't be known whether Sequence has an event; a later try goes on from there.
    """
    started = time.monotonic()
    requests_before, throttled_before = client.requests_sent, client.requests_throttled
    delivery = _Delivery(client, resource, lanes, memory or NoMemory(), on_progress)
    summary = delivery.summary
    try:
        for rows in _rebatch(batches, BATCH_ROWS):
            delivery.dispatch(rows, make_event)
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
        client: SequenceClient,
        resource: Resource,
        lanes: int,
        memory: DeliveryMemory,
        on_progress: Callable[[PushSummary], None],
    ) -> None:
        self.summary = PushSummary()
        self._under_way = 0
        self._on_progress = on_progress
        self._memory = memory
        self._results: queue.SimpleQueue[Outcome | BaseException] = queue.SimpleQueue()
        self._unrecorded: list[Outcome] = []
        self._recorded_at = time.monotonic()
        # Ids whose outcome is not remembered yet: what is remembered of them is out of date.
        self._pending_ids: Counter[str | None] = Counter()
        self._lanes = [_Lane(client, resource, self._results) for _ in range(lanes)]

    def dispatch(self, rows: Sequence[Sequence[Any]], make_event: Callable[[Sequence[Any]], Event]) -> None:
        """Give a batch's events to their lanes."""
        events: list[tuple[int, Event]] = []
        for row in rows:
            self.summary.rows += 1
            try:
                events.append((self.summary.rows, make_event(row)))
            except InvalidEventError as e:
                self._take(Outcome(self.summary.rows, Status.REJECTED, e.event_id, reason=str(e)))
        known = self._memory.delivered_hashes([
            event.id for _, event in events if event.id not in self._pending_ids
        ])
        chunks: dict[int, list[_Work]] = {}
        corrected = []
        for row_number, event in events:
            delivered = None if event.id in self._pending_ids else known.get(event.id)
            self._pending_ids[event.id] += 1
            work = _Work(row_number, event, body_hash(event.body), delivered)
            if delivered is not None and delivered != work.hash:
                corrected.append(event.id)
            chunks.setdefault(hash(event.id) % len(self._lanes), []).append(work)
        # From here on Sequence may hold the new body, whether or not we live to see the answer.
        self._memory.doubt(corrected)
        self._under_way += len(events)
        for lane, chunk in chunks.items():
            self._lanes[lane].inbox.put(chunk)

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
            self._take(result)

    def finish(self) -> None:
        """Stop the lanes, wait for the requests under way, and remember what came of them."""
        for lane in self._lanes:
            lane.stopped = True
            lane.inbox.put(None)
        for lane in self._lanes:
            lane.join()
        while not self._results.empty():
            result = self._results.get()
            if isinstance(result, Outcome):
                self._take(result)
        self._record()

    def _take(self, outcome: Outcome) -> None:
        self.summary.counts[outcome.status] += 1
        if outcome.status is Status.REJECTED and len(self.summary.first_rejected) < REASONS_SHOWN:
            self.summary.first_rejected.append(outcome)
        self._unrecorded.append(outcome)
        late = time.monotonic() - self._recorded_at > RECORD_AFTER_SECONDS
        if late or len(self._unrecorded) >= RECORD_AFTER_OUTCOMES:
            self._record()

    def _record(self) -> None:
        if self._unrecorded:
            self._pending_ids.subtract([
                o.event_id for o in self._unrecorded if o.event_id in self._pending_ids
            ])
            self._pending_ids = +self._pending_ids
            self._memory.record(self._unrecorded, self._pending_ids)
            self._unrecorded = []
        self._recorded_at = time.monotonic()
        self._on_progress(self.summary)


class _Lane(threading.Thread):
    """One thread that sends the events of some ids, in the order of their rows."""

    def __init__(
        self, client: SequenceClient, resource: Resource, results: queue.SimpleQueue[Outcome | BaseException]
    ) -> None:
        super().__init__(name="sequence-lane", daemon=True)
        self.inbox: queue.SimpleQueue[list[_Work] | None] = queue.SimpleQueue()
        self.stopped = False
        self._client = client
        self._resource = resource
        self._results = results
        # What Sequence holds of the ids sent last: a row may repeat the one before it.
        self._known: dict[str, str] = {}
        self.start()

    def run(self) -> None:
        try:
            while (chunk := self.inbox.get()) is not None:
                for work in chunk:
                    if self.stopped:
                        return
                    self._results.put(self._deliver(work))
        except BaseException as e:  # noqa: BLE001  the caller's thread raises it
            self._results.put(e)

    def _deliver(self, work: _Work) -> Outcome:
        event = work.event
        if self._known.get(event.id, work.delivered_hash) == work.hash:
            self._remember(work)
            return Outcome(work.row, Status.UNCHANGED, event.id, work.hash)
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
            )
        self._remember(work)
        return Outcome(work.row, Status.DELIVERED, event.id, work.hash, sequence_id)

    def _remember(self, work: _Work) -> None:
        self._known.pop(work.event.id, None)
        self._known[work.event.id] = work.hash
        if len(self._known) > LANE_MEMORY:
            del self._known[next(iter(self._known))]


def _rebatch(batches: Iterable[Sequence[Any]], size: int) -> Iterable[list[Any]]:
    rows = (row for batch in batches for row in batch)
    while batch := list(islice(rows, size)):
        yield batch
