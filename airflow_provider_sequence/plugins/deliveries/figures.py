"""Figures of the page, out of what the queries found: days, bars, reasons and runs."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_sequence.plugins.deliveries.checks import Check, check_day, state_of
from airflow_provider_sequence.plugins.deliveries.times import (
    as_utc,
    write_duration,
    write_time,
    write_window,
)

#: Parts of a day's bar, from below: no entry of the log is in two of them.
PARTS = ("delivered", "corrected", "rejected", "voided", "in_doubt")


@dataclass(frozen=True, slots=True)
class Day:
    """
    A day of usage.

    :param date: which, in UTC.
    :param entries: entries of the delivery log by :data:`PARTS`.
    :param unchanged: rows that pushes of this day found unchanged; None if no such push is known.
    :param late: events that pushes of this day delivered late; likewise.
    :param check: whether it was compared with Sequence; None without a table of runs.
    """

    date: dt.date
    entries: Mapping[str, int]
    unchanged: int | None
    late: int | None
    check: Check | None

    @property
    def total(self) -> int:
        """Entries of the log."""
        return sum(self.entries.values())


@dataclass(frozen=True, slots=True)
class Bar:
    """Part of a day's bar, in the drawing's units from its top left corner."""

    part: str
    x: float
    y: float
    width: float
    height: float
    title: str


@dataclass(frozen=True, slots=True)
class Reason:
    """
    Why entries were rejected.

    :param key: stands for the text in addresses.
    """

    key: str
    text: str
    entries: int
    first_at: str
    last_at: str


@dataclass(frozen=True, slots=True)
class Run:
    """A try of a task, as the page shows it; ``limit`` is how full the account's limit of requests was, from 0 to 1."""

    operation: str
    resource: str
    state: str
    error: str
    window: str
    started: str
    duration: str
    counts: str
    limit: float | None
    task: Mapping[str, Any]
    try_number: int | None


def make_days(
    starts: Sequence[dt.datetime],
    counts: Iterable[Sequence[Any]],
    runs: Sequence[Any] | None,
    now: dt.datetime,
) -> list[Day]:
    """
    Put the figures of each day together.

    :param starts: the midnights.
    :param counts: ``(day, status, is_corrected, entries)`` of the log.
    :param runs: tries whose windows touch the days, the newest first; None without a table of runs.
    """
    entries: dict[int, Counter[str]] = defaultdict(Counter)
    for day, status, is_corrected, number in counts:
        entries[day]["corrected" if status == "delivered" and is_corrected else status] += number
    found = []
    for place, (start, near) in enumerate(zip(starts, _by_days(starts, runs or ()), strict=True)):
        end = start + dt.timedelta(days=1)
        pushes = last_pushes(near, start, end)
        found.append(
            Day(
                start.date(),
                {part: entries[place][part] for part in PARTS},
                unchanged=sum(run.unchanged or 0 for run in pushes) if pushes else None,
                late=sum(run.late or 0 for run in pushes) if pushes else None,
                check=None if runs is None else check_day(start, near, now),
            )
        )
    return found


def last_pushes(runs: Iterable[Any], start: dt.datetime, end: dt.datetime) -> list[Any]:
    """
    Choose of each task and DAG run the last push that came to its end and whose window lies in ``[start, end)``.

    :param runs: tries whose window touches it, the newest first.
    """
    last: dict[tuple[Any, ...], Any] = {}
    for run in runs:
        if (
            run.operation == "push"
            and run.outcome in {"success", "failed"}
            and run.unchanged is not None
            and as_utc(run.window_start) >= start
            and as_utc(run.window_end) <= end
        ):
            last.setdefault((run.dag_id, run.task_id, run.run_id, run.map_index), run)
    return list(last.values())


def _by_days(starts: Sequence[dt.datetime], runs: Iterable[Any]) -> list[list[Any]]:
    """Sort runs by the days that their windows touch."""
    near: list[list[Any]] = [[] for _ in starts]
    for run in runs:
        if run.window_start is not None:
            first = (as_utc(run.window_start) - starts[0]).days
            last = (as_utc(run.window_end) - dt.timedelta.resolution - starts[0]).days
            for each in near[max(first, 0) : max(last + 1, 0)]:
                each.append(run)
    return near


def longer_pushes(runs: Iterable[Any]) -> int:
    """Count pushes that are in no day's figures of unchanged and late: their window is not within a day, or unknown."""
    counted = 0
    for run in runs:
        if run.operation == "push" and run.outcome in {"success", "failed"}:
            counted += run.window_start is None or not _is_within_a_day(run)
    return counted


def _is_within_a_day(run: Any) -> bool:
    start, end = as_utc(run.window_start), as_utc(run.window_end)
    return end - dt.datetime.combine(start.date(), dt.time.min, dt.UTC) <= dt.timedelta(days=1)


#: Size of the drawing, and of what is left free below the bars for dates.
WIDTH, HEIGHT, _FOOT = 960.0, 220.0, 24.0


def make_bars(days: Sequence[Day]) -> list[Bar]:
    """Lay out a stacked bar for each day; what there is little of is still to be seen."""
    most = max((day.total for day in days), default=0) or 1
    step = WIDTH / len(days)
    bars = []
    for place, day in enumerate(days):
        y = HEIGHT - _FOOT
        for part, number in day.entries.items():
            if not number:
                continue
            height = max(2.0, number / most * (HEIGHT - _FOOT - 8))
            y -= height
            title = f"{day.date}: {number:,} {part.replace('_', ' ')}"
            bars.append(
                Bar(
                    part,
                    round(place * step + step * 0.12, 1),
                    round(y, 1),
                    round(step * 0.76, 1),
                    round(height, 1),
                    title,
                )
            )
    return bars


def make_reasons(found: Iterable[Sequence[Any]]) -> list[Reason]:
    """Reasons as ``(reason, entries, first_at, last_at)`` of the log."""
    return [
        Reason(reason_key(text), text or "(no reason)", number, write_time(first), write_time(last))
        for text, number, first, last in found
    ]


def reason_key(text: str | None) -> str:
    """What stands for a reason in addresses, which others log."""
    return hashlib.blake2b((text or "").encode(errors="surrogatepass"), digest_size=8).hexdigest()


_SHOWN_COUNTS = {
    "push": ("rows", "delivered", "corrected", "unchanged", "rejected", "late", "conflicting", "not_tried"),
    "pull": ("read", "loaded"),
    "reconcile": ("expected", "found", "missing", "different", "unexpected"),
    "metric": ("expected", "different"),
}
_SHOWN_COUNTS["void"] = _SHOWN_COUNTS["push"]


def make_run(row: Any, now: dt.datetime) -> Run:
    """Show a try."""
    seconds = (as_utc(row.ended_at or row.seen_at) - as_utc(row.started_at)).total_seconds()
    names = _SHOWN_COUNTS.get(row.operation, ())
    counts = [
        f"{name.replace('_', ' ')} {value:,}"
        for name in names
        if (value := getattr(row, name)) is not None and (value or name in names[:2])
    ]
    return Run(
        row.operation,
        row.resource or "",
        state_of(row, now),
        row.error or "",
        write_window(row.window_start, row.window_end),
        write_time(row.started_at),
        write_duration(seconds),
        ", ".join(counts),
        _part_of_limit(row.requests, seconds, row.per_minute),
        {"dag_id": row.dag_id, "task_id": row.task_id, "run_id": row.run_id, "map_index": row.map_index},
        row.try_number,
    )


def _part_of_limit(requests: int | None, seconds: float, per_minute: int | None) -> float | None:
    if requests is None or not per_minute or seconds <= 0:
        return None
    return float(requests) / (seconds / 60) / float(per_minute)
