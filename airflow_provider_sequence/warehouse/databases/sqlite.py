"""SQLite, over Python's own driver."""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlalchemy import Text
from sqlalchemy.dialects.sqlite import insert

from airflow_provider_sequence.unreadable import UnreadableValue
from airflow_provider_sequence.warehouse.dialect import DatabaseDialect, say

#: Seconds that a write to SQLite waits for another writer; the default of five is short for two tasks.
SQLITE_BUSY_SECONDS = 60


def _is_permanent(error: Any) -> bool:
    # It says OperationalError of a missing table as well as of a locked file. SQLITE_ERROR is the former, and SQLITE_SCHEMA is
    # what some errors of syntax are on a connection that has not yet read the schema.
    return getattr(error, "sqlite_errorcode", None) in {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_SCHEMA}


def _diagnose(error: Any) -> tuple[str, str]:
    # What a trigger raises has no SQLSTATE here; 45000 is the standard's for it.
    raised = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_CONSTRAINT_TRIGGER
    return say(error), "45000" if raised else ""


def _read_text(connection: sqlite3.Connection) -> None:
    def read(text: bytes) -> str | UnreadableValue:
        try:
            return text.decode()
        except UnicodeDecodeError:
            return UnreadableValue("is text that is not UTF-8; convert it in the query")

    connection.text_factory = read


SQLITE = DatabaseDialect(
    extra="sqlite",
    connection_types=("sqlite",),
    # The hook opens the file. Its own URL names arguments that SQLAlchemy warns of, where the connection's extra is {}.
    url="sqlite://",
    # Its numbers are floats.
    number=Text(),
    # Python's driver begins no transaction before DDL, and asks for the write lock late.
    begin="BEGIN IMMEDIATE",
    name_parts=2,
    on_connect=(f"PRAGMA busy_timeout = {SQLITE_BUSY_SECONDS * 1000}",),
    read_only=("PRAGMA query_only = ON",),
    insert=insert,
    indexes=True,
    partial_indexes=True,
    before_reading=_read_text,
    cancel=lambda connection: connection.interrupt(),
    permanent=_is_permanent,
    diagnose=_diagnose,
)
