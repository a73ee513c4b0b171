"""
Mutation testing: the script puts small faults into modules, one at a time, and the tests have to fail.

    python -m dev.mutation --per-module 4 --json out.json
    python -m dev.mutation --only "push/*" --per-module 10
    python -m dev.mutation --tests-from ../other-checkout    # another suite, the same mutants

A mutant that survives shows a missing test, or behaves as the original does. All runs happen in temporary copies of the
checkout. A mutant that exceeds its time limit is killed. The choice of mutants is explained in ``dev/mutants.py``.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import importlib.util
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import textwrap
import time
from collections import Counter
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from dev.mutants import find_mutants

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "airflow_provider_sequence"

#: Module, below the package -> the files, below tests/, whose tests have to fail.
TARGETS = {
    "api/resource.py": ["unit/test_resources.py"],
    "api/query_params.py": ["unit/test_resources.py"],
    "api/pagination.py": ["unit/test_pagination.py"],
    "api/windows.py": ["unit/test_windows.py"],
    "api/timestamps.py": ["unit/test_lossless_json.py"],
    "api/lossless_json.py": ["unit/test_lossless_json.py"],
    "api/usage_metrics.py": ["unit/test_usage_metrics.py"],
    "api/events.py": ["unit/test_events.py"],
    "api/aliases.py": ["unit/test_aliases.py"],
    "api/http/error_response.py": ["unit/test_error_response.py"],
    "api/http/rate_limit.py": ["unit/test_rate_limit.py", "unit/test_shared_limit.py"],
    "utils/partitions.py": ["integration/utils/test_partitions.py"],
    "pipelines/reconcile/fingerprint.py": ["unit/test_fingerprint.py"],
    "pipelines/push/timestamps.py": ["unit/test_timestamp_policy.py"],
    "pipelines/push/sort.py": ["unit/test_sort.py"],
    "pipelines/push/summary.py": ["unit/test_push.py"],
    "pipelines/pull/rows.py": ["unit/test_pull_rows.py"],
    "pipelines/push/pipeline.py": ["unit/test_push.py", "integration/transfers/test_push_policies.py"],
    "pipelines/push/outcomes.py": ["unit/test_push.py", "integration/transfers/test_push_policies.py"],
    "pipelines/delivery_log.py": [
        "integration/pipelines/test_delivery_log.py",
        "integration/operators/test_void.py",
    ],
    "pipelines/pull/pipeline.py": [
        "integration/transfers/test_pull_resources.py",
        "integration/transfers/test_pull_slices.py",
    ],
    "pipelines/pull/scans.py": ["unit/test_scans.py", "integration/transfers/test_pull_slices.py"],
    "warehouse/staging.py": [
        "integration/warehouse/test_staging.py",
        "integration/transfers/test_pull_table.py",
    ],
    "warehouse/upsert.py": [
        "integration/warehouse/test_staging.py",
        "integration/pipelines/test_delivery_log.py",
    ],
    "pipelines/reconcile/comparison.py": ["integration/operators/test_reconcile.py"],
}
#: Integration tests that are parametrized by the database run on SQLite only.
SQLITE_ONLY = "not postgres and not psycopg2 and not duckdb and not mysql"
NOT_COPIED = (".git", ".venv", ".cache", ".demo*", ".*_cache", ".hypothesis", "dist", "__pycache__")


async def run_tests(copy: Path, tests: list[str], timeout: float, seed: int) -> tuple[str, str, float]:
    """Run tests in a copy; give ``passed``, ``failed`` or ``timeout``, the output and the seconds."""
    # With a seed, Hypothesis does not replay failures of earlier mutants.
    options = ["-x", "-q", "-p", "no:cacheprovider", f"--hypothesis-seed={seed}"]
    options += ["-k", SQLITE_ONLY] * any(test.startswith("integration/") for test in tests)
    env = os.environ | {"PYTHONPATH": str(copy), "TMPDIR": str(copy / ".tmp")}
    started = time.monotonic()
    with tempfile.TemporaryFile() as out:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pytest", *options),
            *(f"tests/{test}" for test in tests),
            cwd=copy,
            env=env,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
        try:
            await asyncio.wait_for(process.wait(), timeout)
        except TimeoutError:
            process.terminate()  # then the tests stop what they started
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), 10)
            return "timeout", "", round(time.monotonic() - started, 1)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        out.seek(0)
        output = out.read().decode(errors="replace")
    return "failed" if process.returncode else "passed", output, round(time.monotonic() - started, 1)


def write_module(path: Path, text: str) -> None:
    """Write a module and delete its bytecode: Python compares only size and time in seconds."""
    path.write_text(text)
    Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)


async def run_row(copy: Path, module: str, options: argparse.Namespace) -> dict[str, Any]:
    """Run the tests of a module without a fault, then with each of its mutants."""
    tests, path = TARGETS[module], copy / PACKAGE / module
    row: dict[str, Any] = {"module": module, "tests": tests, "error": None, "seconds": 0, "mutants": []}
    files = [f"{PACKAGE}/{module}", *(f"tests/{test}" for test in tests)]
    if missing := [file for file in files if not (copy / file).is_file()]:
        return row | {"error": f"no such file: {', '.join(missing)}"}
    original = path.read_text()
    tree = ast.parse(original)
    write_module(path, ast.unparse(tree))  # as the mutants are written
    try:
        result, output, row["seconds"] = await run_tests(copy, tests, options.timeout, options.seed)
        if result != "passed":
            last = "\n".join(output.splitlines()[-15:])
            return row | {"error": f"the tests without a mutation: {result}\n{textwrap.indent(last, '    ')}"}
        for mutant in find_mutants(tree, options.seed)[: options.per_module]:
            write_module(path, mutant.source(tree))
            result, output, seconds = await run_tests(copy, tests, 30 + 4 * row["seconds"], options.seed)
            by = re.search(r"^(?:FAILED|ERROR) (.*?)(?: - |$)", output, re.MULTILINE)
            killed = result != "passed"
            outcome = {
                "killed": killed,
                "by": (by[1] if by else result) if killed else None,
                "seconds": seconds,
            }
            row["mutants"].append(mutant.facts | outcome)
            before, after = (textwrap.shorten(mutant.facts[name], 70) for name in ("before", "after"))
            where = f"{PACKAGE}/{module}:{mutant.facts['line']} {mutant.facts['mutator']}"
            print(f"{'killed' if killed else 'SURVIVED':<8}  {where}: {before} -> {after}", flush=True)
    finally:
        write_module(path, original)
    return row


async def run_rows(modules: list[str], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Run the rows of these modules, as many at a time as there are copies of the checkout."""
    with tempfile.TemporaryDirectory(prefix="mut", ignore_cleanup_errors=True) as folder:
        copies: asyncio.Queue[Path] = asyncio.Queue()
        for number in range(options.j):
            copy, ignore = Path(folder, str(number)), shutil.ignore_patterns(*NOT_COPIED)
            shutil.copytree(ROOT, copy, ignore=ignore)
            if options.tests_from:
                shutil.rmtree(copy / "tests")
                shutil.copytree(options.tests_from / "tests", copy / "tests", ignore=ignore)
            (copy / ".tmp").mkdir()
            copies.put_nowait(copy)

        async def run_in_copy(module: str) -> dict[str, Any]:
            copy = await copies.get()
            row = await run_row(copy, module, options)
            copies.put_nowait(copy)
            if row["error"]:
                print(f"ERROR     {PACKAGE}/{module}: {row['error']}", flush=True)
            return row

        return await asyncio.gather(*map(run_in_copy, modules))


def main() -> int:
    """Run the script; the exit code is 1 if a row could not be run, and 0 even if mutants survived."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--per-module", type=int, default=4, help="mutants of each module")
    parser.add_argument("--seed", type=int, default=1, help="another seed chooses other mutants")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="modules, like 'push/*'")
    parser.add_argument(
        "--tests-from", type=Path, metavar="DIR", help="a checkout whose tests/ are run instead"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the results")
    parser.add_argument(
        "--timeout", type=float, default=900, help="seconds for a row's tests without a mutation"
    )
    parser.add_argument("-j", type=int, default=1, help="processes at a time")
    options = parser.parse_args()
    modules = [module for module in TARGETS if fnmatch(module, f"*{options.only}*")]
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the tests and deletes the copies
    rows = asyncio.run(run_rows(modules, options))
    total = Counter(mutant["killed"] for row in rows for mutant in row["mutants"])
    print(f"\n{'module':<40} {'killed':>6} {'of':>4}  seconds of a run")
    for row in rows:
        killed = sum(mutant["killed"] for mutant in row["mutants"])
        seconds = "error" if row["error"] else f"{row['seconds']:.1f}"
        print(f"{row['module']:<40} {killed:>6} {len(row['mutants']):>4}  {seconds}")
    print(f"{'total':<40} {total[True]:>6} {total.total():>4}")
    if options.json:
        results = {"seed": options.seed, "killed": total[True], "mutants": total.total(), "modules": rows}
        options.json.write_text(json.dumps(results, indent=2) + "\n")
    return int(any(row["error"] for row in rows) or not rows)


if __name__ == "__main__":
    sys.exit(main())
