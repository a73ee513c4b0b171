"""``make demo``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa

from dev.demo.compare import Comparison, compare
from dev.demo.runs import MARK
from dev.demo.sandbox import ask, connection, sandbox, stop
from dev.demo.terminal import CHECKOUT, print_table, run, say, shown
from dev.demo.warehouse import MONTH, ROWS, make_warehouse

FIRST_DAY, DAYS = MONTH, 7
#: Requests a minute that the demo's account allows; the documented 200 a second would make it wait.
LIMITS = {"usage_events_per_minute": 600_000, "requests_per_minute": 600_000}


def main(home: Path) -> int:
    """Run the example DAG for each day of a week; return 0 if nothing differs, 1 if anything does."""
    warehouse = home / "warehouse.db"
    make_warehouse(warehouse)
    engine = sa.create_engine(f"sqlite:///{warehouse}")
    say(f"warehouse of {ROWS:,} rows of usage: {shown(warehouse)}")
    with sandbox(home, **LIMITS) as api:
        before = ask(api, "summary")
        say(f"sandbox of the API: {api}, holds {before['distinct_events']:,} events")
        say(f"starting Airflow; its log: {shown(home / 'airflow.log')}")
        sent, days = before["applied"], 0
        for progress in _airflow_runs(home, api, warehouse):
            if progress == "ready":
                say("Airflow is ready")
                continue
            days += 1
            summary = ask(api, "summary")
            day = FIRST_DAY.replace(day=FIRST_DAY.day + days - 1)
            so_far = compare(engine, day, 1)
            say(
                f"run {day:%Y-%m-%d}: {progress}, {so_far.rows} rows, {summary['applied'] - sent} sent, "
                f"{so_far.rejected.total()} rejected, {so_far.staged} staged"
            )
            sent = summary["applied"]
        after = ask(api, "summary")
    comparison = compare(engine, FIRST_DAY, DAYS)
    if days < DAYS:
        comparison.differences.append(
            f"{DAYS - days} DAG runs are missing; see {shown(home / 'airflow.log')}"
        )
    _print_table(
        comparison, after["applied"] - before["applied"], after["applied"] - after["distinct_events"]
    )
    if comparison.differences:
        return 1
    _print_next(warehouse)
    return 0


def _print_table(result: Comparison, sent: int, twice: int) -> None:
    lines = [
        ("rows in the warehouse", result.rows),
        ("sent to Sequence by this demo", sent),
        ("sent to Sequence twice, ever", twice),
        *result.lines(),
        ("staged", result.staged),
        ("differences", len(result.differences)),
    ]
    print_table(f"Usage of {FIRST_DAY:%Y-%m-%d} and the {DAYS - 1} days after it", lines, result.differences)


def _print_next(warehouse: Path) -> None:
    lines = {
        "make demo": "once more: nothing is sent twice",
        shown(warehouse.with_name("airflow.log")): "what Airflow logged of each task",
        shown(warehouse): "sequence_delivery_log, sequence_runs, and more tables",
        "example_dags": "this DAG is in example_sequence_daily_usage.py",
        "docs/connection.md": "your own account and warehouse",
        "docs/push.md": "all that a push can do",
    }
    print("\nWhat next")
    for what, meaning in lines.items():
        print(f"  {what:<20}  {meaning}")


def _airflow_runs(home: Path, api: str, warehouse: Path) -> Iterator[str]:
    """Run the DAG in a process of its own; give what it says of its progress."""
    environment = os.environ | {
        "AIRFLOW_HOME": str(home / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(CHECKOUT / "example_dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW_CONN_SEQUENCE_DEFAULT": connection(api, **LIMITS),
        "AIRFLOW_CONN_WAREHOUSE": json.dumps({"conn_type": "sqlite", "host": str(warehouse)}),
    }
    command = [sys.executable, "-m", "dev.demo.runs", FIRST_DAY.isoformat(), str(DAYS)]
    with (
        (home / "airflow.log").open("w") as log,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=CHECKOUT,
            env=environment,
        ) as process,
    ):
        try:
            for line in process.stdout or ():
                log.write(line)
                if line.startswith(MARK):
                    yield line.removeprefix(MARK).strip()
        finally:
            stop(process)


if __name__ == "__main__":
    run(main, ".demo")
