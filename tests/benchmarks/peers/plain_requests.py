"""What most would write first: rows of a query, and ``requests`` in threads, a session each. No log, no retries."""

from __future__ import annotations

import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests
from airflow.providers.postgres.hooks.postgres import PostgresHook

from tests.benchmarks.meter import measure

KNOWN = {"customer_event_id": "customerEventId", "customer_alias": "customerAlias"}


def _push(job: dict[str, Any]) -> int:
    here = threading.local()
    headers = {"Content-Type": "application/json", "Sequence-Version": "2024-07-30"}

    def send(body: bytes) -> bool:
        if not hasattr(here, "session"):
            here.session = requests.Session()
            here.session.auth = ("client", "secret")
            here.session.headers.update(headers)
        response = here.session.post(job["url"], data=body, timeout=30)
        response.raise_for_status()
        return response.json()["id"] is not None

    with PostgresHook("warehouse").get_conn() as connection, connection.cursor() as cursor:
        cursor.execute(job["sql"])
        names = [column.name for column in cursor.description]
        with ThreadPoolExecutor(job["threads"]) as pool:
            return sum(pool.map(send, (_body(dict(zip(names, row, strict=True))) for row in cursor)))


def _body(row: dict[str, Any]) -> bytes:
    event = {name: row.pop(column) for column, name in KNOWN.items()}
    event |= {"eventType": "api-call", "eventTimestamp": row.pop("event_timestamp").isoformat()}
    return json.dumps(event | {"eventProperties": row}, default=float).encode()


if __name__ == "__main__":
    job = json.load(sys.stdin)
    measure(lambda: _push(job))
