"""A million rows into a staging table: as this provider loads them, and with ``DbApiHook.insert_rows``."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from tests.benchmarks import events
from tests.benchmarks.report import Found
from tests.benchmarks.world import World

NUMBER, PAGE = 1_000_000, 100
OURS, THEIRS = "loaded_by_provider", "loaded_by_hook"


def load(world: World, repeats: int) -> Found:
    """The same rows twice: into a table that is new, and over themselves."""
    found = Found()
    for table in (OURS, THEIRS):
        world.sql(f"DROP TABLE IF EXISTS {table}")
    costs = {
        "new": world.run("stage", table=OURS),
        "again": world.run("stage", table=OURS),
    }
    world.sql(f"DROP TABLE {OURS}")
    costs["escaped"] = world.run("stage", table=OURS, escaped=True)
    # A table of the same kind for the hook, as a user would make it.
    world.sql(f"CREATE TABLE {THEIRS} (LIKE {OURS} INCLUDING ALL)")
    costs["hook"] = world.run("insert", table=THEIRS)
    for table in (OURS, THEIRS):
        if world.count(table) != NUMBER:
            raise RuntimeError(f"{table} has not all rows")
    rates = {name: NUMBER / cost["seconds"] for name, cost in costs.items()}
    times = rates["new"] / rates["hook"]
    found.line(
        "load of 1,000,000 staged rows, against `DbApiHook.insert_rows` (replacing, with executemany)",
        "≥ 3 ×",
        f"{times:.1f} × ({rates['new']:,.0f} rows/s against {rates['hook']:,.0f})",
        times >= 3,
    )
    share = rates["escaped"] / rates["new"]
    found.line(
        "load of 1,000,000 staged rows with escapes in each, against none",
        "≥ 0.9 ×",
        f"{share:.2f} × ({rates['escaped']:,.0f} rows/s)",
        share >= 0.9,
    )
    found.line(
        "upsert of the same million again",
        "≥ 80,000 rows/s",
        f"{rates['again']:,.0f} rows/s",
        rates["again"] >= 80_000,
    )
    return found


# --- in a process of its own -----------------------------------------------------------------------------------


def rows(escaped: bool = False) -> list[tuple[Any, ...]]:
    """
    Make the rows, the newest first as Sequence lists them, so that none of it is timed.

    :param escaped: whether each has line breaks, quotes and backslashes in a text.
    """
    return list(_rows('\n\\"\t' if escaped else ""))[::-1]


def _rows(special: str) -> Iterator[tuple[Any, ...]]:
    now = dt.datetime.now(dt.UTC)
    step = (events.END - events.START) / NUMBER
    for number in range(NUMBER):
        properties = (
            f'{{"region":"Zürich","model":"größe-{number % 5}","tokens":{number % 4096},"cost":1.50}}'
        )
        yield (
            f"019c0000-0000-7000-8000-{number:012x}",
            f"order-{number:09}",
            f"customer-{number % 997}{special}",
            "api-call",
            "0184421e-a9cc-711b-af93-bf0511d4d833",
            events.START + number * step,
            properties,
            None,
            now,
        )


def stage(rows: list[tuple[Any, ...]], table: str) -> int:
    """Gather pages of rows, and merge them."""
    from airflow_provider_sequence.api.resources import USAGE_EVENTS
    from airflow_provider_sequence.hooks.sql_engine import create_sql_engine
    from airflow_provider_sequence.pipelines.pull.rows import staging_columns
    from airflow_provider_sequence.warehouse.staging import StagingLoad

    with closing(StagingLoad(create_sql_engine("warehouse"), table, staging_columns(USAGE_EVENTS))) as into:
        for first in range(0, len(rows), PAGE):
            page = rows[first : first + PAGE]
            into.add(page, [True] * len(page))
        return into.merge()


def insert(rows: list[tuple[Any, ...]], table: str) -> None:
    """Replace rows by their key, as the hook does it."""
    from airflow.providers.postgres.hooks.postgres import PostgresHook

    hook = PostgresHook("warehouse")
    query = (
        "SELECT column_name FROM information_schema.columns WHERE table_name = %s ORDER BY ordinal_position"
    )
    hook.insert_rows(
        table,
        rows,
        target_fields=[row[0] for row in hook.get_records(query, parameters=(table,))],
        replace=True,
        replace_index="id",
        executemany=True,
        commit_every=10_000,
    )
