"""Connections of ClickHouse's driver, whose own cursor reads all rows at once."""

from __future__ import annotations

import importlib
from typing import Any

from airflow_provider_sequence.warehouse.dialect import DatabaseDialect


def connect(hook: Any) -> Any:
    """Open a connection whose cursors stream."""
    # Not before: it imports the driver.
    cursor = importlib.import_module(
        "airflow_provider_sequence.warehouse.databases.clickhouse_cursor"
    ).StreamingCursor
    connection = hook.get_conn()
    client = connection.cursor().client
    connection.cursor = lambda: cursor(client)
    return connection


def is_permanent(error: Any) -> bool:
    """Whether an error is about the statement: syntax, or an unknown column, function, table or database."""
    return error.code in {46, 47, 60, 62, 81}


CLICKHOUSE = DatabaseDialect(
    writes=False,
    permanent=is_permanent,
    connection_types=("clickhouse",),
    loggers=("clickhouse_driver", "clickhouse_connect"),
    url="clickhousedb://",
    connect=connect,
)
