"""Airflow as it runs in production: each component a process, here all of them on this machine, and listening on loopback."""

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
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa

from dev.demo.terminal import CHECKOUT, shown

BIN = Path(sys.executable).parent


class AirflowProcesses:
    """
    An Airflow with a LocalExecutor; leaving the context ends all of its processes.

    :param home: where its files and logs are.
    :param database: an empty PostgreSQL database for its metadata.
    :param dag: the file of the DAGs that it knows.
    :param slots: how many tasks it runs at a time.
    :param environment: further environment variables, such as connections.
    :param roles: who may log in: a user of each of these roles, whose name and password are the role's name. The last one
        may trigger DAGs.
    """

    def __init__(
        self,
        home: Path,
        database: sa.URL,
        dag: Path,
        *,
        slots: int,
        environment: Mapping[str, str],
        roles: Sequence[str] = ("admin",),
    ) -> None:
        self._home = home
        self._user = roles[-1]
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._token = ""
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        dags, passwords = home / "dags", home / "passwords.json"
        shutil.rmtree(home, ignore_errors=True)
        dags.mkdir(parents=True)
        shutil.copy(dag, dags)
        passwords.write_text(json.dumps({role: role for role in roles}))
        metadata = database.render_as_string(hide_password=False)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
        self._environment = {
            **inherited,
            "PYTHONPATH": str(CHECKOUT),
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": str(slots),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{role}:{role}" for role in roles),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__SECRET_KEY": secrets.token_hex(16),
            # One and the same for all components: each signs what another one reads.
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": metadata,
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            **environment,
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

    def trigger(self, dag_id: str, start: str, end: str, logical_date: str = "") -> str:
        """
        Run a DAG for a data interval; return the run's id.

        :param logical_date: if it is not the start, where the interval has a run already.
        """
        interval = {
            "logical_date": logical_date or start,
            "data_interval_start": start,
            "data_interval_end": end,
        }
        self._eventually(f"the DAG {dag_id} is known", lambda: self._has(dag_id))
        return str(self._call("POST", f"/dags/{dag_id}/dagRuns", interval)["dag_run_id"])

    def unpause(self, dag_id: str) -> None:
        """Let a DAG's runs begin: only once they are there, as the scheduler adds that of the last data interval."""
        self._call("PATCH", f"/dags/{dag_id}", {"is_paused": False})

    def state(self, dag_id: str, run_id: str) -> str:
        """Say how a run is doing."""
        self.check()
        return str(self._call("GET", f"/dags/{dag_id}/dagRuns/{run_id}")["state"])

    def states(self, dag_id: str) -> list[str]:
        """Say how all runs of a DAG are doing."""
        self.check()
        return [run["state"] for run in self._call("GET", f"/dags/{dag_id}/dagRuns?limit=100")["dag_runs"]]

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """List the task instances of a run."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances?limit=100"
        return list(self._call("GET", path)["task_instances"])

    def check(self) -> None:
        """
        Look whether all components still run.

        :raises SystemExit: if one does not.
        """
        for name, process in self._running.items():
            if process.poll() is not None:
                raise SystemExit(f"{name} has ended; see {self._log(name)}")

    def _start_all(self) -> None:
        self._airflow("db-migrate", "db", "migrate")
        if self._running["db-migrate"].wait(180):
            raise SystemExit(f"Airflow's database could not be made; see {self._log('db-migrate')}")
        del self._running["db-migrate"]
        port = self.url.rpartition(":")[2]
        # Without --skip-serve-logs, a server of logs listens on all addresses of the machine.
        self._airflow("api-server", "api-server", "--host=127.0.0.1", f"--port={port}", "--workers=1")
        self._airflow("dag-processor", "dag-processor")
        self._airflow("scheduler", "scheduler", "--skip-serve-logs")
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
        self.check()
        try:
            with urllib.request.urlopen(f"{self.url}/api/v2/monitor/health", timeout=30) as answer:
                health = json.load(answer)
            if not self._token:
                self._token = self.log_in(self._user)
        except urllib.error.URLError:
            return False
        return all(health[name]["status"] == "healthy" for name in ("scheduler", "dag_processor"))

    def log_in(self, role: str) -> str:
        """Have a user's token of the API and the UI."""
        return str(
            _ask("POST", f"{self.url}/auth/token", {"username": role, "password": role})["access_token"]
        )

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
        return _ask(method, f"{self.url}/api/v2{path}", body, {"Authorization": f"Bearer {self._token}"})

    def _log(self, name: str) -> str:
        return shown(self._home / f"{name}.log")


def _ask(method: str, url: str, body: Any = None, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        url, data, {"Content-Type": "application/json", **(headers or {})}, method=method
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def free_ports(number: int) -> list[int]:
    """Ports of loopback that nobody listens on, each another one."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.socket()) for _ in range(number)]
        for listener in listeners:
            listener.bind(("127.0.0.1", 0))
        return [int(listener.getsockname()[1]) for listener in listeners]
