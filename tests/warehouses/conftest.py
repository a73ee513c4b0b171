"""Warehouses that can't run here, each with what stands in for it, behind the real Airflow hook and the real driver."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from tests.integration.support.databases import postgres, sequence_conn
from tests.warehouses.bigquery import PROJECT, bigquery_emulator
from tests.warehouses.clickhouse import clickhouse_server
from tests.warehouses.mariadb import mariadb_server
from tests.warehouses.redshift import redshift_proxy
from tests.warehouses.snowflake import snowflake_server

__all__ = ["postgres", "sequence_conn"]

_number = itertools.count()


@dataclass
class Standin:
    """
    A warehouse with nothing in it, behind the connection ``warehouse``.

    :param name: the database it stands in for.
    :param schema: what comes before the names of tables.
    :param run: runs a statement, and gives its rows; it shares nothing with the code under test.
    """

    name: str
    schema: str
    run: Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture(scope="session")
def redshift_port(postgres: URL) -> Iterator[int]:
    with redshift_proxy(postgres) as port:
        yield port


@pytest.fixture
def redshift(postgres: URL, redshift_port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Standin]:
    name = f"redshift_{os.getpid()}_{next(_number)}"
    admin = sa.create_engine(postgres, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
    engine = sa.create_engine(postgres.set(database=name), poolclass=NullPool)
    fields = {
        "conn_type": "redshift",
        "host": "127.0.0.1",
        "port": redshift_port,
        "login": postgres.username,
        "password": "none",
        "schema": name,
        "extra": {"ssl": False},
    }
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(fields))

    def run(sql: str) -> list[tuple[Any, ...]]:
        with engine.begin() as connection:
            result = connection.execution_options(no_parameters=True).exec_driver_sql(sql)
            return [tuple(row) for row in result] if result.returns_rows else []

    yield Standin("redshift", "", run)
    with admin.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    python = os.environ["SEQUENCE_BIGQUERY_PYTHON"]
    with bigquery_emulator(python, tmp_path_factory.mktemp("bigquery")) as running:
        yield running


@pytest.fixture
def bigquery(emulator: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> Standin:
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.bigquery import Client

    url, key = emulator
    extra = {"key_path": str(key), "project": PROJECT, "location": "EU"}
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", url)
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({"conn_type": "gcpbigquery", "extra": extra}))
    client = Client(project=PROJECT, credentials=AnonymousCredentials(), client_options={"api_endpoint": url})
    dataset = f"ds_{os.getpid()}_{next(_number)}"
    client.create_dataset(f"{PROJECT}.{dataset}")

    def run(sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row.values()) for row in client.query_and_wait(sql)]

    return Standin("bigquery", f"{dataset}.", run)


@pytest.fixture(scope="session")
def fakesnow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    python = os.environ["SEQUENCE_SNOWFLAKE_PYTHON"]
    with snowflake_server(python, tmp_path_factory.mktemp("snowflake")) as running:
        yield running


@pytest.fixture
def snowflake(fakesnow: tuple[int, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Standin]:
    import snowflake.connector

    port, certificate = fakesnow
    for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, str(certificate))
    monkeypatch.setenv("SNOWFLAKE_DISABLE_PLATFORM_DETECTION", "true")
    database = f"DB_{os.getpid()}_{next(_number)}"
    # Without a schema: tables are named in full.
    where = {
        "account": "fakesnow",
        "database": database,
        "schema": "SALES",
        "warehouse": "WH",
        "host": "localhost",
        "port": port,
    }
    fields = {
        "conn_type": "snowflake",
        "login": "user",
        "password": "secret",
        "schema": "SALES",
        "extra": {**where, "insecure_mode": "true"},
    }
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(fields))
    connection = snowflake.connector.connect(user="user", password="secret", **where)

    def run(sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in connection.cursor().execute(sql).fetchall()]

    run(f"CREATE DATABASE IF NOT EXISTS {database}")
    run(f"CREATE SCHEMA IF NOT EXISTS {database}.SALES")
    yield Standin("snowflake", f"{database}.SALES.", run)
    connection.close()


@pytest.fixture(scope="session")
def mariadb_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with mariadb_server(tmp_path_factory.mktemp("mariadb")) as port:
        yield port


@pytest.fixture
def mariadb(mariadb_port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Standin]:
    name = f"sequence_{os.getpid()}_{next(_number)}"
    fields = {"host": "127.0.0.1", "port": mariadb_port, "login": "root", "schema": name}
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({"conn_type": "mysql", **fields}))
    url = f"mysql+pymysql://root@127.0.0.1:{mariadb_port}?charset=utf8mb4"
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)

    def run(sql: str) -> list[tuple[Any, ...]]:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"USE {name}")
            result = connection.execution_options(no_parameters=True).exec_driver_sql(sql)
            return [tuple(row) for row in result] if result.returns_rows else []

    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    yield Standin("mariadb", "", run)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name}")


@pytest.fixture(scope="session")
def clickhouse_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with clickhouse_server(
        os.environ["SEQUENCE_CLICKHOUSE_PYTHON"], tmp_path_factory.mktemp("clickhouse")
    ) as port:
        yield port


@pytest.fixture
def clickhouse(clickhouse_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection ``warehouse`` to ClickHouse."""
    fields = {"conn_type": "clickhouse", "host": "127.0.0.1", "port": clickhouse_port}
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(fields))


@pytest.fixture(params=os.environ["SEQUENCE_STANDINS"].split())
def standin(request: pytest.FixtureRequest) -> Standin:
    """Each warehouse in turn."""
    return request.getfixturevalue(request.param)
