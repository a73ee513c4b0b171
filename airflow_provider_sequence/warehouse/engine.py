"""What every use of the user's database has in common: engine options, names, and errors without data."""

from __future__ import annotations

import datetime as dt
import importlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import msgspec
from sqlalchemy import TIMESTAMP, DateTime, String, Table, Text, event, inspect, text
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import Connection, Dialect, Engine
from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    OperationalError,
    ProgrammingError,
    SQLAlchemyError,
)
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import AddConstraint, CreateColumn, CreateTable
from sqlalchemy.sql import Executable
from sqlalchemy.types import TypeDecorator, TypeEngine, UserDefinedType

from airflow_provider_sequence.exceptions import SequenceConfigurationError, WarehouseError
from airflow_provider_sequence.warehouse.temp_tables import drop_temp_tables

#: Seconds that a write to SQLite waits for another writer; the default of five is short for two tasks.
SQLITE_BUSY_SECONDS = 60

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_$]{0,127}")


#: Options of ``create_engine``: connections are not kept, values stay out of errors, and SQLAlchemy 1.4, of Airflow
#: 2.11, behaves like 2.0.
ENGINE_OPTIONS: Mapping[str, Any] = MappingProxyType({
    "poolclass": NullPool,
    "hide_parameters": True,
    "future": True,
})


def keep_json_as_text(engine: Engine) -> None:
    """Have JSON columns read as their text: left to themselves the drivers turn its numbers into floats."""

    def on_connect(connection: Any, _record: object) -> None:
        driver = type(connection).__module__.partition(".")[0]
        if driver == "psycopg":
            set_json_loads = importlib.import_module("psycopg.types.json").set_json_loads
            set_json_loads(_raw_json, connection)
        elif driver == "psycopg2":
            extras = importlib.import_module("psycopg2.extras")
            extras.register_default_json(connection, loads=_raw_json)
            extras.register_default_jsonb(connection, loads=_raw_json)

    event.listen(engine, "connect", on_connect)


def _raw_json(value: str | bytes) -> msgspec.Raw:
    return msgspec.Raw(value.encode() if isinstance(value, str) else bytes(value))


def split_table_name(name: str) -> tuple[str | None, str]:
    """
    Split ``table``, ``schema.table`` or ``database.schema.table`` into what stands before the table, and the table.

    :raises SequenceConfigurationError: if a part is no plain identifier.
    """
    parts = name.strip().split(".")
    if len(parts) > 3 or not all(_IDENTIFIER.fullmatch(part) for part in parts):
        raise SequenceConfigurationError(
            f"{name!r} is no table name. Give table, schema.table or database.schema.table, "
            "each of letters, digits and underscores"
        )
    return ".".join(parts[:-1]) or None, parts[-1]


@contextmanager
def connect(engine: Engine) -> Iterator[Connection]:
    """
    Open a connection, and close it at the end.

    :raises WarehouseError: if the database can't be reached, or refuses a statement meanwhile.
    """
    with database_errors(), engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {SQLITE_BUSY_SECONDS * 1000}")
            connection.rollback()
        try:
            yield connection
        finally:
            drop_temp_tables(connection)


#: Databases without savepoints, or that commit before and after DDL.
_NO_SAVEPOINTS = frozenset({"mysql", "mariadb", "duckdb", "redshift", "snowflake", "bigquery", "databricks"})
#: Those whose drivers run each statement by itself.
_NO_TRANSACTIONS = frozenset({"bigquery", "databricks"})


def require_transactions(connection: Connection, what: str, instead: str) -> None:
    """
    Refuse what would be left half done in a database whose statements each stand alone.

    :param what: what is refused.
    :param instead: how to have it elsewhere.
    :raises SequenceConfigurationError: if it is such a database.
    """
    if connection.dialect.name in _NO_TRANSACTIONS:
        raise SequenceConfigurationError(
            f"{what} can't be kept in {connection.dialect.name}, which has no transactions of several statements "
            f"over its driver. {instead} PostgreSQL, MySQL, MariaDB, SQLite, DuckDB, Snowflake and Redshift have them"
        )


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """Open a transaction that is committed at the end, or rolled back as a whole, DDL included."""
    with connection.begin():
        if connection.dialect.name == "sqlite":
            # Python's driver opens no transaction before DDL, and asks for the write lock late.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield


def existing_columns(connection: Connection, schema: str | None, name: str) -> set[str] | None:
    """Find the names of a table's columns; None if there is no such table."""
    if connection.dialect.name == "duckdb":
        found = connection.execute(_DUCKDB_COLUMNS, {"name": name, "before": schema}).scalars()
        return set(found) or None
    inspector = inspect(connection)
    if not inspector.has_table(name, schema=schema):
        return None
    return {column["name"] for column in inspector.get_columns(name, schema=schema)}


def require_unique_key(connection: Connection, schema: str | None, name: str, column: str) -> None:
    """
    Refuse a table that could hold a key twice, where the database would not say so itself: on MySQL.

    :raises SequenceConfigurationError: if the column is not the whole of a primary or unique key.
    """
    if connection.dialect.name not in _MYSQL:
        return
    inspector = inspect(connection)
    keys = [inspector.get_pk_constraint(name, schema=schema)["constrained_columns"]]
    keys += [each["column_names"] for each in inspector.get_unique_constraints(name, schema=schema)]
    if [column] not in keys:
        raise SequenceConfigurationError(
            f"the table {name} is there, but has no primary or unique key of its column {column}, so that a row would "
            "be there twice. Add it, or name another table: one that is missing is made"
        )


# What its dialect asks of PostgreSQL's catalogue is not all in DuckDB's.
_DUCKDB_COLUMNS = text("""
    SELECT column_name FROM duckdb_columns()
    WHERE lower(table_name) = lower(:name)
        AND CASE WHEN CAST(:before AS TEXT) IS NULL
            THEN database_name = current_database() AND schema_name = current_schema()
            ELSE lower(:before) IN (lower(schema_name), lower(database_name), lower(database_name || '.' || schema_name))
        END
""")


def create_if_missing(connection: Connection, table: Table) -> bool:
    """
    Create a table, in the transaction that is open, unless it is there or another task makes it meanwhile.

    :return: whether it was made; not known of a database without savepoints, and then false.
    """
    if existing_columns(connection, table.schema, table.name) is not None:
        return False
    if connection.dialect.name in _NO_SAVEPOINTS:
        connection.execute(CreateTable(table, if_not_exists=True))
        return False
    try:
        with connection.begin_nested():
            connection.execute(CreateTable(table))
    except DBAPIError:
        if existing_columns(connection, table.schema, table.name) is None:
            raise
        return False
    return True


def create_without_key(connection: Connection, table: Table) -> Executable | None:
    """
    Create a table like :func:`create_if_missing`; where nobody else sees it before the transaction ends, without a key.

    A key that is made of all rows at once takes less time, and less space, than one that grows with each of them.

    :return: the statement that makes the key, if the table was created without.
    """
    if connection.dialect.name != "postgresql":
        create_if_missing(connection, table)
        return None
    key = AddConstraint(table.primary_key)  # and CREATE TABLE leaves it out
    return key if create_if_missing(connection, table) else None


def add_columns(connection: Connection, table: Table, names: Sequence[str]) -> None:
    """Add columns that a table lacks, each in a transaction of its own, unless another task does it meanwhile."""
    quote = connection.dialect.identifier_preparer
    for name in names:
        try:
            with transaction(connection):
                column = CreateColumn(table.c[name]).compile(dialect=connection.dialect)
                connection.exec_driver_sql(f"ALTER TABLE {quote.format_table(table)} ADD {column}")
        except DBAPIError:
            with connection.begin():
                there = existing_columns(connection, table.schema, table.name) or set()
            if name not in there:
                raise


@contextmanager
def database_errors() -> Iterator[None]:
    """Turn the errors of SQLAlchemy and the driver into one that holds no row."""
    try:
        yield
    except SQLAlchemyError as e:
        error = WarehouseError(describe(e), _is_permanent(e))
    else:
        return
    raise error from None


def describe(error: SQLAlchemyError) -> str:
    """Say what the database said: the first line, and without quoted text where that may be a value."""
    if not isinstance(error, DBAPIError):
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"
    said = str(error.orig).strip().splitlines() or [""]
    first = said[0]
    if isinstance(error, (DataError, IntegrityError)):
        # What the database could not take is data, and it likes to quote it.
        first = re.sub(r"\"[^\"]*\"|'[^']*'|=\(.*\)", "…", first)
    return f"{type(error.orig).__name__}: {first}"


def _is_permanent(error: SQLAlchemyError) -> bool:
    if isinstance(error, ProgrammingError):
        return True
    # SQLite says OperationalError of a missing table as well as of a locked file; SQLITE_ERROR (1) is the former.
    # So do MySQL's drivers of an unknown column (1054), no query (1065), and an unknown function (1305).
    orig: Any = getattr(error, "orig", None)
    if getattr(orig, "sqlite_errorcode", None) == 1:
        return True
    return isinstance(error, OperationalError) and orig.args[:1] in [(1054,), (1065,), (1305,)]


def _mysql_collation(dialect: Any) -> str:
    """Name the collation that tells texts apart byte by byte, trailing spaces included."""
    return "utf8mb4_nopad_bin" if getattr(dialect, "is_mariadb", False) else "utf8mb4_0900_bin"


class KeyText(TypeDecorator[str]):
    """Text that may be part of a key: MySQL indexes no text without a length, and takes ``a`` for ``A``."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the column type of a dialect."""
        if dialect.name in _MYSQL:
            return mysql.VARCHAR(255, collation=_mysql_collation(dialect))
        return _LONG.get(dialect.name, Text())


class LongText(TypeDecorator[str]):
    """Text of any length, told apart byte by byte: TEXT is 64 KB on MySQL, and 256 bytes on Redshift."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the column type of a dialect."""
        if dialect.name in _MYSQL:
            return mysql.LONGTEXT(collation=_mysql_collation(dialect))
        return _LONG.get(dialect.name, Text())


_MYSQL = frozenset({"mysql", "mariadb"})
_LONG: Mapping[str, TypeEngine[Any]] = MappingProxyType({"redshift": String(65535)})

KEY_TEXT = KeyText()
LONG_TEXT = LongText()


class _Jsonb(UserDefinedType[str]):
    """JSONB that is given JSON text, and not Python values whose numbers were floats in between."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "JSONB"


class JsonText(TypeDecorator[str]):
    """A JSON text as it is: JSONB on PostgreSQL, text elsewhere (a JSON column of SQLite turns 1.10 into 1.1)."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the column type of a dialect."""
        if dialect.name == "postgresql":
            return _Jsonb()
        return LONG_TEXT.load_dialect_impl(dialect)


class UtcTimestamp(TypeDecorator[Any]):
    """A time with a zone: ``TIMESTAMP WITH TIME ZONE`` where there is one, else a plain timestamp in UTC."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the column type of a dialect."""
        return _TIMES.get(dialect.name, DateTime(timezone=True))

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """Write the time in UTC and drop the zone, where the database keeps none."""
        if value is None or dialect.name == "postgresql":
            return value
        utc = value.astimezone(dt.UTC)
        return utc if dialect.name in _KEEP_ZONES else utc.replace(tzinfo=None)


_TIMES: Mapping[str, TypeEngine[Any]] = MappingProxyType({
    "mysql": mysql.DATETIME(fsp=6),
    "mariadb": mysql.DATETIME(fsp=6),
    # What DateTime stands for there has no zone.
    "bigquery": TIMESTAMP(timezone=True),
    "databricks": TIMESTAMP(timezone=True),
})
_KEEP_ZONES = frozenset({"duckdb", "redshift", "snowflake", "bigquery", "databricks"})
