"""External sort of events by their timestamps, on disk, so that memory stays constant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing

from airflow_provider_sequence.api.events import Event
from airflow_provider_sequence.exceptions import InvalidEventError
from airflow_provider_sequence.temp_storage import open_temp_db

#: A row's number in the query, from 1, and its event, or why there is none.
MappedRow = tuple[int, Event | InvalidEventError]

_TABLE = "CREATE TABLE events (row INTEGER PRIMARY KEY, id TEXT, time TEXT, ordering_key TEXT, body BLOB)"
#: An id's last row counts: all its rows go where that one goes, under its ordering key.
_SORTED = """
    SELECT event.row, event.id, event.body, event.time, last.ordering_key
    FROM events event
    JOIN (SELECT id, max(row) AS row, time, ordering_key FROM events GROUP BY id) last ON last.id = event.id
    ORDER BY last.time, last.row, event.row
"""


def sort_by_time(rows: Iterable[MappedRow]) -> Iterator[MappedRow]:
    """
    Sort events by their timestamps; rows that became no event come first.

    All rows of one id go to the place, and under the ordering key, of its last row, in the order of the rows.
    """
    with closing(open_temp_db(_TABLE)) as database:
        for row, event in rows:
            if isinstance(event, InvalidEventError):
                yield row, event
            else:
                database.execute(
                    "INSERT INTO events VALUES (?, ?, ?, ?, ?)",
                    (row, event.id, event.time, event.ordering_key, event.body),
                )
        database.execute("CREATE INDEX by_id ON events (id)")
        for row, event_id, body, time, ordering_key in database.execute(_SORTED):
            yield row, Event(event_id, body, time, ordering_key)
