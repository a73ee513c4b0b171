"""Temporary tables: a connection's own, dropped when it is closed, or a transaction's, dropped when it ends."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Column, MetaData, Table, cast, null, select
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.schema import CreateTable, DropTable

from airflow_provider_sequence.warehouse.dialects import dialect_of
from airflow_provider_sequence.warehouse.transactions import join_transaction

#: How long one stays whose task was killed, in the database that drops tables by itself.
_LIFETIME = dt.timedelta(days=1)
#: Tables that connections have to drop. What SQLAlchemy keeps with a connection itself is gone with the driver's, which
#: it gives up when a task is interrupted.
_to_drop: WeakKeyDictionary[Connection, list[Table]] = WeakKeyDictionary()


def create_temp_table(
    connection: Connection,
    columns: Sequence[Column[Any]],
    schema: str | None = None,
    like: Table | None = None,
) -> Table:
    """
    Create a temporary table, in the transaction that is open, or one of its own.

    :param schema: where it is made, where the database has no temporary tables, or they are in a schema.
    :param like: the table whose own types the columns of the same names get.
    """
    dialect = dialect_of(connection)
    options: dict[str, Any] = {"prefixes": ["TEMPORARY"]} if dialect.temporary_tables else {}
    if dialect.temp_tables_in_schema or not dialect.temporary_tables:
        options["schema"] = schema
    if dialect.stage_in_transaction and connection.in_transaction():
        options["postgresql_on_commit"] = "DROP"
    if dialect.temp_table_lifetime is not None:
        options[dialect.temp_table_lifetime] = dt.datetime.now(dt.UTC) + _LIFETIME
    table = Table(f"_sequence_{uuid.uuid4().hex[:12]}", MetaData(), *columns, **options)
    with join_transaction(connection):
        if like is None:
            connection.execute(CreateTable(table))
        else:
            values = [
                like.c[column.name] if column.name in like.c else cast(null(), column.type).label(column.name)
                for column in columns
            ]
            query = select(*values).compile(dialect=connection.dialect)
            name = connection.dialect.identifier_preparer.format_table(table)
            connection.exec_driver_sql(
                f"CREATE TEMPORARY TABLE {name} ON COMMIT DROP AS {query} WITH NO DATA"
            )
    if not dialect.temporary_tables:
        _to_drop.setdefault(connection, []).append(table)
    return table


def drop_temp_tables(connection: Connection) -> None:
    """Drop tables that the database does not drop by itself; what can't be dropped now is no reason to fail."""
    for table in _to_drop.pop(connection, []):
        with suppress(SQLAlchemyError), connection.begin():
            connection.execute(DropTable(table))
