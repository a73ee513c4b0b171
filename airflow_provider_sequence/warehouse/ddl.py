"""Tables of the user's database: names, existing columns, and creation that other tasks may race."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterable, Sequence
from hashlib import blake2b

from sqlalchemy import Table, inspect
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import AddConstraint, CreateColumn, CreateIndex, CreateTable
from sqlalchemy.sql import Executable
from sqlalchemy.sql.elements import quoted_name

from airflow_provider_sequence.exceptions import SequenceConfigurationError
from airflow_provider_sequence.warehouse.dialects import dialect_of
from airflow_provider_sequence.warehouse.engine import transaction

log = logging.getLogger(__name__)

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
            f"{name!r} is no table name\nGive table, schema.table or database.schema.table, "
            "each of letters, digits and underscores; a database may have hyphens"
        )
    before = ".".join(parts[:-1])
    # SQLAlchemy would quote a database and a schema as one name. With a hyphen it has to: BigQuery reads that as two.
    as_it_is = len(parts) == 3 and "-" not in before
    return quoted_name(before, False) if as_it_is else before or None, parts[-1]


def table_name_in(connection: Connection, name: str) -> tuple[str | None, str]:
    """
    Split a name like :func:`split_table_name`, as a database takes it.

    :raises SequenceConfigurationError: if a part is no plain identifier, or the database has no such names.
    """
    dialect = dialect_of(connection)
    before, table = split_table_name(name)
    parts = [*(before or "").split("."), table]
    if before and len(parts) > dialect.name_parts:
        raise SequenceConfigurationError(
            f"{name!r} is no table name on {connection.dialect.name}, where the connection names the database\nGive "
            "table or schema.table"
        )
    longest = dialect.max_name_bytes
    if longest is not None and max(map(len, parts)) > longest:
        raise SequenceConfigurationError(
            f"{name!r} is too long: a name has at most {longest} characters on {connection.dialect.name}"
        )
    return before, table


def existing_columns(connection: Connection, schema: str | None, name: str) -> set[str] | None:
    """Find the names of a table's columns; None if there is no such table."""
    return dialect_of(connection).columns(connection, schema, name)


def missing_columns(connection: Connection, table: Table) -> list[str]:
    """List the columns of a table that the one in the database lacks."""
    there = existing_columns(connection, table.schema, table.name) or set()
    return [column.name for column in table.columns if column.name not in there]


def wrong_table(name: str, what: str, missing: Iterable[str]) -> SequenceConfigurationError:
    """Make the error about a table that is there, and is none of ours: it lacks columns."""
    return SequenceConfigurationError(
        f"the table {name} is there, but is no {what}: it has no column {', '.join(missing)}\nName another table: one that "
        "is missing is made"
    )


def require_new_name(connection: Connection, schema: str | None, name: str) -> None:
    """
    Refuse the name of a missing table where the same name in lower case is there: SQL without quotes would mean that one.

    :raises SequenceConfigurationError: if so.
    """
    lower = name.lower()
    if name != lower and existing_columns(connection, schema, lower) is not None:
        raise SequenceConfigurationError(
            f"there is no table {name}, but a table {lower}\nNames are taken as they are written: give {lower}"
        )


def require_fillable(connection: Connection, schema: str | None, name: str, filled: Collection[str]) -> None:
    """
    Refuse a table with a column that must have a value, and that nobody gives one.

    :param filled: the columns that are given one.
    :raises SequenceConfigurationError: if there is such a column.
    """
    if not dialect_of(connection).inspects_columns:
        return
    made = ("default", "identity", "computed")
    empty = [
        column["name"]
        for column in inspect(connection).get_columns(name, schema=schema)
        if not column["nullable"]
        and column["name"] not in filled
        and column.get("autoincrement") is not True
        and all(column.get(key) is None for key in made)
    ]
    if empty:
        raise SequenceConfigurationError(
            f"the table {name} is there, but its column {', '.join(empty)} is NOT NULL, and gets no value\nGive it a "
            "default, or name another table: one that is missing is made"
        )


def require_no_refusal(connection: Connection, table: Table) -> None:
    """
    Refuse a table that would refuse rows for a reason that no statement without rows shows.

    :raises SequenceConfigurationError: if there is one.
    """
    query = dialect_of(connection).refusal
    if query is None:
        return
    name = connection.dialect.identifier_preparer.format_table(table)
    key = sorted(column.name for column in table.primary_key)
    reason = connection.execute(query, {"table": name, "sorted_key": key}).scalar()
    if reason is not None:
        raise SequenceConfigurationError(
            f"the table {name} is there, but takes no rows: {reason}\nChange it, or name another table: one that is "
            "missing is made"
        )


def find_key(
    connection: Connection, schema: str | None, name: str, column: str, filled: Collection[str]
) -> list[str]:
    """
    Find the primary or unique key of a table by which an upsert finds its rows: the shortest with a column in it.

    :param column: which one.
    :param filled: the columns that are given a value; the key has no others.
    :raises SequenceConfigurationError: if there is none, and the upsert would not fail by itself: on MySQL.
    """
    dialect = dialect_of(connection)
    if dialect.insert is None or not dialect.inspects_columns:
        return [column]
    inspector = inspect(connection)
    never_null = {each["name"] for each in inspector.get_columns(name, schema=schema) if not each["nullable"]}
    keys = [inspector.get_pk_constraint(name, schema=schema)["constrained_columns"]]
    keys += [each["column_names"] for each in inspector.get_unique_constraints(name, schema=schema)]
    usable = [key for key in keys if column in key and never_null.issuperset(key) and set(key) <= set(filled)]
    if [column] in keys or not dialect.checks_unique_key:
        usable = [key for key in keys if key == [column]]
    if not usable and not dialect.checks_unique_key:
        raise SequenceConfigurationError(
            f"the table {name} is there, but has no primary or unique key of its column {column},\nso that a row would "
            "be there twice\nAdd it, or name another table: one that is missing is made"
        )
    return min(usable, key=len, default=[column])


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


#: Bytes of a table's name that an index's name repeats; PostgreSQL cuts names after 63.
_LONGEST_PART = 40


def index_name(table: Table, suffix: str) -> str:
    """Name of an index: the table's and a suffix, since the names of indexes are a schema's."""
    name = table.name
    if len(name) > _LONGEST_PART:
        name = f"{name[:_LONGEST_PART]}_{blake2b(name.encode(), digest_size=4).hexdigest()}"
    return f"{name}_{suffix}"


def create_indexes(connection: Connection, table: Table) -> None:
    """
    Create the indexes that a table lacks, each in a transaction of its own, where the database has indexes.

    They make reading faster, and nothing depends on them: where this user may not create one, it is a warning.
    """
    if not dialect_of(connection).indexes:
        return
    there = _index_names(connection, table)
    for index in sorted(table.indexes, key=lambda index: str(index.name)):
        if index.name in there:
            continue
        try:
            with transaction(connection):
                connection.execute(CreateIndex(index))
        except DBAPIError:
            if index.name not in _index_names(connection, table):
                statement = " ".join(str(CreateIndex(index).compile(dialect=connection.dialect)).split())
                log.warning("An index can't be created; queries will be slower without it: %s", statement)


def _index_names(connection: Connection, table: Table) -> set[str | None]:
    with connection.begin():
        return {index["name"] for index in inspect(connection).get_indexes(table.name, schema=table.schema)}
