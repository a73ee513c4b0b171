"""``make demo``."""

from __future__ import annotations

import argparse
import json
import os
import random
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from example_dags.demo.compare import Comparison, compare
from example_dags.demo.runs import MARK
from example_dags.demo.warehouse import MONTH, ROWS, make_warehouse

CHECKOUT = Path(__file__).parents[2]
FIRST_DAY, DAYS = MONTH, 7
#: Requests a minute that the demo's account allows; the documented 200 a second would make it wait.
ACCOUNT_LIMIT = 600_000


def main() -> int:
    """Run the demo; return 0 if nothing differs, 1 if anything does."""
    parser = argparse.ArgumentParser(prog="python -m example_dags.demo", description=main.__doc__)
    parser.add_argument(
        "--home", type=Path, default=CHECKOUT / ".demo", help="what the demo makes is kept here"
    )
    home = parser.parse_args().home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - started:6.1f} s  {text}", flush=True)

    warehouse = home / "warehouse.db"
    make_warehouse(warehouse)
    say(f"warehouse of {ROWS:,} rows of usage: {_shown(warehouse)}")
    with _sandbox(home) as api:
        before = _summary(api)
        say(f"sandbox of the API: {api}, holds {before['distinct_events']:,} events")
        say(f"starting Airflow; its log: {_shown(home / 'airflow.log')}")
        sent, days = before["applied"], 0
        for progress in _airflow_runs(home, api, warehouse):
            if progress == "ready":
                say("Airflow is ready")
                continue
            days += 1
            summary = _summary(api)
            day = FIRST_DAY.replace(day=FIRST_DAY.day + days - 1)
            so_far = compare(warehouse, day, 1)
            say(
                f"DAG run {day:%Y-%m-%d}: {progress}, {so_far.rows} rows, {summary['applied'] - sent} sent, "
                f"{so_far.rejected.total()} rejected, {so_far.staged} staged"
            )
            sent = summary["applied"]
        after = _summary(api)
    comparison = compare(warehouse, FIRST_DAY, DAYS)
    if days < DAYS:
        comparison.differences.append(
            f"{DAYS - days} DAG runs are missing; see {_shown(home / 'airflow.log')}"
        )
    _print_table(
        comparison, after["applied"] - before["applied"], after["applied"] - after["distinct_events"]
    )
    return 1 if comparison.differences else 0


def _print_table(result: Comparison, sent: int, twice: int) -> None:
    print(f"\nUsage of {FIRST_DAY:%Y-%m-%d} and the {DAYS - 1} days after it")
    lines = [
        ("rows in the warehouse", result.rows),
        ("sent to Sequence by this demo", sent),
        ("sent to Sequence twice, ever", twice),
        ("delivered", result.delivered),
        ("rejected", result.rejected.total()),
        *((f"    {reason}", count) for reason, count in result.rejected.most_common()),
        ("staged", result.staged),
        ("differences", len(result.differences)),
    ]
    width = max(len(label) for label, _ in lines)
    for label, count in lines:
        print(f"  {label:<{width}}  {count:>8,}")
    for difference in result.differences[:10]:
        print(f"  ! {difference}")


@contextmanager
def _sandbox(home: Path) -> Iterator[str]:
    """Start the sandbox on a free port, on what it held before; give its address, and stop it in the end."""
    command = [sys.executable, "-m", "airflow_provider_sequence.sandbox", f"--port={_port(home)}"]
    command += [f"--database={home / 'sequence.db'}"]
    command += [f"--usage-events-per-minute={ACCOUNT_LIMIT}", f"--requests-per-minute={ACCOUNT_LIMIT}"]
    with (
        (home / "sandbox.log").open("wb") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=CHECKOUT) as process,
    ):
        try:
            ready = process.stdout.readline() if process.stdout else ""
            if not ready:
                raise SystemExit(f"The sandbox did not start; see {_shown(home / 'sandbox.log')}")
            yield ready.split()[-1]
        finally:
            _stop(process)


def _port(home: Path) -> int:
    """
    Find the port of this home: a free one at first, and the same ever after.

    An account is known by its address and its client id; at another address the sandbox would be another account,
    to which nothing has been delivered yet.
    """
    kept = home / "port"
    if not kept.exists():
        # Below the ports that the system gives to outgoing connections, so that it is still free next time.
        for port in random.sample(range(20_000, 32_000), 100):
            with socket.socket() as candidate:
                if candidate.connect_ex(("127.0.0.1", port)) != 0:
                    kept.write_text(str(port))
                    break
    return int(kept.read_text())


def _airflow_runs(home: Path, api: str, warehouse: Path) -> Iterator[str]:
    """Run the DAG in a process of its own; give what it says of its progress."""
    limits = {"usage_events_per_minute": ACCOUNT_LIMIT, "requests_per_minute": ACCOUNT_LIMIT}
    sequence = {"conn_type": "sequence", "host": api, "login": "key", "password": "secret", "extra": limits}
    environment = os.environ | {
        "AIRFLOW_HOME": str(home / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(CHECKOUT / "example_dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW_CONN_SEQUENCE_DEFAULT": json.dumps(sequence),
        "AIRFLOW_CONN_WAREHOUSE": json.dumps({"conn_type": "sqlite", "host": str(warehouse)}),
    }
    command = [sys.executable, "-m", "example_dags.demo.runs", FIRST_DAY.isoformat(), str(DAYS)]
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
            _stop(process)


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _summary(api: str) -> dict[str, Any]:
    with urllib.request.urlopen(api.removesuffix("/api") + "/_sandbox/summary", timeout=30) as answer:
        summary: dict[str, Any] = json.load(answer)
    return summary


def _shown(path: Path) -> str:
    return os.path.relpath(path)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nStopped. Run it again: it goes on where it was.")
        sys.exit(130)
