"""Airflow in a process of its own, for what it reads of its configuration at the start: metrics and OpenLineage."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

_END = "The run ended as "
_COUNTER = re.compile(r"airflow\.sequence\.(\w+),resource=(\w+):(\d+)\|c")
#: How often each counter was incremented by how much.
Counts = Counter[tuple[str, str, int]]


class StatsServer:
    """A StatsD server that takes InfluxDB's tags, as Telegraf does."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._lines: list[str] = []
        self._has_all = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while (packet := self._socket.recv(65536)) != b"stop":
            if packet == b"flush":
                self._has_all.set()
            else:
                self._lines += packet.decode().splitlines()

    def _send(self, packet: bytes) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(packet, ("127.0.0.1", self.port))

    def close(self) -> None:
        self._send(b"stop")
        self._thread.join(10)
        self._socket.close()

    def clear(self) -> None:
        """Forget the lines that have arrived."""
        self._lines = []

    def counts(self) -> Counts:
        """The increments of this provider's counters since :meth:`clear`, all that was sent before this call."""
        self._has_all.clear()
        self._send(b"flush")
        assert self._has_all.wait(10)
        assert any(line.startswith("airflow.") for line in self._lines), "Airflow itself counted nothing"
        found = [_COUNTER.fullmatch(line) for line in self._lines if "sequence." in line]
        assert None not in found, self._lines
        return Counter((match[1], match[2], int(match[3])) for match in found if match)


class AirflowProcess:
    """Runs DAGs one after the other, with metrics to a StatsD server and OpenLineage's events to a file."""

    def __init__(self, folder: Path, errors: IO[str]) -> None:
        self.stats = StatsServer()
        self._events = folder / "events"
        transport = {"type": "file", "log_file_path": str(self._events), "append": True}
        settings = {
            "AIRFLOW__METRICS__STATSD_ON": "True",
            "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
            "AIRFLOW__METRICS__STATSD_PORT": str(self.stats.port),
            "AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED": "True",
            "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(transport),
            "AIRFLOW__OPENLINEAGE__DISABLED": "False",
        }
        self._errors = errors
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=os.environ | settings,
        )

    def run(self, make_dag: Any, logical_date: str) -> str:
        """
        Run a DAG once, with the connections that are in the environment now; return the run's state.

        :param make_dag: a function of a module that makes the DAG.
        """
        self.stats.clear()
        self._events.unlink(missing_ok=True)
        request = {
            "module": make_dag.__module__,
            "function": make_dag.__name__,
            "logical_date": logical_date,
            "connections": {
                name: os.environ[name] for name in os.environ if name.startswith("AIRFLOW_CONN_")
            },
        }
        limit = threading.Timer(180, self._process.kill)
        limit.start()
        try:
            print(json.dumps(request), file=self._process.stdin, flush=True)
            output = []
            for line in self._process.stdout:
                if line.startswith(_END):
                    return line.removeprefix(_END).rstrip("\n")
                output.append(line)
        finally:
            limit.cancel()
        self._errors.seek(0)
        raise AssertionError(f"the process ended: {''.join(output)}\n{self._errors.read()}")

    def openlineage_events(self) -> list[dict[str, Any]]:
        """The events of the last run."""
        return [json.loads(line) for line in self._events.read_text().splitlines()]

    def close(self) -> None:
        self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(30)
        self._process.stdout.close()
        self.stats.close()


@pytest.fixture(scope="session")
def airflow_process(airflow_db: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowProcess]:
    """One process for all tests, as its start takes seconds."""
    with tempfile.TemporaryFile("w+") as errors:
        process = AirflowProcess(tmp_path_factory.mktemp("openlineage"), errors)
        yield process
        process.close()


def _start_stats() -> None:
    """Set metrics up as the process of a task does; before Airflow 3.2 they set themselves up."""
    try:
        from airflow.sdk.observability.metrics import stats_utils
    except ImportError:
        return
    from airflow.sdk.observability.stats import Stats

    if inspect.signature(stats_utils.get_stats_factory).parameters:
        Stats.initialize(factory=stats_utils.get_stats_factory(Stats))
    else:
        Stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=False)


def _main() -> None:
    from tests.integration.support.airflow import run

    _start_stats()
    for number, line in enumerate(sys.stdin):
        request = json.loads(line)
        os.environ.update(request["connections"])
        dag = getattr(importlib.import_module(request["module"]), request["function"])()
        dag.dag_id = f"dag_{number}_of_{os.getpid()}"  # nobody else's
        # In one piece: other threads log to the same place.
        sys.stdout.write(f"{_END}{run(dag, request['logical_date']).state}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _main()
