"""``python -m tests.faults.report``: runs the long campaign, and writes docs/reliability.md from what was measured."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/reliability.md"
LONG = {"KILLS": 50, "TERMS": 20, "MIXTURES": 60, "CUTS": 20, "VALUES": 10_000, "FULL": 1}
GROUPS = {
    "test_push_faults": "each fault in a push",
    "test_pull_faults": "each fault in each kind of GET",
    "test_mixtures": "faults mixed at random",
    "test_kills": "processes killed, and told to end",
    "test_database": "the database goes away",
    "test_values": "awkward values",
    "test_secrets": "secrets and names that are SQL",
}


def main() -> int:
    from tests.faults.figures import CAMPAIGN

    environment = {f"SEQUENCE_FAULTS_{name}": str(value) for name, value in LONG.items()} | dict(os.environ)
    with tempfile.TemporaryDirectory() as folder:
        figures, results = Path(folder) / "figures", Path(folder) / "results.xml"
        figures.touch()
        environment["SEQUENCE_FAULTS_FIGURES"] = str(figures)
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-n",
            "2",
            "tests/faults",
            f"--junitxml={results}",
            *sys.argv[1:],
        ]
        began = time.monotonic()
        code = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
        minutes = (time.monotonic() - began) / 60
        if not results.exists():
            return code
        measured = [json.loads(line) for line in figures.read_text().splitlines()]
        PAGE.write_text(_page(measured, ElementTree.parse(results).getroot(), minutes, CAMPAIGN.seed))
    print(f"{PAGE} is written")
    return code


def _page(measured: list[dict[str, Any]], results: ElementTree.Element, minutes: float, seed: int) -> str:
    there: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    skipped: Counter[str] = Counter()
    for case in results.iter("testcase"):
        group = case.get("classname", "").rpartition(".")[2]
        there[group] += 1
        failed[group] += case.find("failure") is not None or case.find("error") is not None
        skipped[group] += case.find("skipped") is not None
    rows = [
        f"| {words} | {there[name]} | {failed[name]} | {skipped[name]} |"
        for name, words in GROUPS.items()
        if there[name]
    ]
    by_what: dict[str, list[dict[str, Any]]] = {}
    for each in measured:
        by_what.setdefault(each["what"], []).append(each)
    facts = [_fact(what, by_what[what]) for what in sorted(by_what)]
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    return "\n".join([
        "# What was done to it",
        "",
        "Written by `make test-faults` (`python -m tests.faults.report`); no figure is by hand. Real operators in",
        "processes of their own push from a real PostgreSQL to the [sandbox](sandbox.md) over HTTP, and pull back, while",
        "what is between them goes wrong. The sandbox's ledger is the witness: after each fault, a run without it has to",
        "leave every event delivered, the last row of each id in force, the delivery log and the ledger agreeing, and",
        "the table whole. What runs printed, raised and returned is searched for credentials, aliases and values.",
        "",
        f"{dt.datetime.now(dt.UTC):%Y-%m-%d}, commit {commit}, {minutes:.0f} minutes;",
        f"`SEQUENCE_FAULTS_SEED={seed}` repeats its random choices.",
        "",
        "| group | tests | failed | skipped |",
        "| --- | --- | --- | --- |",
        *rows,
        f"| all | {there.total()} | {failed.total()} | {skipped.total()} |",
        "",
        "| what | measured, in the tests that passed |",
        "| --- | --- |",
        *facts,
        "",
        "A repeat is an event that was sent again because its first answer was not known; it has the same id and the",
        "same body, so that it supersedes itself.",
        "",
    ])


def _fact(what: str, each: list[dict[str, Any]]) -> str:
    """All runs of a kind in one line: names are counted, numbers added up, the most of the most."""
    words = [f"{len(each)} × "] if len(each) > 1 else [""]
    for name in each[0]:
        given = [one[name] for one in each if name in one]
        if name == "what":
            continue
        if isinstance(given[0], str):
            words.append(f"{len(set(given))} {name.replace('_', ' ')}s")
        else:
            words.append(f"{(max if name.startswith('most') else sum)(given):,} {name.replace('_', ' ')}")
    return f"| {what} | {words[0]}{', '.join(words[1:])} |"


if __name__ == "__main__":
    sys.exit(main())
