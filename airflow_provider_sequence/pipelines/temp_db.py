"""Temporary SQLite file for data that must not grow memory: gone when it is closed, or when the process is killed."""

from __future__ import annotations

import sqlite3


def open_temp_db(tables: str) -> sqlite3.Connection:
    """
    Open a temporary database. It has no name, and small ones never reach the disk.

    :param tables: the statements that create its tables.
    """
    database = sqlite3.connect("", isolation_level=None)
    # One transaction that never ends, without a journal: nobody reads the file after a crash.
    database.execute("PRAGMA journal_mode = OFF")
    database.executescript(f"{tables}; BEGIN")
    return database
