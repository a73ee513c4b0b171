"""A real Airflow for the whole session: ``make test-live``. Its tests are not among those of ``make test``."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from tests.integration.support.databases import Warehouse, postgres, sequence_connection
from tests.live.support.airflow import Airflow
from tests.support.server import Server

__all__ = ["postgres"]

DAGS = Path(__file__).with_name("dags")


@pytest.fixture(scope="session")
def databases(postgres: URL) -> Iterator[tuple[URL, URL]]:
    """Two empty databases: Airflow's own, and the warehouse."""
    names = ("live_airflow", "live_warehouse")
    admin = sa.create_engine(postgres, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with admin.connect() as connection:
        for name in names:
            connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
    yield postgres.set(database=names[0]), postgres.set(database=names[1])
    with admin.connect() as connection:
        for name in names:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def watched() -> Iterator[Server]:
    """A sandbox that only the watcher looks at, so that no test empties it."""
    with Server({"usage_events_per_minute": 0, "requests_per_minute": 0}) as server:
        yield server


@pytest.fixture(scope="session")
def live_warehouse(databases: tuple[URL, URL]) -> Iterator[Warehouse]:
    """The warehouse, as the tests see it."""
    engine = sa.create_engine(databases[1])
    yield Warehouse("warehouse", engine)
    engine.dispose()


@pytest.fixture(scope="session")
def home() -> Iterator[Path]:
    """Airflow's folder; its name is short. ``SEQUENCE_LIVE_LOGS`` names a folder that its logs are copied to."""
    folder = Path(tempfile.mkdtemp(prefix="h"))
    yield folder
    if kept := os.environ.get("SEQUENCE_LIVE_LOGS"):
        shutil.copytree(folder, kept, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.db", "*.cfg"))
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def airflow(
    home: Path, databases: tuple[URL, URL], sequence_server: Server, watched: Server
) -> Iterator[Airflow]:
    """Airflow, with connections to both sandboxes and to the warehouse."""
    own, warehouse = databases
    postgres_connection = {
        "conn_type": "postgres",
        "host": warehouse.host or warehouse.query.get("host"),
        "port": warehouse.port,
        "login": warehouse.username,
        "password": warehouse.password,
        "schema": warehouse.database,
    }
    environ = {
        "AIRFLOW_CONN_SEQUENCE_DEFAULT": sequence_connection(sequence_server),
        "AIRFLOW_CONN_SEQUENCE_WATCHED": sequence_connection(watched),
        "AIRFLOW_CONN_WAREHOUSE": json.dumps({k: v for k, v in postgres_connection.items() if v}),
    }
    with Airflow(home, DAGS, own, environ) as airflow:
        airflow.start_all()
        yield airflow
