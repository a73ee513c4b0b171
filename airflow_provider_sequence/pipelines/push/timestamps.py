"""Timestamp policy of a push: how far in the future or the past an event may lie. It decides which bill it goes on."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass, field
from typing import Protocol

from airflow_provider_sequence.api.events import Event
from airflow_provider_sequence.api.timestamps import MAX_TIME, MIN_TIME, utc_text
from airflow_provider_sequence.exceptions import InvalidEventError
from airflow_provider_sequence.pipelines.push.interval import OutsideCount

#: Seconds after which the bounds are computed again from the clock.
_REFRESH_SECONDS = 1.0
#: How far back the worker's clock must put an event for it to lie in the past whatever the server's says.
_SURELY_PAST = dt.timedelta(days=1)


class Clock(Protocol):
    """What time it is at Sequence."""

    def __call__(self, *, ask: bool) -> dt.datetime:
        """Tell the time; send a request for it, where ``ask`` says so and it is not known."""


def own_clock(*, ask: bool) -> dt.datetime:
    """Tell the time of this machine."""
    return dt.datetime.now(dt.UTC)


@dataclass(slots=True)
class TimestampPolicy:
    """
    Bounds of an event's timestamp, relative to now.

    :param max_future: how far ahead at most, or None for any time. A wrong clock, or a mistaken unit, would else put
        usage on a bill of the far future.
    :param late_after: how far back an event is late, or None if none is: its period may be invoiced already.
    :param reject_late: whether a late event is rejected; else it is only counted.
    :param clock: what "now" is.
    :param outside: counts the events that lie outside the run's interval, where there is one.
    """

    max_future: dt.timedelta | None = None
    late_after: dt.timedelta | None = None
    reject_late: bool = False
    clock: Clock = own_clock
    _asked: bool = field(default=False, init=False)
    _now: str = field(default="", init=False)
    _past: str = field(default="", init=False)
    outside: OutsideCount | None = None
    _latest: str = field(default="", init=False)
    _earliest: str = field(default="", init=False)
    _refresh_at: float = field(default=0.0, init=False)

    def is_late(self, event: Event) -> bool:
        """
        Whether an event that is about to be sent is late.

        :raises InvalidEventError: if it may not be sent.
        """
        if self.outside is not None:
            self.outside.add(event)
        if time.monotonic() >= self._refresh_at:
            self._refresh()
        if self.max_future is not None and not self._asked and event.time > self._past:
            self._asked = True
            self._refresh()
        if self.max_future is not None and event.time > self._latest:
            raise InvalidEventError(
                "eventTimestamp",
                f"lies more than {_length(self.max_future)} ahead of now, {self._now} (max_future)",
            )
        if self.late_after is None or not event.time or event.time >= self._earliest:
            return False
        if self.reject_late:
            raise InvalidEventError(
                "eventTimestamp",
                f"lies more than {_length(self.late_after)} back from now, {self._now} (late_after), and late='reject'",
            )
        return True

    def _refresh(self) -> None:
        now = self.clock(ask=self._asked)
        self._refresh_at = time.monotonic() + _REFRESH_SECONDS
        self._now = utc_text(now.replace(microsecond=0))
        self._past = _comparable(now - _SURELY_PAST)
        # Beyond the calendar: after, or before, the text of every time.
        if self.max_future is not None:
            self._latest = _comparable(now + self.max_future) if self.max_future < MAX_TIME - now else "~"
        if self.late_after is not None:
            self._earliest = _comparable(now - self.late_after) if self.late_after < now - MIN_TIME else ""


def _comparable(time: dt.datetime) -> str:
    """Text of a time that is compared with :attr:`Event.time`."""
    return utc_text(time).removesuffix("Z")


def _length(duration: dt.timedelta) -> str:
    """A length of time as Python writes it, without a time of zero after whole days."""
    return str(duration).removesuffix(", 0:00:00")
