"""Metrics of tasks, as they arrive at a StatsD server."""

from __future__ import annotations

from typing import Any

from airflow_provider_sequence.operators.sequence import (
    SequenceCreateCustomerAliasesOperator,
    SequenceCreateSeatEventOperator,
)
from tests.integration.support.airflow import interval_dag
from tests.integration.transfers.test_push_and_pull import (
    END,
    START,
    ImpatientPush,
    make_usage,
    one_task,
    over_the_day,
    pull,
    push,
)


def push_then_pull() -> Any:
    with interval_dag(START, END) as dag:
        push(max_rejected=5) >> pull()
    return dag


def test_push_and_pull_are_counted(airflow_process, sandbox, sequence_conn, warehouse):
    make_usage(warehouse, over_the_day(10))
    warehouse.execute("UPDATE usage SET customer_alias = NULL WHERE number = 3")
    warehouse.execute("UPDATE usage SET customer_alias = :long WHERE number = 4", {"long": "x" * 300})
    assert airflow_process.run(push_then_pull, END.isoformat()) == "success"

    assert airflow_process.stats.counts() == {
        ("delivered", "usage_events", 8): 1,
        ("rejected", "usage_events", 2): 1,
        ("requests", "usage_events", 9): 1,
        ("requests", "usage_events", 1): 1,  # the pull's
    }


def impatient_push() -> Any:
    return one_task(push, kind=ImpatientPush, concurrency=1)


def test_run_that_fails_is_counted_too(airflow_process, sandbox, sequence_conn, warehouse):
    """Sequence is unavailable after one answer with 429 and three events."""
    make_usage(warehouse, over_the_day(10))
    sandbox.fault(kind="status", status=429, headers={"Retry-After": "0"}, times=1)
    sandbox.fault(kind="status", status=503, after_n=3)
    assert airflow_process.run(impatient_push, END.isoformat()) == "failed"

    counts = airflow_process.stats.counts()
    assert counts["delivered", "usage_events", 3] == 1
    assert counts["throttled", "usage_events", 1] == 1
    ((_, _, requests),) = [key for key in counts if key[0] == "requests"]
    assert requests == sandbox.summary()["requests"] >= 5
    assert len(counts) == 3


def create_seats() -> Any:
    with interval_dag(START, END) as dag:
        for task_id, alias in (("good", "acme"), ("bad", "x" * 300)):
            SequenceCreateSeatEventOperator(
                task_id=task_id,
                customer_event_id=task_id,
                customer_alias=alias,
                seat_type="admin",
                event_timestamp=START,
                total=1,
            )
    return dag


def test_single_events_are_counted(airflow_process, sandbox, sequence_conn, warehouse):
    assert airflow_process.run(create_seats, END.isoformat()) == "failed"

    assert airflow_process.stats.counts() == {
        ("delivered", "seat_events", 1): 1,
        ("rejected", "seat_events", 1): 1,
        ("requests", "seat_events", 1): 2,
    }


def create_aliases() -> Any:
    with interval_dag(START, END) as dag:
        SequenceCreateCustomerAliasesOperator(
            task_id="create", sql="SELECT * FROM aliases", sql_conn_id="warehouse", max_rejected=1
        )
    return dag


def test_aliases_are_counted(airflow_process, sandbox, sequence_conn, warehouse):
    sandbox.add("customers", [{"id": "c-1"}])
    warehouse.execute("CREATE TABLE aliases (customer_id TEXT, value TEXT)")
    warehouse.execute("INSERT INTO aliases VALUES ('c-1', 'acme'), ('c-1', 'acme'), ('c-1', NULL)")
    assert airflow_process.run(create_aliases, END.isoformat()) == "success"

    assert airflow_process.stats.counts() == {
        ("delivered", "customer_aliases", 1): 1,
        ("rejected", "customer_aliases", 1): 1,
        (
            "requests",
            "customer_aliases",
            4,
        ): 1,  # two that look who has the alias, a page of customers, a post
    }
