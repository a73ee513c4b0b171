"""Reconciliation of events: a query's against what Sequence holds, joined in a temporary file, in constant memory."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import Any, Self

from airflow_provider_sequence.api.client import SequenceClient
from airflow_provider_sequence.api.events import VOID_ALIAS, Event, EventKind, event_of_body
from airflow_provider_sequence.api.lossless_json import decode, decode_text, decode_what_can_be
from airflow_provider_sequence.api.pagination import Item, read_whole
from airflow_provider_sequence.api.resource import Resource, text_field
from airflow_provider_sequence.api.shown_text import one_line
from airflow_provider_sequence.api.timestamps import parse_timestamp, utc_text
from airflow_provider_sequence.api.windows import Window
from airflow_provider_sequence.exceptions import InvalidEventError
from airflow_provider_sequence.pipelines.delivery_log import KnownDelivery
from airflow_provider_sequence.pipelines.push.sort import MappedRow
from airflow_provider_sequence.pipelines.push.summary import MAX_ROWS_SHOWN
from airflow_provider_sequence.pipelines.reconcile.fingerprint import fingerprint
from airflow_provider_sequence.temp_storage import open_temp_db

#: Ids that are looked up at a time.
_BATCH = 500
#: Of how many unexpected events it is looked up, one by one, whether they are superseded copies.
_MAX_LOOKUPS = 1000


class Difference(StrEnum):
    """How an event differs between the query and Sequence."""

    #: The query gives it, and Sequence does not have it in the window.
    MISSING = "missing"
    #: Both have it, and its fields differ.
    DIFFERENT = "different"
    #: Sequence has it, and the query does not give it.
    UNEXPECTED = "unexpected"
    #: The query gives it, and it was voided in Sequence.
    VOIDED = "voided"


#: What is not as it should be; a voided event is, since somebody voided it.
_UNRESOLVED = (Difference.MISSING, Difference.DIFFERENT, Difference.UNEXPECTED)


@dataclass(frozen=True, slots=True)
class EventDifference:
    """
    One difference.

    :param event_id: the event's ``customerEventId``.
    :param difference: how it differs.
    :param sequence_id: Sequence's id of the copy that counts, where it has one.
    """

    event_id: str
    difference: Difference
    sequence_id: str | None


@dataclass
class ReconcileSummary:
    """
    Counts of a reconciliation.

    :param rows: rows the query gave.
    :param expected: different events among them that lie in the window.
    :param found: different events that Sequence has in the window, without those that were voided; None before it was
        asked.
    :param differences: events by how they differ; None before they were compared.
    :param first_differences: the first events that are missing, different or unexpected.
    :param late: events of Sequence that the staging table lacks: they arrived after it was loaded. None if there is no
        such table.
    :param outside: rows whose events lie outside the window.
    :param invalid: rows that can't become events.
    :param resent: events that were sent again.
    :param requests: requests sent, each attempt counted.
    :param seconds: how long it took.
    """

    rows: int = 0
    expected: int = 0
    found: int | None = None
    differences: Counter[Difference] | None = None
    first_differences: list[EventDifference] = field(default_factory=list)
    late: int | None = None
    outside: int = 0
    invalid: int = 0
    resent: int = 0
    requests: int = 0
    seconds: float = 0.0

    @property
    def unresolved(self) -> int:
        """Events that are not as they should be; voided ones are, since somebody voided them."""
        counted = self.differences or Counter()
        return sum(counted[each] for each in _UNRESOLVED)

    def describe(self, allowed: str, query: str) -> str:
        """
        Say what differs, for an error.

        :param allowed: how many events may, as the setting has it.
        :param query: SQL that lists all of them; empty if they are in no table.
        """
        counted = self.differences or Counter()
        counts = ", ".join(f"{each.value} {counted[each]:,}" for each in _UNRESOLVED)
        first = "\n".join(
            f"  {one_line(each.event_id)}: {each.difference.value}" for each in self.first_differences
        )
        everywhere = (
            f"All of them, newest window first:\n  {query}"
            if query
            else "Set differences_table to have all of them"
        )
        return (
            f"{self.unresolved:,} events differ between the query and Sequence, {allowed} may (max_differences)\n"
            f"{counts}. The first:\n{first}\n{everywhere}"
        )

    def as_table(self) -> str:
        """Return the table for the task's log."""
        return "\n".join(
            f"  {name:<12} {value:>12,}" for name, value in self._counts().items() if value is not None
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the XCom value."""
        first = [
            {"customer_event_id": one_line(each.event_id), "difference": each.difference.value}
            for each in self.first_differences
        ]
        return {**self._counts(), "first_differences": first}

    def _counts(self) -> dict[str, Any]:
        counted = self.differences
        return {
            "rows": self.rows,
            "expected": self.expected,
            "found": self.found,
            **{each.value: None if counted is None else counted[each] for each in Difference},
            "late": self.late,
            "outside": self.outside,
            "invalid": self.invalid,
            "resent": self.resent,
            "requests": self.requests,
            "seconds": round(self.seconds, 3),
        }


_TABLES = """
    CREATE TABLE expected (id TEXT PRIMARY KEY, row INTEGER, fingerprint TEXT, body BLOB) WITHOUT ROWID;
    CREATE TABLE found (id TEXT PRIMARY KEY, sequence_id TEXT, fingerprint TEXT, voided BOOLEAN, time TEXT) WITHOUT ROWID;
    CREATE TABLE staged (sequence_id TEXT PRIMARY KEY) WITHOUT ROWID;
    CREATE TABLE voided (id TEXT PRIMARY KEY) WITHOUT ROWID;
"""
_DIFFERENCES = """
    SELECT e.id, CASE WHEN f.voided OR v.id IS NOT NULL THEN 'voided' WHEN f.id IS NULL THEN 'missing' ELSE 'different' END, f.sequence_id
    FROM expected e LEFT JOIN found f ON f.id = e.id LEFT JOIN voided v ON v.id = e.id
    WHERE f.id IS NULL OR f.voided OR f.fingerprint <> e.fingerprint OR v.id IS NOT NULL
    UNION ALL
    SELECT f.id, 'unexpected', f.sequence_id
    FROM found f LEFT JOIN expected e ON e.id = f.id
    WHERE e.id IS NULL AND NOT f.voided
    ORDER BY 1
"""


class Reconciliation:
    """
    Comparison of a query's events with those of a window in Sequence.

    :param client: asks Sequence.
    :param resource: which events.
    :param window: the window that both are about.
    """

    def __init__(self, client: SequenceClient, resource: Resource, window: Window) -> None:
        if resource.event is None:
            raise NotImplementedError(resource.name)
        self._client, self._resource, self._window = client, resource, window
        self._kind: EventKind = resource.event
        self._db = open_temp_db(_TABLES)
        self._started_at = time.monotonic()
        self._requests = client.requests_sent
        self.summary = ReconcileSummary()
        #: Events of Sequence's list that were read so far, in this look at it.
        self.read = 0

    def __enter__(self) -> Self:
        """Return the reconciliation itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Delete the temporary file."""
        self._db.close()

    def expect(self, rows: Iterable[MappedRow]) -> None:
        """Take the query's events; of several with one id, the last."""
        start, end = (utc_text(bound).removesuffix("Z") for bound in (self._window.start, self._window.end))
        for row, event in rows:
            self.summary.rows += 1
            if isinstance(event, InvalidEventError):
                self.summary.invalid += 1
            elif not start <= event.time < end:
                self.summary.outside += 1
                # A later row of an id is the one that counts.
                self._db.execute("DELETE FROM expected WHERE id = ?", [event.id])
            else:
                self._db.execute(
                    "INSERT OR REPLACE INTO expected VALUES (?, ?, ?, ?)",
                    (event.id, row, fingerprint(self._kind, decode(event.body)), event.body),
                )
        self.summary.expected = self._count("expected")

    def add_voided(self, known: Callable[[Sequence[str]], Mapping[str, KnownDelivery]]) -> None:
        """Take from a delivery log which of the query's events are voided."""
        ids = (event_id for (event_id,) in self._db.execute("SELECT id FROM expected ORDER BY id"))
        while batch := list(islice(ids, _BATCH)):
            voided = [(event_id,) for event_id, each in known(batch).items() if each.voided]
            self._db.executemany("INSERT OR IGNORE INTO voided VALUES (?)", voided)

    def add_staged(self, sequence_ids: Iterable[str]) -> None:
        """Take what a staging table holds of the window."""
        self._db.executemany("INSERT OR IGNORE INTO staged VALUES (?)", ((each,) for each in sequence_ids))
        self.summary.late = 0

    def compare(self) -> None:
        """Read what Sequence holds now, and count the differences."""
        read_whole(self._find)
        self._drop_superseded()
        summary = self.summary
        summary.found = self._count("found WHERE NOT voided")
        summary.differences, summary.first_differences = Counter(), []
        for each in self.differences():
            summary.differences[each.difference] += 1
            if each.difference in _UNRESOLVED and len(summary.first_differences) < MAX_ROWS_SHOWN:
                summary.first_differences.append(each)
        if summary.late is not None:
            summary.late = self._count("found WHERE sequence_id NOT IN (SELECT sequence_id FROM staged)")
        summary.requests = self._client.requests_sent - self._requests
        summary.seconds = time.monotonic() - self._started_at

    def _find(self) -> None:
        self._db.execute("DELETE FROM found")
        self.read = 0
        for item in self._client.items(self._resource, None, self._window):
            self.read += 1
            # Newest first: the first copy of an id is the one that counts.
            self._db.execute(
                "INSERT OR IGNORE INTO found VALUES (?, ?, ?, ?, ?)",
                (
                    decode_text(item.get("customerEventId", b"null")),
                    self._resource.id_of(item),
                    self._fingerprint(item),
                    text_field(item, "customerAlias") == VOID_ALIAS,
                    text_field(item, "eventTimestamp"),
                ),
            )

    def _fingerprint(self, item: Item) -> str:
        try:
            return fingerprint(self._kind, {name: decode_what_can_be(raw) for name, raw in item.items()})
        except RecursionError:  # nested deeper than any row is: by its text, it is different
            texts = {name: bytes(raw).decode(errors="backslashreplace") for name, raw in item.items()}
            return fingerprint(self._kind, texts)

    def _drop_superseded(self) -> None:
        """Drop copies that one outside the window supersedes: an event whose time was corrected."""
        unexpected = self._db.execute(
            "SELECT f.id, f.time, f.sequence_id FROM found f LEFT JOIN expected e ON e.id = f.id "
            "WHERE e.id IS NULL LIMIT ?",
            [_MAX_LOOKUPS],
        ).fetchall()
        for event_id, at, sequence_id in unexpected:
            if self._client.is_superseded(self._resource, event_id, parse_timestamp(at), sequence_id):
                self._db.execute("DELETE FROM found WHERE id = ?", [event_id])

    def differences(self) -> Iterator[EventDifference]:
        """List the differences, in the order of the ids."""
        with closing(self._db.cursor()) as cursor:
            for event_id, difference, sequence_id in cursor.execute(_DIFFERENCES):
                yield EventDifference(event_id, Difference(difference), sequence_id)

    def to_resend(self) -> Iterator[tuple[int, Event]]:
        """List the events that are missing or different in Sequence, as the query has them."""
        wanted = "(f.id IS NULL OR (NOT f.voided AND f.fingerprint <> e.fingerprint)) AND e.id NOT IN (SELECT id FROM voided)"
        query = f"SELECT e.row, e.body FROM expected e LEFT JOIN found f ON f.id = e.id WHERE {wanted} ORDER BY e.row"  # noqa: S608
        with closing(self._db.cursor()) as cursor:
            for row, body in cursor.execute(query):
                yield row, event_of_body(self._kind, body)

    def _count(self, what: str) -> int:
        return int(self._db.execute(f"SELECT count(*) FROM {what}").fetchone()[0])  # noqa: S608
