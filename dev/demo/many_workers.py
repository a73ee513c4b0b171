"""
``make demo-celery``: the example DAG of a month, on a CeleryExecutor with two workers.

What the warehouse and Sequence hold stays for the next time; Airflow starts anew.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from dev.demo.celery_workers import CeleryAirflow, find_redis
from dev.demo.compare import compare, compare_with_sequence
from dev.demo.postgres import create_database, postgres, postgres_connection
from dev.demo.sandbox import ask, connection, sandbox
from dev.demo.terminal import CHECKOUT, print_table, run, say, shown
from dev.demo.warehouse import DAYS, MONTH, make_postgres_warehouse

DAG_ID = "sequence_month_on_many_workers"
START, END = "2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z"
WORKERS, SLOTS = ("worker-1", "worker-2"), 2
#: What the account allows. Each task's connection has all of it; no task knows of another.
LIMITS = {"usage_events_per_minute": 6_000, "requests_per_minute": 1_500}
#: Seconds after which a run that has not ended is given up, and between two lines that tell how far it has come.
PATIENCE, EVERY = 20 * 60, 15


def main(home: Path) -> int:
    """Push and pull a month on two Celery workers; return 0 if nothing differs, 1 if anything does."""
    say(f"broker: {find_redis()}")
    with postgres(home) as server:
        warehouse = create_database(server, "warehouse")
        engine = sa.create_engine(warehouse)
        rows = make_postgres_warehouse(engine)
        say(f"warehouse of {rows:,} rows of usage: PostgreSQL in {shown(home / 'postgres')}")
        with sandbox(home, **LIMITS) as api:
            before = ask(api, "summary")
            say(f"sandbox of the API: {api}, holds {before['distinct_events']:,} events")
            say(f"starting Airflow with {len(WORKERS)} workers; its logs: {shown(home / 'airflow')}")
            airflow = CeleryAirflow(
                home / "airflow",
                create_database(server, "airflow", anew=True),
                CHECKOUT / "example_dags" / "example_sequence_month_on_many_workers.py",
                workers=WORKERS,
                slots=SLOTS,
                environment={
                    "AIRFLOW_CONN_SEQUENCE_DEFAULT": connection(api, **LIMITS),
                    "AIRFLOW_CONN_WAREHOUSE": postgres_connection(warehouse),
                },
            )
            with airflow:
                say("Airflow is ready")
                run_id = airflow.trigger(DAG_ID, START, END)
                airflow.unpause(DAG_ID)
                pace = Pace()
                state = _wait(airflow, run_id, api, pace)
                tasks = airflow.tasks(DAG_ID, run_id)
            after = ask(api, "summary")
            result = compare(engine, MONTH, DAYS)
            result.differences += compare_with_sequence(engine, _ledger(api))
        engine.dispose()
    if state != "success":
        failed = sorted({task["task_id"] for task in tasks if task["state"] != "success"})
        result.differences.append(f"the run's state is {state}, for {', '.join(failed)}; see its logs")
    lines = [
        ("rows in the warehouse", result.rows),
        ("sent to Sequence by this demo", after["applied"] - before["applied"]),
        ("sent to Sequence twice, ever", after["applied"] - after["distinct_events"]),
        *result.lines(),
        ("staged", result.staged),
        ("differences between warehouse, Sequence and staging table", len(result.differences)),
        (
            "posts a minute that the account and each task's connection allow",
            LIMITS["usage_events_per_minute"],
        ),
        ("    that were accepted in the busiest minute", pace.busiest_minute()),
        ("    that were accepted on average, from the first to the last", pace.average()),
        ("posts that were answered with 429", after["throttled"]),
        ("    of all", f"{after['throttled'] / max(after['posts_received'], 1):.1%}"),
        *((f"tasks on {name}", count) for name, count in sorted(_hosts(tasks).items())),
    ]
    print_table(f"Usage of {MONTH:%B %Y}, on {len(WORKERS)} workers", lines, result.differences)
    return 1 if result.differences else 0


class Pace:
    """How fast posts were accepted: looks at their number, and when."""

    def __init__(self) -> None:
        self._looks: list[tuple[float, int]] = []

    def look(self, accepted: int) -> None:
        self._looks.append((time.monotonic(), accepted))

    def busiest_minute(self) -> int:
        """The most posts between two looks that are a minute apart at the most."""
        return max(
            (
                later - sooner
                for at, sooner in self._looks
                for then, later in self._looks
                if 0 <= then - at <= 60
            ),
            default=0,
        )

    def average(self) -> int:
        """Posts a minute, from the look before the first to that after the last."""
        rising = [
            (before, after)
            for before, after in zip(self._looks, self._looks[1:], strict=False)
            if after[1] > before[1]
        ]
        if not rising:
            return 0
        (first, _), (_, last) = rising[0], rising[-1]
        return round((last[1] - first[1]) / (last[0] - first[0]) * 60)


def _wait(airflow: CeleryAirflow, run_id: str, api: str, pace: Pace) -> str:
    """Wait for the end of the run, and tell how far it has come; return its state."""
    until, next_line = time.monotonic() + PATIENCE, time.monotonic()
    while True:
        state = airflow.state(DAG_ID, run_id)
        summary = ask(api, "summary")
        pace.look(summary["applied"])
        ended = state in {"success", "failed"}
        if ended or time.monotonic() > next_line:
            next_line = time.monotonic() + EVERY
            done = Counter(
                task["task_id"] for task in airflow.tasks(DAG_ID, run_id) if task["state"] == "success"
            )
            counts = ", ".join(f"{count} {name}" for name, count in done.items()) or "none"
            say(
                f"DAG run {state}; tasks done: {counts}; Sequence holds {summary['distinct_events']:,} events"
            )
        if ended:
            return state
        if time.monotonic() > until:
            return f"{state} after {PATIENCE // 60} minutes"
        time.sleep(1)


def _hosts(tasks: list[dict[str, Any]]) -> Counter[str]:
    return Counter(task["hostname"] for task in tasks if task["hostname"])


def _ledger(api: str) -> Iterator[dict[str, Any]]:
    """All events that Sequence holds, in the order of their arrival."""
    last = 0
    while items := ask(api, f"ledger?after_seq={last}&limit=5000")["items"]:
        yield from items
        last = items[-1]["seq"]


if __name__ == "__main__":
    run(main, ".demo-celery")
