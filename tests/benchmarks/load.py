"""A million rows into a staging table: as this provider loads them, with psycopg's COPY and with ``DbApiHook.insert_rows``."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from tests.benchmarks import events, pull
from tests.benchmarks.report import Found
from tests.benchmarks.world import World

NUMBER, PAGE = 1_000_000, 100
OURS = "loaded_by_provider"
OTHERS = {
    "copy": "psycopg's own COPY and one upsert",
    "insert": "`DbApiHook.insert_rows` (replacing, with executemany)",
}
#: Rows a second: a load of them takes a tenth of what the account's limit takes to bring them.
FAST = 10 * pull.OF_LIMIT


def load(world: World, repeats: int) -> Found:
    """The same rows twice: into a table that is new, and over themselves."""
    found = Found()
    world.sql(f"DROP TABLE IF EXISTS {OURS}")
    costs = {
        "new": world.run("stage", table=OURS),
        "again": world.run("stage", table=OURS),
    }
    world.sql(f"DROP TABLE {OURS}")
    costs["escaped"] = world.run("stage", table=OURS, escaped=True)
    for kind in OTHERS:
        # A table of the same kind, as a user would make it.
        world.sql(f"DROP TABLE IF EXISTS {kind}_events")
        world.sql(f"CREATE TABLE {kind}_events (LIKE {OURS} INCLUDING ALL)")
        costs[kind] = world.run(kind, table=f"{kind}_events")
    for table in (OURS, *(f"{kind}_events" for kind in OTHERS)):
        if world.count(table) != NUMBER:
            raise RuntimeError(f"{table} has not all rows")
    rates = {name: NUMBER / cost["seconds"] for name, cost in costs.items()}
    for what, name in (
        ("load of 1,000,000 staged rows into a new table", "new"),
        ("the same with escapes in each", "escaped"),
        ("upsert of the same million again", "again"),
    ):
        target = f"≥ {FAST:,} rows/s, ten times what the account's limit brings"
        found.line(what, target, f"{rates[name]:,.0f} rows/s", rates[name] >= FAST)
    for kind, name in OTHERS.items():
        times = rates["new"] / rates[kind]
        found.line(
            f"load into a new table, against {name}", "", f"{times:.1f} × ({rates[kind]:,.0f} rows/s)", None
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


def copy(rows: list[tuple[Any, ...]], table: str) -> None:
    """Replace rows by their key, as a careful script does it."""
    from tests.benchmarks.peers.careful_script import replace_rows

    replace_rows(rows, table)


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
