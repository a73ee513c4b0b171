"""``make demo-ui``: the page of deliveries in a real Airflow, over a month that its tasks delivered to the sandbox."""

from __future__ import annotations

import datetime as dt
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from dev.demo.cluster import BIN, free_ports
from dev.demo.month import DAGS
from dev.demo.runs import MARK
from dev.demo.sandbox import connection, sandbox, stop
from dev.demo.terminal import CHECKOUT, run, say, shown
from dev.demo.warehouse import DAYS, make_warehouse

#: Who may log in, and with which password.
PEOPLE = {"viewer": "viewer", "op": "op"}
TABLES = {
    "delivery_log_table": "sequence_delivery_log",
    "runs_table": "sequence_runs",
    "differences_table": "sequence_differences",
}
ROWS = 5_000
LIMITS = {"usage_events_per_minute": 600_000, "requests_per_minute": 600_000}


def main(home: Path) -> int:
    """Deliver a month up to yesterday, and show the page until Ctrl-C."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    environment = _airflow(home, url) | prepare(home)
    say("Airflow's tasks push and compare a month of usage, up to yesterday.")
    say(f"A minute or two; their log: {shown(home / 'tasks.log')}")
    for place, day in enumerate(deliver(home, environment, DAYS)):
        if place % 7 == 0:
            say(f"delivered {day}")
    log = home / "airflow.log"
    say(f"starting Airflow; its log: {shown(log)}")
    with _api_server(log, port, environment) as process:
        while not _answers(url):
            if process.poll() is not None:
                raise SystemExit(f"Airflow did not start; see {shown(log)}")
            time.sleep(0.5)
        say("the page, in the navigation under Browse, Sequence deliveries:")
        say(f"  {url}/plugin/sequence-deliveries")
        say("log in as op, password op, who may see rows;")
        say("or as viewer, password viewer, who may not. Ctrl-C ends it.")
        process.wait()
    return 1


def prepare(home: Path) -> dict[str, str]:
    """
    Make a warehouse anew, whose days end with yesterday.

    :return: settings of an Airflow that delivers them, and shows the page to :data:`PEOPLE`.
    """
    warehouse, passwords = home / "warehouse.db", home / "passwords.json"
    for file in (warehouse, *home.glob("sequence.db*")):
        file.unlink(missing_ok=True)
    today = dt.datetime.combine(dt.datetime.now(dt.UTC).date(), dt.time.min, dt.UTC)
    make_warehouse(warehouse, today - dt.timedelta(days=DAYS), ROWS, bad_rows=False)
    passwords.write_text(json.dumps(PEOPLE))
    return {
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS.parent),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{each}:{each}" for each in PEOPLE),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "AIRFLOW__SEQUENCE__DELIVERIES": json.dumps({"demo": {"conn_id": "warehouse", **TABLES}}),
        "AIRFLOW_CONN_WAREHOUSE": json.dumps({"conn_type": "sqlite", "host": str(warehouse)}),
    }


def _airflow(home: Path, url: str) -> dict[str, str]:
    """Environment of an Airflow that is made anew."""
    shutil.rmtree(home / "airflow", ignore_errors=True)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
    return {
        **inherited,
        "AIRFLOW_HOME": str(home / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__SECRET_KEY": secrets.token_hex(16),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }


def deliver(home: Path, environment: Mapping[str, str], days: int) -> Iterator[str]:
    """Deliver the days up to yesterday to a sandbox, and give each as soon as it is done."""
    command = [sys.executable, "-m", "dev.demo.month", str(home / "warehouse.db"), str(days)]
    with (
        sandbox(home, **LIMITS) as api,
        (home / "tasks.log").open("w") as log,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=CHECKOUT,
            env={**environment, "AIRFLOW_CONN_SEQUENCE_DEFAULT": connection(api, **LIMITS)},
            # In a session of its own: Ctrl-C reaches the demo alone, which stops it.
            start_new_session=True,
        ) as process,
    ):
        try:
            for line in process.stdout or ():
                log.write(line)
                if line.startswith(MARK) and (day := line.removeprefix(MARK).strip()) != "ready":
                    yield day
            if process.wait():
                raise SystemExit(f"The days could not be delivered; see {shown(home / 'tasks.log')}")
        finally:
            stop(process)


@contextmanager
def _api_server(log: Path, port: int, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Run Airflow's API server, the one component that has the UI."""
    with (
        log.open("w") as file,
        subprocess.Popen(
            [str(BIN / "airflow"), "api-server", "--host=127.0.0.1", f"--port={port}", "--workers=1"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            text=True,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            stop(process)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/api/v2/monitor/health", timeout=30):
            return True
    except urllib.error.URLError:
        return False


if __name__ == "__main__":
    run(main, ".demo-ui", stopped="Stopped.")
