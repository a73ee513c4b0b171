"""Half-open windows of event time, ``[start, end)``: parse, split, and widen for a bound of unknown kind."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from itertools import pairwise

import pendulum

from airflow_provider_sequence.api.timestamps import MAX_TIME, MIN_TIME, utc_text
from airflow_provider_sequence.exceptions import SequenceConfigurationError

#: What is asked for beyond each end of a window: assumptions window-bounds and filter-precision.
#: :meth:`Window.__contains__` then keeps what belongs.
MARGIN = dt.timedelta(seconds=1)

_LAST_SECOND = MAX_TIME.replace(microsecond=0)

#: What is asked for: ``eventTimestampAfter`` and ``eventTimestampBefore``.
Bounds = tuple[dt.datetime, dt.datetime]


#: What to do about a run that has no time to work on.
USE_INTERVALS = (
    'On Airflow 3, runs of schedule="@daily" and of any other cron expression have a data interval\n'
    "of length zero, and runs that are started manually or by assets may have none\n"
    'Use schedule=CronDataIntervalTimetable("@daily", timezone="UTC"),\nor another timetable with data intervals'
)


def what_to_set(prefix: str) -> str:
    """What to do about a window that is missing or empty; its parameters' names begin with the prefix."""
    start, end = f"{prefix}_start", f"{prefix}_end"
    return (
        f"{USE_INTERVALS}\nSet {start} and {end} where that does not fit, for example\n"
        f'{start}="{{{{ params.{start} }}}}" and {end}="{{{{ params.{end} }}}}"'
    )


@dataclass(frozen=True, slots=True)
class Window:
    """
    The times ``t`` with ``start <= t < end``.

    Neighbouring windows share no time and miss none.

    :param start: first time that belongs to the window, with a time zone; kept in UTC.
    :param end: first time that no longer does, with a time zone; kept in UTC.
    :raises SequenceConfigurationError: if the window is empty or backwards.
    """

    start: dt.datetime
    end: dt.datetime

    def __post_init__(self) -> None:
        # Two times of one zone are compared and subtracted by the wall clock, which goes back once a year.
        for name in ("start", "end"):
            object.__setattr__(self, name, _to_utc(name, getattr(self, name)))
        if self.start >= self.end:
            raise SequenceConfigurationError(_empty("window", self.start, self.end))

    @classmethod
    def parse(cls, start: object, end: object, prefix: str = "window") -> Window:
        """
        Make a window of what templates and users give: datetimes, dates or ISO 8601 text; UTC without a zone.

        :param prefix: the parameters' names begin with it, in errors: ``window_start``, ``period_start``.
        :raises SequenceConfigurationError: if a bound is missing or no time, or the window is empty or backwards.
        """
        first = _to_utc("start", _parse_bound(f"{prefix}_start", start, prefix))
        last = _to_utc("end", _parse_bound(f"{prefix}_end", end, prefix))
        if first >= last:
            raise SequenceConfigurationError(_empty(prefix, first, last))
        return cls(first, last)

    def __contains__(self, time: dt.datetime) -> bool:
        return self.start <= time < self.end

    def widened(self) -> Bounds:
        """Bounds to ask Sequence for, in whole seconds, such that no time of the window is left out."""
        return _seconds_before(self.start), _seconds_after(self.end)

    def margins(self) -> tuple[Bounds, Bounds]:
        """
        Bounds to ask for what :meth:`widened` has too much: before the start, and from the end on.

        The outer bounds are those of :meth:`widened`, so that Sequence reads them alike.
        """
        after, before = self.widened()
        return (after, _seconds_after(self.start)), (_seconds_before(self.end), before)

    def split(self, parts: int) -> list[Window]:
        """Cut into ``parts`` neighbouring windows of the same length (to the microsecond), fewer where too short."""
        if parts < 1:
            raise SequenceConfigurationError(f"a window is split into at least 1 part, not {parts}")
        length = self.end - self.start
        cuts = sorted({self.start + length * i // parts for i in range(parts)} | {self.end})
        return [Window(a, b) for a, b in pairwise(cuts)]

    def cut(self, length: dt.timedelta) -> list[Window]:
        """Cut into neighbouring windows of a length; the last one may be shorter."""
        if length <= dt.timedelta(0):
            raise SequenceConfigurationError(
                f"every={length} is no length of a slice\nGive one that is longer than 0"
            )
        count = -((self.start - self.end) // length)
        cuts = [*(self.start + length * n for n in range(count)), self.end]
        return [Window(a, b) for a, b in pairwise(cuts)]


def _to_utc(name: str, time: dt.datetime) -> dt.datetime:
    if time.tzinfo is None:
        raise SequenceConfigurationError(f"the window's {name} has no time zone")
    try:
        utc = time.astimezone(dt.UTC)
    except OverflowError:
        raise SequenceConfigurationError(
            f"the window's {name} is outside the years 1 to 9999 in UTC"
        ) from None
    # Of whatever class of datetime it came as: pendulum's loses such a zone when something is added to it.
    return dt.datetime.combine(utc.date(), utc.time(), tzinfo=dt.UTC)


def _seconds_before(time: dt.datetime) -> dt.datetime:
    floor = time.replace(microsecond=0)
    return floor - min(MARGIN, floor - MIN_TIME)


def _seconds_after(time: dt.datetime) -> dt.datetime:
    floor = time.replace(microsecond=0)
    ahead = MARGIN + dt.timedelta(seconds=1) if time.microsecond else MARGIN
    return floor + min(ahead, _LAST_SECOND - floor)


def _empty(prefix: str, start: dt.datetime, end: dt.datetime) -> str:
    shown = f"the {prefix} [{start.isoformat()}, {end.isoformat()})"
    if start > end:
        return f"{shown} is backwards: {prefix}_end is before {prefix}_start\nExchange them"
    return f"{shown} is empty\n{what_to_set(prefix)}"


def _parse_bound(name: str, value: object, prefix: str) -> dt.datetime:
    if value is None or (isinstance(value, str) and value.strip() in {"", "None"}):
        raise SequenceConfigurationError(f"{name} is not set\n{what_to_set(prefix)}")
    parsed: object = value
    if isinstance(value, str):
        try:
            parsed = pendulum.parse(value.strip())
        except ValueError:
            parsed = None
    if isinstance(parsed, dt.datetime):
        return parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=dt.UTC)
    if isinstance(parsed, dt.date):
        return dt.datetime(parsed.year, parsed.month, parsed.day, tzinfo=dt.UTC)
    raise SequenceConfigurationError(f"{name} is not a time in ISO 8601: {value!r}\n{what_to_set(prefix)}")


def window_texts(window: Window | None) -> tuple[str | None, str | None]:
    """Bounds of a window in ISO 8601, as results have them; None twice for a whole list."""
    return (None, None) if window is None else (utc_text(window.start), utc_text(window.end))
