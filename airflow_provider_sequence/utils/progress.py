"""How far a task has come, every ten seconds, in its log."""

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
EVERY = 10.0


@dataclass(slots=True)
class Progress:
    """
    How far it is.

    :param rows: rows that are done.
    :param total: how many there are, where that is known.
    :param rejected: how many of them were rejected, where rows can be.
    """

    rows: int = 0
    total: int | None = None
    rejected: int | None = None

    def see(self, rows: int, total: int | None) -> None:
        """Take note of how far it is."""
        self.rows, self.total = rows, total


class Meter:
    """
    Turns numbers into words: how many, how fast, and how long it will still take.

    :param requests: how many requests were sent so far.
    :param per_minute: how many a minute the account allows.
    :param clock: seconds on a clock that never goes back.
    """

    def __init__(
        self, requests: Callable[[], int], per_minute: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._requests = requests
        self._per_minute = per_minute
        self._clock = clock
        self._last = (clock(), 0, requests())

    def read(self, progress: Progress) -> str:
        """Write a line; rates are those since the last one."""
        then, rows, requests = self._last
        now = self._clock()
        self._last = (now, progress.rows, self._requests())
        seconds = max(now - then, 1e-3)
        rate = (progress.rows - rows) / seconds
        share = (self._last[2] - requests) / seconds * 60 / self._per_minute
        words = [f"{progress.rows:,} rows", f"{rate:,.0f} a second", f"{share:.0%} of the limit"]
        if progress.rejected is not None:
            words.append(f"{progress.rejected:,} rejected")
        if progress.total is not None and rate > 0:
            left = max(progress.total - progress.rows, 0) / rate
            words.append(f"{dt.timedelta(seconds=round(left))} left")
        return ", ".join(words)


@contextmanager
def told(
    log: Any, what: str, client: SequenceClient, budget: str, progress: Callable[[], Progress]
) -> Iterator[None]:
    """
    Say every ten seconds how far it is, also while nothing gets through.

    :param log: where to.
    :param what: what is moved.
    :param budget: the rate budget whose limit counts.
    :param progress: how far it is now; called in a thread of its own.
    """
    meter = Meter(lambda: client.requests_sent, client.limits[budget])
    over = threading.Event()

    def tell() -> None:
        while not over.wait(EVERY):
            log.info("%s: %s", what, meter.read(progress()))

    thread = threading.Thread(target=tell, name="sequence-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
