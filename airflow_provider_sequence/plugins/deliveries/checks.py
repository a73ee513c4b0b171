"""Whether a day's events were compared with Sequence, and whether that still holds."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from airflow_provider_sequence.api.timestamps import utc_text
from airflow_provider_sequence.pipelines.runs import SILENT, RunOutcome
from airflow_provider_sequence.plugins.deliveries.times import as_utc

Span = tuple[dt.datetime, dt.datetime]


class Verdict(StrEnum):
    """What is known of a day."""

    EQUAL = "equal"
    DIFFERENCES = "differences"
    NOT_CHECKED = "not checked"
    OUTDATED = "checked before the last push"


@dataclass(frozen=True, slots=True)
class Check:
    """
    What is known of a day.

    :param verdict: in a word.
    :param text: what the page shows.
    :param detail: when it was checked, and over which window.
    """

    verdict: Verdict
    text: str
    detail: str = ""


def state_of(run: Any, now: dt.datetime) -> str:
    """Tell how a try is doing: its outcome, or ``lost`` if it says that it runs and is silent."""
    silent = now - as_utc(run.seen_at) > SILENT
    return "lost" if run.outcome == RunOutcome.RUNNING and silent else str(run.outcome)


def check_day(day: dt.datetime, runs: Sequence[Any], now: dt.datetime) -> Check:
    """
    Judge a day by the runs that touch it: the last reconciliation of each part of it, against the last push of that part.

    Windows of reconciliations may cover the day together. One that failed counts if it has figures: so it ends where it
    finds differences.

    :param day: its midnight.
    :param runs: tries whose window touches the day, the newest first.
    """
    end = day + dt.timedelta(days=1)
    pushes = [
        (_window(run), _end(run, now))
        for run in runs
        if run.operation in {"push", "void"} and run.window_start is not None
    ]
    open_spans: list[Span] = [(day, end)]
    used = []
    is_outdated = False
    for run in runs:
        if run.operation != "reconcile" or run.missing is None or run.window_start is None:
            continue
        window = _window(run)
        seen = [span for each in open_spans if (span := _overlap(each, window))]
        if not seen:
            continue
        used.append(run)
        open_spans = [rest for each in open_spans for rest in _without(each, window)]
        began = as_utc(run.started_at)
        is_outdated |= any(
            ended > began and _overlap(pushed, span) for pushed, ended in pushes for span in seen
        )
    if open_spans:
        return Check(Verdict.NOT_CHECKED, "not checked", "parts of it were" if used else "")
    differing = [run for run in used if run.missing + run.different + run.unexpected]
    detail = f"last looked at {utc_text(min(as_utc(run.started_at) for run in used))[:16]}"
    if is_outdated:
        return Check(Verdict.OUTDATED, "checked before the last push", detail)
    if not differing:
        return Check(Verdict.EQUAL, "equal", detail)
    count = sum(run.missing + run.different + run.unexpected for run in differing)
    longer = [run for run in differing if as_utc(run.window_start) < day or as_utc(run.window_end) > end]
    where = " in a longer window" if longer else ""
    return Check(
        Verdict.DIFFERENCES,
        f"{count:,} difference{'s' if count > 1 else ''}{where}",
        f"{detail}; {_windows(differing)}",
    )


def _window(run: Any) -> Span:
    return as_utc(run.window_start), as_utc(run.window_end)


def _end(run: Any, now: dt.datetime) -> dt.datetime:
    """When a try was over: now, if it runs; when it was seen last, if nobody knows."""
    if state_of(run, now) == RunOutcome.RUNNING:
        return now
    return as_utc(run.ended_at or run.seen_at)


def _overlap(one: Span, other: Span) -> Span | None:
    start, end = max(one[0], other[0]), min(one[1], other[1])
    return (start, end) if start < end else None


def _without(span: Span, window: Span) -> Iterable[Span]:
    for start, end in ((span[0], min(span[1], window[0])), (max(span[0], window[1]), span[1])):
        if start < end:
            yield start, end


def _windows(runs: Iterable[Any]) -> str:
    return ", ".join(
        f"[{utc_text(as_utc(run.window_start))}, {utc_text(as_utc(run.window_end))})" for run in runs
    )
