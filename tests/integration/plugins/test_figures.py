"""Figures of the page, against the same tables counted by plain SQL."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from typing import Any

import pytest

from airflow_provider_sequence.pipelines.delivery_log_table import ADDED_LATER
from airflow_provider_sequence.plugins.deliveries.checks import check_day
from airflow_provider_sequence.plugins.deployments import Deployment
from tests.integration.support.databases import on
from tests.integration.support.values import utc
from tests.support.deliveries import ACCOUNT, NOW, OTHER, TODAY, entry, try_of

DAY, HOUR, MINUTE = dt.timedelta(days=1), dt.timedelta(hours=1), dt.timedelta(minutes=1)
DEPLOYMENT = Deployment("acme", "warehouse", "sequence_delivery_log", "sequence_runs", "sequence_differences")


def log_of_a_month() -> list[dict[str, Any]]:
    """Entries at both ends of days, of every status, and of others."""
    entries = []
    for n in range(-1, 33):
        midnight = TODAY - n * DAY
        times = [midnight, midnight + 12 * HOUR, midnight + DAY - dt.timedelta(microseconds=1)]
        entries += [entry(time) for time in times for _ in range(n % 3 + 1)]
        entries.append(entry(midnight, previous_hash="1" * 32))
        entries += [
            entry(midnight + HOUR, status=status, reason="400 Bad")
            for status in ("rejected", "voided", "in_doubt")
        ]
        entries.append(entry(midnight, account=OTHER))
        entries.append(entry(midnight, resource="seat_events"))
    return [*entries, entry(None, status="rejected", reason="no time", last_at=TODAY)]


@on("sqlite", "postgres", "duckdb")
@pytest.mark.parametrize("days", ["7", "14", "31"])
def test_every_day_is_that_of_the_log(warehouse, fill, pages, days):
    fill(log=log_of_a_month())
    found = pages.overview(DEPLOYMENT, {"days": days, "end": "2026-11-20"})

    expected: Counter[tuple[dt.date, str]] = Counter()
    for status, previous, used_at in warehouse.rows(
        f"SELECT status, previous_hash, event_timestamp FROM sequence_delivery_log "
        f"WHERE account = '{ACCOUNT}' AND resource = 'usage_events' AND event_timestamp IS NOT NULL"
    ):
        part = "corrected" if status == "delivered" and previous else status
        expected[utc(used_at).date(), part] += 1
    assert len(found["days"]) == int(days)
    assert found["days"][-1].date == TODAY.date()
    for day in found["days"]:
        assert day.entries == {part: expected[day.date, part] for part in day.entries}
        assert day.total == sum(number for (date, _), number in expected.items() if date == day.date)


@on("sqlite", "postgres")
def test_reasons_count_what_is_rejected_now(warehouse, fill, pages):
    yesterday = TODAY - DAY
    fill(
        log=[
            *(entry(yesterday, status="rejected", reason="400 Bad", first_at=TODAY - 3 * DAY, last_at=TODAY + n * HOUR) for n in range(3)),
            entry(None, status="rejected", reason="no time", last_at=TODAY),
            entry(None, status="rejected", reason="no time, long ago", last_at=TODAY - 40 * DAY),
            entry(TODAY - 40 * DAY, status="rejected", reason="long ago", last_at=TODAY),
            entry(yesterday, reason="delivered since"),
            entry(yesterday, status="rejected", reason="tried long before its time", last_at=TODAY - 15 * DAY),
        ]
    )  # fmt: skip
    found = pages.overview(DEPLOYMENT, {})["reasons"]

    assert [(each.text, each.entries) for each in found] == [("400 Bad", 3), ("no time", 1)]
    assert (found[0].first_at, found[0].last_at) == ("2026-11-17 00:00:00", "2026-11-20 02:00:00")
    rows = pages.rejected(DEPLOYMENT, {"reason": found[0].key})["rows_found"]
    assert {row.reason for row in rows} == {"400 Bad"}
    assert len(rows) == 3


def test_unchanged_and_late_are_of_the_last_finished_push_of_each_run_within_the_day(warehouse, fill, pages):
    day = TODAY - DAY
    fill(
        runs=[
            try_of("push", day, TODAY, unchanged=100, outcome="failed"),
            try_of(
                "push", day, TODAY + HOUR, unchanged=7, late=2, try_number=2
            ),  # of the same run: this one counts
            try_of("push", day, TODAY + 2 * HOUR, unchanged=50, outcome="killed", try_number=3),
            try_of("push", day, TODAY + HOUR, unchanged=3, late=0, run_id="manual"),
            try_of("push", day, TODAY + HOUR, unchanged=5, late=0, run_id="manual", map_index=1),
            try_of("push", day, TODAY + HOUR, unchanged=900, run_id="month", window_start=day - 20 * DAY),
            try_of(
                "push", day, TODAY + HOUR, unchanged=900, run_id="nowhere", window_start=None, window_end=None
            ),
            try_of("push", day, TODAY + HOUR, unchanged=900, run_id="other", account=OTHER),
        ]
    )
    found = pages.overview(DEPLOYMENT, {"account": ACCOUNT})

    by_date = {each.date: each for each in found["days"]}
    assert (by_date[day.date()].unchanged, by_date[day.date()].late) == (15, 2)
    assert (by_date[TODAY.date()].unchanged, by_date[TODAY.date()].late) == (None, None)
    assert found["longer_pushes"] == 2


class _Run:
    """A row of the table of runs."""

    def __init__(self, **fields: Any) -> None:
        vars(self).update(fields)


D = TODAY - DAY
CHECKS = {
    "nothing ran": ([], "not checked"),
    "a push, and no check": ([try_of("push", D, TODAY)], "not checked"),
    "a check after the push": ([try_of("reconcile", D, TODAY + HOUR), try_of("push", D, TODAY)], "equal"),
    "a check of no events at all": ([try_of("reconcile", D, TODAY)], "equal"),
    "a push after the check": ([try_of("push", D, TODAY + HOUR), try_of("reconcile", D, TODAY)], "checked before the last push"),
    "a push that was still running": (
        [try_of("reconcile", D, TODAY + HOUR), try_of("push", D, TODAY, ended_at=TODAY + 2 * HOUR)], "checked before the last push"),
    "a push that runs now": (
        [try_of("reconcile", D, TODAY + HOUR), try_of("push", D, TODAY, outcome="running", ended_at=None, seen_at=NOW)],
        "checked before the last push"),
    "a push that was lost before the check": (
        [try_of("reconcile", D, TODAY + HOUR), try_of("push", D, TODAY, outcome="running", ended_at=None)], "equal"),
    "voided since": ([try_of("void", D, TODAY + HOUR), try_of("reconcile", D, TODAY)], "checked before the last push"),
    "differences": ([try_of("reconcile", D, TODAY, missing=2, different=1, unexpected=1, outcome="failed")], "4 differences"),
    "one difference, gone since": (
        [try_of("reconcile", D, TODAY + HOUR), try_of("reconcile", D, TODAY, missing=1)], "equal"),
    "one difference of a longer window": (
        [try_of("reconcile", D, TODAY, missing=1, window_start=D - DAY)], "1 difference in a longer window"),
    "a check that failed without figures": (
        [try_of("reconcile", D, TODAY, outcome="failed", missing=None, different=None, unexpected=None)], "not checked"),
    "a check of half the day": ([try_of("reconcile", D, TODAY, window_end=D + 12 * HOUR)], "not checked"),
    "two halves": (
        [try_of("reconcile", D, TODAY + HOUR, window_start=D + 12 * HOUR), try_of("reconcile", D, TODAY, window_end=D + 12 * HOUR)],
        "equal"),
    "a half that was pushed again": (
        [try_of("push", D, TODAY + 2 * HOUR, window_end=D + HOUR), try_of("reconcile", D, TODAY + HOUR, window_start=D + 12 * HOUR),
         try_of("reconcile", D, TODAY, window_end=D + 12 * HOUR)],
        "checked before the last push"),
    "a window that ends where the day begins": ([try_of("reconcile", D - DAY, TODAY)], "not checked"),
}  # fmt: skip


@pytest.mark.parametrize(("runs", "text"), CHECKS.values(), ids=CHECKS)
def test_badge_of_a_day(runs, text):
    assert check_day(D, [_Run(**run) for run in runs], NOW).text == text


@on("sqlite", "postgres")
def test_runs_show_how_they_ended(warehouse, fill, pages):
    fill(
        runs=[
            try_of("push", D, NOW - 10 * MINUTE, ended_at=None, seen_at=NOW - MINUTE, outcome="running"),
            try_of("push", D, NOW - 20 * MINUTE, ended_at=None, seen_at=NOW - 15 * MINUTE, outcome="running"),
            try_of(
                "pull",
                D,
                NOW - 30 * MINUTE,
                outcome="failed",
                error="SequenceUnavailableError",
                requests=None,
            ),
        ]
    )
    running, lost, failed = pages.runs(DEPLOYMENT, {})["runs"]

    assert (running.state, running.duration) == ("running", "9 min 0 s")
    assert running.limit == pytest.approx(6000 / 9 / 12000)
    assert lost.state == "lost"
    assert (failed.state, failed.error, failed.limit) == ("failed", "SequenceUnavailableError", None)
    assert len(pages.overview(DEPLOYMENT, {})["troubles"]) == 2  # a pull delivers nothing
    assert [run.operation for run in pages.runs(DEPLOYMENT, {"outcome": "failed"})["runs"]] == ["pull"]


def test_log_of_an_earlier_release_is_said_to_be_one(warehouse, fill, pages):
    old = entry(TODAY, status="rejected", reason="400 Bad", last_at=TODAY)
    fill(
        old_log=True,
        log=[{name: value for name, value in old.items() if name not in ADDED_LATER}],
    )
    found = pages.overview(DEPLOYMENT, {})

    assert (
        "is of an earlier release: it has no column customer_alias, event_timestamp, event_type, previous_hash, voided_hash"
        in found["notices"][0]
    )
    assert not found["has_usage"]
    assert [each.entries for each in found["reasons"]] == [1]
    assert (
        pages.event(DEPLOYMENT, {"event_id": old["customer_event_id"]})["rows_found"][0].status == "rejected"
    )


def test_missing_tables_are_said_to_be_missing(warehouse, pages):
    notices = pages.overview(DEPLOYMENT, {})["notices"]

    assert [notice.split(":")[0] for notice in notices] == [
        "There is no delivery log sequence_delivery_log",
        "There is no table sequence_runs",
        "There is no table sequence_differences",
    ]


@on("sqlite", "postgres")
def test_the_connection_can_write_nothing(warehouse, fill, airflow_db):
    from airflow_provider_sequence.exceptions import WarehouseError
    from airflow_provider_sequence.plugins.deliveries.database import reading

    fill(log=[entry(TODAY)])
    with pytest.raises(WarehouseError, match=r"(?i)read.?only"), reading("warehouse") as connection:
        connection.exec_driver_sql("DELETE FROM sequence_delivery_log")


ENDLESS = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n",
    "postgres": "SELECT pg_sleep(60)",
}


@pytest.mark.parametrize(("warehouse", "sql"), ENDLESS.items(), indirect=["warehouse"], ids=ENDLESS)
def test_a_long_query_is_ended(warehouse, airflow_db, monkeypatch, sql):
    from airflow_provider_sequence.exceptions import WarehouseError
    from airflow_provider_sequence.plugins.deliveries import database

    monkeypatch.setattr(database, "PATIENCE", 0.3)
    with (
        pytest.raises(WarehouseError, match=r"(?i)interrupt|cancel"),
        database.reading("warehouse") as connection,
    ):
        connection.exec_driver_sql(sql)


def test_cache_forgets_after_its_time_and_beyond_its_size():
    from airflow_provider_sequence.plugins.deliveries.database import Cache

    now, asked = [0.0], []
    cache = Cache(seconds=60, entries=2, clock=lambda: now[0])

    def find(key: str) -> str:
        return cache.get(key, lambda: asked.append(key) or key)

    assert [find("a"), find("a"), find("b")] == ["a", "a", "b"]
    assert asked == ["a", "b"]
    find("c")  # instead of a, the oldest
    find("b")
    find("a")
    assert asked == ["a", "b", "c", "a"]
    now[0] = 61
    find("a")
    assert asked[-2:] == ["a", "a"]
