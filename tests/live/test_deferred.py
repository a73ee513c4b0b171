"""Sensors that wait in the triggerer, and in the next one when that is killed."""

from __future__ import annotations

import datetime as dt
import signal
import time

import pytest

from tests.live.support.airflow import COMPONENTS, Airflow
from tests.live.support.events import send, usage
from tests.support.server import Server

DAY = dt.datetime(2026, 4, 7, tzinfo=dt.UTC)
NOON = dt.datetime(2026, 4, 7, 12, tzinfo=dt.UTC)
END = dt.datetime(2026, 4, 8, tzinfo=dt.UTC)


def looks(server: Server) -> int:
    """How many requests have arrived."""
    return int(server.summary()["requests"])


def noticed(airflow: Airflow, run_id: str) -> int:
    """
    How many deferred tasks the scheduler has been told of that their workers have ended.

    A trigger that fires before that, and the task is queued again, makes Airflow 3.3.2 fail the task: "Executor reported
    that the task instance finished with state success, but the task instance's state attribute is queued".
    """
    lines = (airflow.home / "scheduler.log").read_text(errors="replace").splitlines()
    return sum(
        "TaskInstance Finished" in line and run_id in line and "state=deferred" in line for line in lines
    )


@pytest.mark.parametrize("triggerer", ["lives", "is killed"])
def test_each_sensor_is_deferred_until_it_may_go_on(
    airflow: Airflow, sandbox: Server, triggerer: str
) -> None:
    sandbox.add("customers", [{"id": "c-1", "legalName": "Acme", "aliases": ["acme"]}])
    metric = {
        "name": "Quantity",
        "eventType": "api-call",
        "aggregationType": "SUM",
        "aggregationProperty": "quantity",
    }
    metric_id = "0184421e-a9cc-711b-af93-bf0511d4d833"
    sandbox.add("usage-metrics", [metric | {"id": metric_id}])
    # Of these, only those within the day count; the one without a customer holds up the third sensor.
    send(
        sandbox,
        [usage("before", DAY - dt.timedelta(seconds=1), quantity=100), usage("after", END, quantity=100)],
    )
    send(sandbox, [usage("nobody's", NOON, alias="nobody")])

    run_id = airflow.trigger(
        "waits", start=DAY.isoformat(), end=END.isoformat(), count=4, metric_id=metric_id, value="12"
    )
    deferred = dict.fromkeys(("events", "metric", "unmapped"), "deferred")
    airflow.eventually("all are deferred", lambda: airflow.states("waits", run_id) == deferred)
    airflow.eventually(
        "the scheduler knows that their workers have ended", lambda: noticed(airflow, run_id) == 3
    )
    begun = looks(sandbox)
    airflow.eventually("the triggerer looks", lambda: looks(sandbox) > begun + 6)

    started = time.monotonic()
    if triggerer == "is killed":
        airflow.end("triggerer", signal.SIGKILL)
    send(sandbox, [usage(f"u-{n}", NOON + dt.timedelta(seconds=n), quantity=4) for n in range(3)])
    sandbox.add("customers", [{"id": "c-2", "legalName": "Nobody", "aliases": ["nobody"]}])
    if triggerer == "is killed":
        time.sleep(2)
        assert airflow.states("waits", run_id) == deferred
        airflow.start("triggerer", *COMPONENTS["triggerer"])

    airflow.wait_for_run("waits", run_id)
    print(f"\nthe triggerer {triggerer}: {time.monotonic() - started:.1f} s from the events to the end")
    assert {task: airflow.xcom("waits", run_id, task) for task in deferred} == {
        "events": {"count": 4},
        "metric": {"event_count": 3, "value": "12"},
        "unmapped": {"count": 0, "aliases": 0},
    }
    tries = airflow.get(f"/dags/waits/dagRuns/{run_id}/taskInstances")["task_instances"]
    assert [each["try_number"] for each in tries] == [1, 1, 1]
