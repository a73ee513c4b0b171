"""Tables of the user's database: names, existing columns, and creation that other tasks may race."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sqlalchemy import Table, inspect
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import AddConstraint, CreateColumn, CreateTable
from sqlalchemy.sql import Executable
from sqlalchemy.sql.elements import quoted_name

from airflow_provider_sequence.exceptions import SequenceConfigurationError
from airflow_provider_sequence.warehouse.dialects import dialect_of
from airflow_provider_sequence.warehouse.engine import transaction

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_$]{0,127}")
#: Hyphens are usual in the projects of BigQuery.
_DATABASE = re.compile(r"[A-Za-z_][A-Za-z0-9_$-]{0,127}")


def split_table_name(name: str) -> tuple[str | None, str]:
    """
    Split ``table``, ``schema.table`` or ``database.schema.table`` into what stands before the table, and the table.

    :raises SequenceConfigurationError: if a part is no plain identifier.
    """
    parts = name.strip().split(".")
    patterns = [_DATABASE, _IDENTIFIER, _IDENTIFIER][-len(parts) :]
    if len(parts) > 3 or not all(map(re.Pattern.fullmatch, patterns, parts)):
        raise SequenceConfigurationError(
            f"{name!r} is no table name. Give table, schema.table or database.schema.table, "
            "each of letters, digits and underscores; a database may have hyphens"
        )
    before = ".".join(parts[:-1])
    # SQLAlchemy would quote a database and a schema as one name. With a hyphen it has to: BigQuery reads that as two.
    as_it_is = len(parts) == 3 and "-" not in before
    return quoted_name(before, False) if as_it_is else before or None, parts[-1]


def existing_columns(connection: Connection, schema: str | None, name: str) -> set[str] | None:
    """Find the names of a table's columns; None if there is no such table."""
    return dialect_of(connection).columns(connection, schema, name)


def require_unique_key(connection: Connection, schema: str | None, name: str, column: str) -> None:
    """
    Refuse a table that could hold a key twice, where an upsert would not fail by itself: on MySQL.

    :raises SequenceConfigurationError: if the column is not the whole of a primary or unique key.
    """
    if dialect_of(connection).checks_unique_key:
        return
    inspector = inspect(connection)
    keys = [inspector.get_pk_constraint(name, schema=schema)["constrained_columns"]]
    keys += [each["column_names"] for each in inspector.get_unique_constraints(name, schema=schema)]
    if [column] not in keys:
        raise SequenceConfigurationError(
            f"the table {name} is there, but has no primary or unique key of its column {column}, so that a row would "
            "be there twice. Add it, or name another table: one that is missing is made"
        )


def create_if_missing(connection: Connection, table: Table) -> bool:
    """
    Create a table, in the transaction that is open, unless it is there or another task makes it meanwhile.

    :return: whether it was made; not known of a database without savepoints, and then false.
    """
    if existing_columns(connection, table.schema, table.name) is not None:
        return False
    if not dialect_of(connection).savepoints:
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
    Create a table like :func:`create_if_missing`, but without its key where no other transaction sees it yet.

    A key that is made of all rows at once takes less time, and less space, than one that grows with each of them.

    :return: the statement that makes the key, if the table was created without.
    """
    if not dialect_of(connection).key_after_load:
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
