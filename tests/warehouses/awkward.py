"""Rows that a file has to spell in some way, loaded as a pull loads them."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, MetaData, Table
from sqlalchemy.schema import CreateTable

from airflow_provider_sequence.hooks.sql_engine import create_sql_engine
from airflow_provider_sequence.warehouse.bulk_load import BulkInsert
from airflow_provider_sequence.warehouse.ddl import split_table_name
from airflow_provider_sequence.warehouse.engine import connect
from airflow_provider_sequence.warehouse.types import LONG_TEXT, UtcTimestamp

TEXTS = [
    *(None, "", " ", " a ", "null", "NULL", "\\N", "true", "1.10", "{}", '{"a": "b\\n"}'),
    *('"', '""', "'", ",", "a,b", "\\", "\\n", "\\u0041", "\n", "a\r\nb\rc", "\t", "\b\f", "\x01\x1f"),
    *("100%", "%s", "日本 😀", "\u2028"),
]
NOON = dt.datetime(2026, 3, 1, 12, 0, 0, 1, tzinfo=dt.UTC)
ROWS = [
    (2**62 + place, text, None if place == 0 else place % 2 == 0, NOON if place % 3 else None)
    for place, text in enumerate(TEXTS)
]


def load(name: str, rows: list[tuple[Any, ...]], staging_location: str | None = None) -> None:
    """Make a table of four columns, and load rows into it."""
    schema, table_name = split_table_name(name)
    columns = Column("place", BigInteger), Column("value", LONG_TEXT), Column("flag", Boolean)
    table = Table(table_name, MetaData(), *columns, Column("moment", UtcTimestamp()), schema=schema)
    with connect(create_sql_engine("warehouse", staging_location)) as connection:
        with connection.begin():
            connection.execute(CreateTable(table))
        bulk = BulkInsert(connection, table)
        try:
            bulk.add(rows)
            bulk.flush()
        finally:
            bulk.close()
