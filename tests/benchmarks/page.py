"""docs/performance.md, and what is drawn in it, out of the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

from tests.benchmarks.world import ROOT

PAGE = ROOT / "docs/performance.md"
PLOT = ROOT / "docs/performance.svg"

_INTRODUCTION = """# Performance

Written by `make bench` (`python -m tests.benchmarks`); no figure is by hand. Real operators in processes of their own
work against a real PostgreSQL and a server on the same machine, which answers like Sequence after a given time and is
fast enough not to be what is measured. The other tools do the same against the same server and database, in the same
run and in turns. Missed targets are marked.
"""

_HOW = """## How it was measured

- An event has six properties, some unicode. A month of events is listed, spread evenly unless it says otherwise.
- Seconds are those of `execute()`: reading, mapping, HTTP, the delivery log or the merge, and the checks. What Python
  takes to start and import is not in them. A Singer pipe is timed from its first request on.
- CPU is the process's own, of all its threads; PostgreSQL's and the server's come on top. Tool, server and PostgreSQL
  share the cores named below.
- Where there is more than one turn, a figure is the median, and a ratio the median of the turns' ratios.
- Every tool loads into a table that is not there before, and replaces rows by their id. What is in the table afterwards
  is counted.
- The others are set up as their documents advise: [dlt](https://dlthub.com) with its REST client, pages as they come,
  the `upsert` strategy and CSV files for `COPY` (of two strategies and two formats, those with the shortest load); the
  Singer tap with the Meltano SDK, and `target-postgres` with `use_copy` and without validation; `HttpOperator` with a
  `pagination_function`, and `insert_rows` with `executemany` and 10,000 rows a commit; the careful script with one
  session of `requests`, `COPY` into a temporary table while the pages come, and one upsert; `requests` with a session
  for each of 32 threads. None of them holds what it read against the total that Sequence gives, or keeps each digit of
  a number.
- PyAirbyte is not among them; it was not tried.

`make bench ARGS="pull push --repeats 5"` measures some parts again; the others stay as they were.
"""


def write(results: Mapping[str, Any], about: Mapping[str, str]) -> None:
    """
    Write the page and the plot.

    :param results: what each part found, in the order of the page.
    :param about: the machine.
    """
    lines = [line for part in results.values() for line in part["lines"]]
    tables = {title: table for part in results.values() for title, table in part["tables"].items()}
    bars = {title: each for part in results.values() for title, each in part["bars"].items()}
    PLOT.write_text(_plot(bars))
    missed = sum(line["met"] is False for line in lines)
    PAGE.write_text(
        "\n".join([
            _INTRODUCTION,
            f"{len([line for line in lines if line['met'] is not None])} targets, {missed} missed.",
            "",
            *_table([["what", "target", "measured"], *map(_row, lines)]),
            "",
            "![Events a second of each tool, as bars](performance.svg)",
            "",
            *(text for title, table in tables.items() for text in [f"## {title}", "", *_table(table), ""]),
            _HOW,
            "## The machine",
            "",
            *_table([["", ""], *([name, value] for name, value in about.items())]),
            "",
            *_table([
                ["part", "UTC", "commit", "minutes", "load of the machine before"],
                *(
                    [name, part["date"], part["commit"], f"{part['minutes']:.0f}", f"{part['load']:.1f}"]
                    for name, part in results.items()
                ),
            ]),
            "",
        ])
    )


def _row(line: Mapping[str, Any]) -> list[str]:
    measured = f"**missed:** {line['measured']}" if line["met"] is False else line["measured"]
    return [line["what"], line["target"], measured]


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    head, *body = ["| " + " | ".join(row) + " |" for row in rows]
    return [head, "|" + " --- |" * len(rows[0]), *body]


#: Pixels: of a bar, between charts, of the names, of the longest bar.
_BAR, _GAP, _NAMES, _LONGEST = 20, 34, 190, 380
_OURS, _THEIRS, _TEXT = "#4a7fb5", "#a9a9a9", "#777"


def _plot(charts: Mapping[str, Sequence[tuple[str, float]]]) -> str:
    """Draw bars; the colours can be read on white and on black."""
    parts: list[str] = []
    y = 0
    for title, bars in charts.items():
        y += _GAP
        parts.append(f'<text x="0" y="{y - 8}" font-weight="bold">{escape(title)}</text>')
        most = max(number for _, number in bars)
        for name, number in bars:
            length = max(1, round(number / most * _LONGEST))
            colour = _OURS if name.startswith("this provider") else _THEIRS
            middle = y + _BAR - 6
            parts += [
                f'<text x="{_NAMES - 8}" y="{middle}" text-anchor="end">{escape(name)}</text>',
                f'<rect x="{_NAMES}" y="{y + 2}" width="{length}" height="{_BAR - 4}" fill="{colour}"/>',
                f'<text x="{_NAMES + length + 6}" y="{middle}">{number:,.0f}</text>',
            ]
            y += _BAR
    width, height = _NAMES + _LONGEST + 70, y + 8
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"',
        f'     font-family="sans-serif" font-size="13" fill="{_TEXT}">',
        *parts,
        "</svg>",
        "",
    ])
