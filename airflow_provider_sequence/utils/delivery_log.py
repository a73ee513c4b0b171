"""Delivery log of a task, on a connection of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from airflow_provider_sequence.compat import Context
from airflow_provider_sequence.hooks.sql_engine import create_sql_engine
from airflow_provider_sequence.pipelines.delivery_log import DeliveryLog
from airflow_provider_sequence.warehouse.engine import connect


class _LoggingTask(Protocol):
    """An operator with a delivery log."""

    sql_conn_id: str
    delivery_log_table: str | None
    delivery_log_conn_id: str | None


@contextmanager
def open_delivery_log(
    task: _LoggingTask, context: Context, *, account: str, resource: str, **options: Any
) -> Iterator[DeliveryLog | None]:
    """
    Open the delivery log that a task names; None where it names none.

    :param account: whose events.
    :param resource: what kind of events.
    :param options: further options of :class:`~airflow_provider_sequence.pipelines.delivery_log.DeliveryLog`.
    """
    if not task.delivery_log_table:
        yield None
        return
    instance = context["ti"]
    run = {"dag_id": instance.dag_id, "task_id": instance.task_id, "run_id": instance.run_id}
    with connect(create_sql_engine(task.delivery_log_conn_id or task.sql_conn_id)) as connection:
        yield DeliveryLog(
            connection, task.delivery_log_table, account=account, resource=resource, task=run, **options
        )
