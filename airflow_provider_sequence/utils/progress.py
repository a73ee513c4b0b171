"""Progress line in the task's log, every ten seconds."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from airflow_provider_sequence.api.client import SequenceClient

#: Seconds between two lines.
INTERVAL = 10.0


@dataclass(slots=True)
class Progress:
    """
    Progress of a task.

    :param rows: rows that are done.
    :param total: how many there are, where that is known.
    :param rejected: how many of them were rejected, where rows can be.
    """

    rows: int = 0
    total: int | None = None
    rejected: int | None = None

    def update(self, rows: int, total: int | None) -> None:
        """Take newer numbers."""
        self.rows, self.total = rows, total


class ProgressLine:
    """
    Text of a progress line: how many rows, how fast, and how long it will still take; and what fails.

    :param client: whose requests.
    :param budget: the rate budget whose limit counts.
    :param clock: seconds on a clock that never goes back.
    """

    def __init__(
        self, client: SequenceClient, budget: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._per_minute = client.limits[budget]
        self._clock = clock
        self._last = (clock(), 0, client.requests_sent, client.requests_throttled)

    def text(self, progress: Progress) -> str:
        """Write the next line; rates are those since the last one."""
        then, rows, requests, throttled = self._last
        now = self._clock()
        self._last = (now, progress.rows, self._client.requests_sent, self._client.requests_throttled)
        seconds = max(now - then, 1e-3)
        rate = (progress.rows - rows) / seconds
        share = (self._last[2] - requests) / seconds * 60 / self._per_minute
        words = [f"{progress.rows:,} rows", f"{rate:,.0f} a second", f"{share:.0%} of the limit"]
        if progress.rejected is not None:
            words.append(f"{progress.rejected:,} rejected")
        if self._last[3] > throttled:
            words.append(f"{self._last[3] - throttled:,} requests got a 429")
        if progress.total is not None and rate > 0:
            left = max(progress.total - progress.rows, 0) / rate
            words.append(f"{dt.timedelta(seconds=round(left))} left")
        outage = self._client.describe_outage()
        return ", ".join(words) + (f"\n  {outage}" if outage else "")


@contextmanager
def log_progress(
    log: Any, what: str, client: SequenceClient, budget: str, progress: Callable[[], Progress]
) -> Iterator[None]:
    """
    Log a progress line every ten seconds while the block runs, also while no request gets through.

    :param log: the task's logger.
    :param what: what is moved.
    :param budget: the rate budget whose limit counts.
    :param progress: gives the progress so far; called in a thread of its own.
    """
    line = ProgressLine(client, budget)
    done = threading.Event()

    def log_lines() -> None:
        while not done.wait(INTERVAL):
            log.info("%s: %s", what, line.text(progress()))

    thread = threading.Thread(target=log_lines, name="sequence-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
