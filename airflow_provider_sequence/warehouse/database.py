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
from sqlalchemy import DateTime, String, Table, Text, event, inspect
from sqlalchemy.engine import Connection, Dialect, Engine
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError, SQLAlchemyError
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import CreateColumn, CreateTable
from sqlalchemy.types import TypeDecorator, TypeEngine, UserDefinedType

from airflow_provider_sequence.exceptions import SequenceConfigurationError, WarehouseError

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


def keep_json_text(engine: Engine) -> None:
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


def _raw_json(text: str | bytes) -> msgspec.Raw:
    return msgspec.Raw(text.encode() if isinstance(text, str) else bytes(text))


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
        yield connection


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """Open a transaction that is committed at the end, or rolled back as a whole, DDL included."""
    with connection.begin():
        if connection.dialect.name == "sqlite":
            # Python's driver opens no transaction before DDL, and asks for the write lock late.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield


def columns_there(connection: Connection, schema: str | None, name: str) -> set[str] | None:
    """Find the names of a table's columns; None if there is no such table."""
    inspector = inspect(connection)
    if not inspector.has_table(name, schema=schema):
        return None
    return {column["name"] for column in inspector.get_columns(name, schema=schema)}


def create_if_missing(connection: Connection, table: Table) -> None:
    """Create a table, in the transaction that is open, unless it is there or another task makes it meanwhile."""
    if columns_there(connection, table.schema, table.name) is not None:
        return
    try:
        with connection.begin_nested():
            connection.execute(CreateTable(table))
    except DBAPIError:
        if columns_there(connection, table.schema, table.name) is None:
            raise


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
                there = columns_there(connection, table.schema, table.name) or set()
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
    return getattr(getattr(error, "orig", None), "sqlite_errorcode", None) == 1


#: Text that may be part of a key: MySQL indexes no text without a length.
KEY_TEXT = Text().with_variant(String(255), "mysql").with_variant(String(255), "mariadb")


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
        return dialect.type_descriptor(_Jsonb() if dialect.name == "postgresql" else Text())


class UtcTimestamp(TypeDecorator[Any]):
    """A time with a zone: ``TIMESTAMP WITH TIME ZONE`` where there is one, else a plain timestamp in UTC."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the column type of a dialect."""
        if dialect.name in {"mysql", "mariadb"}:
            from sqlalchemy.dialects.mysql import DATETIME

            return dialect.type_descriptor(DATETIME(fsp=6))
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """Write the time in UTC and drop the zone, where the database keeps none."""
        if value is None or dialect.name == "postgresql":
            return value
        return value.astimezone(dt.UTC).replace(tzinfo=None)
