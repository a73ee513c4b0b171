"""Delivers the days up to yesterday by real DAG runs, some of which go wrong; a process of its own, whose output is Airflow's."""

from __future__ import annotations

import datetime as dt
import functools
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from dev.demo.runs import MARK, load_dags

DAGS = Path(__file__).with_name("dags") / "demo_deliveries.py"

#: Days ago: one whose first run fails, one with rows that Sequence refuses, and one that is corrected after its check.
FAILS, REFUSED, CORRECTED = 5, 3, 4
#: Days ago that nobody compares with Sequence.
UNCHECKED = frozenset({1, 6})
_DAY = dt.timedelta(days=1)


def main(warehouse: Path, days: int) -> int:
    """
    Push and compare each day, the oldest first.

    :param warehouse: the SQLite database with the table of usage.
    :param days: how many days.
    """
    from airflow.sdk.execution_time import supervisor

    # What a task talks to: one for all of them, as to make it takes seconds.
    supervisor.in_process_api_server = functools.cache(supervisor.in_process_api_server)
    dags = load_dags(DAGS)
    push, reconcile = dags["usage_push"], dags["usage_reconcile"]
    today = dt.datetime.combine(dt.datetime.now(dt.UTC).date(), dt.time.min, dt.UTC)
    print(f"{MARK}ready", flush=True)
    for ago in range(days, 0, -1):
        # A run that is started by hand works on the last data interval that is complete at its logical date.
        end = today - (ago - 1) * _DAY
        if ago == FAILS:
            _change(warehouse, end, 30, "customer = NULL")
            push.test(logical_date=end)
            _change(warehouse, end, 25, "customer = 'acme'")
        if ago == REFUSED:
            _change(warehouse, end, 3, f"customer = '{'acme' * 100}'")
        push.test(logical_date=end + _DAY / 24)
        if ago not in UNCHECKED:
            reconcile.test(logical_date=end + _DAY / 12)
        if ago == CORRECTED:
            _change(warehouse, end, 20, "note = 'corrected'")
            push.test(logical_date=end + _DAY / 2)
        print(f"{MARK}{end - _DAY:%Y-%m-%d}", flush=True)
    return 0


def _change(warehouse: Path, end: dt.datetime, rows: int, change: str) -> None:
    """Change the first rows of a day."""
    with closing(sqlite3.connect(warehouse)) as connection, connection:
        connection.execute(
            f"UPDATE usage SET {change} WHERE usage_id IN (SELECT usage_id FROM usage"
            " WHERE used_at >= ? AND used_at < ? ORDER BY usage_id LIMIT ?)",
            ((end - _DAY).isoformat(), end.isoformat(), rows),
        )


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
