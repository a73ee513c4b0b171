"""Log of attempts that fail: one warning when they begin to, one line when requests get through again."""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time
from collections.abc import Callable

#: Airflow puts what a plain logger writes into the log of the task.
log = logging.getLogger(__name__)

#: Seconds: a failure so soon after the last one was over is not warned of again, and neither is a 429, which is usual
#: where tasks share an account's limit; a request that has been failing for as long is.
QUIET = 10.0


def failed_attempts(number: int) -> str:
    """Say how many attempts failed."""
    return f"{number:,} attempt{'' if number == 1 else 's'} failed"


class OutageLog:
    """
    Log of the requests of a client that keep failing.

    Thread-safe: of all threads whose requests fail in one outage, one writes the warning.

    :param host: what answers the requests, in words for the log.
    :param deadline: seconds after which a request that keeps failing is given up.
    :param clock: seconds on a clock that never goes back.
    """

    def __init__(self, host: str, deadline: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._host = host
        self._deadline = deadline
        self._clock = clock
        self._lock = threading.Lock()
        #: When each request that is failing began to, oldest first.
        self._failing: dict[object, float] = {}
        self._attempts = 0
        self._last = ""
        self._began = self._ended = float("-inf")
        self._warned = False

    def failed(self, request: object, what: str, *, throttled: bool) -> None:
        """
        Note an attempt that is followed by another.

        :param request: the request, the same at each of its attempts.
        :param what: what failed and how, without customers' data.
        :param throttled: whether it was a 429.
        """
        with self._lock:
            now = self._clock()
            if not self._failing:
                self._began, self._attempts, self._warned = now, 0, False
            since = self._failing.setdefault(request, now)
            self._attempts += 1
            self._last = what
            is_news = not throttled and now - self._ended > QUIET
            if self._warned or not (is_news or now - since >= QUIET):
                return
            self._warned = True
            until = self._time_of(since + self._deadline)
        log.warning("A request to %s fails; it is retried until %s\n%s", self._host, until, what)

    def passed(self, request: object) -> None:
        """Note that a request that was failing has its response."""
        attempts = self._end(request)
        if attempts:
            log.info("%s answers again; %s", self._host, attempts)

    def gave_up(self, request: object) -> None:
        """Note that a request that was failing is not sent again."""
        self._end(request)

    def text(self) -> str:
        """What is failing now, for a progress line; empty if nothing is."""
        with self._lock:
            if not self._failing:
                return ""
            gives_up = self._time_of(next(iter(self._failing.values())) + self._deadline)
            return f"{self._failures()}; gives up at {gives_up}; last: {self._last}"

    def _end(self, request: object) -> str:
        """Forget a request; return how many attempts failed, if it was the last and somebody was warned."""
        with self._lock:
            if self._failing.pop(request, None) is None or self._failing:
                return ""
            self._ended = self._clock()
            return self._failures() if self._warned else ""

    def _failures(self) -> str:
        return f"{failed_attempts(self._attempts)} since {self._time_of(self._began)}"

    def _time_of(self, moment: float) -> str:
        at = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=min(moment - self._clock(), 1e9))
        return f"{at:%H:%M:%S} UTC"
