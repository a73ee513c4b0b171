"""What the benchmarks run against: a PostgreSQL, the fast server, and processes in which work is done and measured."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from tests.integration.support import databases

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache/bench"
#: The peers, in an environment of their own.
PEERS_PYTHON = CACHE / "venv/bin/python"
#: Seconds after which a piece of work is given up.
TOO_LONG = 1800
#: What stands for no limit.
NO_LIMIT = 10**9


class World:
    """See the module; it is there within a ``with``."""

    def __init__(self) -> None:
        #: What it cost to have so many rows delivered, where that was done.
        self.delivered: dict[int, dict[str, Any]] = {}

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            server_url = stack.enter_context(databases.postgres_server())
            self.url = url = server_url.set(database="benchmarks")
            admin = sa.create_engine(server_url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
            with admin.connect() as connection:
                connection.exec_driver_sql("CREATE DATABASE benchmarks TEMPLATE template0 ENCODING 'UTF8'")
            self._engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
            stack.callback(self._engine.dispose)
            command = [sys.executable, "-m", "tests.benchmarks.server"]
            server = stack.enter_context(
                subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
            )
            stack.callback(server.terminate)
            self._port = int(server.stdout.readline())
            home = CACHE / "airflow"
            home.mkdir(parents=True, exist_ok=True)
            # An installed package is compiled, and Airflow is told where it is by us alone.
            kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
            kept.pop("PYTHONDONTWRITEBYTECODE", None)
            self.environment = kept | {
                "AIRFLOW_HOME": str(home),
                "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
                "AIRFLOW_CONN_WAREHOUSE": databases._postgres_connection(url, url.database, {}),
                "AIRFLOW_CONN_SERVER": json.dumps({
                    "conn_type": "http",
                    "host": f"http://127.0.0.1:{self._port}",
                }),
                "PYTHONPATH": str(ROOT),
                "PYTHONUNBUFFERED": "1",
            }
            self.limits()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._port}/api"

    def limits(self, *, requests: float = NO_LIMIT, usage_events: float = NO_LIMIT) -> None:
        """Say in the connection what the account allows a minute."""
        self.environment["AIRFLOW_CONN_SEQUENCE_DEFAULT"] = json.dumps({
            "conn_type": "sequence",
            "host": self.base_url,
            "login": "client",
            "password": "secret",
            "extra": {"requests_per_minute": requests, "usage_events_per_minute": usage_events},
        })

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement; give its rows, where it has any."""
        with self._engine.connect() as connection:
            result = connection.execution_options(no_parameters=True).exec_driver_sql(statement)
            return [tuple(row) for row in result] if result.returns_rows else []

    def count(self, table: str) -> int:
        return self.sql(f"SELECT count(*) FROM {table}")[0][0]

    def server(self, **settings: Any) -> None:
        """Set the server up; its figures begin anew. See :meth:`tests.benchmarks.server.Api.set_up`."""
        self._ask("POST", "/settings", json.dumps(settings))

    def figures(self) -> dict[str, Any]:
        """What was asked of the server since then."""
        return self._ask("GET", "/figures")

    def _ask(self, method: str, path: str, body: str | None = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=600)
        connection.request(method, path, body)
        answer = json.loads(connection.getresponse().read())
        connection.close()
        return answer

    def run(self, kind: str, **options: Any) -> dict[str, Any]:
        """Do a job of :mod:`tests.benchmarks.runner`; give what it cost, and the server's ``figures`` of it."""
        return self.process(
            [sys.executable, "-m", "tests.benchmarks.runner"],
            json.dumps({"kind": kind, "options": options}),
        )

    def process(self, command: list[str], given: str = "", **environment: str) -> dict[str, Any]:
        """
        Run a process that measures itself, and read its last line.

        :param given: its standard input.
        :param environment: further variables of its environment.
        """
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=self.environment | environment,
            input=given,
            capture_output=True,
            text=True,
            timeout=TOO_LONG,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout[-3000:]}\n{done.stderr[-5000:]}")
        return json.loads(done.stdout.splitlines()[-1]) | {"figures": self.figures()}
