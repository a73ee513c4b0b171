"""Run of a task that moves or compares data: what the log says at its start, and what is left of it at its end."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from airflow_provider_sequence.api.client import SequenceClient
from airflow_provider_sequence.api.windows import Window
from airflow_provider_sequence.compat import Context
from airflow_provider_sequence.hooks.sql_engine import create_sql_engine
from airflow_provider_sequence.pipelines.runs import DEFAULT_TABLE, RunOutcome, RunRow, TaskTry
from airflow_provider_sequence.pipelines.runs_table import COUNTS

Result = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Route:
    """
    What is moved or compared, and between which places, as the log's first line has it.

    :param operation: ``push``, ``void``, ``pull``, ``reconcile`` or ``metric``; or another, which no table of runs has.
    :param what: the resource.
    :param text: the places; ``{sequence}`` stands for host and connection.
    :param budget: the rate budget that counts.
    """

    operation: str
    what: str
    text: str
    budget: str = "requests"


@dataclass(slots=True)
class TaskRun:
    """
    Run of a task.

    :param result: gives the task's result so far, or None before there is one; called in a thread of its own, too.
    """

    result: Callable[[], Result | None] = lambda: None


@contextmanager
def task_run(
    task: Any,
    context: Context,
    client: SequenceClient,
    route: Route,
    window: Window | None,
    *,
    writes: bool = True,
) -> Iterator[TaskRun]:
    """
    Log what a task is about; keep its row in the table of runs; and if it fails, keep its result.

    The result of a task that fails goes to XCom under the key of what tasks return, and to the attribute ``result`` of the
    error, where callbacks find it.

    :param task: the operator.
    :param client: the task's client; nothing has been sent yet.
    :param window: the times that the task is about, or None.
    :param writes: whether anything is written at all: not so in a dry run.
    """
    task.log.info("%s", first_line(route, client, task.sequence_conn_id, window))
    run = TaskRun()
    row = _row(task, context, client, route, window, run) if writes else None
    if row is not None:
        row.open()
    try:
        yield run
    except BaseException as e:
        if row is not None:
            row.close(RunOutcome.KILLED if task.told_to_end else RunOutcome.FAILED, type(e).__name__)
        result = run.result()
        if result is not None:
            e.result = result  # type: ignore[attr-defined]
            _push_result(task, context, result)
        raise
    if row is not None:
        row.close(RunOutcome.SUCCESS)


def first_line(route: Route, client: SequenceClient, conn_id: str, window: Window | None) -> str:
    """What is moved or compared, of which times, from where to where, and how fast it may be."""
    times = f" of [{_minute(window.start)}, {_minute(window.end)})" if window else ""
    places = route.text.replace("{sequence}", f"{client.base_url} ({conn_id})")
    unit = "requests " if route.budget == "requests" else ""
    return f"{route.what}{times} {places}, {client.limits[route.budget]:,.0f} {unit}a minute"


def _minute(time: dt.datetime) -> str:
    """Time in UTC, without seconds where they are zero."""
    whole = not (time.second or time.microsecond)
    return time.isoformat(timespec="minutes" if whole else "auto").replace("+00:00", "Z")


def runs_table_of(task: Any) -> str | None:
    """The table of runs that a task names; by default the one beside its delivery log."""
    delivery_log: str | None = getattr(task, "delivery_log_table", None)
    if task.runs_table or not delivery_log:
        return task.runs_table or None
    schema, dot, _ = delivery_log.strip().rpartition(".")
    return f"{schema}{dot}{DEFAULT_TABLE}"


def _row(
    task: Any,
    context: Context,
    client: SequenceClient,
    route: Route,
    window: Window | None,
    run: TaskRun,
) -> RunRow | None:
    table = runs_table_of(task)
    if table is None:
        return None
    instance = context.get("ti")
    of_airflow = ("dag_id", "task_id", "run_id", "map_index", "try_number")
    task_try = TaskTry(
        account=client.account,
        operation=route.operation,
        resource=route.what,
        sequence_conn_id=task.sequence_conn_id,
        window=window,
        **{name: getattr(instance, name, None) for name in of_airflow},
    )

    def counts() -> dict[str, int | None]:
        known = run.result() or {}
        return {
            **{name: known.get(name) for name in COUNTS},
            # The rows of a comparison by metric are its aliases.
            "rows": known.get("rows", known.get("aliases")),
            "requests": client.requests_sent,
            "throttled": client.requests_throttled,
            "per_minute": round(client.limits[route.budget]),
        }

    conn_id = getattr(task, "delivery_log_conn_id", None) or task.sql_conn_id
    share = partial(client.share_limit, route.budget)
    return RunRow(create_sql_engine(conn_id), table, task_try, counts, share)


def _push_result(task: Any, context: Context, result: Result) -> None:
    """Push the result of a task that fails; Airflow does so only for tasks that return."""
    instance: Any = context.get("ti")
    if not task.do_xcom_push or not hasattr(instance, "xcom_push"):
        return
    try:
        instance.xcom_push(key="return_value", value=dict(result))
    except Exception as e:  # noqa: BLE001  whatever Airflow raises: the task's own error is what counts
        task.log.warning("The result could not be pushed to XCom: %s", type(e).__name__)
