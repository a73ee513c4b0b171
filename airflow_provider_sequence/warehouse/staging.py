"""Staging load: rows are gathered on disk, and replace those with the same key in one transaction."""

from __future__ import annotations

import datetime as dt
import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from operator import gt, lt
from typing import Any, Literal

from sqlalchemy import BigInteger, Boolean, Column, Date, MetaData, Table, cast, exists, func, select, true
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql import ColumnElement, Executable, Select
from sqlalchemy.types import TypeEngine

from airflow_provider_sequence.exceptions import SequenceConfigurationError
from airflow_provider_sequence.temp_storage import RowSpool, open_temp_db
from airflow_provider_sequence.warehouse.bulk_load import BulkInsert
from airflow_provider_sequence.warehouse.ddl import (
    add_columns,
    create_without_key,
    existing_columns,
    find_key,
    require_fillable,
    require_new_name,
    require_no_refusal,
    table_name_in,
)
from airflow_provider_sequence.warehouse.dialect import DatabaseDialect
from airflow_provider_sequence.warehouse.dialects import dialect_of
from airflow_provider_sequence.warehouse.engine import connect, require_writable, transaction
from airflow_provider_sequence.warehouse.errors import describe, is_permanent
from airflow_provider_sequence.warehouse.temp_tables import create_temp_table
from airflow_provider_sequence.warehouse.types import KEY_TEXT, LONG_TEXT, ExactNumber, JsonText, UtcTimestamp
from airflow_provider_sequence.warehouse.upsert import upsert_rows

log = logging.getLogger(__name__)

#: Rows that are read at a time.
_BATCH = 1000

ColumnType = Literal["key", "text", "timestamp", "date", "integer", "number", "boolean", "json"]

_SQL_TYPES: dict[str, TypeEngine[Any]] = {
    "key": KEY_TEXT,
    "text": LONG_TEXT,
    "timestamp": UtcTimestamp(),
    "date": Date(),
    "integer": BigInteger(),
    "number": ExactNumber(),
    "boolean": Boolean(),
    "json": JsonText(),
}

#: Column of the staged rows that the target does not have: the order in which they came.
_POSITION = "_position"

#: A value that each type of column can hold, whatever the column's own type is called; of text nobody knows one.
_SAMPLES: Mapping[ColumnType, Any] = {
    "timestamp": dt.datetime(2000, 1, 1, tzinfo=dt.UTC),
    "date": dt.date(2000, 1, 1),
    "integer": 1,
    "number": Decimal(1),
    "boolean": True,
    "json": "{}",
}


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
    schema, name = table_name_in(connection, table)
    target = Table(
        name, MetaData(), Column(key, KEY_TEXT), Column(time_column, UtcTimestamp()), schema=schema
    )
    start, end = window
    query = select(target.c[key]).where(target.c[time_column] >= start, target.c[time_column] < end)
    utc = dialect_of(connection).utc
    with connection.begin():
        if utc is not None:
            connection.exec_driver_sql(utc)
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

    The rows are gathered on the worker's disk, however long they take to come: neither memory, a lock nor a connection is
    needed meanwhile. At the end they are staged in a temporary table, and merged in one transaction. A row whose key is
    there already replaces it: loading the same rows again changes nothing.

    :param engine: the database.
    :param table: ``table`` or ``schema.table``; it is made when missing.
    :param columns: the columns to fill.
    :param optional: names of those that a table made by somebody else may lack.
    :param added: names of those that a table gets that has all others: an earlier version made it.
    :raises SequenceConfigurationError: if the table is there and can't take such rows, or can't be made.
    """

    def __init__(
        self,
        engine: Engine,
        table: str,
        columns: Sequence[StagingColumn],
        optional: Collection[str] = (),
        added: Collection[str] = (),
    ) -> None:
        self._engine = engine
        self._key = next(c.name for c in columns if c.type == "key")
        self._orders: defaultdict[int, _KeyOrder] = defaultdict(_KeyOrder)
        #: Whether the database's text and JSON can hold every character and number that JSON can spell.
        self.holds_nul = dialect_of(engine).holds_nul
        with connect(engine) as connection:
            require_writable(
                connection, "a pulled table", "Name a connection to another database in sql_conn_id"
            )
            schema, name = table_name_in(connection, table)
            with connection.begin():
                there = existing_columns(connection, schema, name)
                if there is None:
                    require_new_name(connection, schema, name)
            keys = [self._key]
            if there is not None:
                if missing := [c.name for c in columns if c.name not in there and c.name not in optional]:
                    raise SequenceConfigurationError(
                        f"the table {table} is there, but has no column {', '.join(missing)}\nAdd it, or name "
                        "another table: one that is missing is made"
                    )
                there |= self._add(connection, schema, name, columns, there, added)
                columns = [c for c in columns if c.name in there]
                filled = {c.name for c in columns}
                with connection.begin():
                    require_fillable(connection, schema, name, filled)
                    keys = find_key(connection, schema, name, self._key, filled)
            #: The columns that are filled.
            self.columns = tuple(columns)
            self._target = Table(
                name,
                MetaData(),
                *(Column(c.name, _SQL_TYPES[c.type], primary_key=c.name in keys) for c in columns),
                schema=schema,
            )
            if dialect_of(connection).savepoints:
                self._rehearse(connection, table)
        self._key_position = [c.name for c in columns].index(self._key)
        self._spool = RowSpool()
        #: Rows gathered so far.
        self.rows = 0
        self._kept = 0
        # Keys of unordered rows, and how much of the spool was looked at for them.
        self._keys = open_temp_db(
            "CREATE TABLE keys (list INTEGER, key TEXT, kept BOOLEAN, PRIMARY KEY (list, key)) WITHOUT ROWID"
        )
        self._counted = 0

    def _add(
        self,
        connection: Connection,
        schema: str | None,
        name: str,
        columns: Sequence[StagingColumn],
        there: Collection[str],
        added: Collection[str],
    ) -> set[str]:
        """Add the columns that an earlier version did not make; names of those that are there now."""
        missing = {c.name for c in columns} - set(there)
        if not missing or not missing <= set(added):
            return set()
        table = Table(name, MetaData(), *(Column(c.name, _SQL_TYPES[c.type]) for c in columns), schema=schema)
        try:
            add_columns(connection, table, [c.name for c in columns if c.name in missing])
        except DBAPIError as e:
            if not is_permanent(e, dialect_of(self._engine)):
                raise
            log.warning(
                "The table %s has not got the columns %s, whose values stay in _extra: %s",
                name,
                ", ".join(sorted(missing)),
                describe(e, dialect_of(self._engine)),
            )
            with connection.begin():
                return existing_columns(connection, schema, name) or set()
        return missing

    def close(self) -> None:
        """Delete the rows on the worker's disk."""
        self._spool.close()
        self._keys.close()

    def _rehearse(self, connection: Connection, table: str) -> None:
        """
        Run the statements of a load of no rows, and roll them back.

        :raises SequenceConfigurationError: if the database refuses one for a reason that stays.
        """
        try:
            with self._staged(connection) as staged:
                for statement in self._merge_statements(connection, staged):
                    connection.execute(statement)
                require_no_refusal(connection, self._target)
                if dialect_of(connection).stage_in_transaction:
                    # No row fits, if this one does not.
                    self._copy(connection, staged, [(0, *(_SAMPLES.get(c.type) for c in self.columns))])
                connection.rollback()
        except DBAPIError as e:
            if not is_permanent(e, dialect_of(self._engine)):
                raise
            raise SequenceConfigurationError(
                f"the table {table} can't take what is pulled: {describe(e, dialect_of(self._engine))}\nNothing was requested. Change the table "
                "or the rights to it, or name another table"
            ) from None

    def add(self, rows: Iterable[Sequence[Any]], kept: Iterable[bool], number: int = 0) -> None:
        """
        Gather rows.

        :param rows: values in the order of :attr:`columns`.
        :param kept: for each row whether it goes into the table; the others are only counted.
        :param number: of the list that they were read from.
        """
        rows, kept = list(rows), list(kept)
        position = self._key_position
        self._orders[number].add([row[position] for row in rows])
        if rows:
            self._spool.add((number, kept, rows))
        self.rows += len(rows)
        self._kept += sum(kept)

    def keys(self) -> int:
        """Number of different keys among the rows."""
        return self._count_keys()[0]

    def _count_keys(self) -> tuple[int, int]:
        """Count the different keys, and those of them that are kept."""
        if len(self._orders) < 2 and all(order.is_strict for order in self._orders.values()):
            return self.rows, self._kept
        self._look_at_keys()
        query = (
            "SELECT count(*), coalesce(sum(kept), 0) FROM (SELECT max(kept) AS kept FROM keys GROUP BY key)"
        )
        number, number_kept = self._keys.execute(query).fetchone()
        return int(number), int(number_kept)

    def keys_by_list(self) -> dict[int, int]:
        """Count the different keys that were read from each list."""
        if all(order.is_strict for order in self._orders.values()):
            return {number: order.count for number, order in self._orders.items()}
        self._look_at_keys()
        return dict(self._keys.execute("SELECT list, count(*) FROM keys GROUP BY list").fetchall())

    def _look_at_keys(self) -> None:
        position = self._key_position
        for number, kept, rows in self._spool.read(self._counted):
            self._keys.executemany(
                "INSERT INTO keys VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET kept = max(kept, excluded.kept)",
                [(number, row[position], keep) for row, keep in zip(rows, kept, strict=True)],
            )
        self._counted = self._spool.bytes

    def merge(self) -> int:
        """
        Put the kept rows into the table, the last of each key, in one transaction.

        :return: how many rows that were.
        """
        _, different = self._count_keys()
        with connect(self._engine) as connection, self._staged(connection, self._kept_rows()) as staged:
            for statement in self._merge_statements(connection, staged, twice=different < self._kept):
                connection.execute(statement)
        return different

    def _kept_rows(self) -> Iterator[tuple[Any, ...]]:
        position = 0
        for _, kept, rows in self._spool.read():
            for keep, row in zip(kept, rows, strict=True):
                if keep:
                    position += 1
                    yield (position, *row)

    @contextmanager
    def _staged(self, connection: Connection, rows: Iterable[Sequence[Any]] = ()) -> Iterator[Table]:
        """Stage rows, and open the transaction in which they are merged."""
        names = [Column(c.name, _SQL_TYPES[c.type]) for c in self.columns]
        columns = [Column(_POSITION, BigInteger), *names]
        schema, name = self._target.schema, self._target.name
        if dialect_of(connection).stage_in_transaction:
            with transaction(connection):
                there = existing_columns(connection, schema, name) is not None
                staged = create_temp_table(connection, columns, schema, like=self._target if there else None)
                self._copy(connection, staged, rows)
                yield staged
        else:
            staged = create_temp_table(connection, columns, schema)
            self._copy(connection, staged, rows)
            with transaction(connection):
                yield staged

    def _copy(self, connection: Connection, staged: Table, rows: Iterable[Sequence[Any]]) -> None:
        with closing(BulkInsert(connection, staged)) as inserts:
            inserts.add(rows)
            inserts.flush()

    def _merge_statements(
        self, connection: Connection, staged: Table, *, twice: bool = False
    ) -> list[Executable]:
        """
        Write the statements that merge the staged rows, in the transaction that is open.

        :param twice: whether some keys are there more than once.
        """
        names = [c.name for c in self.columns]
        # With a WHERE, without which SQLite takes ON CONFLICT for a part of the query.
        rows = select(*(staged.c[name] for name in names)).where(true())
        if twice:
            rows = self._last_of_each_key(staged)
        add_key = create_without_key(connection, self._target)
        if add_key is not None:
            return [self._target.insert().from_select(names, rows), add_key]
        dialect = dialect_of(connection)
        return [
            *self._delete_moved(rows),
            *upsert_rows(dialect, self._target, names, self._in_key_order(dialect, rows)),
        ]

    def _delete_moved(self, rows: Select[Any]) -> list[Executable]:
        """Delete rows that have the same key, but not the same values of other columns of the table's own key."""
        target, key = self._target, self._target.c[self._key]
        own = list(target.primary_key)
        if len(own) == 1:
            return []
        new = rows.subquery("new")
        same = exists().where(*(new.c[column.name] == column for column in own))
        return [
            target.delete().where(key.in_(rows.with_only_columns(rows.selected_columns[self._key])), ~same)
        ]

    def _in_key_order(self, dialect: DatabaseDialect, rows: Select[Any]) -> Select[Any]:
        """
        Order rows by key, so that concurrent loads of the same rows cannot deadlock.

        It is the order in which most lists give them: the newest first.
        """
        if len(self._orders) == 1 and all(order.is_descending for order in self._orders.values()):
            return rows
        key: ColumnElement[Any] = rows.selected_columns[self._key]
        if dialect.key_collation is not None:
            key = cast(key, dialect.key_text).collate(dialect.key_collation)
        return rows.order_by(key.desc())

    def _last_of_each_key(self, staged: Table) -> Select[Any]:
        c = staged.c
        newest = func.row_number().over(partition_by=c[self._key], order_by=c[_POSITION].desc())
        ranked = select(staged, newest.label("_newest")).subquery()
        return select(*(ranked.c[each.name] for each in self.columns)).where(ranked.c["_newest"] == 1)
