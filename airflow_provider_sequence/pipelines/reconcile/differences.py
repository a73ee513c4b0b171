"""Table of differences, one set of rows for each window."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from itertools import islice

from sqlalchemy import Column, MetaData, String, Table
from sqlalchemy.engine import Engine

from airflow_provider_sequence.api.windows import Window
from airflow_provider_sequence.pipelines.reconcile.comparison import EventDifference
from airflow_provider_sequence.warehouse.ddl import (
    create_if_missing,
    missing_columns,
    table_name_in,
    wrong_table,
)
from airflow_provider_sequence.warehouse.engine import connect, require_transactions, transaction
from airflow_provider_sequence.warehouse.types import KEY_TEXT, LONG_TEXT, UtcTimestamp

_BATCH = 1000


def make_table(name: str, schema: str | None) -> Table:
    """Describe the table of differences."""
    return Table(
        name,
        MetaData(),
        Column("account", String(64), nullable=False),
        Column("resource", String(64), nullable=False),
        Column("window_start", UtcTimestamp(), nullable=False),
        Column("window_end", UtcTimestamp(), nullable=False),
        Column("customer_event_id", KEY_TEXT, nullable=False),
        Column("difference", String(16), nullable=False),
        Column("sequence_id", LONG_TEXT),
        Column("found_at", UtcTimestamp(), nullable=False),
        schema=schema,
    )


class DifferencesTable:
    """
    Table of differences, which a window's are stored in.

    :param engine: the database.
    :param table: ``table`` or ``schema.table``; it is made when missing.
    :raises SequenceConfigurationError: if the table is there, and is none of differences; or if the database has no
        transactions.
    """

    def __init__(self, engine: Engine, table: str, *, account: str, resource: str, window: Window) -> None:
        self._engine = engine
        self._name = table
        self._scope = {
            "account": account,
            "resource": resource,
            "window_start": window.start,
            "window_end": window.end,
        }
        with connect(engine) as connection:
            require_transactions(connection, "a table of differences", "Leave the table out")
            schema, name = table_name_in(connection, table)
            self._table = make_table(name, schema)
            with transaction(connection):
                create_if_missing(connection, self._table)
                if missing := missing_columns(connection, self._table):
                    raise wrong_table(table, "table of differences", missing)

    def store(self, differences: Iterable[EventDifference]) -> str:
        """
        Replace the window's differences, in one transaction.

        :return: SQL that lists them, and those of other windows, for people to run.
        """
        now = dt.datetime.now(dt.UTC)
        rows = iter(differences)
        c = self._table.c
        with connect(self._engine) as connection, transaction(connection):
            connection.execute(
                self._table.delete().where(*(c[name] == value for name, value in self._scope.items()))
            )
            while batch := list(islice(rows, _BATCH)):
                connection.execute(
                    self._table.insert(),
                    [
                        {
                            **self._scope,
                            "customer_event_id": each.event_id,
                            "difference": each.difference.value,
                            "sequence_id": each.sequence_id,
                            "found_at": now,
                        }
                        for each in batch
                    ],
                )
        # Without the window: each database writes a time in its own way.
        return (
            "SELECT window_start, customer_event_id, difference, sequence_id "  # noqa: S608  for people to read
            f"FROM {self._name} WHERE account = '{self._scope['account']}' AND resource = '{self._scope['resource']}' "
            "ORDER BY window_start DESC"
        )
