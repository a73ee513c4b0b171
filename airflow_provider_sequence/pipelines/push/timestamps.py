"""What is checked of an event's time before it is sent: it decides which bill the event goes on."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass, field

from airflow_provider_sequence.api.events import Event
from airflow_provider_sequence.api.timestamps import utc_text
from airflow_provider_sequence.exceptions import InvalidEventError

_FIRST = dt.datetime(1, 1, 1, tzinfo=dt.UTC)
_LAST = dt.datetime(9999, 12, 31, tzinfo=dt.UTC)
#: Seconds after which the bounds are moved on with the clock.
_RENEWED_AFTER = 1.0


@dataclass(slots=True)
class TimestampPolicy:
    """
    How far from now an event's time may be.

    :param max_future: how far ahead at most, or None for any time. A clock that is wrong, or a unit that is mistaken,
        would else put usage on a bill that is far off.
    :param late_after: how far back an event is late, or None if none is: its period may be invoiced already.
    :param reject_late: whether a late event is refused; else it is only counted.
    """

    max_future: dt.timedelta | None = None
    late_after: dt.timedelta | None = None
    reject_late: bool = False
    _latest: str = field(default="", init=False)
    _earliest: str = field(default="", init=False)
    _renew_at: float = field(default=0.0, init=False)

    def is_late(self, event: Event) -> bool:
        """
        Tell whether an event that is about to be sent is late.

        :raises InvalidEventError: if it may not be sent.
        """
        if time.monotonic() >= self._renew_at:
            self._renew()
        if self.max_future is not None and event.time > self._latest:
            raise InvalidEventError(
                "eventTimestamp", f"lies more than {self.max_future} ahead of now (max_future)"
            )
        late = self.late_after is not None and bool(event.time) and event.time < self._earliest
        if late and self.reject_late:
            raise InvalidEventError(
                "eventTimestamp", f"lies more than {self.late_after} back (late_after), and late='reject'"
            )
        return late

    def _renew(self) -> None:
        now = dt.datetime.now(dt.UTC)
        self._renew_at = time.monotonic() + _RENEWED_AFTER
        # Beyond the calendar: after, or before, the text of every time.
        if self.max_future is not None:
            self._latest = _text(now, self.max_future) if self.max_future < _LAST - now else "~"
        if self.late_after is not None:
            self._earliest = _text(now, -self.late_after) if self.late_after < now - _FIRST else ""


def _text(now: dt.datetime, distance: dt.timedelta) -> str:
    return utc_text(now + distance).removesuffix("Z")
