"""A watcher announces each event once and misses none, whatever happens to the triggerer that it runs in."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import signal
import time
from collections import Counter
from typing import Any

import pytest

from tests.integration.support.databases import Warehouse
from tests.live.support.airflow import COMPONENTS, Airflow
from tests.live.support.events import send, usage
from tests.support.server import Server

START = dt.datetime(2026, 5, 1, tzinfo=dt.UTC)


class Watched:
    """A sandbox, what was created in it, and what the watcher in Airflow made of it."""

    def __init__(self, airflow: Airflow, server: Server, warehouse: Warehouse) -> None:
        self.airflow = airflow
        self.server = server
        self.warehouse = warehouse
        self.created: list[str] = []
        self._number = itertools.count()

    def burst(self, size: int) -> None:
        """Let events arrive whose times lie anywhere in a month; the last one replaces one of them."""
        numbers = list(itertools.islice(self._number, size - 1))
        at = [START + dt.timedelta(minutes=n * 7919 % 43_200, microseconds=n) for n in numbers]
        events = [usage(f"w-{n}", time) for n, time in zip(numbers, at, strict=True)]
        events.append(events[0] | {"customerAlias": "corrected"})
        self.created += send(self.server, events)

    def announcements(self) -> list[dict[str, Any]]:
        """
        The payloads of the asset's events, in their order.

        The REST API is of no use here: that of 3.3 fails as long as a run that an event has started is queued.
        """
        rows = self.airflow.rows("SELECT extra FROM asset_event ORDER BY id")
        return [
            json.loads(extra)["payload"] if isinstance(extra, str) else extra["payload"] for (extra,) in rows
        ]

    def announced(self) -> int:
        """How many events were announced, an announcement that was repeated counted once."""
        once = {each["newest_id"]: each for each in self.announcements()}
        return sum(each["count"] for each in once.values())

    def staged(self) -> set[str]:
        if "watched_usage" not in self.warehouse.tables():
            return set()
        return {row[0] for row in self.warehouse.rows("SELECT id FROM watched_usage")}

    def memory(self) -> dict[str, Any]:
        """What the trigger has stored of itself, read from under Airflow's feet, since an API would be too slow."""
        rows = self.airflow.rows("SELECT value FROM asset_state_store")
        return json.loads(rows[0][0]) if rows else {}

    def wait_until_all_arrived(self) -> None:
        """Wait until every event is announced and in the table, and the watcher has come to rest."""
        eventually = self.airflow.eventually
        eventually("all are announced", lambda: self.announced() >= len(self.created), patience=120)
        eventually("all are in the table", lambda: self.staged() >= set(self.created), patience=120)
        eventually("the announcement is settled", lambda: "pending" not in self.memory())
        assert self.announced() == len(self.created)
        assert self.staged() == set(self.created)

    def start_triggerer(self) -> None:
        self.airflow.start("triggerer", *COMPONENTS["triggerer"])


@pytest.fixture(scope="module")
def watch(airflow: Airflow, watched: Server, live_warehouse: Warehouse) -> Watched:
    watch = Watched(airflow, watched, live_warehouse)
    airflow.eventually("the watcher knows where it starts", lambda: "seen" in watch.memory())
    return watch


def test_every_event_is_announced_and_pulled(watch: Watched) -> None:
    airflow = watch.airflow

    watch.burst(40)
    watch.burst(1 + 25)
    watch.wait_until_all_arrived()

    # Ended in good order, soon after a burst; more arrives while none runs.
    watch.burst(30)
    time.sleep(1)
    airflow.end("triggerer", signal.SIGTERM)
    watch.burst(120)
    watch.start_triggerer()
    watch.wait_until_all_arrived()

    # Killed when an announcement is decided on, but not made.
    watch.burst(30)
    airflow.eventually("an announcement is decided on", lambda: "pending" in watch.memory(), every=0.005)
    airflow.end("triggerer", signal.SIGKILL)
    watch.burst(20)
    watch.start_triggerer()
    watch.wait_until_all_arrived()

    before = Counter(each["newest_id"] for each in watch.announcements())

    # Killed when an announcement is made, but not ticked off: the one case in which it may be repeated.
    known = len(watch.announcements())
    watch.burst(10)
    airflow.eventually("it is announced", lambda: len(watch.announcements()) > known, every=0.05)
    airflow.end("triggerer", signal.SIGKILL)
    watch.start_triggerer()
    watch.wait_until_all_arrived()

    announcements = watch.announcements()
    times = Counter(each["newest_id"] for each in announcements)
    repeated = sum(times.values()) - len(times)
    print(
        f"\n{len(watch.created)} events in {len(times)} announcements; repeated: {repeated}, of which"
        f" {sum(before.values()) - len(before)} before the kill right after an announcement"
    )
    # A repeat says the same to the letter, and there are at most as many as there were kills.
    assert len({json.dumps(each, sort_keys=True) for each in announcements}) == len(times)
    assert repeated <= 3
    assert len(set(watch.created)) == len(watch.created)

    def runs_ended() -> bool:
        return set(airflow.run_states("watch")) <= {"success", "failed"}

    airflow.eventually("all runs have ended", runs_ended)
    assert set(airflow.run_states("watch")) == {"success"}, airflow.story()
    assert watch.server.violations() == []
