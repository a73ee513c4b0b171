"""How many requests a client may send in a minute."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from airflow_provider_sequence.sandbox.settings import SandboxSettings

MINUTE = 60.0


class Meter(Protocol):
    """Counts the requests of one budget."""

    def wait(self, now: float, limit: int, burst: int) -> float:
        """Return the seconds until a request fits in the budget; 0 if it does now."""

    def take(self, now: float) -> None:
        """Count a request."""


class MovingWindow:
    """The requests of the last 60 seconds."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()

    def wait(self, now: float, limit: int, burst: int) -> float:
        """See :class:`Meter`."""
        while self._times and self._times[0] <= now - MINUTE:
            self._times.popleft()
        excess = len(self._times) - limit
        return 0.0 if excess < 0 else self._times[excess] + MINUTE - now

    def take(self, now: float) -> None:
        """See :class:`Meter`."""
        self._times.append(now)


class FixedWindow:
    """The requests of the current minute of the clock."""

    def __init__(self) -> None:
        self._minute = 0
        self._count = 0

    def wait(self, now: float, limit: int, burst: int) -> float:
        """See :class:`Meter`."""
        minute = int(now // MINUTE)
        if minute != self._minute:
            self._minute, self._count = minute, 0
        return 0.0 if self._count < limit else (minute + 1) * MINUTE - now

    def take(self, now: float) -> None:
        """See :class:`Meter`."""
        self._count += 1


class TokenBucket:
    """A bucket that starts full and refills evenly."""

    def __init__(self) -> None:
        self._taken = 0.0
        self._seen = 0.0

    def wait(self, now: float, limit: int, burst: int) -> float:
        """See :class:`Meter`."""
        rate = limit / MINUTE
        self._taken = max(0.0, self._taken - (now - self._seen) * rate)
        self._seen = now
        missing = self._taken + 1 - (burst or limit)
        return max(0.0, missing / rate)

    def take(self, now: float) -> None:
        """See :class:`Meter`."""
        self._taken += 1


_METERS: dict[str, Callable[[], Meter]] = {
    "moving_window": MovingWindow,
    "fixed_window": FixedWindow,
    "token_bucket": TokenBucket,
}


class Limits:
    """
    The budgets of the one client the sandbox knows.

    :param clock: seconds since 1970.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._meters: dict[tuple[str, str], Meter] = {}

    def admit(self, is_usage_post: bool, settings: SandboxSettings) -> float:
        """Count a request and return 0, or return the seconds until it would fit. A refused request is not counted."""
        budgets = [settings.usage_events_per_minute] if is_usage_post else []
        names = ["usage"] if is_usage_post else []
        if not is_usage_post or settings.usage_posts_in_general_budget:
            budgets.append(settings.requests_per_minute)
            names.append("general")
        now = self._clock()
        meters = [
            (self._meter(name, settings.rate_algorithm), limit)
            for name, limit in zip(names, budgets, strict=True)
            if limit
        ]
        wait = max((meter.wait(now, limit, settings.burst) for meter, limit in meters), default=0.0)
        if not wait:
            for meter, _ in meters:
                meter.take(now)
        return wait

    def clear(self) -> None:
        """Forget every request."""
        self._meters.clear()

    def _meter(self, budget: str, algorithm: str) -> Meter:
        known = (budget, algorithm)
        if known not in self._meters:
            self._meters[known] = _METERS[algorithm]()
        return self._meters[known]
