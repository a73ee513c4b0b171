"""Events in the order of their times, in constant memory: sorted on disk."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing

from airflow_provider_sequence.api.events import Event
from airflow_provider_sequence.exceptions import InvalidEventError

#: What a row became, and the row's number in the query, from 1.
MappedRow = tuple[int, Event | InvalidEventError]

_CREATE = "CREATE TABLE events (row INTEGER PRIMARY KEY, id TEXT, time TEXT, lane TEXT, body BLOB)"
#: An id's last row is the one that counts: its rows stay together, in its place and in its lane.
_SORTED = """
    SELECT event.row, event.id, event.body, event.time, last.lane
    FROM events event
    JOIN (SELECT id, max(row) AS row, time, lane FROM events GROUP BY id) last ON last.id = event.id
    ORDER BY last.time, last.row, event.row
"""


def sort_by_time(made: Iterable[MappedRow]) -> Iterator[MappedRow]:
    """
    Sort events by their times; rows that became none come first.

    All rows of one id go into the lane, and to the place, of its last row, in the order of the rows.
    """
    # A database without a name is a file that is gone when it is closed.
    with closing(sqlite3.connect("", isolation_level=None)) as disk:
        disk.execute(_CREATE)
        disk.execute("BEGIN")
        for row, event in made:
            if isinstance(event, InvalidEventError):
                yield row, event
            else:
                disk.execute(
                    "INSERT INTO events VALUES (?, ?, ?, ?, ?)",
                    (row, event.id, event.time, event.lane, event.body),
                )
        disk.execute("CREATE INDEX by_id ON events (id)")
        for row, event_id, body, time, lane in disk.execute(_SORTED):
            yield row, Event(event_id, body, time, lane)
