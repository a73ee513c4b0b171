"""``MERGE``, which SQLAlchemy has no words for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Table, and_
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import ColumnElement, Executable
from sqlalchemy.sql.elements import ClauseElement
from sqlalchemy.sql.expression import Subquery


class Merge(Executable, ClauseElement):
    """
    Rows of a query that replace those with the same key, or else are new: one statement, all or nothing.

    :param target: the table.
    :param source: the query, under a name; it gives each key once.
    :param names: the columns to fill.
    :param key: those that tell which rows are the same.
    :param changes: what a row that is there already gets.
    """

    __visit_name__ = "merge"
    inherit_cache = False

    def __init__(
        self,
        target: Table,
        source: Subquery,
        names: Sequence[str],
        key: Sequence[str],
        changes: Mapping[str, ColumnElement[Any]],
    ) -> None:
        self.target = target
        self.source = source
        self.names = names
        self.on = and_(*(target.c[name] == source.c[name] for name in key))
        self.changes = changes


@compiles(Merge)
def _write(merge: Merge, compiler: Any, **options: Any) -> str:
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
