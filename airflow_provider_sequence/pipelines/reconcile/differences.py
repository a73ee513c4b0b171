"""A table of differences between two sides, one set of rows for each window."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from sqlalchemy import Column, MetaData, String, Table
from sqlalchemy.engine import Connection

from airflow_provider_sequence.exceptions import SequenceConfigurationError
from airflow_provider_sequence.warehouse.engine import (
    KEY_TEXT,
    LONG_TEXT,
    UtcTimestamp,
    create_if_missing,
    existing_columns,
    require_transactions,
    split_table_name,
    transaction,
)

_BATCH = 1000


def store_differences(
    connection: Connection,
    table: str,
    *,
    of: Mapping[str, Any],
    found: Iterable[tuple[str, str, str | None]],
) -> None:
    """
    Replace a window's differences, in one transaction.

    :param table: ``table`` or ``schema.table``; it is made when missing.
    :param of: ``account``, ``resource``, ``window_start`` and ``window_end``.
    :param found: event id, difference and Sequence's id of each.
    :raises SequenceConfigurationError: if the table is there, and is none of differences; or if the database has no
        transactions.
    """
    require_transactions(connection, "a table of differences", "Leave the table out.")
    schema, name = split_table_name(table)
    target = Table(
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
    now = dt.datetime.now(dt.UTC)
    rows = iter(found)
    with transaction(connection):
        create_if_missing(connection, target)
        there = existing_columns(connection, schema, name) or set()
        if missing := [column.name for column in target.columns if column.name not in there]:
            raise SequenceConfigurationError(
                f"the table {table} is there, but has no column {', '.join(missing)}. Name another table: one that "
                "is missing is made"
            )
        connection.execute(target.delete().where(*(target.c[name] == value for name, value in of.items())))
        while batch := list(islice(rows, _BATCH)):
            connection.execute(
                target.insert(),
                [
                    {
                        **of,
                        "customer_event_id": event_id,
                        "difference": difference,
                        "sequence_id": sequence_id,
                        "found_at": now,
                    }
                    for event_id, difference, sequence_id in batch
                ],
            )
