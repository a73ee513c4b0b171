"""
Database dialects: what each database can do, one frozen row of data each.

No other module asks for a dialect's name. A database without a row can be read from; nothing is written into it.
"""

from __future__ import annotations

import datetime as dt
import importlib
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from sqlalchemy import TIMESTAMP, DateTime, String, Table, Text, text
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine import Connection, Dialect, Engine
from sqlalchemy.sql.elements import TextClause
from sqlalchemy.types import TypeEngine, UserDefinedType

from airflow_provider_sequence.unreadable import UnreadableValue
from airflow_provider_sequence.warehouse.loaders import (
    Loader,
    copy_psycopg,
    copy_psycopg2,
    insert,
    insert_many,
    put_snowflake,
    read_csv_file,
    to_csv,
    to_plain_csv,
)
from airflow_provider_sequence.warehouse.postgres import connect_postgres, read_exactly


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseDialect:
    """
    Abilities of a database.

    :param tried: whether anything was ever tried on it; else nothing is written into it.
    :param key_text: type of text that may be part of a key.
    :param long_text: type of text of any length, compared byte by byte.
    :param json_text: type of a column that is given JSON text; ``long_text`` by default.
    :param timestamp: type of an instant.
    :param bind_timestamp: how an instant is bound: as it is, in UTC, or in UTC without its zone.
    :param holds_nul: whether text and JSON can hold the character U+0000, half a surrogate pair, and every number.
    :param transactions: whether the driver has transactions of several statements.
    :param savepoints: whether there are savepoints, and DDL does not end a transaction.
    :param begin: statement that begins a transaction, where the driver begins none before DDL.
    :param on_connect: statements that a new connection runs.
    :param temporary_tables: whether there are temporary tables; else an ordinary one is dropped at the end.
    :param temp_tables_in_schema: whether a temporary table has a schema, which a session may lack.
    :param temp_table_lifetime: option of a table that is dropped by itself, for one that a killed task left behind.
    :param stage_in_transaction: whether rows are staged in the transaction that loads them, in a temporary table that ends
        with it and has the types of the target: a pooler may give the next transaction another session, and the loaders
        write text that each type reads by itself, in any time zone.
    :param utc: statement after which a transaction takes a time without a zone for UTC.
    :param max_name_bytes: length of a table's name, beyond which the database cuts or refuses it.
    :param name_parts: how many parts a table's name can have.
    :param key_collation: collation in which keys are sorted for a load; the same for all tasks, so that loads cannot
        deadlock.
    :param insert: insert statement that can upsert.
    :param merge: whether there is a ``MERGE`` from a query.
    :param stage_upserts: whether an upsert of values goes through a temporary table, because a statement for each row
        costs a hundred times what the row does.
    :param key_after_load: whether a new table gets its key after its rows, which takes less time and space.
    :param checks_unique_key: whether an upsert into a table without a unique key fails by itself.
    :param array_parameters: whether a statement takes an array as one parameter.
    :param loaders: bulk loaders by the names of drivers.
    :param columns: query of a table's columns, where SQLAlchemy's inspector can't find them.
    :param refusal: query of the reason why a table would refuse rows, where no statement without rows shows it.
    :param permanent: whether an error of the driver comes of the statement itself, where its class does not tell.
    :param connection_types: Airflow's types of connections to it.
    :param hook_class: import path of the hook, where the connection type's own is not one to a SQL database.
    :param url: URL of the engine, where the hook's own engine speaks another dialect than the hook's driver.
    :param connect: opens a connection of the dialect's driver with a hook; each use has one of its own.
    :param before_reading: prepares a connection of the driver's for a user's query, so that each value comes exactly, or
        as an UnreadableValue.
    :param cancel: ends the statement that a connection of the driver's runs, from another thread.
    """

    tried: bool = True
    key_text: TypeEngine[Any] = field(default_factory=Text)
    long_text: TypeEngine[Any] = field(default_factory=Text)
    json_text: TypeEngine[Any] | None = None
    timestamp: TypeEngine[Any] = field(default_factory=lambda: DateTime(timezone=True))
    bind_timestamp: Literal["as_is", "utc", "without_zone"] = "without_zone"
    holds_nul: bool = True
    transactions: bool = True
    savepoints: bool = True
    begin: str | None = None
    on_connect: tuple[str, ...] = ()
    temporary_tables: bool = True
    temp_tables_in_schema: bool = False
    temp_table_lifetime: str | None = None
    stage_in_transaction: bool = False
    utc: str | None = None
    max_name_bytes: int | None = None
    name_parts: int = 3
    key_collation: str | None = None
    insert: Callable[[Table], Any] | None = None
    merge: bool = False
    stage_upserts: bool = False
    key_after_load: bool = False
    checks_unique_key: bool = True
    array_parameters: bool = False
    loaders: Mapping[str, Loader] = field(default_factory=dict)
    columns: TextClause | None = None
    refusal: TextClause | None = None
    permanent: Callable[[Any], bool] = lambda error: False
    connection_types: tuple[str, ...] = ()
    hook_class: str | None = None
    url: str | None = None
    connect: Callable[[Any], Any] = lambda hook: hook.get_conn()
    before_reading: Callable[[Any], None] = lambda connection: None
    cancel: Callable[[Any], None] = lambda connection: None

    def loader(self, driver: str) -> Loader:
        """Bulk loader of a driver; by default the driver makes one statement of many, or runs one for each row."""
        return self.loaders.get(driver, Loader(insert))


class _Jsonb(UserDefinedType[str]):
    """JSONB column that is given JSON text, and not Python values whose numbers were floats in between."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "JSONB"


#: Seconds that a write to SQLite waits for another writer; the default of five is short for two tasks.
SQLITE_BUSY_SECONDS = 60

_DUCKDB_COLUMNS = text("""
    SELECT column_name FROM duckdb_columns()
    WHERE lower(table_name) = lower(:name)
        AND CASE WHEN CAST(:before AS TEXT) IS NULL
            THEN database_name = current_database() AND schema_name = current_schema()
            ELSE lower(:before) IN (lower(schema_name), lower(database_name), lower(database_name || '.' || schema_name))
        END
""")


_POSTGRES_REFUSAL = text("""
    SELECT CASE
        WHEN row_security_active(c.oid) AND NOT EXISTS (
            SELECT FROM pg_policy WHERE polrelid = c.oid AND polpermissive
                AND (0 = ANY (polroles) OR EXISTS (SELECT FROM unnest(polroles) AS r WHERE pg_has_role(r, 'MEMBER')))
            HAVING bool_or(polcmd IN ('*', 'a')) AND bool_or(polcmd IN ('*', 'w'))
        ) THEN 'its row security has no policy by which this user may insert and update rows'
        WHEN EXISTS (
            SELECT FROM pg_constraint WHERE conrelid = c.oid AND condeferrable AND contype IN ('p', 'u')
                AND ARRAY (
                    SELECT attname::text FROM pg_attribute WHERE attrelid = c.oid AND attnum = ANY (conkey) ORDER BY 1
                ) = CAST(:sorted_key AS text[])
        ) THEN 'its key is deferrable'
    END
    FROM pg_class c WHERE c.oid = to_regclass(:table)
""")

_REDSHIFT_COLUMNS = text("""
    SELECT column_name FROM information_schema.columns
    WHERE table_name = lower(:name) AND table_schema = COALESCE(lower(:before), current_schema())
""")


def _mysql(collation: str) -> DatabaseDialect:
    # TEXT is 64 KB there, has no index without a length, and compares without case unless the collation is binary.
    return DatabaseDialect(
        max_name_bytes=64,
        name_parts=2,
        key_text=mysql.VARCHAR(255, collation=collation),
        long_text=mysql.LONGTEXT(collation=collation),
        timestamp=mysql.DATETIME(fsp=6),
        savepoints=False,
        insert=mysql.insert,
        checks_unique_key=False,
        permanent=_permanent_in_mysql,
    )


def _permanent_in_sqlite(error: Any) -> bool:
    # It says OperationalError of a missing table as well as of a locked file; SQLITE_ERROR (1) is the former.
    return getattr(error, "sqlite_errorcode", None) == 1


def _permanent_in_mysql(error: Any) -> bool:
    # The drivers say OperationalError of an unknown column (1054), no query (1065), and an unknown function (1305).
    return error.args[:1] in [(1054,), (1065,), (1305,)]


def _by_statement(driver_parameters: int, *drivers: str) -> Mapping[str, Loader]:
    return {driver: Loader(insert_many(driver_parameters)) for driver in drivers}


def _read_text_of_sqlite(connection: sqlite3.Connection) -> None:
    def read(text: bytes) -> str | UnreadableValue:
        try:
            return text.decode()
        except UnicodeDecodeError:
            return UnreadableValue("is text that is not UTF-8; convert it in the query")

    connection.text_factory = read


def _connect_duckdb(hook: Any) -> Any:
    return importlib.import_module("duckdb_engine").ConnectionWrapper(hook.get_conn())


def _connect_bigquery(hook: Any) -> Any:
    # The hook's own connection gives numbers as text, and times as floats.
    dbapi = importlib.import_module("google.cloud.bigquery.dbapi")
    client = hook.get_client(project_id=hook.project_id, location=hook.location)
    return dbapi.connect(client, prefer_bqstorage_client=False)


DIALECTS: Mapping[str, DatabaseDialect] = MappingProxyType({
    "postgresql": DatabaseDialect(
        connection_types=("postgres",),
        connect=connect_postgres,
        before_reading=read_exactly,
        cancel=lambda connection: connection.cancel(),
        json_text=_Jsonb(),
        bind_timestamp="as_is",
        holds_nul=False,
        stage_in_transaction=True,
        refusal=_POSTGRES_REFUSAL,
        utc="SET LOCAL TIME ZONE 'UTC'",
        max_name_bytes=63,
        name_parts=2,
        key_collation="C",
        insert=postgresql.insert,
        key_after_load=True,
        array_parameters=True,
        loaders={
            "psycopg": Loader(copy_psycopg, threaded=True),
            "psycopg2": Loader(copy_psycopg2, threaded=True),
        },
    ),
    "sqlite": DatabaseDialect(
        connection_types=("sqlite",),
        # Python's driver begins no transaction before DDL, and asks for the write lock late.
        begin="BEGIN IMMEDIATE",
        name_parts=2,
        on_connect=(f"PRAGMA busy_timeout = {SQLITE_BUSY_SECONDS * 1000}",),
        insert=sqlite_insert,
        before_reading=_read_text_of_sqlite,
        cancel=lambda connection: connection.interrupt(),
        permanent=_permanent_in_sqlite,
    ),
    "duckdb": DatabaseDialect(
        bind_timestamp="utc",
        savepoints=False,
        insert=postgresql.insert,
        stage_upserts=True,
        loaders={"duckdb_engine": Loader(read_csv_file, to_file=to_csv, file_bytes=1_000_000)},
        columns=_DUCKDB_COLUMNS,
        connection_types=("duckdb",),
        connect=_connect_duckdb,
        cancel=lambda connection: connection.interrupt(),
    ),
    "mysql": _mysql("utf8mb4_0900_bin"),
    "mariadb": _mysql("utf8mb4_nopad_bin"),
    "redshift": DatabaseDialect(
        connection_types=("redshift",),
        url="redshift+redshift_connector://",  # the hook's own is one to PostgreSQL
        columns=_REDSHIFT_COLUMNS,
        max_name_bytes=127,
        name_parts=2,
        key_text=String(65535),  # TEXT is 256 bytes there
        long_text=String(65535),
        bind_timestamp="utc",
        holds_nul=False,
        savepoints=False,
        loaders=_by_statement(32_000, "psycopg2", "redshift_connector"),
    ),
    "snowflake": DatabaseDialect(
        connection_types=("snowflake",),
        temp_tables_in_schema=True,
        bind_timestamp="utc",
        savepoints=False,
        merge=True,
        stage_upserts=True,
        loaders={"snowflake": Loader(put_snowflake, to_file=to_plain_csv)},
    ),
    "bigquery": DatabaseDialect(
        connection_types=("gcpbigquery",),
        connect=_connect_bigquery,
        timestamp=TIMESTAMP(timezone=True),  # what DateTime stands for there has no zone
        bind_timestamp="utc",
        transactions=False,
        savepoints=False,
        temporary_tables=False,
        temp_table_lifetime="bigquery_expiration_timestamp",
        merge=True,
        loaders=_by_statement(10_000, "bigquery"),
    ),
    "databricks": DatabaseDialect(
        connection_types=("databricks",),
        hook_class="airflow.providers.databricks.hooks.databricks_sql.DatabricksSqlHook",
        timestamp=TIMESTAMP(timezone=True),
        bind_timestamp="utc",
        transactions=False,
        savepoints=False,
        temporary_tables=False,
        merge=True,
        loaders=_by_statement(255, "databricks", "databricks-sql-python"),  # the latter before SQLAlchemy 2
    ),
})
_OTHER = DatabaseDialect(tried=False)


def dialect_of(database: Connection | Engine | Dialect) -> DatabaseDialect:
    """Row of a database."""
    dialect: Any = database if isinstance(database, Dialect) else database.dialect
    name = "mariadb" if getattr(dialect, "is_mariadb", False) else dialect.name
    return DIALECTS.get(name, _OTHER)


def dialect_of_connection(conn_type: str) -> DatabaseDialect:
    """Row of the database that connections of a type lead to."""
    return next((row for row in DIALECTS.values() if conn_type in row.connection_types), _OTHER)


def bind_timestamp(value: dt.datetime, dialect: DatabaseDialect) -> dt.datetime:
    """Instant as a database's driver takes it."""
    if dialect.bind_timestamp == "as_is":
        return value
    utc = value.astimezone(dt.UTC)
    return utc if dialect.bind_timestamp == "utc" else utc.replace(tzinfo=None)
