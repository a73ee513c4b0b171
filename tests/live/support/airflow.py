"""Airflow as it runs in production: each component a process of its own, here on loopback and in a folder of its own."""

from __future__ import annotations

import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import requests
import sqlalchemy as sa
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from tests.live.support.leash import Leash

T = TypeVar("T")

VERSION = tuple(map(int, re.findall(r"\d+", metadata.version("apache-airflow"))[:3]))
AIRFLOW = Path(sys.executable).with_name("airflow")
#: The components of Airflow 3, with the options that keep each of them on loopback.
COMPONENTS: Mapping[str, tuple[str, ...]] = {
    "api-server": ("--host=127.0.0.1", "--workers=1"),
    "dag-processor": (),
    "scheduler": ("--skip-serve-logs",),
    "triggerer": ("--skip-serve-logs",),
}

#: The REST API, and where an Airflow says whether it is well.
API, HEALTH = ("/api/v1", "/api/v1/health") if VERSION < (3,) else ("/api/v2", "/api/v2/monitor/health")

_ASYNC_DRIVERS = {"postgresql": "postgresql+asyncpg", "sqlite": "sqlite+aiosqlite"}
#: Less waiting than is good for production.
_HASTE = {
    "AIRFLOW__CORE__PARALLELISM": "4",
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "5",
}


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def eventually(
    what: str,
    find: Callable[[], T | None],
    *,
    patience: float = 90,
    every: float = 0.2,
    story: Callable[[], str] = str,
) -> T:
    """
    Wait until something is there, and return it.

    :param what: what is waited for, for the one who reads of the failure.
    :param find: returns it, or something false.
    :param story: what to tell when it does not come.
    """
    until = time.monotonic() + patience
    while not (found := find()):
        if time.monotonic() > until:
            raise AssertionError(
                f"not within {patience:.0f} s: {what}; the last look found {found!r}\n{story()}"
            )
        time.sleep(every)
    return found


class Airflow:
    """
    An Airflow; leaving the context ends its processes.

    :param home: an empty folder with a short name.
    :param dags: the folder of its DAGs.
    :param database: an empty database for Airflow's own state; PostgreSQL where there is more than the UI.
    :param environ: further environment variables, such as connections.
    """

    def __init__(self, home: Path, dags: Path, database: URL, environ: Mapping[str, str]) -> None:
        self.home = home
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environ = {
            **{
                name: value
                for name, value in os.environ.items()
                if not name.startswith(("AIRFLOW_", "_AIRFLOW"))
            },
            **_HASTE,
            "PATH": f"{AIRFLOW.parent}{os.pathsep}{os.environ['PATH']}",
            "NO_PROXY": "*",
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__FERNET_KEY": "",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__SECRET_KEY": secrets.token_hex(16),
            "AIRFLOW__API_AUTH__JWT_ISSUER": "live",  # 3.0 has none, which the JWT library of today refuses
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database.render_as_string(hide_password=False),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": database.set(
                drivername=_ASYNC_DRIVERS[database.get_backend_name()]
            ).render_as_string(hide_password=False),
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            **environ,
        }
        self._database = sa.create_engine(database, poolclass=NullPool)
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._session = requests.Session()
        self._session.trust_env = False

    def __enter__(self) -> Self:
        self._leash = Leash()
        self._leash.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for process in self._running.values():
                process.terminate()
            for name in list(self._running):
                self.end(name, signal.SIGTERM)
        finally:
            self._session.close()
            self._leash.__exit__(kind, error, trace)

    def cli(self, *arguments: str) -> str:
        """Run a command of Airflow's, and return what it says; one that fails is an error."""
        done = subprocess.run(
            [AIRFLOW, *arguments],
            env=self.environ,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        if done.returncode:
            raise AssertionError(
                f"airflow {' '.join(arguments)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
            )
        return done.stdout

    def start(self, name: str, *options: str) -> None:
        """Start a component, in a process group of its own."""
        with (self.home / f"{name}.log").open("ab") as log:
            self._running[name] = process = subprocess.Popen(
                [AIRFLOW, name, *options],
                env=self.environ,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._leash.tie(process.pid)

    def start_all(self) -> None:
        """Make the database, start every component, and wait until all say that they are well."""
        self.cli("db", "migrate")
        for name, options in COMPONENTS.items():
            self.start(name, *options, *([f"--port={self.port}"] if name == "api-server" else []))
        self.eventually("all components are healthy", self._healthy)
        self._session.headers.update(self.authorization())

    def start_ui(self) -> None:
        """Make the database, start the one component that has the UI, and wait until it answers."""
        if VERSION < (3,):
            self.environ["AIRFLOW__CORE__EXECUTOR"] = (
                "SequentialExecutor"  # the one that has no objection to SQLite
            )
        self.cli("db", "migrate")
        if VERSION < (3,):
            (self.home / "webserver_config.py").write_text(
                'AUTH_ROLE_PUBLIC = "Admin"\nWTF_CSRF_ENABLED = True\n'
            )
            self.start("webserver", "--hostname=127.0.0.1", f"--port={self.port}", "--workers=1")
        else:
            self.start("api-server", *COMPONENTS["api-server"], f"--port={self.port}")
        self.eventually("the UI is there", self._answers)
        self._session.headers.update(self.authorization())

    def authorization(self) -> dict[str, str]:
        """The header of somebody who may do everything; Airflow 2 lets everybody do that here."""
        if VERSION < (3,):
            return {}
        answer = self._session.get(f"{self.url}/auth/token", timeout=30)
        answer.raise_for_status()
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}

    def end(self, name: str, how: signal.Signals) -> None:
        """
        End a component.

        :param how: SIGKILL takes all its processes at once, as the end of a container does; any other signal goes to
            its first process, which is waited for.
        """
        process = self._running.pop(name)
        if how == signal.SIGKILL:
            os.killpg(process.pid, how)
        else:
            process.send_signal(how)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(30)
        finally:
            self._leash.release(process.pid)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """All rows of a query to Airflow's own database."""
        with self._database.connect() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(sql)]

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        """A request to the REST API, whatever its answer."""
        return self._session.request(method, f"{self.url}{API}{path}", timeout=30, **options)

    def get(self, path: str, **parameters: Any) -> Any:
        """What the REST API says."""
        response = self.call("GET", path, params=parameters)
        assert response.ok, f"{path}: {response.status_code} {response.text[:1000]}"
        return response.json()

    def has_dag(self, dag_id: str) -> bool:
        return self.call("GET", f"/dags/{dag_id}").ok

    def trigger(self, dag_id: str, **conf: Any) -> str:
        """Start a run by hand; return its id."""
        self.eventually(f"the DAG {dag_id} is known", lambda: self.has_dag(dag_id))
        response = self.call("POST", f"/dags/{dag_id}/dagRuns", json={"logical_date": None, "conf": conf})
        assert response.ok, response.text
        return str(response.json()["dag_run_id"])

    def states(self, dag_id: str, run_id: str) -> dict[str, str]:
        """The state of each task of a run."""
        found = self.get(f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances")
        return {each["task_id"]: each["state"] for each in found["task_instances"]}

    def xcom(self, dag_id: str, run_id: str, task_id: str) -> Any:
        """What a task returned."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/return_value"
        return self.get(path, deserialize=True)["value"]

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """All runs of a DAG."""
        found = self.get(f"/dags/{dag_id}/dagRuns", limit=100)
        assert found["total_entries"] <= 100
        return list(found["dag_runs"])

    def run_states(self, dag_id: str) -> list[str]:
        return [run["state"] for run in self.runs(dag_id)]

    def wait_for_run(self, dag_id: str, run_id: str, patience: float = 60) -> None:
        """Wait until a run has ended; one that failed is an error."""

        def ended() -> str | None:
            state = self.get(f"/dags/{dag_id}/dagRuns/{run_id}")["state"]
            return state if state in {"success", "failed"} else None

        state = self.eventually(f"{dag_id} {run_id} has ended", ended, patience=patience)
        assert state == "success", self.story()

    def eventually(self, what: str, find: Callable[[], T | None], **options: Any) -> T:
        """Wait until something is there; tell of this Airflow when it does not come."""
        return eventually(what, find, story=self.story, **options)

    def story(self) -> str:
        """The last lines of every log, and the ends of tasks' logs that have an error."""
        pieces = []
        for log in sorted(self.home.glob("*.log")):
            pieces += [f"--- {log.name}", *log.read_text(errors="replace").splitlines()[-15:]]
        for log in sorted(self.home.glob("logs/dag_id=*/**/*.log")):
            text = log.read_text(errors="replace")
            if '"level":"error"' in text or "ERROR" in text:
                lines = [line for line in text.splitlines() if '"error"' in line or "ERROR" in line]
                pieces += [f"--- {log.relative_to(self.home)}", *(line[:3000] for line in lines[:4])]
        return "\n".join(pieces)[-12_000:]

    def _answers(self) -> dict[str, Any] | None:
        for name, process in self._running.items():
            assert process.poll() is None, f"{name} has ended\n{self.story()}"
        try:
            answer = self._session.get(self.url + HEALTH, timeout=30)
        except requests.ConnectionError:
            return None
        return dict(answer.json()) if answer.ok else None

    def _healthy(self) -> bool:
        health = self._answers() or {}
        return all(
            health.get(name, {}).get("status") == "healthy"
            for name in ("metadatabase", "scheduler", "triggerer", "dag_processor")
        )
