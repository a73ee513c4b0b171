"""``python -m tests.benchmarks.runner``: one real operator in a process of its own; a job on standard input."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from tests.benchmarks import events, load
from tests.benchmarks.meter import measure


def _main() -> None:
    job = json.load(sys.stdin)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, force=True)
    if job["kind"] == "nothing":
        from airflow.sdk import DAG, BaseOperator  # noqa: F401  what every task's process has imported

        measure(lambda: None)
        return
    import airflow.providers.postgres.hooks.postgres  # noqa: F401  no import is measured, with any of the tools

    make = {
        "push": _push,
        "pull": _pull,
        "stage": _stage,
        "copy": _given(load.copy),
        "insert": _given(load.insert),
    }[job["kind"]]
    measure(make(**job["options"]))


def _push(*, answers_itself: bool = False, **options: Any) -> Any:
    from airflow_provider_sequence.transfers.sql_to_sequence import SqlToSequenceUsageEventsOperator

    operator = SqlToSequenceUsageEventsOperator(
        task_id="push", sql_conn_id="warehouse", event_type="api-call", **options
    )
    if answers_itself:
        _answer_itself(operator)
    return lambda: operator.execute(_context())


def _answer_itself(operator: Any) -> None:
    """Have events delivered without a request: what else a push does remains."""
    from airflow_provider_sequence.api.client import SequenceClient

    def create(client: SequenceClient, resource: Any, event: Any) -> str:
        return "019c0000-0000-7000-8000-000000000000"

    SequenceClient.create = create


def _pull(**options: Any) -> Any:
    from airflow_provider_sequence.transfers.sequence_to_sql import SequenceToSqlOperator

    operator = SequenceToSqlOperator(
        task_id="pull",
        resource="usage_events",
        sql_conn_id="warehouse",
        window_start=events.START,
        window_end=events.END,
        **options,
    )
    return lambda: operator.execute(_context())


def _stage(escaped: bool = False, **options: Any) -> Any:
    rows = load.rows(escaped)
    return lambda: load.stage(rows, **options)


def _given(work: Callable[..., None]) -> Callable[..., Any]:
    """Make the rows before the work is measured."""

    def make(**options: Any) -> Any:
        rows = load.rows()
        return lambda: work(rows, **options)

    return make


def _context() -> Any:
    return {
        "ti": SimpleNamespace(dag_id="benchmarks", task_id="task", run_id="run", try_number=1, map_index=-1),
        "data_interval_start": events.START,
        "data_interval_end": events.END,
        "outlet_events": {},
    }


if __name__ == "__main__":
    _main()
