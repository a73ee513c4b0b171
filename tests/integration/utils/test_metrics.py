"""What tasks count, as it arrives at a StatsD server."""

from __future__ import annotations

import re
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from airflow_provider_sequence.operators.sequence import (
    SequenceCreateCustomerAliasesOperator,
    SequenceCreateSeatEventOperator,
)
from tests.integration.support.airflow import interval_dag
from tests.integration.support.process import run_elsewhere
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

_COUNTER = re.compile(r"airflow\.sequence\.(\w+),resource=(\w+):(\d+)\|c")
#: How often each counter was told how much.
Counts = Counter[tuple[str, str, int]]


class StatsServer:
    """A StatsD server that takes InfluxDB's tags, as Telegraf does."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._heard: list[str] = []
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while (packet := self._socket.recv(65536)) != b"stop":
            self._heard += packet.decode().splitlines()

    def close(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"stop", ("127.0.0.1", self.port))
        self._thread.join(10)
        self._socket.close()

    def counts(self) -> Counts:
        """What this provider's counters were told; what was sent before this call has arrived."""
        self.close()
        assert any(line.startswith("airflow.") for line in self._heard), "Airflow itself counted nothing"
        found = [_COUNTER.fullmatch(line) for line in self._heard if "sequence." in line]
        assert None not in found, self._heard
        return Counter((match[1], match[2], int(match[3])) for match in found if match)


@pytest.fixture
def stats() -> Iterator[StatsServer]:
    server = StatsServer()
    yield server
    if server._thread.is_alive():
        server.close()


def run(stats: StatsServer, make_dag: Any) -> str:
    return run_elsewhere(
        f"{__name__}:{make_dag.__name__}",
        END.isoformat(),
        AIRFLOW__METRICS__STATSD_ON="True",
        AIRFLOW__METRICS__STATSD_HOST="127.0.0.1",
        AIRFLOW__METRICS__STATSD_PORT=str(stats.port),
        AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED="True",
    )


def push_then_pull() -> Any:
    with interval_dag(START, END) as dag:
        push(max_rejected=5) >> pull()
    return dag


def test_push_and_pull_are_counted(stats, airflow_db, sandbox, sequence_conn, warehouse):
    make_usage(warehouse, over_the_day(10))
    warehouse.execute("UPDATE usage SET customer_alias = NULL WHERE number = 3")
    warehouse.execute("UPDATE usage SET customer_alias = :long WHERE number = 4", {"long": "x" * 300})
    assert run(stats, push_then_pull) == "success"

    assert stats.counts() == {
        ("delivered", "usage_events", 8): 1,
        ("rejected", "usage_events", 2): 1,
        ("requests", "usage_events", 9): 1,
        ("requests", "usage_events", 1): 1,  # the pull's
    }


def impatient_push() -> Any:
    return one_task(push, kind=ImpatientPush, concurrency=1)


def test_run_that_fails_is_counted_too(stats, airflow_db, sandbox, sequence_conn, warehouse):
    """Sequence goes away after three events, having said 429 once."""
    make_usage(warehouse, over_the_day(10))
    sandbox.fault(kind="status", status=429, headers={"Retry-After": "0"}, times=1)
    sandbox.fault(kind="status", status=503, after_n=3)
    assert run(stats, impatient_push) == "failed"

    counts = stats.counts()
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


def test_single_events_are_counted(stats, airflow_db, sandbox, sequence_conn, warehouse):
    assert run(stats, create_seats) == "failed"

    assert stats.counts() == {
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


def test_aliases_are_counted(stats, airflow_db, sandbox, sequence_conn, warehouse):
    sandbox.add("customers", [{"id": "c-1"}])
    warehouse.execute("CREATE TABLE aliases (customer_id TEXT, value TEXT)")
    warehouse.execute("INSERT INTO aliases VALUES ('c-1', 'acme'), ('c-1', 'acme'), ('c-1', NULL)")
    assert run(stats, create_aliases) == "success"

    assert stats.counts() == {
        ("delivered", "customer_aliases", 1): 1,
        ("rejected", "customer_aliases", 1): 1,
        ("requests", "customer_aliases", 3): 1,
    }
