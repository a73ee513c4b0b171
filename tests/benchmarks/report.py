"""What a part of the benchmarks found: lines of the page's table, what is beside them, and where it was found."""

from __future__ import annotations

import datetime as dt
import os
import statistics
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tests.benchmarks.world import ROOT

T = TypeVar("T")


@dataclass(frozen=True)
class Line:
    """
    One line of the table.

    :param what: what was measured.
    :param target: what it should be.
    :param measured: what it is.
    :param met: whether that is as good as the target, or None where there is none.
    """

    what: str
    target: str
    measured: str
    met: bool | None


@dataclass
class Found:
    """
    What a part found.

    :param lines: lines of the table.
    :param tables: by their titles, tables of details: the first row is the header.
    :param bars: by their titles, what is drawn: names and numbers.
    """

    lines: list[Line] = field(default_factory=list)
    tables: dict[str, list[list[str]]] = field(default_factory=dict)
    bars: dict[str, list[tuple[str, float]]] = field(default_factory=dict)

    def line(self, what: str, target: str, measured: str, met: bool | None) -> None:
        self.lines.append(Line(what, target, measured, met))


def interleaved(times: int, works: Mapping[str, Callable[[], T]]) -> dict[str, list[T]]:
    """Do each piece of work in turn, several times, so that a slow minute of the machine meets all of them."""
    results: dict[str, list[T]] = {name: [] for name in works}
    for _ in range(times):
        for name, work in works.items():
            results[name].append(work())
    return results


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """How many times as much, in the median of the turns."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def spread(values: Sequence[float]) -> str:
    """The median, and between what the values lie."""
    middle = f"{statistics.median(values):,.0f}"
    return f"{middle} ({min(values):,.0f} to {max(values):,.0f})" if len(values) > 1 else middle


def of_limit(figures: Mapping[str, Any], per_minute: float) -> float:
    """What part of the requests that are allowed came, between the first and the last of them."""
    return (figures["requests"] - 1) / (figures["last_at"] - figures["first_at"]) * 60 / per_minute


def circumstances() -> dict[str, Any]:
    """When a part begins: the time, the commit, and how busy the machine is with other things."""

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=ROOT, capture_output=True, text=True, check=False
        ).stdout.strip()

    # What the part before wrote is no change of what is measured.
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ":!docs/performance.*")
    return {
        "date": f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M}",
        "commit": git("describe", "--always") + ("-dirty" if changed else ""),
        "load": round(os.getloadavg()[0], 1),
    }
