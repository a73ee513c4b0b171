"""Staging load: rows are staged in a temporary table, and replace those with the same key in one transaction."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import gt, lt
from typing import Any, Literal

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Integer,
    MetaData,
    Table,
    case,
    func,
    select,
    true,
)
from sqlalchemy.engine import Connection
from sqlalchemy.sql import Executable, Select
from sqlalchemy.types import TypeEngine

from airflow_provider_sequence.exceptions import SequenceConfigurationError
from airflow_provider_sequence.warehouse.bulk_load import BulkInsert
from airflow_provider_sequence.warehouse.ddl import (
    create_without_key,
    existing_columns,
    require_unique_key,
    split_table_name,
)
from airflow_provider_sequence.warehouse.dialects import dialect_of
from airflow_provider_sequence.warehouse.engine import require_writable, transaction
from airflow_provider_sequence.warehouse.temp_tables import create_temp_table
from airflow_provider_sequence.warehouse.types import KEY_TEXT, LONG_TEXT, JsonText, UtcTimestamp
from airflow_provider_sequence.warehouse.upsert import upsert_rows

#: Rows that are read at a time.
_BATCH = 1000

ColumnType = Literal["key", "text", "timestamp", "integer", "boolean", "json"]

_SQL_TYPES: dict[str, TypeEngine[Any]] = {
    "key": KEY_TEXT,
    "text": LONG_TEXT,
    "timestamp": UtcTimestamp(),
    "integer": BigInteger(),
    "boolean": Boolean(),
    "json": JsonText(),
}

#: Columns of the staged rows that the target does not have: the order in which they came, whether they go into the
#: target, and which list they were read from.
_POSITION, _KEPT, _LIST = "_position", "_kept", "_list"


@dataclass(frozen=True, slots=True)
class StagingColumn:
    """
    A column of a staging table.

    :param name: its name.
    :param type: what it holds; exactly one column is the ``key``.
    """

    name: str
    type: ColumnType


def keys_of_window(
    connection: Connection,
    table: str,
    time_column: str,
    window: tuple[dt.datetime, dt.datetime],
    key: str = "id",
) -> Iterator[str]:
    """
    List the keys of a table's rows whose time lies in a window, a batch in memory at a time.

    :param table: ``table`` or ``schema.table``.
    :param window: first time, and first time after it.
    """
    schema, name = split_table_name(table)
    target = Table(
        name, MetaData(), Column(key, KEY_TEXT), Column(time_column, UtcTimestamp()), schema=schema
    )
    start, end = window
    query = select(target.c[key]).where(target.c[time_column] >= start, target.c[time_column] < end)
    with connection.begin():
        for batch in connection.execution_options(yield_per=_BATCH).execute(query).partitions():
            yield from (row[0] for row in batch)


class _KeyOrder:
    """Detector of strictly ordered keys, which are all different: they need no COUNT(DISTINCT)."""

    def __init__(self) -> None:
        #: Keys so far.
        self.count = 0
        #: Whether each was less than the one before.
        self.is_descending = True
        self._is_ascending = True
        self._last: list[str] = []

    def add(self, keys: Iterable[str]) -> None:
        """Take the keys that come next."""
        keys = [*self._last, *keys]
        following = keys[1:]
        self.count += len(keys) - len(self._last)
        self.is_descending = self.is_descending and all(map(gt, keys, following))
        self._is_ascending = self._is_ascending and all(map(lt, keys, following))
        self._last = keys[-1:]

    @property
    def is_strict(self) -> bool:
        """Whether no key can have come twice."""
        return self.is_descending or self._is_ascending


class StagingLoad:
    """
    Atomic, idempotent load of rows into a table.

    The rows are staged in a temporary table, so that neither memory nor a lock on the target grows with them. At the end
    they are merged in one transaction. A row whose key is there already replaces it: loading the same rows again
    changes nothing.

    :param connection: the database; the staged rows are gone when it is closed.
    :param table: ``table`` or ``schema.table``; it is made when missing.
    :param columns: the columns to fill.
    :param optional: names of those that a table made by somebody else may lack.
    :raises SequenceConfigurationError: if the table is there and lacks one of the others.
    """

    def __init__(
        self,
        connection: Connection,
        table: str,
        columns: Sequence[StagingColumn],
        optional: Collection[str] = (),
    ) -> None:
        require_writable(connection, "a pulled table", "Name a connection to another database in sql_conn_id")
        self._connection = connection
        self._key = next(c.name for c in columns if c.type == "key")
        schema, name = split_table_name(table)
        with connection.begin():
            there = existing_columns(connection, schema, name)
        if there is not None:
            if missing := [c.name for c in columns if c.name not in there and c.name not in optional]:
                raise SequenceConfigurationError(
                    f"the table {table} is there, but has no column {', '.join(missing)}. Add it, or name "
                    "another table: one that is missing is made"
                )
            columns = [c for c in columns if c.name in there]
            with connection.begin():
                require_unique_key(connection, schema, name, self._key)
        #: The columns that are filled.
        self.columns = tuple(columns)
        self._target = Table(
            name,
            MetaData(),
            *(Column(c.name, _SQL_TYPES[c.type], primary_key=c.type == "key") for c in columns),
            schema=schema,
        )
        own: list[Column[Any]] = [
            Column(_POSITION, BigInteger, nullable=False),
            Column(_KEPT, Boolean, nullable=False),
            Column(_LIST, Integer, nullable=False),
        ]
        filled = [Column(c.name, _SQL_TYPES[c.type]) for c in columns]
        self._staged = create_temp_table(connection, [*own, *filled], schema)
        #: Whether the database's text and JSON can hold the character U+0000.
        self.holds_nul = dialect_of(connection).holds_nul
        self._key_position = [c.name for c in columns].index(self._key)
        #: Rows staged so far.
        self.rows = 0
        self._kept = 0
        self._orders: defaultdict[int, _KeyOrder] = defaultdict(_KeyOrder)
        # How many rows there were when their keys were counted last, how many keys, and how many of kept rows.
        self._counted = (0, 0, 0)
        self._inserts = BulkInsert(connection, self._staged)

    def close(self) -> None:
        """Wait for what still uses the connection."""
        self._inserts.close()

    def add(self, rows: Iterable[Sequence[Any]], kept: Iterable[bool], number: int = 0) -> None:
        """
        Stage rows.

        :param rows: values in the order of :attr:`columns`.
        :param kept: for each row whether it goes into the table; the others are only counted.
        :param number: of the list that they were read from.
        """
        rows, kept = list(rows), list(kept)
        position = self._key_position
        self._orders[number].add([row[position] for row in rows])
        self._inserts.add([
            (at, keep, number, *row) for at, (row, keep) in enumerate(zip(rows, kept, strict=True), self.rows)
        ])
        self.rows += len(rows)
        self._kept += sum(kept)

    def keys(self) -> int:
        """Number of different keys among the staged rows."""
        return self._count_keys()[0]

    def _count_keys(self) -> tuple[int, int]:
        """Count the different keys, and those of them that are kept."""
        if len(self._orders) < 2 and all(order.is_strict for order in self._orders.values()):
            return self.rows, self._kept
        if self._counted[0] != self.rows:
            c = self._staged.c
            kept = func.max(case((c[_KEPT] == true(), 1), else_=0))
            keys = select(kept.label("kept")).group_by(c[self._key]).subquery()
            self._inserts.flush()
            with self._connection.begin():
                found = self._connection.execute(
                    select(func.count(), func.sum(keys.c.kept)).select_from(keys)
                )
                number, number_kept = found.one()
            self._counted = (self.rows, int(number), int(number_kept or 0))
        return self._counted[1:]

    def keys_by_list(self) -> dict[int, int]:
        """Count the different keys that were read from each list."""
        if all(order.is_strict for order in self._orders.values()):
            return {number: order.count for number, order in self._orders.items()}
        number = self._staged.c[_LIST]
        different = select(number, self._staged.c[self._key]).distinct().subquery()
        query = select(different.c[_LIST], func.count()).group_by(different.c[_LIST])
        self._inserts.flush()
        with self._connection.begin():
            return {number: int(count) for number, count in self._connection.execute(query)}

    def merge(self) -> int:
        """
        Put the kept rows into the table, the last of each key, in one transaction.

        :return: how many rows that were.
        """
        names = [c.name for c in self.columns]
        _, different = self._count_keys()
        self._inserts.flush()
        rows = select(*(self._staged.c[name] for name in names)).where(self._staged.c[_KEPT] == true())
        if different < self._kept:
            rows = self._last_of_each_key(names)
        with transaction(self._connection):
            add_key = create_without_key(self._connection, self._target)
            if add_key is not None:
                statements: list[Executable] = [self._target.insert().from_select(names, rows), add_key]
            else:
                dialect = dialect_of(self._connection)
                statements = upsert_rows(dialect, self._target, names, self._in_key_order(rows))
            for statement in statements:
                self._connection.execute(statement)
        return different

    def _in_key_order(self, rows: Select[Any]) -> Select[Any]:
        """
        Order rows by key, so that concurrent loads of the same rows cannot deadlock.

        It is the order in which most lists give them: the newest first.
        """
        if len(self._orders) == 1 and all(order.is_descending for order in self._orders.values()):
            return rows
        key = rows.selected_columns[self._key]
        collation = dialect_of(self._connection).key_collation
        return rows.order_by((key.collate(collation) if collation else key).desc())

    def _last_of_each_key(self, names: Sequence[str]) -> Select[Any]:
        c = self._staged.c
        newest = func.row_number().over(partition_by=c[self._key], order_by=c[_POSITION].desc())
        ranked = select(self._staged, newest.label("_newest")).where(c[_KEPT] == true()).subquery()
        return select(*(ranked.c[name] for name in names)).where(ranked.c["_newest"] == 1)

    def count_rows(self, time_column: str | None, window: tuple[dt.datetime, dt.datetime] | None) -> int:
        """
        Count the rows that the table holds now.

        :param time_column: the column of the time, to count those of a window.
        :param window: first time, and first time after it.
        """
        query = select(func.count()).select_from(self._target)
        if time_column is not None and window is not None:
            time = self._target.c[time_column]
            query = query.where(time >= window[0], time < window[1])
        with self._connection.begin():
            return int(self._connection.execute(query).scalar_one())
