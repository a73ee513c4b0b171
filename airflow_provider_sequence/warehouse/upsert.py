"""Rows that replace those with the same key, in each dialect's own words."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Table, and_, bindparam, exists, literal_column, select
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.sql import ColumnElement, Executable, Select


def upsert_values(
    dialect: str,
    target: Table,
    names: Sequence[str],
    *,
    keep: Collection[str] = (),
    change: Mapping[str, ColumnElement[Any]] | None = None,
) -> list[Executable]:
    """
    Write the statements that store one row; they are executed in turn, with parameters named like the columns.

    :param dialect: SQLAlchemy's name of the database.
    :param target: the table; its primary key tells which rows are the same.
    :param names: the columns to fill, those of the key among them.
    :param keep: columns that a row that is there already keeps.
    :param change: what a row that is there already gets instead of the new value.
    """
    values = {name: bindparam(name, type_=target.c[name].type) for name in names}
    changed = [name for name in names if name not in {*_key(target), *keep}]
    if dialect in _WITH_UPSERT:
        insert = _WITH_UPSERT[dialect](target)
        return [_on_conflict(insert.values(values), insert, _key(target), changed, change)]
    same = and_(*(target.c[name] == values[name] for name in _key(target)))
    there = exists(select(literal_column("1")).select_from(target).where(same))
    missing = select(*(value.label(name) for name, value in values.items())).where(~there)
    update = {name: values[name] for name in changed} | dict(change or {})
    return [target.update().where(same).values(update), target.insert().from_select(names, missing)]


def upsert_rows(dialect: str, target: Table, names: Sequence[str], rows: Select[Any]) -> list[Executable]:
    """
    Write the statements that store the rows of a query; they are executed in turn.

    :param dialect: SQLAlchemy's name of the database.
    :param target: the table; its primary key, of one column, tells which rows are the same.
    :param names: the columns to fill.
    :param rows: the rows, each key once.
    """
    (key,) = _key(target)
    if dialect in _WITH_UPSERT:
        insert = _WITH_UPSERT[dialect](target)
        return [_on_conflict(insert.from_select(names, rows), insert, [key], [n for n in names if n != key])]
    keys = rows.with_only_columns(rows.selected_columns[key])
    return [target.delete().where(target.c[key].in_(keys)), target.insert().from_select(names, rows)]


# The dialects that can do it in one statement, each with an insert of its own.
_WITH_UPSERT: dict[str, Callable[[Table], Any]] = {
    "postgresql": postgresql.insert,
    "sqlite": sqlite.insert,
    "mysql": mysql.insert,
    "mariadb": mysql.insert,
}


def _on_conflict(
    statement: Any,
    insert: Any,
    key: Sequence[str],
    changed: Sequence[str],
    change: Mapping[str, ColumnElement[Any]] | None = None,
) -> Executable:
    new = insert.inserted if isinstance(insert, mysql.Insert) else insert.excluded
    set_ = {name: new[name] for name in changed} | dict(change or {})
    if isinstance(insert, mysql.Insert):
        return cast("Executable", statement.on_duplicate_key_update(set_))
    return cast("Executable", statement.on_conflict_do_update(index_elements=list(key), set_=set_))


def _key(table: Table) -> list[str]:
    return [column.name for column in table.primary_key]
