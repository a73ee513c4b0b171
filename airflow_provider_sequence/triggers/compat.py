"""
What triggers alone import from Airflow, whose place differs between its versions.

Apart from :mod:`airflow_provider_sequence.compat`: a DAG file that names operators would pay for Airflow's triggers.
"""

from __future__ import annotations

from airflow.triggers.base import BaseTrigger
from asgiref.sync import sync_to_async

from airflow_provider_sequence.compat import BaseHook, Connection

try:
    from airflow.triggers.base import BaseEventTrigger
except ImportError:  # 2, which has no watchers
    BaseEventTrigger = BaseTrigger  # type: ignore[assignment,misc]


async def get_async_connection(conn_id: str) -> Connection:
    """
    Look up a connection in a trigger, in asgiref's thread, since the look-up blocks.

    ``BaseHook.aget_connection`` is not used: Airflow before 3.1 lacks it, and before 3.3.2 it can block the event loop.

    :param conn_id: its id.
    :raises AirflowException: if there is no such connection.
    """
    return await sync_to_async(BaseHook.get_connection)(conn_id)


__all__ = ["BaseEventTrigger", "get_async_connection"]
