"""Everything the sandbox keeps: one SQLite table a resource, all of one shape."""

# ruff: noqa: S608 - names of tables and columns are constants of this package; values are always bound

from __future__ import annotations

import sqlite3
from array import array
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

#: Searches remembered at a time; one of a million rows takes 8 MB.
_SEARCHES = 16

_TABLE = """
CREATE TABLE IF NOT EXISTS "{table}" (
    seq INTEGER PRIMARY KEY,                -- order of arrival
    id TEXT NOT NULL UNIQUE,
    parent TEXT,                            -- id of the record this one hangs under
    key TEXT,                               -- customerEventId
    alias TEXT,
    type TEXT,                              -- eventType or seatType
    timestamp INTEGER,                      -- business time, microseconds since 1970
    superseded INTEGER NOT NULL DEFAULT 0,  -- a later event has the same key
    repeated INTEGER NOT NULL DEFAULT 0,    -- the event before it of the same key had the same body
    body TEXT NOT NULL                      -- as received, to the character
)"""
_EVENT_INDEXES = {
    "key": "key",
    "alias": "alias, type, timestamp",
    "type": "type, timestamp",
    "time": "timestamp",
}
_COLUMNS = "seq, id, parent, key, alias, type, timestamp, superseded, repeated, body"


class Record(NamedTuple):
    """One row of any table."""

    seq: int
    id: str
    parent: str | None
    key: str | None
    alias: str | None
    type: str | None
    timestamp: int | None
    superseded: int
    repeated: int
    body: str


@dataclass(frozen=True)
class Condition:
    """
    A part of a WHERE clause.

    :param lasting: whether a row that matches once matches for ever, so that a search need only look at new rows.
    """

    sql: str = "1"
    params: tuple[Any, ...] = ()
    lasting: bool = True

    def __and__(self, other: Condition) -> Condition:
        return Condition(
            f"({self.sql}) AND ({other.sql})", self.params + other.params, self.lasting and other.lasting
        )


@dataclass(frozen=True)
class Tally:
    """What a table of events holds: rows, distinct keys, and rows that repeat the one before of their key."""

    applied: int
    distinct: int
    repeated: int


class Store:
    """
    The tables, written through at every call.

    :param database: ``:memory:`` or the path of an SQLite file. A file keeps what was answered even if the process
        is killed: each change is committed before its answer goes out, to the operating system if not to the disk.
    :param tables: names of all tables.
    :param event_tables: those of them that hold events.
    :raises OSError: the file cannot be opened or is no SQLite database.
    """

    def __init__(self, database: str, tables: Iterable[str], event_tables: Sequence[str]) -> None:
        self._tables = tuple(tables)
        self._event_tables = event_tables
        #: grows with every change; a remembered search that is not lasting is right for one value of it only
        self._changes = 0
        self._searches: OrderedDict[tuple[Any, ...], tuple[int, array[int]]] = OrderedDict()
        try:
            self._db = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
            self._db.create_function("contains_text", 2, _contains_text, deterministic=True)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=OFF")
            self._db.execute(
                "PRAGMA cache_size=-65536"
            )  # 64 MB: indexes of a million events are written all over
            for table in self._tables:
                self._db.execute(_TABLE.format(table=table))
            for table in event_tables:
                for name, columns in _EVENT_INDEXES.items():
                    self._db.execute(f'CREATE INDEX IF NOT EXISTS "{table}_{name}" ON "{table}" ({columns})')
        except sqlite3.Error as error:
            raise OSError(f"cannot open {database} as an SQLite database: {error}") from error
        self._tallies = {table: self._count(table) for table in event_tables}

    def add(self, table: str, record: Record) -> Record:
        """Append ``record``; its ``seq``, ``superseded`` and ``repeated`` are set here."""
        return self._insert(table, record)

    def add_event(self, table: str, record: Record) -> Record:
        """Append an event and mark the one it supersedes, if any."""
        earlier = self._db.execute(
            f'SELECT seq, body FROM "{table}" WHERE key = ? AND NOT superseded', (record.key,)
        ).fetchone()
        tally = self._tallies[table]
        if earlier is None:
            self._tallies[table] = replace(tally, applied=tally.applied + 1, distinct=tally.distinct + 1)
            return self._insert(table, record)
        repeated = int(earlier[1] == record.body)
        self._tallies[table] = replace(tally, applied=tally.applied + 1, repeated=tally.repeated + repeated)
        with self._db:
            self._db.execute("BEGIN")
            self._db.execute(f'UPDATE "{table}" SET superseded = 1 WHERE seq = ?', (earlier[0],))
            return self._insert(table, record._replace(repeated=repeated))

    def get(self, table: str, identifier: str) -> Record | None:
        """Return the record with this id."""
        return next(self.read(table, Condition("id = ?", (identifier,))), None)

    def seq_of(self, table: str, identifier: str) -> int | None:
        """Return where the record with this id stands in the order of arrival."""
        row = self._db.execute(f'SELECT seq FROM "{table}" WHERE id = ?', (identifier,)).fetchone()
        return row[0] if row else None

    def read(self, table: str, condition: Condition, tail: str = "ORDER BY seq") -> Iterator[Record]:
        """Return the matching records; ``tail`` is what follows the WHERE clause."""
        sql = f'SELECT {_COLUMNS} FROM "{table}" WHERE {condition.sql} {tail}'
        return map(Record._make, self._db.execute(sql, condition.params))

    def search(self, table: str, condition: Condition) -> array[int]:
        """
        Return the ``seq`` of every matching record, ascending.

        A walk of n pages asks n times the same. Tables only grow, so the answer is kept, and only what has arrived
        since is looked at: a page costs the same at the start and at the end of a million events.
        """
        lasting = condition.lasting
        known = (table, condition.sql, condition.params, None if lasting else self._changes)
        high, found = self._searches.pop(known, (0, array("q")))
        newest = self._newest(table)
        if newest > high:
            # only a later search names `seq`: in the first one it would keep the planner from a better index
            since = f" AND seq > {high}" if high else ""
            rows = self._db.execute(
                f'SELECT seq FROM "{table}" WHERE ({condition.sql}){since}', condition.params
            )
            found.extend(sorted(row[0] for row in rows))
        self._searches[known] = (newest, found)
        if len(self._searches) > _SEARCHES:
            self._searches.popitem(last=False)
        return found

    def at(self, table: str, seqs: Sequence[int]) -> list[Record]:
        """Return the records at these places, in this order."""
        marks = ",".join("?" * len(seqs))
        found = {
            record.seq: record for record in self.read(table, Condition(f"seq IN ({marks})", tuple(seqs)))
        }
        return [found[seq] for seq in seqs]

    def newest_id(self, table: str) -> str | None:
        """Return the id of the record that arrived last."""
        row = self._db.execute(f'SELECT id FROM "{table}" ORDER BY seq DESC LIMIT 1').fetchone()
        return row[0] if row else None

    def tally(self, table: str) -> Tally:
        """Return the counts of a table of events."""
        return self._tallies[table]

    def clear(self) -> None:
        """Forget every record."""
        with self._db:
            self._db.execute("BEGIN")
            for table in self._tables:
                self._db.execute(f'DELETE FROM "{table}"')
        self._changes += 1
        self._searches.clear()
        self._tallies = dict.fromkeys(self._event_tables, Tally(0, 0, 0))

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def _insert(self, table: str, record: Record) -> Record:
        cursor = self._db.execute(
            f'INSERT INTO "{table}" (id, parent, key, alias, type, timestamp, repeated, body)'
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (*record[1:7], record.repeated, record.body),
        )
        self._changes += 1
        return record._replace(seq=cursor.lastrowid or 0)

    def _newest(self, table: str) -> int:
        row = self._db.execute(f'SELECT max(seq) FROM "{table}"').fetchone()
        return row[0] or 0

    def _count(self, table: str) -> Tally:
        row = self._db.execute(
            f'SELECT count(*), count(*) - coalesce(sum(superseded), 0), coalesce(sum(repeated), 0) FROM "{table}"'
        ).fetchone()
        return Tally(*row)


def _contains_text(text: str | None, part: str) -> bool:
    return text is not None and part.casefold() in text.casefold()
