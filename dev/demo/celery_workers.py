"""An Airflow with a CeleryExecutor: a broker and workers, beside the processes that every Airflow has."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

import sqlalchemy as sa

from dev.demo.airflow_processes import BIN, AirflowProcesses, free_ports


def find_redis() -> str:
    """
    Find a Redis: the system's, or the one that came with the Python packages.

    :raises SystemExit: if there is none, with what to do.
    """
    found = shutil.which("redis-server", path=f"{os.environ['PATH']}{os.pathsep}{BIN}")
    if found is None:
        raise SystemExit(
            "CeleryExecutor needs a broker, and there is no redis-server on this machine. Install one:\n"
            "  Debian, Ubuntu: apt-get install redis-server\n"
            "  macOS: brew install redis\n"
            "and run this again; the demo starts a Redis of its own, on a port of its own."
        )
    return found


def worker_name() -> str:
    """Tell the workers of one machine apart: what Airflow calls the host of a task (``hostname_callable``)."""
    return os.environ.get("DEMO_WORKER") or socket.gethostname()


class CeleryAirflow(AirflowProcesses):
    """
    See the module; the other parameters are those of :class:`AirflowProcesses`.

    :param workers: the names of its workers.
    :param slots: how many tasks a worker runs at a time.
    """

    def __init__(
        self,
        home: Path,
        database: sa.URL,
        dag: Path,
        *,
        workers: Sequence[str],
        slots: int,
        environment: Mapping[str, str],
    ) -> None:
        (self._redis_port,) = free_ports(1)
        self._workers, self._slots = workers, slots
        metadata = database.render_as_string(hide_password=False)
        celery = {
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CORE__HOSTNAME_CALLABLE": f"{__name__}.worker_name",
            "AIRFLOW__CELERY__BROKER_URL": f"redis://127.0.0.1:{self._redis_port}/0",
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{metadata}",
        }
        super().__init__(
            home, database, dag, slots=slots * len(workers), environment={**celery, **environment}
        )

    def _start_all(self) -> None:
        redis = ["--bind", "127.0.0.1", "--port", str(self._redis_port), "--save", "", "--appendonly", "no"]
        self._start("redis", find_redis(), *redis)
        super()._start_all()
        for name in self._workers:
            self._airflow(
                name,
                *("celery", "worker", f"--celery-hostname={name}@%h", f"--concurrency={self._slots}"),
                *("--skip-serve-logs", f"--pid={self._home / name}.pid"),
                DEMO_WORKER=name,
            )
        self._eventually("the workers are ready", self._workers_are_ready)

    def _workers_are_ready(self) -> bool:
        self.check()
        return all(b" ready." in (self._home / f"{name}.log").read_bytes() for name in self._workers)
