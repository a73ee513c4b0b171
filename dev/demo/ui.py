"""``make demo-ui``: the page of deliveries in a real Airflow, over a month of made-up deliveries."""

from __future__ import annotations

import datetime as dt
import json
import os
import secrets
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from dev.demo.cluster import BIN, free_ports
from dev.demo.sandbox import stop
from dev.demo.terminal import run, say, shown
from tests.support import deliveries

#: Who may log in, and with which password.
PEOPLE = {"viewer": "viewer", "op": "op"}
TABLES = {
    "delivery_log_table": "sequence_delivery_log",
    "runs_table": "sequence_runs",
    "differences_table": "sequence_differences",
}


def main(home: Path) -> int:
    """Show the page until Ctrl-C."""
    warehouse = home / "warehouse.db"
    _fill(warehouse)
    say(f"a month of deliveries, up to yesterday: {shown(warehouse)}")
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    environment = _environment(home, warehouse, url)
    log = home / "airflow.log"
    say(f"starting Airflow; its log: {shown(log)}")
    with _api_server(log, port, environment) as process:
        while not _answers(url):
            if process.poll() is not None:
                raise SystemExit(f"Airflow did not start; see {shown(log)}")
            time.sleep(0.5)
        say(f"the page: {url}/plugin/sequence-deliveries (in the navigation: Browse, Sequence deliveries)")
        say("log in as op, password op, who may see rows; or as viewer, password viewer, who may not")
        say("Ctrl-C ends it")
        process.wait()
    return 1


def _fill(warehouse: Path) -> None:
    """Make the tables anew: they end with yesterday."""
    warehouse.unlink(missing_ok=True)
    engine = sa.create_engine(f"sqlite:///{warehouse}")
    tables = deliveries.tables()
    tables["log"].metadata.create_all(engine)
    today = dt.datetime.combine(dt.datetime.now(dt.UTC).date(), dt.time.min, dt.UTC)
    with engine.begin() as connection:
        for name, rows in deliveries.month(today - dt.timedelta(days=1)).items():
            connection.execute(sa.insert(tables[name]), rows)
    engine.dispose()


def _environment(home: Path, warehouse: Path, url: str) -> dict[str, str]:
    passwords = home / "passwords.json"
    passwords.write_text(json.dumps(PEOPLE))
    (home / "dags").mkdir(exist_ok=True)
    shutil.rmtree(home / "logs", ignore_errors=True)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
    return {
        **inherited,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{each}:{each}" for each in PEOPLE),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__SECRET_KEY": secrets.token_hex(16),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AIRFLOW__SEQUENCE__DELIVERIES": json.dumps({"demo": {"conn_id": "warehouse", **TABLES}}),
        "AIRFLOW_CONN_WAREHOUSE": json.dumps({"conn_type": "sqlite", "host": str(warehouse)}),
    }


@contextmanager
def _api_server(log: Path, port: int, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Run Airflow's API server, the one component that has the UI."""
    airflow = str(BIN / "airflow")
    with log.open("w") as file:
        subprocess.run([airflow, "db", "migrate"], env=environment, stdout=file, stderr=file, check=True)
        # In a session of its own: Ctrl-C reaches the demo alone, which stops it.
        process = subprocess.Popen(
            [airflow, "api-server", "--host=127.0.0.1", f"--port={port}", "--workers=1"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            text=True,
            start_new_session=True,
        )
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
    run(main, ".demo-ui")
