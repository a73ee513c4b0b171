"""Columns of a table that is there, or none if it is not: one way for each that databases have to tell them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import takewhile
from typing import Any

from sqlalchemy import inspect
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DatabaseError
from sqlalchemy.sql.elements import TextClause

from airflow_provider_sequence.exceptions import SequenceConfigurationError

#: Finds a table's columns by what stands before its name, and its name.
FindColumns = Callable[[Connection, str | None, str], set[str] | None]


def inspect_columns(connection: Connection, before: str | None, name: str) -> set[str] | None:
    """Ask SQLAlchemy's inspector."""
    inspector = inspect(connection)
    if not inspector.has_table(name, schema=before):
        return None
    return {column["name"] for column in inspector.get_columns(name, schema=before)}


def query_columns(query: TextClause) -> FindColumns:
    """Ask the database's own catalogue, with the parameters ``before`` and ``name``."""

    def find(connection: Connection, before: str | None, name: str) -> set[str] | None:
        # Drivers know plain text only.
        parameters = {"name": name, "before": None if before is None else str(before)}
        return set(connection.execute(query, parameters).scalars()) or None

    return find


def describe_columns(connection: Connection, before: str | None, name: str) -> set[str] | None:
    """Run ``DESCRIBE``, which finds a table as all statements do: Databricks's inspector knows no other catalog."""
    dialect: Any = connection.dialect
    if not dialect.catalog and (before is None or "." not in before):
        raise SequenceConfigurationError(
            f"the table {name} needs a catalog: name it catalog.schema.table, or give the connection's extra a catalog"
        )
    table = ".".join(f"`{part}`" for part in [*(before.split(".") if before else []), name])
    try:
        described = connection.exec_driver_sql(f"DESCRIBE TABLE {table}").scalars().all()
    except DatabaseError as e:
        if "TABLE_OR_VIEW_NOT_FOUND" in str(e.orig):
            return None
        raise
    # What follows the columns is how the table is partitioned.
    return set(takewhile(lambda column: column and not column.startswith("#"), described))
