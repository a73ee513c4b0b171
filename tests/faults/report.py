"""``python -m tests.faults.report``: runs the long campaign, and writes docs/reliability.md from what was measured."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/reliability.md"

Figures = list[dict[str, Any]]

INTRODUCTION = """\
# Reliability: what was done to it

The promises of this package are about what happens when something goes wrong, so they are tried by making it go wrong.
Real operators in processes of their own push from a real PostgreSQL to the [sandbox](sandbox.md) over HTTP, and pull
back. Between them stand the sandbox's own faults, a proxy that spoils HTTP, and one that cuts the database off. The
sandbox keeps a ledger of all that arrived, and that is the witness. After each fault the task is run once more, as Airflow
would, and then

- every event has arrived, and of several rows with one id the last one is what Sequence goes by;
- nothing has arrived that was not asked for, and no event under two ids, so that none is billed twice;
- the delivery log claims nothing that the ledger does not have;
- a table that was pulled into is either as it was before, or complete;
- nothing that was printed, raised, returned or logged, with every logger at level DEBUG, holds a credential, an alias or the
  value of a property.
"""

REPEATS = """\
A *repeat* is an event that was sent once more by the next try, because the log did not know of the answer to the first:
the part of the run since the log was last written, and no more. It has the same id and the same body, so that it
supersedes itself: it costs a request, and no money. The log is written after 500 answers or a second; the runs here, of
some 200 events, are hardly longer than that, and in some of them it is written more often.
"""

FAULTS_INTRODUCTION = """\
Each begins in the middle of a run. First it lasts, longer than the task has patience for; then it passes. The errors are
told in [when something fails](failures.md).

| fault | if it lasts |
| --- | --- |
"""

STALE = "noticed, `SequenceResponseError`, or dropped with the connection"

NOT_TRIED = """\
## What this can't show

- The sandbox is written from Sequence's public documents; it is not Sequence.
- Each promise is checked as far as the ledger and the database show it. A fault that nobody thought of is not among them.
- Repeats depend on the instant: another run has other figures, within the same bounds.
"""

RUN_IT = """\
## Run it

```console
$ make test-faults-quick   # each fault once, a few kills
$ make test-faults         # the usual campaign
$ make reliability         # the long one, which writes this page
```

`SEQUENCE_FAULTS_SEED={seed}` repeats the random choices of this page's run. The numbers can be set one by one:
`make test-faults ARGS="-k kills" SEQUENCE_FAULTS_KILLS=500`.
"""


def main() -> int:
    environment = {"SEQUENCE_FAULTS": "long"} | dict(os.environ)
    os.environ["SEQUENCE_FAULTS"] = environment["SEQUENCE_FAULTS"]
    from tests.faults.figures import CAMPAIGN

    environment["SEQUENCE_FAULTS_SEED"] = str(CAMPAIGN.seed)
    with tempfile.TemporaryDirectory() as folder:
        figures, results = Path(folder) / "figures", Path(folder) / "results.xml"
        figures.touch()
        environment["SEQUENCE_FAULTS_FIGURES"] = str(figures)
        # Most of a test's time is waiting: for timeouts, and for Retry-After.
        options = ["-n", "3", "--dist", "worksteal", f"--junitxml={results}", *sys.argv[1:]]
        began = time.monotonic()
        command = [sys.executable, "-m", "pytest", "tests/faults", *options]
        code = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
        minutes = (time.monotonic() - began) / 60
        if not results.exists():
            return code
        measured = [json.loads(line) for line in figures.read_text().splitlines()]
        PAGE.write_text(page(measured, ElementTree.parse(results).getroot(), minutes, CAMPAIGN.seed))
    print(f"{PAGE} is written")
    return code


def page(measured: Figures, results: ElementTree.Element, minutes: float, seed: int) -> str:
    cases = list(results.iter("testcase"))
    failed = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    commit = subprocess.run(
        ["git", "log", "-1", "--format=%h", "--", "airflow_provider_sequence"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    expected = sum(case.find("skipped") is not None for case in cases)
    passed = len(cases) - len(failed) - expected
    verdict = (
        f"{passed} passed, so no event was lost in any of them, and none was counted twice; {expected} show the known limits"
        " below."
        if not failed
        else f"**{len(failed)} of them failed**, and are in none of the figures."
    )
    return "\n".join([
        INTRODUCTION,
        _run(len(cases), minutes, commit),
        verdict,
        "",
        *(f"- failed: `{case.get('classname')}::{case.get('name')}`" for case in failed),
        "## What was tried, and how often",
        "",
        *_tried(measured),
        "",
        *_values(measured),
        "## What it cost",
        "",
        REPEATS,
        *_repeats(measured),
        "",
        *_limits(measured),
        "## Faults",
        "",
        FAULTS_INTRODUCTION + "\n".join(_faults()),
        "",
        *_known(cases),
        NOT_TRIED,
        RUN_IT.format(seed=seed),
    ])


def _run(cases: int, minutes: float, commit: str) -> str:
    return (
        f"No figure on this page is by hand. It is of {dt.datetime.now(dt.UTC):%Y-%m-%d}, the package as of commit "
        f"{commit}:\n{cases:,} tests in {minutes:.0f} minutes."
    )


#: What goes wrong, and the heading of its column.
WAYS = {
    "faults": "each fault below",
    "mixtures": "faults mixed at random",
    "SIGKILL": "killed at a random instant",
    "SIGTERM": "told to end",
    "database": "database sessions ended",
}


def _tried(measured: Figures) -> Iterator[str]:
    """How often each went wrong with each task."""
    tried: dict[str, Counter[str]] = defaultdict(Counter)
    for each in measured:
        if each["how"] in WAYS:
            tried[each["task"]][each["how"]] += int(each.get("tried", 1))
    yield f"| | {' | '.join(WAYS.values())} | lost | doubled |"
    yield f"| --- |{' ---: |' * (len(WAYS) + 2)}"
    for task in sorted(tried):
        yield f"| {task} | {' | '.join(str(tried[task][how] or '') for how in WAYS)} | 0 | 0 |"


def _values(measured: Figures) -> Iterator[str]:
    rows = sum(each["tried"] for each in measured if each["task"] == "values")
    if rows:
        yield f"And {rows:,} rows of awkward values went there and back: text of every plane of Unicode, quotes, NULs, numbers of"
        yield "40 digits and 1e308, the years 1 and 9999, zones with half hours, leap seconds, deep JSON, texts of a megabyte. Each"
        yield "had one outcome, and what was delivered came back digit for digit."
        yield ""


def _repeats(measured: Figures) -> Iterator[str]:
    yield "| a push, | tries | repeats | the most after one try |"
    yield "| --- | ---: | ---: | ---: |"
    for how, words in WAYS.items():
        some = [each for each in measured if each["how"] == how and "repeats" in each]
        if some:
            tries = sum(each.get("tried", 1) for each in some)
            most = max(each.get("most", 0) for each in some)
            yield f"| {words} | {tries} | {sum(each['repeats'] for each in some):,} | {most} |"


def _limits(measured: Figures) -> Iterator[str]:
    """What came of the limit that several tasks share."""
    shared = [each for each in measured if each["task"] == "limit"]
    if not shared:
        return
    haste = shared[0]["haste"]
    pace = f", {haste} times as fast as the clock" if haste > 1 else ""
    yield "## A limit that four tasks share"
    yield ""
    yield f"Four processes push to one account for ten minutes{pace}. Each knows nothing of the others; what it learns, it"
    yield "learns from 429s. The figures are over all of the ten minutes, the learning included."
    yield ""
    yield "| each task is configured with | of the limit used | requests answered 429 | the least of the four had, of an even share |"
    yield "| --- | ---: | ---: | ---: |"
    for each in shared:
        configured = "the account's limit" if each["times"] == 1 else f"{each['times']} × the account's limit"
        yield f"| {configured} | {each['used']:.1%} | {each['throttled']:.1%} | {each['least']:.0%} |"
    yield ""


def _faults() -> Iterator[str]:
    from tests.faults.catalogue import FAULTS, MEANINGS

    for fault in FAULTS:
        if fault.error is None:
            end = STALE if fault.name == "stale-answer" else "does no harm: the run is right"
        else:
            end = f"`{fault.error}`" + ("" if fault.passes else ", at once: waiting would not help")
        yield f"| {MEANINGS[fault.name]} | {end} |"


def _known(cases: Iterable[ElementTree.Element]) -> Iterator[str]:
    """What is known to go wrong: tests that are expected to fail."""
    reasons = [skipped.get("message", "") for case in cases for skipped in case.iter("skipped")]
    if reasons:
        yield "## Known limits"
        yield ""
        yield from (f"- {reason[0].upper()}{reason[1:]}." for reason in reasons)
        yield ""


if __name__ == "__main__":
    sys.exit(main())
