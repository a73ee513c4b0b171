"""What tasks count in Airflow's own metrics."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from airflow.providers.common.compat.sdk import Stats

from airflow_provider_sequence.api.client import SequenceClient
from airflow_provider_sequence.pipelines.push.outcomes import Status
from airflow_provider_sequence.pipelines.push.summary import PushSummary
from airflow_provider_sequence.utils.progress import Progress


@dataclass
class Tally:
    """
    How far a task has come.

    :param summary: what became of its rows so far.
    :param retried: how far it has come with what earlier runs left behind.
    """

    summary: PushSummary = field(default_factory=PushSummary)
    retried: Tally | None = None

    def see(self, summary: PushSummary) -> None:
        """Take note of a newer summary."""
        self.summary = summary

    def count(self, status: Status) -> int:
        """Count the rows that ended so, those that were retried included."""
        return self.summary.counts[status] + (self.retried.count(status) if self.retried else 0)

    def progress(self) -> Progress:
        """Tell how far it has come."""
        return Progress(sum(map(self.count, Status)), rejected=self.count(Status.REJECTED))


@contextmanager
def counted(client: SequenceClient, resource: str) -> Iterator[Tally]:
    """
    Count what is done meanwhile, however it ends: the requests of a run that failed were made all the same.

    The counters are ``sequence.delivered``, ``.rejected``, ``.requests`` and ``.throttled``, tagged with the
    resource.

    :param client: whose requests.
    :param resource: name of what they were about.
    :return: the place to note what becomes of rows.
    """
    tally = Tally()
    requests, throttled = client.requests_sent, client.requests_throttled
    try:
        yield tally
    finally:
        counts = {
            "delivered": tally.count(Status.DELIVERED),
            "rejected": tally.count(Status.REJECTED),
            "requests": client.requests_sent - requests,
            "throttled": client.requests_throttled - throttled,
        }
        for name, count in counts.items():
            if count:
                Stats.incr(f"sequence.{name}", count, tags={"resource": resource})
