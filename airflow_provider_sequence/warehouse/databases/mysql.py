"""Connections of MySQL's and MariaDB's drivers: rows as tuples, text of every plane, instants with their zone."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from sqlalchemy.dialects import mysql

from airflow_provider_sequence.exceptions import SequenceConfigurationError
from airflow_provider_sequence.warehouse.converters import Converter, each_column, json_text, utc_instant
from airflow_provider_sequence.warehouse.dialect import DatabaseDialect, say

_CLIENTS = ("mysqlclient", "mysql-connector-python")


def connect(hook: Any) -> Any:
    """
    Open a connection.

    :raises SequenceConfigurationError: if the connection's extra names a client that the hook does not know.
    """
    client = hook.get_connection(hook.get_conn_id()).extra_dejson.get("client", _CLIENTS[0])
    if client not in _CLIENTS:
        raise SequenceConfigurationError(
            f"the connection's extra names the client {client!r}, which the MySQL hook does not know\nName one of "
            f"{', '.join(_CLIENTS)}"
        )
    connection = hook.get_conn()
    if client == "mysqlclient":
        # Whatever the extras "cursor" and "charset" say.
        connection.cursorclass = importlib.import_module("MySQLdb.cursors").Cursor
        connection.set_character_set("utf8mb4")
    with closing(connection.cursor()) as cursor:
        cursor.execute("SET time_zone = '+00:00'")
    return connection


def converter(column: Sequence[Any]) -> Converter | None:
    """Converter of a column, by the driver's description: TIMESTAMP is an instant, in the session's zone."""
    return {7: utc_instant, 245: json_text}.get(column[1])


def diagnose(error: Any) -> tuple[str, str]:
    """Tell an error's message, and the SQLSTATE of what a trigger or a procedure raised by SIGNAL."""
    return say(error), "45000" if error.args[:1] == (1644,) else ""


def is_permanent(error: Any) -> bool:
    """Whether an OperationalError is about the statement: unknown column, no query, unknown function."""
    return error.args[:1] in [(1054,), (1065,), (1305,)]


def _row(collation: str, *connection_types: str) -> DatabaseDialect:
    # TEXT is 64 KB there, has no index without a length, and compares without case unless the collation is binary.
    return DatabaseDialect(
        max_name_bytes=64,
        name_parts=2,
        key_text=mysql.VARCHAR(255, collation=collation),
        longest_key=(255, "characters"),
        long_text=mysql.LONGTEXT(collation=collation),
        timestamp=mysql.DATETIME(fsp=6),
        savepoints=False,
        insert=mysql.insert,
        indexes=True,
        checks_unique_key=False,
        streams=("mysqlconnector",),
        keeps_percents=("mysqlconnector",),
        converters=each_column(converter),
        permanent=is_permanent,
        diagnose=diagnose,
        extra="mysql",
        connection_types=connection_types,
        loggers=("mysql.connector",),
        connect=connect,
    )


MYSQL = _row("utf8mb4_0900_bin", "mysql")
MARIADB = _row("utf8mb4_nopad_bin")
