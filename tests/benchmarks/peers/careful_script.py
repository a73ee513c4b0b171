"""A careful script: one session, ``COPY`` into a temporary table as the pages come, and one upsert. No retries, no checks."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

import requests
from airflow.providers.postgres.hooks.postgres import PostgresHook

from tests.benchmarks.meter import measure
from tests.benchmarks.peers.usage_table import CREATE, WINDOW, row_of


def _items() -> Iterator[dict[str, Any]]:
    with requests.Session() as session:
        session.auth = ("client", "secret")
        session.headers["Sequence-Version"] = "2024-07-30"
        after = None
        while True:
            params = WINDOW | ({"after": after} if after else {})
            response = session.get(f"{os.environ['BENCH_API']}/usage-events", params=params, timeout=30)
            response.raise_for_status()
            page = response.json()
            yield from page["items"]
            after = page["pagination"].get("after")
            if not after:
                return


def replace_rows(rows: Iterable[tuple[Any, ...]], table: str, create: str = "") -> None:
    """
    Replace rows by their key ``id``, which is their first column.

    :param create: the statement that makes the table, if it is not there.
    """
    with PostgresHook("warehouse").get_conn() as connection, connection.cursor() as cursor:
        if create:
            cursor.execute(create)
        cursor.execute(f"CREATE TEMPORARY TABLE new (LIKE {table}) ON COMMIT DROP")
        with cursor.copy("COPY new FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        cursor.execute("SELECT * FROM new LIMIT 0")
        others = ", ".join(f'"{each.name}" = excluded."{each.name}"' for each in cursor.description[1:])
        cursor.execute(f"INSERT INTO {table} SELECT * FROM new ON CONFLICT (id) DO UPDATE SET {others}")


def _pull() -> None:
    table = "careful_script_events"
    replace_rows(map(row_of, _items()), table, CREATE.format(table=table))


if __name__ == "__main__":
    measure(_pull)
