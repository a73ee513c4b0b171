"""Sender threads: each sends one event at a time, and reports its outcome."""

from __future__ import annotations

import queue
import threading
from typing import Protocol

import msgspec

from airflow_provider_sequence.api.events import Event, read_facts
from airflow_provider_sequence.api.resource import Resource
from airflow_provider_sequence.exceptions import (
    SequenceApiError,
    SequenceGatewayError,
    SequenceRejectedError,
)
from airflow_provider_sequence.pipelines.push.outcomes import Outcome, RowFlag, Status


class Sender(Protocol):
    """What sends an event: a client, or the stand-in of a dry run."""

    @property
    def requests_sent(self) -> int:
        """Requests sent so far, each attempt counted."""

    @property
    def requests_throttled(self) -> int:
        """Requests that got a 429."""

    def create(self, resource: Resource, event: Event) -> str:
        """Send one event; return the id that Sequence gave it."""

    def verify_credentials(self, *, retry: bool) -> None:
        """Send a harmless request."""

    def close(self) -> None:
        """End every wait."""


class DryRunSender:
    """Sender of a dry run: sends nothing, and reports every event as delivered."""

    requests_sent = requests_throttled = 0

    def create(self, resource: Resource, event: Event) -> str:
        """Send nothing."""
        return ""

    def verify_credentials(self, *, retry: bool) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing: there is no wait to end."""


class SendTask(msgspec.Struct, frozen=True):
    """
    An event to send.

    :param row: the number of the row it came from.
    :param body_hash: hash of its body.
    :param replaces: whether Sequence holds another body of its id, as far as is known.
    :param flags: further properties of the row.
    """

    row: int
    event: Event
    body_hash: str
    replaces: bool
    flags: tuple[RowFlag, ...]


class SenderPool:
    """
    Threads that send the tasks that are submitted; whichever is free takes the next.

    :param client: sends.
    :param resource: where to.
    :param threads: how many there are.
    """

    def __init__(self, client: Sender, resource: Resource, threads: int) -> None:
        #: Outcomes, in the order in which the tasks were done; or what a thread raised.
        self.results: queue.SimpleQueue[tuple[SendTask, Outcome] | BaseException] = queue.SimpleQueue()
        self._client = client
        self._resource = resource
        self._tasks: queue.SimpleQueue[SendTask | None] = queue.SimpleQueue()
        self._stopped = False
        self._threads = [
            threading.Thread(target=self._run, name="sequence-sender", daemon=True) for _ in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, task: SendTask) -> None:
        """Queue a task for the next free thread."""
        self._tasks.put(task)

    def stop(self) -> None:
        """Send nothing more, and wait for the requests in flight."""
        self._stopped = True
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        try:
            while (task := self._tasks.get()) is not None and not self._stopped:
                self.results.put((task, self._send(task)))
        except BaseException as e:  # noqa: BLE001  the caller's thread raises it
            self.results.put(e)

    def _send(self, task: SendTask) -> Outcome:
        event = task.event
        try:
            sequence_id = self._client.create(self._resource, event)
        except SequenceRejectedError as e:
            return self._rejected(task, e)
        except SequenceGatewayError as e:
            # A firewall that lets others through takes offence at this event. One that stops all is an outage.
            try:
                self._client.verify_credentials(retry=True)
            except SequenceApiError:
                raise e from None
            return self._rejected(task, e)
        return Outcome(
            task.row,
            Status.DELIVERED,
            event.id,
            task.body_hash,
            sequence_id,
            facts=read_facts(event.body),
            flags=task.flags,
        )

    @staticmethod
    def _rejected(task: SendTask, error: SequenceApiError) -> Outcome:
        return Outcome(
            task.row,
            Status.REJECTED,
            task.event.id,
            task.body_hash,
            http_status=error.status,
            reason=error.reason,
            body=task.event.body,
            facts=read_facts(task.event.body),
            flags=task.flags,
        )
