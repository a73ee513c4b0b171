"""Airflow's own means: HttpOperator with a pagination_function, and DbApiHook.insert_rows."""

from __future__ import annotations

from typing import Any

from airflow.providers.http.operators.http import HttpOperator
from airflow.providers.postgres.hooks.postgres import PostgresHook

from tests.benchmarks.meter import measure
from tests.benchmarks.peers.usage_table import CREATE, FIELDS, WINDOW, row_of


def _next_page(response: Any) -> dict[str, Any] | None:
    after = response.json()["pagination"].get("after")
    return {"data": {**WINDOW, "after": after}} if after else None


def _rows(responses: Any) -> list[tuple[Any, ...]]:
    return [row_of(item) for response in responses for item in response.json()["items"]]


def _pull() -> None:
    rows = HttpOperator(
        task_id="pages",
        http_conn_id="server",
        method="GET",
        endpoint="/api/usage-events",
        data=WINDOW,
        pagination_function=_next_page,
        response_filter=_rows,
    ).execute({})
    hook = PostgresHook("warehouse")
    hook.run(CREATE.format(table="http_operator_events"))
    hook.insert_rows(
        "http_operator_events",
        rows,
        target_fields=[f'"{name}"' for name in FIELDS],
        replace=True,
        replace_index="id",
        executemany=True,
        commit_every=10_000,
    )


if __name__ == "__main__":
    measure(_pull)
