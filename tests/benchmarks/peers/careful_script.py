"""A careful script: one session, ``COPY`` into a temporary table as the pages come, and one upsert. No retries, no checks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import requests
from airflow.providers.postgres.hooks.postgres import PostgresHook

from tests.benchmarks.meter import measure
from tests.benchmarks.peers.http_operator import FIELDS, WINDOW, row_of

TABLE = """CREATE TABLE IF NOT EXISTS careful_script_events (
    id text PRIMARY KEY, "customerEventId" text, "customerAlias" text, "eventType" text, "sequenceAccountId" text,
    "eventTimestamp" timestamptz, "eventProperties" jsonb)"""


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


def _pull() -> None:
    others = ", ".join(f'"{name}" = excluded."{name}"' for name in FIELDS[1:])
    with PostgresHook("warehouse").get_conn() as connection, connection.cursor() as cursor:
        cursor.execute(TABLE)
        cursor.execute("CREATE TEMPORARY TABLE new (LIKE careful_script_events) ON COMMIT DROP")
        with cursor.copy("COPY new FROM STDIN") as copy:
            for item in _items():
                copy.write_row(row_of(item))
        cursor.execute(
            f"INSERT INTO careful_script_events SELECT * FROM new ON CONFLICT (id) DO UPDATE SET {others}"
        )


if __name__ == "__main__":
    measure(_pull)
