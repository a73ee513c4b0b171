"""Threads that send events, one each at a time."""

from __future__ import annotations

import queue
import threading
from typing import Protocol

import msgspec

from airflow_provider_sequence.api.events import Event
from airflow_provider_sequence.api.resource import Resource
from airflow_provider_sequence.exceptions import SequenceRejectedError
from airflow_provider_sequence.pipelines.push.outcomes import Outcome, RowFlag, Status


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


class DryRunSender:
    """Stands in for a client in a dry run: every event would be delivered."""

    requests_sent = requests_throttled = 0

    def create(self, resource: Resource, event: Event) -> str:
        """Send nothing."""
        return ""

    def close(self) -> None:
        """There is nothing to end."""


class SendTask(msgspec.Struct, frozen=True):
    """
    An event on its way.

    :param row: the number of the row it came from.
    :param hash: names its body.
    :param held_hash: names the body that Sequence holds of its id, if that is known.
    :param remarks: what else there is to say of the row.
    """

    row: int
    event: Event
    hash: str
    held_hash: str | None
    remarks: tuple[RowFlag, ...]


class SenderPool:
    """
    Threads that send what they are given; whichever is free takes the next.

    :param client: sends.
    :param resource: where to.
    :param number: how many there are.
    """

    def __init__(self, client: Sender, resource: Resource, number: int) -> None:
        #: What came of the work, in the order in which it was done; or what a lane raised.
        self.results: queue.SimpleQueue[tuple[SendTask, Outcome] | BaseException] = queue.SimpleQueue()
        self._client = client
        self._resource = resource
        self._inbox: queue.SimpleQueue[SendTask | None] = queue.SimpleQueue()
        self._stopped = False
        self._threads = [
            threading.Thread(target=self._run, name="sequence-lane", daemon=True) for _ in range(number)
        ]
        for thread in self._threads:
            thread.start()

    def put(self, work: SendTask) -> None:
        """Have an event sent."""
        self._inbox.put(work)

    def stop(self) -> None:
        """Send nothing more, and wait for the requests under way."""
        self._stopped = True
        for _ in self._threads:
            self._inbox.put(None)
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        try:
            while (work := self._inbox.get()) is not None and not self._stopped:
                self.results.put((work, self._deliver(work)))
        except BaseException as e:  # noqa: BLE001  the caller's thread raises it
            self.results.put(e)

    def _deliver(self, work: SendTask) -> Outcome:
        event = work.event
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
        return Outcome(work.row, Status.DELIVERED, event.id, work.hash, sequence_id, remarks=work.remarks)
