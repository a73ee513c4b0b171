"""Temporary tables: a connection's own, dropped when it is closed."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Column, MetaData, Table
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.schema import CreateTable, DropTable

from airflow_provider_sequence.warehouse.dialects import dialect_of

#: How long one stays whose task was killed, in the database that drops tables by itself.
_LIFETIME = dt.timedelta(days=1)
#: Tables that connections have to drop. What SQLAlchemy keeps with a connection itself is gone with the driver's, which
#: it gives up when a task is interrupted.
_to_drop: WeakKeyDictionary[Connection, list[Table]] = WeakKeyDictionary()


def create_temp_table(
    connection: Connection, columns: Sequence[Column[Any]], schema: str | None = None
) -> Table:
    """
    Create a temporary table, in a transaction of its own.

    :param schema: where it is made, where the database has no temporary tables, or they are in a schema.
    """
    dialect = dialect_of(connection)
    options: dict[str, Any] = {"prefixes": ["TEMPORARY"]} if dialect.temporary_tables else {}
    if dialect.temp_tables_in_schema or not dialect.temporary_tables:
        options["schema"] = schema
    if dialect.temp_table_lifetime is not None:
        options[dialect.temp_table_lifetime] = dt.datetime.now(dt.UTC) + _LIFETIME
    table = Table(f"_sequence_{uuid.uuid4().hex[:12]}", MetaData(), *columns, **options)
    with connection.begin():
        connection.execute(CreateTable(table))
    if not dialect.temporary_tables:
        _to_drop.setdefault(connection, []).append(table)
    return table


def drop_temp_tables(connection: Connection) -> None:
    """Drop tables that the database does not drop by itself; what can't be dropped now is no reason to fail."""
    for table in _to_drop.pop(connection, []):
        with suppress(SQLAlchemyError), connection.begin():
            connection.execute(DropTable(table))
