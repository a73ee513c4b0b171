"""Base of every operator and sensor here: the hook, and what happens when a task is being stopped."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from airflow_provider_sequence.hooks.sequence import SequenceHook
from airflow_provider_sequence.warehouse.running_query import RunningQuery


class SequenceTaskMixin:
    """Mixin of tasks that call Sequence through the connection ``sequence_conn_id``."""

    sequence_conn_id: str

    def _hook_options(self) -> dict[str, Any]:
        """Options of the hook's client."""
        return {}

    @cached_property
    def running_query(self) -> RunningQuery:
        """The query that the task runs on a warehouse."""
        return RunningQuery()

    @cached_property
    def hook(self) -> SequenceHook:
        """The hook of the connection to Sequence."""
        return SequenceHook(self.sequence_conn_id, **self._hook_options())

    def on_kill(self) -> None:
        """End every wait and the query, and send nothing more; requests in flight are waited for by ``execute``."""
        self.hook.end()
        self.running_query.cancel()
