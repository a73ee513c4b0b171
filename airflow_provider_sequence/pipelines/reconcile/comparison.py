"""What we hold against what Sequence holds, event by event, in constant memory: they meet in a file on disk."""

from __future__ import annotations

import sqlite3
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
from airflow_provider_sequence.api.lossless_json import decode
from airflow_provider_sequence.api.resource import Resource
from airflow_provider_sequence.api.superseded import is_superseded
from airflow_provider_sequence.api.timestamps import parse_timestamp, utc_text
from airflow_provider_sequence.api.windows import Window
from airflow_provider_sequence.exceptions import InvalidEventError
from airflow_provider_sequence.pipelines.delivery_log import KnownDelivery
from airflow_provider_sequence.pipelines.push.sort import MappedRow
from airflow_provider_sequence.pipelines.reconcile.fingerprint import fingerprint

#: Ids that are looked up at a time.
_BATCH = 500
#: Of how many unexpected events it is asked one by one whether they are superseded copies.
_ASKED_ONE_BY_ONE = 1000


class Difference(StrEnum):
    """In what an event differs between the two sides."""

    #: The query gives it, and Sequence does not have it in the window.
    MISSING = "missing"
    #: Both have it, and they say different things.
    DIFFERENT = "different"
    #: Sequence has it, and the query does not give it.
    UNEXPECTED = "unexpected"
    #: The query gives it, and it was voided in Sequence.
    VOIDED = "voided"


@dataclass(frozen=True, slots=True)
class Found:
    """
    One difference.

    :param event_id: the event's ``customerEventId``.
    :param difference: what is the matter.
    :param sequence_id: Sequence's id of the copy that counts, where it has one.
    """

    event_id: str
    difference: Difference
    sequence_id: str | None


@dataclass
class ReconcileSummary:
    """
    What came out.

    :param rows: rows the query gave.
    :param expected: different events among them that lie in the window.
    :param held: different events that Sequence has in the window, those that were voided left out.
    :param differences: events by what is the matter with them.
    :param late: events of Sequence that the staging table lacks: they arrived after it was loaded. None if there is no
        such table.
    :param outside: rows whose events lie outside the window.
    :param invalid: rows that can't become events.
    :param resent: events that were sent again.
    :param requests: requests sent, each try counted.
    :param seconds: how long it took.
    """

    rows: int = 0
    expected: int = 0
    held: int = 0
    differences: Counter[Difference] = field(default_factory=Counter)
    late: int | None = None
    outside: int = 0
    invalid: int = 0
    resent: int = 0
    requests: int = 0
    seconds: float = 0.0

    @property
    def to_answer_for(self) -> int:
        """How many events are not as they should be; what was voided, somebody voided."""
        return sum(self.differences[each] for each in Difference if each is not Difference.VOIDED)

    def as_table(self) -> str:
        """Return what goes into the task's log."""
        return "\n".join(
            f"  {name:<12} {value:>12,}" for name, value in self.as_dict().items() if value is not None
        )

    def as_dict(self) -> dict[str, Any]:
        """Return what goes into XCom."""
        return {
            "rows": self.rows,
            "expected": self.expected,
            "held": self.held,
            **{each.value: self.differences[each] for each in Difference},
            "late": self.late,
            "outside": self.outside,
            "invalid": self.invalid,
            "resent": self.resent,
            "requests": self.requests,
            "seconds": round(self.seconds, 3),
        }


_TABLES = """
    CREATE TABLE expected (id TEXT PRIMARY KEY, row INTEGER, said TEXT, body BLOB) WITHOUT ROWID;
    CREATE TABLE held (id TEXT PRIMARY KEY, sequence_id TEXT, said TEXT, voided BOOLEAN, time TEXT) WITHOUT ROWID;
    CREATE TABLE staged (sequence_id TEXT PRIMARY KEY) WITHOUT ROWID;
    CREATE TABLE voided (id TEXT PRIMARY KEY) WITHOUT ROWID;
"""
_DIFFERENCES = """
    SELECT e.id, CASE WHEN h.voided OR v.id IS NOT NULL THEN 'voided' WHEN h.id IS NULL THEN 'missing' ELSE 'different' END, h.sequence_id
    FROM expected e LEFT JOIN held h ON h.id = e.id LEFT JOIN voided v ON v.id = e.id
    WHERE h.id IS NULL OR h.voided OR h.said <> e.said OR v.id IS NOT NULL
    UNION ALL
    SELECT h.id, 'unexpected', h.sequence_id
    FROM held h LEFT JOIN expected e ON e.id = h.id
    WHERE e.id IS NULL AND NOT h.voided
    ORDER BY 1
"""


class Reconciliation:
    """
    Holds the events of a query against those of a window in Sequence.

    :param client: asks Sequence.
    :param resource: which events.
    :param window: the window that both sides are about.
    """

    def __init__(self, client: SequenceClient, resource: Resource, window: Window) -> None:
        if resource.event is None:
            raise NotImplementedError(resource.name)
        self._client, self._resource, self._window = client, resource, window
        self._kind: EventKind = resource.event
        self._disk = sqlite3.connect("", isolation_level=None)
        self._disk.executescript(_TABLES)
        self._started_at = time.monotonic()
        self._requests = client.requests_sent
        self.summary = ReconcileSummary()

    def __enter__(self) -> Self:
        """Return the reconciliation itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Drop what was gathered."""
        self._disk.close()

    def expect(self, made: Iterable[MappedRow]) -> None:
        """Gather the query's events; of several with one id, the last."""
        start, end = (utc_text(bound).removesuffix("Z") for bound in (self._window.start, self._window.end))
        for row, event in made:
            self.summary.rows += 1
            if isinstance(event, InvalidEventError):
                self.summary.invalid += 1
            elif not start <= event.time < end:
                self.summary.outside += 1
                # A later row of an id is the one that counts.
                self._disk.execute("DELETE FROM expected WHERE id = ?", [event.id])
            else:
                self._disk.execute(
                    "INSERT OR REPLACE INTO expected VALUES (?, ?, ?, ?)",
                    (event.id, row, fingerprint(self._kind, decode(event.body)), event.body),
                )
        self.summary.expected = self._count("expected")

    def remember_voided(self, known: Callable[[Sequence[str]], Mapping[str, KnownDelivery]]) -> None:
        """Note which of the query's events a delivery log knows to be voided."""
        ids = (event_id for (event_id,) in self._disk.execute("SELECT id FROM expected ORDER BY id"))
        while batch := list(islice(ids, _BATCH)):
            voided = [(event_id,) for event_id, each in known(batch).items() if each.voided]
            self._disk.executemany("INSERT OR IGNORE INTO voided VALUES (?)", voided)

    def staged(self, sequence_ids: Iterable[str]) -> None:
        """Gather what a staging table holds of the window."""
        self._disk.executemany("INSERT OR IGNORE INTO staged VALUES (?)", ((each,) for each in sequence_ids))
        self.summary.late = 0

    def compare(self) -> None:
        """Read what Sequence holds now, and count the differences."""
        self._disk.execute("DELETE FROM held")
        for item in self._client.items(self._resource, None, self._window):
            fields = {name: decode(raw) for name, raw in item.items()}
            # Newest first: the first copy of an id is the one that counts.
            self._disk.execute(
                "INSERT OR IGNORE INTO held VALUES (?, ?, ?, ?, ?)",
                (
                    fields.get("customerEventId"),
                    self._resource.id_of(item),
                    fingerprint(self._kind, fields),
                    fields.get("customerAlias") == VOID_ALIAS,
                    fields.get("eventTimestamp"),
                ),
            )
        self._forget_superseded()
        summary = self.summary
        summary.held = self._count("held WHERE NOT voided")
        summary.differences = Counter(each.difference for each in self.differences())
        if summary.late is not None:
            summary.late = self._count("held WHERE sequence_id NOT IN (SELECT sequence_id FROM staged)")
        summary.requests = self._client.requests_sent - self._requests
        summary.seconds = time.monotonic() - self._started_at

    def _forget_superseded(self) -> None:
        """Drop copies that one outside the window supersedes: an event whose time was corrected."""
        unexpected = self._disk.execute(
            "SELECT h.id, h.time, h.sequence_id FROM held h LEFT JOIN expected e ON e.id = h.id "
            "WHERE e.id IS NULL LIMIT ?",
            [_ASKED_ONE_BY_ONE],
        ).fetchall()
        for event_id, at, sequence_id in unexpected:
            if is_superseded(self._client, self._resource, event_id, parse_timestamp(at), sequence_id):
                self._disk.execute("DELETE FROM held WHERE id = ?", [event_id])

    def differences(self) -> Iterator[Found]:
        """List the differences, in the order of the ids."""
        with closing(self._disk.cursor()) as cursor:
            for event_id, difference, sequence_id in cursor.execute(_DIFFERENCES):
                yield Found(event_id, Difference(difference), sequence_id)

    def to_resend(self) -> Iterator[tuple[int, Event]]:
        """List the events that are missing or different in Sequence, as the query has them."""
        wanted = (
            "(h.id IS NULL OR (NOT h.voided AND h.said <> e.said)) AND e.id NOT IN (SELECT id FROM voided)"
        )
        query = f"SELECT e.row, e.body FROM expected e LEFT JOIN held h ON h.id = e.id WHERE {wanted} ORDER BY e.row"  # noqa: S608
        with closing(self._disk.cursor()) as cursor:
            for row, body in cursor.execute(query):
                yield row, event_of_body(self._kind, body)

    def _count(self, what: str) -> int:
        return int(self._disk.execute(f"SELECT count(*) FROM {what}").fetchone()[0])  # noqa: S608
