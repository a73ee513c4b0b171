"""Table of runs: its columns, and an index for those who look at it."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, String, Table

from airflow_provider_sequence.warehouse.ddl import index_name
from airflow_provider_sequence.warehouse.types import LONG_TEXT, UtcTimestamp

#: Columns of counts; where one does not apply, it is NULL.
COUNTS = (
    "rows",
    "delivered",
    "unchanged",
    "corrected",
    "rejected",
    "late",
    "conflicting",
    "not_tried",
    "read",
    "loaded",
    "throttled",
    "requests",
    "per_minute",
    "expected",
    "found",
    "missing",
    "different",
    "unexpected",
)


def make_table(name: str, schema: str | None) -> Table:
    """Describe the table of runs."""
    table = Table(
        name,
        MetaData(),
        Column("id", String(36), primary_key=True),
        Column("account", String(64), nullable=False),
        Column("operation", String(16), nullable=False),
        Column("resource", String(64), nullable=False),
        Column("sequence_conn_id", LONG_TEXT),
        Column("dag_id", LONG_TEXT),
        Column("task_id", LONG_TEXT),
        Column("run_id", LONG_TEXT),
        Column("map_index", Integer),
        Column("try_number", Integer),
        Column("window_start", UtcTimestamp()),
        Column("window_end", UtcTimestamp()),
        Column("started_at", UtcTimestamp(), nullable=False),
        Column("seen_at", UtcTimestamp(), nullable=False),
        Column("ended_at", UtcTimestamp()),
        Column("outcome", String(16), nullable=False),
        Column("error", LONG_TEXT),
        *(Column(count, BigInteger) for count in COUNTS),
        schema=schema,
    )
    Index(index_name(table, "by_start"), table.c.account, table.c.started_at)
    return table
