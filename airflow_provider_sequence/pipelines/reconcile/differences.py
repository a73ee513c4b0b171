"""Table of differences, one set of rows for each window."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from itertools import islice

from sqlalchemy import Column, MetaData, String, Table
from sqlalchemy.engine import Connection

from airflow_provider_sequence.api.windows import Window
from airflow_provider_sequence.pipelines.reconcile.comparison import EventDifference
from airflow_provider_sequence.warehouse.ddl import (
    create_if_missing,
    missing_columns,
    table_name_in,
    wrong_table,
)
from airflow_provider_sequence.warehouse.engine import require_transactions, transaction
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


def store_differences(
    connection: Connection,
    table: str,
    *,
    account: str,
    resource: str,
    window: Window,
    differences: Iterable[EventDifference],
) -> str:
    """
    Replace a window's differences, in one transaction.

    :param table: ``table`` or ``schema.table``; it is made when missing.
    :return: SQL that lists them, and those of other windows, for people to run.
    :raises SequenceConfigurationError: if the table is there, and is none of differences; or if the database has no
        transactions.
    """
    require_transactions(connection, "a table of differences", "Leave the table out")
    schema, name = table_name_in(connection, table)
    target = make_table(name, schema)
    scope = {
        "account": account,
        "resource": resource,
        "window_start": window.start,
        "window_end": window.end,
    }
    now = dt.datetime.now(dt.UTC)
    rows = iter(differences)
    with transaction(connection):
        create_if_missing(connection, target)
        if missing := missing_columns(connection, target):
            raise wrong_table(table, "table of differences", missing)
        connection.execute(target.delete().where(*(target.c[name] == value for name, value in scope.items())))
        while batch := list(islice(rows, _BATCH)):
            connection.execute(
                target.insert(),
                [
                    {
                        **scope,
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
        f"SELECT window_start, customer_event_id, difference, sequence_id FROM {table} "  # noqa: S608  for people to read
        f"WHERE account = '{account}' AND resource = '{resource}' ORDER BY window_start DESC"
    )
