"""Counters of a task in Airflow's own metrics (StatsD, OpenTelemetry)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from airflow_provider_sequence.api.client import SequenceClient
from airflow_provider_sequence.compat import Stats
from airflow_provider_sequence.pipelines.push.outcomes import Status
from airflow_provider_sequence.pipelines.push.summary import PushSummary
from airflow_provider_sequence.utils.progress import Progress


@dataclass
class TaskCounters:
    """
    Row counts of a task so far.

    :param summary: outcomes of its rows so far.
    :param retried: counts of what it retries of earlier runs.
    """

    summary: PushSummary = field(default_factory=PushSummary)
    retried: TaskCounters | None = None

    def update(self, summary: PushSummary) -> None:
        """Take a newer summary."""
        self.summary = summary

    def count(self, status: Status) -> int:
        """Rows that ended so, those that were retried included."""
        return self.summary.counts[status] + (self.retried.count(status) if self.retried else 0)

    def progress(self) -> Progress:
        """Progress of the task."""
        return Progress(sum(map(self.count, Status)), rejected=self.count(Status.REJECTED))


@contextmanager
def emit_metrics(client: SequenceClient, resource: str) -> Iterator[TaskCounters]:
    """
    Emit counters when the block exits, even on failure: the requests of a failed task were sent all the same.

    The counters are ``sequence.delivered``, ``.rejected``, ``.requests`` and ``.throttled``, tagged with the
    resource.

    :param client: whose requests.
    :param resource: name of what they were about.
    :return: where to count rows.
    """
    counters = TaskCounters()
    requests, throttled = client.requests_sent, client.requests_throttled
    try:
        yield counters
    finally:
        counts = {
            "delivered": counters.count(Status.DELIVERED),
            "rejected": counters.count(Status.REJECTED),
            "requests": client.requests_sent - requests,
            "throttled": client.requests_throttled - throttled,
        }
        for name, count in counts.items():
            if count:
                Stats.incr(f"sequence.{name}", count, tags={"resource": resource})
