"""The example that asks a person: who is asked, and what becomes of the answer."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.integration.examples.test_dags import load_example
from tests.integration.support.airflow import AIRFLOW_VERSION

DAY = dt.datetime(2026, 10, 5, tzinfo=dt.UTC)
CAN_ASK = AIRFLOW_VERSION >= (3, 1)
#: The triggerer asks since 3.1, and ``dag.test()`` since 3.3.
CAN_ASK_IN_A_TEST = AIRFLOW_VERSION >= (3, 3)


@contextmanager
def person(choice: str, dag_id: str, asked: list[str]) -> Iterator[None]:
    """Somebody who answers through Airflow's API, as soon as there is a question."""
    from airflow.api_fastapi.app import create_app
    from fastapi.testclient import TestClient

    client = TestClient(create_app(apps="core"))
    token = client.get("/auth/token").json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    gone = threading.Event()

    def answer() -> None:
        while not gone.wait(0.5):
            questions = client.get(
                f"/api/v2/dags/{dag_id}/dagRuns/~/hitlDetails",
                headers=headers,
                params={"response_received": False},
            ).json()["hitl_details"]
            for question in questions:
                instance = question["task_instance"]
                asked.append(question["subject"])
                path = f"/api/v2/dags/{dag_id}/dagRuns/{instance['dag_run_id']}/taskInstances/approve/-1/hitlDetails"
                done = client.patch(path, headers=headers, json={"chosen_options": [choice]})
                assert done.status_code == 200, done.text

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    try:
        yield
    finally:
        gone.set()
        thread.join(10)


def test_many_corrections_wait_for_a_person(run_dag, sandbox, sequence_conn, warehouse, monkeypatch):
    if not CAN_ASK:
        with pytest.raises(AttributeError, match="has no attribute 'dag'"):
            load_example("approved_corrections")
        return
    monkeypatch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "s" * 64)
    monkeypatch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS", "True")
    warehouse.execute(
        "CREATE TABLE usage (usage_id TEXT, customer TEXT, kind TEXT, used_at TEXT, quantity INTEGER)"
    )
    rows = [{"id": f"u{n}", "at": (DAY + dt.timedelta(hours=n)).isoformat()} for n in range(3)]
    warehouse.execute("INSERT INTO usage VALUES (:id, 'acme', 'api-call', :at, 1)", *rows)
    dag = load_example("approved_corrections")
    asked: list[str] = []

    def run(choice: str) -> Any:
        with person(choice, dag.dag_id, asked):
            return run_dag(dag, DAY + dt.timedelta(days=1), conf={"max_corrected": 2})

    result = run("Reject")  # nobody asks, as nothing is corrected
    assert (result.states["approve"], result.xcoms["push"]["delivered"], asked) == ("skipped", 3, []), (
        result.errors
    )
    if not CAN_ASK_IN_A_TEST:
        return
    warehouse.execute("UPDATE usage SET quantity = 2")
    result = run("Reject")
    assert (result.state, result.states["approve"], result.states["push"]) == (
        "success",
        "success",
        "skipped",
    )
    assert asked == ["Correct 3 events in Sequence?"]
    assert sandbox.summary()["applied"] == 3
    result = run("Approve")
    assert (result.states["push"], result.xcoms["push"]["corrected"]) == ("success", 3), result.errors
    assert len(asked) == 2
