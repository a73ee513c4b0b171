"""Virtual clocks: threads that wait for hours in milliseconds, with the same result each time."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable


class Clock:
    """Clock of one thread; waiting moves it on."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now
        self.waited: list[float] = []

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.now += max(0.0, seconds)


class World:
    """
    Clock of several threads: one of them runs at a time, and the one that wakes up first runs next.

    The threads must not wait for one another by other means than :meth:`wait`.
    """

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now
        self._order = itertools.count()
        self._sleeping: list[tuple[float, int, threading.Event]] = []
        self._everybody_left = threading.Event()
        self._errors: list[BaseException] = []

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        mine = threading.Event()
        heapq.heappush(self._sleeping, (self.now + max(0.0, seconds), next(self._order), mine))
        self._wake_next()
        self._sleep(mine)

    def run(self, *bodies: Callable[[], object], patience: float = 30) -> None:
        """Run these to their ends, side by side."""
        for body in bodies:
            mine = threading.Event()
            heapq.heappush(self._sleeping, (self.now, next(self._order), mine))
            threading.Thread(target=self._live, args=(body, mine), daemon=True).start()
        self._wake_next()
        assert self._everybody_left.wait(patience), "the threads wait for one another, not for the clock"
        if self._errors:
            raise self._errors[0]

    def _live(self, body: Callable[[], object], mine: threading.Event) -> None:
        self._sleep(mine)
        try:
            body()
        except BaseException as error:  # noqa: BLE001 - raised again in run()
            self._errors.append(error)
        finally:
            self._wake_next()

    @staticmethod
    def _sleep(mine: threading.Event) -> None:
        if not mine.wait(60):
            raise TimeoutError("never woken")

    def _wake_next(self) -> None:
        if not self._sleeping:
            self._everybody_left.set()
            return
        at, _, event = heapq.heappop(self._sleeping)
        self.now = max(self.now, at)
        event.set()
