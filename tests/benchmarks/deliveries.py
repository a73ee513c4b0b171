"""What the page of deliveries costs on a log of two million events and a year of runs in PostgreSQL."""

from __future__ import annotations

import sys

import sqlalchemy as sa

from tests.benchmarks.report import Found
from tests.benchmarks.world import World
from tests.support import deliveries

EVENTS, DAYS = 2_000_000, 365
_FILL = (
    f"""
    INSERT INTO sequence_delivery_log (account, resource, customer_event_id, status, previous_hash, body_hash, sequence_id,
        reason, attempts, first_at, last_at, dag_id, task_id, run_id, customer_alias, event_type, event_timestamp)
    SELECT '{deliveries.ACCOUNT}', 'usage_events', 'event-' || n, CASE WHEN n % 100 = 0 THEN 'rejected' ELSE 'delivered' END,
        CASE WHEN n % 20 = 0 THEN repeat('1', 32) END, repeat('0', 32), gen_random_uuid()::text,
        CASE WHEN n % 100 = 0 THEN '400 BadRequest: reason ' || n % 7 END, 1, used_at + '1 day', used_at + '1 day',
        'usage', 'push', 'scheduled__' || used_at::date, 'customer-' || n % 500, 'api-call', used_at
    FROM (SELECT n, timestamptz '{deliveries.NOW}' - n * interval '{DAYS * 86400 / EVENTS} s' AS used_at
        FROM generate_series(1, {EVENTS}) n) events
    """,
    f"""
    INSERT INTO sequence_runs (id, account, operation, resource, dag_id, task_id, run_id, map_index, try_number, window_start,
        window_end, started_at, seen_at, ended_at, outcome, rows, delivered, unchanged, late, requests, per_minute,
        expected, found, missing, different, unexpected)
    SELECT gen_random_uuid()::text, '{deliveries.ACCOUNT}', operation, 'usage_events', 'usage', operation,
        'scheduled__' || hour, -1, 1, hour, hour + '1 hour', started_at, started_at + '1 min', started_at + '1 min', 'success',
        100, 90, 10, 0, 100, 12000, 100, 100, 0, 0, 0
    FROM generate_series(0, {DAYS * 24 - 1}) n, LATERAL (SELECT timestamptz '{deliveries.TODAY}' - n * interval '1 hour' AS hour) h,
        unnest(ARRAY['push', 'reconcile']) operation,
        LATERAL (SELECT hour + CASE operation WHEN 'push' THEN interval '70 min' ELSE '80 min' END AS started_at) s
    """,
)
_ASK = """
import json, sys, time
from tests.benchmarks.meter import measure
def first_page():
    from airflow_provider_sequence.plugins.deliveries.pages import Pages
    from airflow_provider_sequence.plugins.deliveries.rendering import render
    from airflow_provider_sequence.plugins.deployments import Deployment
    from tests.support.deliveries import NOW
    deployment = Deployment("acme", "warehouse", "sequence_delivery_log", "sequence_runs", "sequence_differences")
    def ask(days):
        began = time.monotonic()
        pages = Pages(now=lambda: NOW)
        model = pages.overview(deployment, {"days": str(days)})
        assert sum(day.total for day in model["days"]) > 1000 * days
        assert {day.check.text for day in model["days"][:-2]} == {"equal"}
        size = len(render("overview.html", "", "", model | {"deployments": ["acme"]}))
        return [time.monotonic() - began, size]
    ask(7)  # what is imported
    return {days: ask(days) for days in (7, 14, 31)}
measure(first_page)
"""


def deliveries_page(world: World, repeats: int) -> Found:
    """Fill the tables, and make the first page of each number of days, without what the API server has in its cache."""
    found = Found()
    engine = sa.create_engine(world.url, future=True)
    world.sql("DROP TABLE IF EXISTS sequence_runs")  # of pushes that were measured before
    tables = deliveries.make_tables(engine)
    engine.dispose()
    for statement in (*_FILL, "VACUUM ANALYZE"):
        world.sql(statement)
    turns = [world.process([sys.executable, "-c", _ASK])["value"] for _ in range(repeats)]
    for days in ("7", "14", "31"):
        seconds = sorted(turn[days][0] for turn in turns)[len(turns) // 2]
        found.line(
            f"page of deliveries, {days} days, on {EVENTS:,} events and {DAYS} days of hourly runs",
            "≤ 1 s",
            f"{seconds:.2f} s, {turns[0][days][1] / 1000:.0f} kB",
            seconds <= 1,
        )
    for table in tables:
        world.sql(f"DROP TABLE {tables[table].name}")
    return found
