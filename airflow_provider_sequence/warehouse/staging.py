"""Rows to a table, all or nothing."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
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
from airflow_provider_sequence.warehouse.engine import (
    KEY_TEXT,
    LONG_TEXT,
    JsonText,
    UtcTimestamp,
    create_without_key,
    existing_columns,
    require_unique_key,
    split_table_name,
    transaction,
)
from airflow_provider_sequence.warehouse.key_order import KeyOrder
from airflow_provider_sequence.warehouse.temp_tables import create_temp_table
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

#: Columns of the gathered rows that are not the target's: which row of an id is the newest, whether it is kept, and
#: which list it was read from.
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


class StagingLoad:
    """
    Gathers rows out of sight, and puts them into the table in one transaction at the end.

    The rows are gathered in a temporary table, so that neither memory nor a lock on the target grows with them.
    A row whose key is there already replaces it: loading the same rows again changes nothing.

    :param connection: the database; what is gathered is gone with it.
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
        self._gathered = create_temp_table(connection, [*own, *filled], schema)
        #: Whether the database's text and JSON can hold the character U+0000.
        self.holds_nul = connection.dialect.name not in {"postgresql", "redshift"}
        self._key_position = [c.name for c in columns].index(self._key)
        #: Rows gathered so far.
        self.rows = 0
        self._kept = 0
        self._orders: defaultdict[int, KeyOrder] = defaultdict(KeyOrder)
        # How many rows there were when their keys were counted last, how many keys, and how many of kept rows.
        self._counted = (0, 0, 0)
        self._inserts = BulkInsert(connection, self._gathered)

    def close(self) -> None:
        """Wait for what still uses the connection."""
        self._inserts.close()

    def add(self, rows: Iterable[Sequence[Any]], kept: Iterable[bool], number: int = 0) -> None:
        """
        Gather rows.

        :param rows: values in the order of :attr:`columns`.
        :param kept: for each row whether it goes into the table; the others are only counted.
        :param number: of the list that they were read from.
        """
        rows, kept = list(rows), list(kept)
        position = self._key_position
        self._orders[number].take([row[position] for row in rows])
        self._inserts.add([
            (at, keep, number, *row) for at, (row, keep) in enumerate(zip(rows, kept, strict=True), self.rows)
        ])
        self.rows += len(rows)
        self._kept += sum(kept)

    def keys(self) -> int:
        """Count the different keys of what was gathered."""
        return self._count_keys()[0]

    def _count_keys(self) -> tuple[int, int]:
        """Count the different keys, and those of them that are kept."""
        if len(self._orders) < 2 and all(order.all_different for order in self._orders.values()):
            return self.rows, self._kept
        if self._counted[0] != self.rows:
            c = self._gathered.c
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
        if all(order.all_different for order in self._orders.values()):
            return {number: order.number for number, order in self._orders.items()}
        number = self._gathered.c[_LIST]
        different = select(number, self._gathered.c[self._key]).distinct().subquery()
        query = select(different.c[_LIST], func.count()).group_by(different.c[_LIST])
        self._inserts.flush()
        with self._connection.begin():
            return {number: int(count) for number, count in self._connection.execute(query)}

    def is_in_order(self, same: str, number: int, first: int, *, newest_first: bool) -> bool:
        """
        Tell whether keys are in the order of a list, as far as rows that share a value go.

        :param same: the column whose value they share.
        :param number: of the list.
        :param first: how many rows were gathered before it.
        :param newest_first: whether the list begins with what should have the greatest keys.
        """
        self._inserts.flush()
        c = self._gathered.c
        before = func.lag(c[self._key]).over(partition_by=c[same], order_by=c[_POSITION])
        # Read once: MySQL opens no temporary table twice in a statement.
        pairs = (
            select(c[self._key].label("later"), before.label("earlier"))
            .where(c[_LIST] == number, c[_POSITION] >= first, c[same].is_not(None))
            .subquery()
        )
        earlier, later = pairs.c.earlier, pairs.c.later
        wrong = earlier < later if newest_first else earlier > later
        query = select(func.count()).select_from(pairs).where(wrong)
        with self._connection.begin():
            return not self._connection.execute(query).scalar_one()

    def merge(self, newest_of: str | None = None) -> int:
        """
        Put the kept rows into the table, the last of each key, in one transaction.

        :param newest_of: a column; of rows that share its value, in the table too, only the one with the greatest key
            stays.
        :return: how many rows that were.
        """
        names = [c.name for c in self.columns]
        _, different = self._count_keys()
        self._inserts.flush()
        dialect = self._connection.dialect.name
        rows = select(*(self._gathered.c[name] for name in names)).where(self._gathered.c[_KEPT] == true())
        if different < self._kept:
            rows = self._last_of_each_key(names)
        with transaction(self._connection):
            add_key = create_without_key(self._connection, self._target)
            if add_key is not None:
                statements: list[Executable] = [self._target.insert().from_select(names, rows), add_key]
            else:
                statements = upsert_rows(dialect, self._target, names, self._in_order(rows))
            for statement in statements:
                self._connection.execute(statement)
            if newest_of is not None:
                self._connection.execute(self._drop_older(newest_of))
        return different

    def _in_order(self, rows: Select[Any]) -> Select[Any]:
        """
        See that loads of the same rows take them in the same order, so that they don't wait for each other in a circle.

        It is the order in which most lists give them: the newest first.
        """
        if len(self._orders) == 1 and all(order.falls for order in self._orders.values()):
            return rows
        key = rows.selected_columns[self._key]
        return rows.order_by(
            (key.collate("C") if self._connection.dialect.name == "postgresql" else key).desc()
        )

    def _last_of_each_key(self, names: Sequence[str]) -> Select[Any]:
        c = self._gathered.c
        newest = func.row_number().over(partition_by=c[self._key], order_by=c[_POSITION].desc())
        ranked = select(self._gathered, newest.label("_newest")).where(c[_KEPT] == true()).subquery()
        return select(*(ranked.c[name] for name in names)).where(ranked.c["_newest"] == 1)

    def _drop_older(self, same: str) -> Executable:
        older, newer = self._target.alias(), self._target.alias()
        key = older.c[self._key]
        touched = select(self._gathered.c[same])
        superseded = (
            select(key)
            .join(newer, older.c[same] == newer.c[same])
            .where(key < newer.c[self._key], older.c[same].in_(touched))
            .subquery()  # MySQL deletes from no table that it reads, unless in a subquery of a subquery
        )
        return self._target.delete().where(self._target.c[self._key].in_(select(superseded.c[0])))

    def held(self, time_column: str | None, window: tuple[dt.datetime, dt.datetime] | None) -> int:
        """
        Count the rows that the table holds now.

        :param time_column: the column of the time, where those of a window are meant.
        :param window: first time, and first time after it.
        """
        query = select(func.count()).select_from(self._target)
        if time_column is not None and window is not None:
            time = self._target.c[time_column]
            query = query.where(time >= window[0], time < window[1])
        with self._connection.begin():
            return int(self._connection.execute(query).scalar_one())
