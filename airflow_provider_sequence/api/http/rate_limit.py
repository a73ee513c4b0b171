"""Client-side rate limiter that paces requests, and adapts its rate after 429s."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable

#: The part of the limit that is used. Requests that leave evenly spaced don't arrive so; without a little room
#: a minute, as it is counted at the other end, could hold a few more than the limit.
HEADROOM = 0.9925
#: Seconds of missed slots that may be made up for. With the headroom, no window of a minute then holds more than
#: the limit: 0.9925 * (60 + 0.15) / 60 < 0.995.
SLACK = 0.15
#: The factor of a 429 on the rate, and the least rate, as a part of the configured one.
SLOW_DOWN, SLOWEST = 0.9, 0.002
#: Seconds within which another 429 shows that the rate was learnt wrongly, from a burst that the account had saved up;
#: and what that leaves of it. A share is not learnt: a 429 then comes from a task that has just begun, and is soon known.
WRONG_WITHIN, WRONGLY_LEARNT = 5.0, 0.6
#: Seconds over which it is counted what got through, since that tells what the account really allows.
MEMORY = 60
#: What part of the own rate stands for what got through in the minute before the start, when others may have had the rest;
#: of a share it is all.
BEFORE_START = 0.5
#: How a lowered rate grows back: by this part of itself a second, more each second, up to the second number.
GROWTH, FASTEST_GROWTH = 0.0005, 0.02
#: Seconds to stop after a 429 that does not say how long: doubled each time in a row, up to the second number.
FIRST_PAUSE, MAX_PAUSE = 1.0, 5.0
#: Seconds between requests while nothing gets through, and the longest that a thread sleeps before it looks again.
PROBE_SPACING, PATIENCE = 1.0, 0.25


class RateLimiter:
    """
    Rate limiter of all threads of a client: spaces requests evenly, so that the limit a minute is never hit.

    Even spacing is right whether the limit is counted by a moving window, a fixed one or a token bucket.

    A 429 stops all threads until it is time to go on. Then one request goes ahead alone, to see whether anything gets
    through; when it does, all go on at the rate at which requests got through of late: what others who share the
    account's limit leave to this client. That rate then grows, slowly at first, until the next 429.

    :param per_minute: requests a minute that the account allows, to all who share it.
    :param wait: sleeps for a number of seconds; what it raises ends the wait.
    :param clock: seconds on a clock that never goes back.
    """

    def __init__(
        self,
        per_minute: float,
        *,
        wait: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._whole = self._configured = per_minute * HEADROOM / 60
        self._wait = wait
        self._clock = clock
        self._lock = threading.Lock()
        now = clock()
        self._rate = self._configured
        self._rate_since = self._growing_since = now
        self._next_slot = now
        self._stopped_until = now
        self._stops = 0
        self._slowed_at = float("-inf")
        self._probing = False
        self._in_a_row = 0
        self._throttled = 0
        self._before_stop = 0
        self._started = now
        #: How many requests got through in each second of late: (second, number).
        self._passed: deque[list[int]] = deque(maxlen=MEMORY + 1)
        self._is_share = False

    @property
    def throttled_requests(self) -> int:
        """Requests that got a 429."""
        return self._throttled

    def share(self, clients: int) -> None:
        """
        Use an even share of the limit.

        :param clients: how many share it, this one included.
        """
        with self._lock:
            self._grow_back()
            configured = self._whole / max(1, clients)
            # What 429s have taught stays, where it is less.
            self._rate = configured if self._rate >= self._configured else min(self._rate, configured)
            self._configured = configured
            self._is_share = clients > 1

    def acquire(self) -> float:
        """
        Wait for a slot.

        :return: when the slot came, to be given to :meth:`throttled` or :meth:`passed`.
        """
        while True:
            with self._lock:
                now = self._grow_back()
                slot = max(self._next_slot, self._stopped_until, now - SLACK)
                wait = slot - now
                stops = self._stops
                # No thread takes a slot far behind the probe: the spacing would be much too slow after it.
                mine = not self._probing or wait <= PATIENCE
                if mine:
                    self._next_slot = slot + (PROBE_SPACING if self._probing else 1 / self._rate)
            if wait > 0:
                self._wait(wait if mine else min(wait, PATIENCE))
            # A 429 that came meanwhile has postponed every slot: wait again.
            if mine and stops == self._stops:
                return max(slot, now)

    def throttled(self, slot: float, retry_after: float | None = None) -> None:
        """
        Record a 429: stop all threads, then go on more slowly.

        :param slot: when the request had its slot. Requests that left before the threads were last stopped say
            nothing new.
        :param retry_after: seconds that the answer asked to wait, or None where it did not say.
        """
        with self._lock:
            now = self._grow_back()
            self._throttled += 1
            if slot >= self._slowed_at:
                if not self._probing:
                    self._before_stop = self._recently_passed(now)
                    wrong = not self._is_share and now - self._growing_since < WRONG_WITHIN
                    slower = self._rate * (WRONGLY_LEARNT if wrong else SLOW_DOWN)
                    self._rate = max(slower, self._configured * SLOWEST)
                self._probing = True
                self._slowed_at = now
                self._in_a_row += 1
            pause = min(FIRST_PAUSE * 2 ** (self._in_a_row - 1), MAX_PAUSE)
            # Tasks on other machines that share the limit were stopped at the same moment.
            pause *= random.uniform(0.75, 1.25)  # noqa: S311
            if retry_after is not None:
                # What is free again at once is free for all of them, and not enough.
                pause = max(retry_after, min(pause, FIRST_PAUSE))
            self._stopped_until = max(self._stopped_until, now + pause)
            self._next_slot = self._stopped_until
            self._stops += 1

    def passed(self, slot: float) -> None:
        """
        Record that a request was let through.

        :param slot: when it had its slot.
        """
        with self._lock:
            now = self._grow_back()
            if self._passed and self._passed[-1][0] == int(now):
                self._passed[-1][1] += 1
            else:
                self._passed.append([int(now), 1])
            if self._probing and slot >= self._slowed_at:
                self._probing = False
                self._in_a_row = 0
                # Without it a client that starts while the account is used up would learn next to nothing.
                before = self._rate * (1 if self._is_share else BEFORE_START)
                unseen = before * max(0.0, MEMORY - (now - self._started))
                # A stop may have lasted so long that what got through before it is not of late any more.
                learned = (max(self._recently_passed(now), self._before_stop) + unseen) / MEMORY
                self._rate = max(min(self._rate, learned * HEADROOM), self._configured * SLOWEST)
                self._growing_since = self._rate_since = now
                self._next_slot = now + 1 / self._rate

    def _recently_passed(self, now: float) -> int:
        return sum(number for second, number in self._passed if second > now - MEMORY)

    def _grow_back(self) -> float:
        now = self._clock()
        if self._rate < self._configured and not self._probing:
            growth = min(GROWTH * (now - self._growing_since), FASTEST_GROWTH) * (now - self._rate_since)
            self._rate = min(self._configured, self._rate * (1 + growth))
        self._rate_since = now
        return now
