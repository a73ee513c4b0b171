"""Upsert: rows replace those with the same key, by the statement that each database has for it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from typing import Any, cast

from sqlalchemy import (
    Column,
    Table,
    and_,
    bindparam,
    column,
    literal,
    literal_column,
    select,
    true,
    values,
)
from sqlalchemy import cast as cast_to
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import Connection
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import ColumnElement, Executable, Select
from sqlalchemy.sql.elements import ClauseElement
from sqlalchemy.sql.expression import Subquery

from airflow_provider_sequence.warehouse.bulk_load import BulkInsert
from airflow_provider_sequence.warehouse.dialect import DatabaseDialect
from airflow_provider_sequence.warehouse.dialects import dialect_of
from airflow_provider_sequence.warehouse.engine import transaction
from airflow_provider_sequence.warehouse.temp_tables import create_temp_table
from airflow_provider_sequence.warehouse.types import UtcTimestamp

#: Characters of text in the rows of one MERGE of values; Snowflake takes statements of a megabyte.
_MERGE_TEXT = 250_000

#: The new values of a row, by the names of their columns.
Values = Mapping[str, ColumnElement[Any]]
#: What a row that is there already gets instead of the new value, for some columns.
Change = Callable[[Values], Mapping[str, ColumnElement[Any]]]


def _no_change(_: Values) -> Mapping[str, ColumnElement[Any]]:
    return {}


class Upserter:
    """
    Upsert of rows into a table, many at a time, in a transaction of their own.

    :param connection: the database.
    :param target: the table; its primary key tells which rows are the same.
    :param names: the columns to fill, those of the key among them.
    :param keep: columns that a row that is there already keeps.
    :param change: what a row that is there already gets instead of the new value.
    """

    def __init__(
        self,
        connection: Connection,
        target: Table,
        names: Sequence[str],
        *,
        keep: Collection[str] = (),
        change: Change = _no_change,
    ) -> None:
        self._connection = connection
        self._dialect = dialect_of(connection)
        self._target = target
        self._names = names
        self._options: Any = {"keep": keep, "change": change}

    def store(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """
        Store rows.

        :param rows: values by the names of their columns, each key once.
        """
        if self._dialect.merge and _text_length(rows) <= _MERGE_TEXT:
            self._merge_values(rows)
            return
        if self._by_values is None:
            self._store_staged(rows)
            return
        parameters = [{_parameter(name): row[name] for name in self._names} for row in rows]
        with transaction(self._connection):
            self._connection.execute(self._by_values, parameters)

    def _merge_values(self, rows: Sequence[Mapping[str, Any]]) -> None:
        first, c = rows[0], self._target.c
        # What is the same in all rows is written once: most columns of a log are.
        varying = [name for name in self._names if any(row[name] != first[name] for row in rows)]
        varying = varying or [each.name for each in self._target.primary_key]
        new = values(*(column(name, c[name].type) for name in varying), name="new").data([
            tuple(row[name] for name in varying) for row in rows
        ])
        query = select(
            *(
                _typed(new.c[name]) if name in varying else literal(first[name], c[name].type).label(name)
                for name in self._names
            )
        )
        with transaction(self._connection):
            for statement in upsert_rows(self._dialect, self._target, self._names, query, **self._options):
                self._connection.execute(statement)

    def _store_staged(self, rows: Sequence[Mapping[str, Any]]) -> None:
        bulk = BulkInsert(self._connection, self._staged)
        bulk.add([row[name] for name in self._names] for row in rows)
        bulk.flush()
        with transaction(self._connection):
            for statement in [*self._by_table, self._staged.delete().where(true())]:
                self._connection.execute(statement)

    @cached_property
    def _by_values(self) -> Executable | None:
        insert = self._dialect.insert
        if insert is None or self._dialect.stage_upserts:
            return None
        values = {name: bindparam(_parameter(name), type_=self._target.c[name].type) for name in self._names}
        return _on_conflict(insert(self._target).values(values), self._target, self._names, **self._options)

    @cached_property
    def _by_table(self) -> list[Executable]:
        rows = select(*self._staged.columns)
        return upsert_rows(self._dialect, self._target, self._names, rows, **self._options)

    @cached_property
    def _staged(self) -> Table:
        columns = [Column(name, self._target.c[name].type) for name in self._names]
        return create_temp_table(self._connection, columns, self._target.schema)


def _typed(value: ColumnElement[Any]) -> ColumnElement[Any]:
    # In VALUES, a driver may write an instant as text.
    return cast_to(value, value.type).label(value.name) if isinstance(value.type, UtcTimestamp) else value


def _parameter(column: str) -> str:
    # SQLAlchemy keeps a column's own name for the parameter that it makes itself in VALUES and SET.
    return f"new_{column}"


def _text_length(rows: Sequence[Mapping[str, Any]]) -> int:
    return sum(len(value) for row in rows for value in row.values() if isinstance(value, str))


def upsert_rows(
    dialect: DatabaseDialect,
    target: Table,
    names: Sequence[str],
    rows: Select[Any],
    *,
    keep: Collection[str] = (),
    change: Change = _no_change,
) -> list[Executable]:
    """
    Statements that upsert the rows of a query; they are executed in turn.

    :param dialect: the database's row.
    :param rows: the rows, each key once.

    The others are those of :class:`Upserter`.
    """
    if dialect.insert is not None:
        insert = dialect.insert(target).from_select(names, rows)
        return [_on_conflict(insert, target, names, keep=keep, change=change)]
    source = rows.subquery("source")
    same = and_(*(column == source.c[column.name] for column in target.primary_key))
    changes = _set(source.c, target, names, keep, change)
    if dialect.merge:
        return [Merge(target, source, names, same, changes)]
    there: Select[Any] = select(literal_column("1")).select_from(target).where(same).correlate(source)
    missing = select(*(source.c[name] for name in names)).where(~there.exists())
    return [target.update().where(same).values(changes), target.insert().from_select(names, missing)]


def _on_conflict(
    insert: Any, target: Table, names: Sequence[str], *, keep: Collection[str], change: Change
) -> Executable:
    if isinstance(insert, mysql.Insert):
        changes = _set(insert.inserted, target, names, keep, change)
        return cast("Executable", insert.on_duplicate_key_update(changes))
    key = [column.name for column in target.primary_key]
    changes = _set(insert.excluded, target, names, keep, change)
    return cast("Executable", insert.on_conflict_do_update(index_elements=key, set_=changes))


def _set(
    new: Any, target: Table, names: Sequence[str], keep: Collection[str], change: Change
) -> dict[str, ColumnElement[Any]]:
    changed = {name: new[name] for name in names if name not in keep and not target.c[name].primary_key}
    return changed | dict(change(new))


class Merge(Executable, ClauseElement):
    """
    ``MERGE`` statement, which SQLAlchemy does not have: rows of a query replace those with the same key, or are new.

    :param target: the table.
    :param source: the query, under a name; it gives each key once.
    :param names: the columns to fill.
    :param on: which rows are the same.
    :param changes: what a row that is there already gets.
    """

    __visit_name__ = "merge"
    inherit_cache = False

    def __init__(
        self,
        target: Table,
        source: Subquery,
        names: Sequence[str],
        on: ColumnElement[bool],
        changes: Mapping[str, ColumnElement[Any]],
    ) -> None:
        self.target = target
        self.source = source
        self.names = names
        self.on = on
        self.changes = changes


@compiles(Merge)
def _compile_merge(merge: Merge, compiler: Any, **options: Any) -> str:
    def write(part: ClauseElement, **more: Any) -> str:
        return str(compiler.process(part, **more, **options))

    quote = compiler.preparer
    # What a statement around a query leaves for it; without it, SQLAlchemy takes the query for the whole.
    compiler.stack.append({"correlate_froms": set(), "asfrom_froms": set(), "selectable": merge})
    source, on = write(merge.source, asfrom=True), write(merge.on)
    changes = ", ".join(f"{quote.quote(name)} = {write(value)}" for name, value in merge.changes.items())
    values = ", ".join(write(merge.source.c[name]) for name in merge.names)
    compiler.stack.pop()
    return " ".join([
        f"MERGE INTO {quote.format_table(merge.target)} USING {source} ON {on}",
        f"WHEN MATCHED THEN UPDATE SET {changes}",
        f"WHEN NOT MATCHED THEN INSERT ({', '.join(map(quote.quote, merge.names))}) VALUES ({values})",  # noqa: S608
    ])
