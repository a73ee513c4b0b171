"""Table of a delivery log: its columns, and indexes for those who look at it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Index, Integer, MetaData, String, Table

from airflow_provider_sequence.warehouse.ddl import index_name
from airflow_provider_sequence.warehouse.types import KEY_TEXT, LONG_TEXT, UtcTimestamp

DELIVERED, REJECTED, IN_DOUBT, VOIDED = "delivered", "rejected", "in_doubt", "voided"

#: What an entry says of the event itself.
FACTS = ("customer_alias", "event_type", "event_timestamp")
#: Columns that logs of earlier releases lack, and are given.
ADDED_LATER = frozenset({"previous_hash", "voided_hash", *FACTS})


def make_table(name: str, schema: str | None, *, partial_indexes: bool) -> Table:
    """
    Describe the table of a delivery log.

    :param partial_indexes: whether an index can be of the rejected entries only.
    """
    table = Table(
        name,
        MetaData(),
        Column("account", String(64), primary_key=True),
        Column("resource", String(64), primary_key=True),
        Column("customer_event_id", KEY_TEXT, primary_key=True),
        Column("status", String(16), nullable=False),
        # Before body_hash: MySQL sets columns in this order, and what is set first sees the old body_hash.
        Column("previous_hash", String(64)),
        Column("voided_hash", String(64)),
        Column("body_hash", String(64)),
        Column("sequence_id", LONG_TEXT),
        Column("http_status", Integer),
        Column("reason", LONG_TEXT),
        Column("rejected_body", LONG_TEXT),
        Column("attempts", Integer, nullable=False),
        Column("first_at", UtcTimestamp(), nullable=False),
        Column("last_at", UtcTimestamp(), nullable=False),
        Column("dag_id", LONG_TEXT),
        Column("task_id", LONG_TEXT),
        Column("run_id", LONG_TEXT),
        Column("customer_alias", LONG_TEXT),
        Column("event_type", LONG_TEXT),
        Column("event_timestamp", UtcTimestamp()),
        schema=schema,
    )
    c = table.c
    Index(index_name(table, "by_time"), c.account, c.resource, c.event_timestamp)
    rejected: Any = c.status == REJECTED
    if partial_indexes:
        by = (c.account, c.resource, c.last_at)
        Index(index_name(table, "by_rejected"), *by, postgresql_where=rejected, sqlite_where=rejected)
    else:
        Index(index_name(table, "by_rejected"), c.account, c.resource, c.status, c.last_at)
    return table
