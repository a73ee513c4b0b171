"""The whole state of one sandbox."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_sequence.sandbox.cursors import Cursors
from airflow_provider_sequence.sandbox.faults import Faults
from airflow_provider_sequence.sandbox.http import Response
from airflow_provider_sequence.sandbox.identifiers import Identifiers, milliseconds_of
from airflow_provider_sequence.sandbox.limits import Limits
from airflow_provider_sequence.sandbox.request_log import RequestLog
from airflow_provider_sequence.sandbox.resources import BY_TABLE, EVENT_TABLES
from airflow_provider_sequence.sandbox.settings import SandboxSettings
from airflow_provider_sequence.sandbox.store import Store


class Sandbox:
    """
    A Sequence account with everything in it.

    :param settings: as they are at the start and after a reset.
    :param database: ``:memory:`` or the path of an SQLite file.
    """

    def __init__(self, settings: SandboxSettings, database: str) -> None:
        self._initial = settings
        self.settings = settings
        self.store = Store(database, BY_TABLE, EVENT_TABLES)
        newest = [found for table in EVENT_TABLES if (found := self.store.newest_id(table))]
        self.identifiers = Identifiers(max(newest, default=None, key=milliseconds_of))
        self.cursors = Cursors()
        self.limits = Limits()
        self.faults = Faults()
        self.request_log = RequestLog()
        #: answers to requests that carried an Idempotency-Key, by that key
        self.repeatable: dict[str, Response] = {}

    def configure(self, changes: Mapping[str, Any]) -> None:
        """Change settings at once; :raises ValueError: a name or a value is wrong."""
        self.settings = self.settings.changed(changes)

    def reset(self) -> None:
        """Forget everything that happened, and go back to the settings of the start."""
        self.settings = self._initial
        self.store.clear()
        self.cursors.clear()
        self.limits.clear()
        self.faults.clear()
        self.request_log = RequestLog()
        self.repeatable.clear()

    def summary(self) -> dict[str, Any]:
        """Return the counts of what arrived and of what is stored."""
        tally = self.store.tally("usage-events")
        return {
            "posts_received": self.request_log.posts_received,
            "applied": tally.applied,
            "distinct_events": tally.distinct,
            "repeated": tally.repeated,
            "seat_events": self.store.tally("seat-events").applied,
            "requests": self.request_log.requests,
            "throttled": self.request_log.throttled,
            "by_status": dict(self.request_log.by_status),
        }
