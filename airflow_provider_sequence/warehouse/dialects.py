"""
Database dialects: the row of each database, and which one a connection or an engine leads to.

No other module asks for a dialect's name. A database without a row can be read from; nothing is written into it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from sqlalchemy.engine import Connection, Dialect, Engine

from airflow_provider_sequence.warehouse.databases.bigquery import BIGQUERY
from airflow_provider_sequence.warehouse.databases.clickhouse import CLICKHOUSE
from airflow_provider_sequence.warehouse.databases.databricks import DATABRICKS
from airflow_provider_sequence.warehouse.databases.duckdb import DUCKDB
from airflow_provider_sequence.warehouse.databases.mssql import MSSQL
from airflow_provider_sequence.warehouse.databases.mysql import MARIADB, MYSQL
from airflow_provider_sequence.warehouse.databases.oracle import ORACLE
from airflow_provider_sequence.warehouse.databases.postgresql import POSTGRESQL
from airflow_provider_sequence.warehouse.databases.redshift import REDSHIFT
from airflow_provider_sequence.warehouse.databases.snowflake import SNOWFLAKE
from airflow_provider_sequence.warehouse.databases.sqlite import SQLITE
from airflow_provider_sequence.warehouse.databases.trino import TRINO
from airflow_provider_sequence.warehouse.dialect import DatabaseDialect

#: By the names of SQLAlchemy's dialects.
DIALECTS: Mapping[str, DatabaseDialect] = MappingProxyType({
    "postgresql": POSTGRESQL,
    "sqlite": SQLITE,
    "duckdb": DUCKDB,
    "mysql": MYSQL,
    "mariadb": MARIADB,
    "redshift": REDSHIFT,
    "snowflake": SNOWFLAKE,
    "bigquery": BIGQUERY,
    "databricks": DATABRICKS,
    "clickhousedb": CLICKHOUSE,
    "trino": TRINO,
    "mssql": MSSQL,
    "oracle": ORACLE,
})
_OTHER = DatabaseDialect(tried=False, writes=False)


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
