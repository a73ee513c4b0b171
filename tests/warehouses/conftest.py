"""Warehouses that can't run here, each with what stands in for it, behind the real Airflow hook and the real driver."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from tests.integration.support.databases import postgres, sequence_conn
from tests.warehouses.bigquery import PROJECT, bigquery_emulator, make_client
from tests.warehouses.clickhouse import clickhouse_server
from tests.warehouses.mariadb import mariadb_server
from tests.warehouses.redshift import Proxy, redshift_proxy
from tests.warehouses.s3 import Bucket, s3_server
from tests.warehouses.snowflake import snowflake_server

if TYPE_CHECKING:
    from tests.warehouses.databricks import Warehouse

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
def redshift_proxied(postgres: URL) -> Iterator[Proxy]:
    with redshift_proxy(postgres) as proxy:
        yield proxy


@pytest.fixture
def redshift(postgres: URL, redshift_proxied: Proxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[Standin]:
    name = f"redshift_{os.getpid()}_{next(_number)}"
    admin = sa.create_engine(postgres, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
    engine = sa.create_engine(postgres.set(database=name), poolclass=NullPool)
    fields = {
        "conn_type": "redshift",
        "host": "127.0.0.1",
        "port": redshift_proxied.port,
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


@pytest.fixture
def bucket(redshift_proxied: Proxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """S3 behind the connection ``aws``, and Redshift that can read it."""
    with s3_server() as bucket:
        extra = {"region_name": "eu-west-1", "endpoint_url": bucket.url}
        fields = {"conn_type": "aws", "login": "AKIAEXAMPLE", "password": "secret", "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_AWS", json.dumps(fields))
        redshift_proxied.objects = bucket.folder
        yield bucket


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    python = os.environ["SEQUENCE_BIGQUERY_PYTHON"]
    with bigquery_emulator(python, tmp_path_factory.mktemp("bigquery")) as running:
        yield running


@pytest.fixture
def bigquery(emulator: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> Standin:
    url, key = emulator
    extra = {"key_path": str(key), "project": PROJECT, "location": "EU"}
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", url)
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({"conn_type": "gcpbigquery", "extra": extra}))
    client = make_client(url)
    dataset = f"ds_{os.getpid()}_{next(_number)}"
    client.create_dataset(f"{PROJECT}.{dataset}")

    def run(sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row.values()) for row in client.query_and_wait(sql)]

    return Standin("bigquery", f"{dataset}.", run)


@pytest.fixture
def databricks_warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
    """A warehouse of Databricks without any table, behind the connection ``warehouse``."""
    from tests.warehouses.databricks import CATALOG, databricks_server

    with databricks_server(tmp_path) as warehouse:
        extra = {
            "http_path": "/sql/1.0/warehouses/abc",
            "catalog": CATALOG,
            "_connection_uri": f"{warehouse.url}/sql",
            "enable_telemetry": False,
        }
        fields = {"conn_type": "databricks", "host": "dbc.example", "password": "token", "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(fields))
        warehouse.run(f"CREATE SCHEMA {CATALOG}.sales")
        yield warehouse


@pytest.fixture
def databricks(databricks_warehouse: Warehouse) -> Standin:
    return Standin("databricks", "billing.sales.", databricks_warehouse.run)


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
