"""The delivery log of a task."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow.providers.common.compat.sdk import Context

from airflow_provider_sequence.hooks.sql_engine import create_sql_engine
from airflow_provider_sequence.pipelines.delivery_log import DeliveryLog
from airflow_provider_sequence.warehouse.engine import connect


@contextmanager
def open_delivery_log(
    table: str | None,
    conn_id: str,
    context: Context,
    *,
    account: str,
    resource: str,
    voiding: bool = False,
    read_only: bool = False,
) -> Iterator[DeliveryLog | None]:
    """
    Open a task's delivery log on a connection of its own.

    :param table: ``table`` or ``schema.table``; None where the task has no log.
    :param conn_id: connection to its database.

    The others are those of :class:`~airflow_provider_sequence.pipelines.delivery_log.DeliveryLog`.
    """
    if not table:
        yield None
        return
    instance = context["ti"]
    task = {"dag_id": instance.dag_id, "task_id": instance.task_id, "run_id": instance.run_id}
    with connect(create_sql_engine(conn_id)) as connection:
        yield DeliveryLog(
            connection,
            table,
            account=account,
            resource=resource,
            task=task,
            voiding=voiding,
            read_only=read_only,
        )
