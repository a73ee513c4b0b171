"""``make demo-ui``: the page of deliveries in a real Airflow, over a month that its tasks delivered to the sandbox."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from dev.demo.airflow_processes import AirflowProcesses
from dev.demo.postgres import create_database, postgres, postgres_connection
from dev.demo.sandbox import connection, sandbox
from dev.demo.terminal import run, say, shown
from dev.demo.warehouse import DAYS, make_postgres_warehouse

DAGS = Path(__file__).with_name("dags") / "demo_deliveries.py"
PUSH, RECONCILE = "usage_push", "usage_reconcile"
#: Who may log in; who may see rows, and trigger DAGs, is the last.
ROLES = ("viewer", "op")
TABLES = {
    "delivery_log_table": "sequence_delivery_log",
    "runs_table": "sequence_runs",
    "differences_table": "sequence_differences",
}
ROWS, SLOTS = 5_000, 3
LIMITS = {"usage_events_per_minute": 600_000, "requests_per_minute": 600_000}

#: Days ago: one whose first push fails, one with rows that Sequence refuses, and one that is corrected after its check.
FAILS, REFUSED, CORRECTED = 5, 3, 4
#: Days ago that nobody compares with Sequence.
UNCHECKED = frozenset({2, 6})
_DAY = dt.timedelta(days=1)
#: Seconds between two looks at the runs, and after which they are given up.
_EVERY, _PATIENCE = 2, 20 * 60


def main(home: Path) -> int:
    """Deliver a month up to yesterday, and show the page until Ctrl-C."""
    say(f"starting Airflow; its logs: {shown(home / 'airflow')}")
    with sandbox_anew(home) as api, delivered(home, api, DAYS) as airflow:
        say("the page, in the navigation under Browse, Sequence deliveries:")
        say(f"  {airflow.url}/plugin/sequence-deliveries")
        say("log in as op, password op, who may see rows;")
        say("or as viewer, password viewer, who may not. Ctrl-C ends it.")
        while True:
            airflow.check()
            time.sleep(_EVERY)


@contextmanager
def sandbox_anew(home: Path) -> Iterator[str]:
    """Start a sandbox that holds nothing; give its address."""
    for file in home.glob("sequence.db*"):
        file.unlink()
    with sandbox(home, **LIMITS) as api:
        yield api


@contextmanager
def delivered(home: Path, api: str, days: int) -> Iterator[AirflowProcesses]:
    """Run an Airflow on a new warehouse, whose tasks have delivered the days up to yesterday; some runs went wrong."""
    today = dt.datetime.combine(dt.datetime.now(dt.UTC).date(), dt.time.min, dt.UTC)
    with postgres(home) as server:
        url = create_database(server, "warehouse", anew=True)
        warehouse = sa.create_engine(url)
        make_postgres_warehouse(warehouse, today - DAYS * _DAY, ROWS, bad_rows=False)
        airflow = AirflowProcesses(
            home / "airflow",
            create_database(server, "airflow", anew=True),
            DAGS,
            slots=SLOTS,
            roles=ROLES,
            environment={
                "AIRFLOW__SEQUENCE__DELIVERIES": json.dumps({"demo": {"conn_id": "warehouse", **TABLES}}),
                "AIRFLOW_CONN_WAREHOUSE": postgres_connection(url),
                "AIRFLOW_CONN_SEQUENCE_DEFAULT": connection(api, **LIMITS),
            },
        )
        with airflow:
            _deliver(airflow, warehouse, today, days)
            yield airflow
        warehouse.dispose()


def _deliver(airflow: AirflowProcesses, warehouse: sa.Engine, today: dt.datetime, days: int) -> None:
    """Push and compare each day."""

    def change(ago: int, rows: int, what: str) -> None:
        start = today - ago * _DAY
        with warehouse.begin() as connection:
            connection.execute(
                sa.text(
                    f"UPDATE usage SET {what} WHERE usage_id IN (SELECT usage_id FROM usage"
                    " WHERE used_at >= :start AND used_at < :end ORDER BY usage_id LIMIT :rows)"
                ),
                {"start": start, "end": start + _DAY, "rows": rows},
            )

    def trigger(dag_id: str, ago: int, again: dt.timedelta = dt.timedelta(0)) -> None:
        start = today - ago * _DAY
        airflow.trigger(dag_id, start.isoformat(), (start + _DAY).isoformat(), (start + again).isoformat())

    say(f"its tasks push and compare {days} days of usage, up to yesterday")
    change(FAILS, 30, "customer = NULL")
    change(REFUSED, 3, f"customer = '{'acme' * 100}'")
    for ago in range(days, 0, -1):
        trigger(PUSH, ago)
    airflow.unpause(PUSH)
    _wait(airflow, PUSH)
    change(FAILS, 25, "customer = 'acme'")
    trigger(PUSH, FAILS, again=_DAY / 24)
    for ago in sorted(set(range(days, 0, -1)) - UNCHECKED):
        trigger(RECONCILE, ago)
    _wait(airflow, PUSH)
    airflow.unpause(RECONCILE)
    _wait(airflow, RECONCILE)
    change(CORRECTED, 20, "note = 'corrected'")
    trigger(PUSH, CORRECTED, again=_DAY / 24)
    _wait(airflow, PUSH)


def _wait(airflow: AirflowProcesses, dag_id: str) -> None:
    """
    Wait until all runs of a DAG have ended.

    :raises SystemExit: if they don't.
    """
    until, said = time.monotonic() + _PATIENCE, 0
    while True:
        states = airflow.states(dag_id)
        ended = sum(state in {"success", "failed"} for state in states)
        if ended == len(states) or ended >= said + 10:
            said = ended
            say(f"{dag_id}: {ended} of {len(states)} runs have ended")
        if ended == len(states):
            return
        if time.monotonic() > until:
            raise SystemExit(f"The runs of {dag_id} have not ended within {_PATIENCE // 60} minutes")
        time.sleep(_EVERY)


if __name__ == "__main__":
    run(main, ".demo-ui", stopped="Stopped.")
