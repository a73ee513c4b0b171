from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from tests.faults.account import account, old
from tests.faults.figures import CAMPAIGN, SIZE
from tests.faults.pooler import PGBOUNCER
from tests.faults.proxy import ByteProxy, HttpProxy, unix_or_tcp
from tests.faults.runner import Runner
from tests.faults.world import SETTINGS, World
from tests.integration.support import databases
from tests.integration.support.airflow import airflow_db, run_dag
from tests.integration.support.databases import Warehouse, postgres
from tests.support.server import Server

__all__ = ["account", "airflow_db", "old", "postgres", "run_dag"]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "quick: is in the quick part of the campaign, SEQUENCE_FAULTS=quick")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is not quick, where only that is wanted, and what can't be had: a PostgreSQL of our own to stop, or
    PgBouncer."""
    here = [item for item in items if "tests/faults/" in item.nodeid]
    left_out = {
        item
        for item in here
        if (SIZE == "quick" and item.get_closest_marker("quick") is None)
        or (os.environ.get("SEQUENCE_TEST_POSTGRES") and "restartable" in getattr(item, "fixturenames", ()))
        or (PGBOUNCER is None and "pooled" in getattr(item, "fixturenames", ()))
    }
    if left_out:
        config.hook.pytest_deselected(items=[item for item in items if item in left_out])
        items[:] = [item for item in items if item not in left_out]


def pytest_report_header() -> str:
    return f"faults: {CAMPAIGN}"


@pytest.fixture(scope="session")
def runner() -> Iterator[Runner]:
    with Runner() as runner:
        yield runner


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with Server(SETTINGS) as server:
        yield server


@pytest.fixture(scope="session")
def proxy(server: Server) -> Iterator[HttpProxy]:
    with HttpProxy(server.base_url) as proxy:
        yield proxy


@pytest.fixture(scope="session")
def database(postgres: URL) -> Iterator[tuple[Warehouse, str]]:
    """A database for all tests of a process, and the Airflow connection to it."""
    name = f"faults_{os.getpid()}"
    admin = sa.create_engine(postgres, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
    engine = sa.create_engine(postgres.set(database=name), pool_pre_ping=True)
    sa.event.listen(engine, "connect", databases._json_as_text)
    try:
        yield Warehouse("warehouse", engine), databases._postgres_connection(postgres, name, {})
    finally:
        engine.dispose()
        with admin.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def world(
    server: Server, proxy: HttpProxy, runner: Runner, database: tuple[Warehouse, str]
) -> Iterator[World]:
    """All of it, empty. Requests that break the contract fail the test."""
    world = World(server, proxy, runner, *database)
    yield world
    world.drop()
    violations = server.violations()
    # What this test did is not the next one's.
    server.clear_violations()
    assert violations == []


@pytest.fixture
def dice(request: pytest.FixtureRequest) -> random.Random:
    """Random numbers that depend on the campaign's seed and the test's name."""
    return random.Random(f"{CAMPAIGN.seed} {request.node.name}")


@pytest.fixture
def byte_proxy(database: tuple[Warehouse, str]) -> Iterator[ByteProxy]:
    """A way to the database that can be cut."""
    fields = json.loads(database[1])
    with ByteProxy(unix_or_tcp(fields["host"], fields.get("port"))) as proxy:
        proxy.connection = json.dumps(fields | {"host": "127.0.0.1", "port": proxy.port})
        yield proxy
