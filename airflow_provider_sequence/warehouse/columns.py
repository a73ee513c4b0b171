"""Columns of a table that is there, or none if it is not: one way for each that databases have to tell them."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import inspect
from sqlalchemy.engine import Connection
from sqlalchemy.sql.elements import TextClause

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
