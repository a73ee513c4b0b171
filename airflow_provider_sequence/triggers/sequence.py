"""Triggers: what the sensors wait for, in the triggerer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.providers.common.compat.connection import get_async_connection
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_sequence.api.resources import get_resource
from airflow_provider_sequence.api.windows import Window
from airflow_provider_sequence.exceptions import (
    SequenceError,
    SequenceUnavailableError,
)
from airflow_provider_sequence.hooks.sequence import make_client

#: How often in a row Sequence may be out of reach before a trigger gives up.
MOST_FAILURES = 10


class SequenceEventsTrigger(BaseTrigger):
    """
    Fire once Sequence has at least so many events of a window.

    Arguments are JSON; see :class:`~airflow_provider_sequence.sensors.sequence.SequenceEventsSensor`.

    :param sequence_conn_id: connection to Sequence.
    :param resource: ``usage_events`` or ``seat_events``.
    :param min_count: how many events to wait for.
    :param filters: filters of the resource.
    :param window_start: first time of the window, ISO 8601, or None.
    :param window_end: first time after the window, ISO 8601, or None.
    :param poke_interval: seconds between two looks.
    """

    def __init__(
        self,
        *,
        sequence_conn_id: str,
        resource: str,
        min_count: int,
        filters: dict[str, Any],
        window_start: str | None,
        window_end: str | None,
        poke_interval: float,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.sequence_conn_id = sequence_conn_id
        self.resource = resource
        self.min_count = min_count
        self.filters = filters
        self.window_start = window_start
        self.window_end = window_end
        self.poke_interval = poke_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class's path and the arguments that make the trigger again."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "sequence_conn_id": self.sequence_conn_id,
                "resource": self.resource,
                "min_count": self.min_count,
                "filters": self.filters,
                "window_start": self.window_start,
                "window_end": self.window_end,
                "poke_interval": self.poke_interval,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look, and look again; sleep in between, whatever came of it."""
        try:
            yield TriggerEvent(await self._wait())
        except SequenceError as e:
            yield TriggerEvent({"status": "error", "message": str(e)})

    async def _wait(self) -> dict[str, Any]:
        resource = get_resource(self.resource)
        window = None if self.window_start is None else Window.parse(self.window_start, self.window_end)
        connection = await get_async_connection(self.sequence_conn_id)
        client = make_client(connection)
        failures = 0
        try:
            while True:
                try:
                    # The client's requests block, so they run beside the loop and not in it.
                    count = await asyncio.to_thread(client.count, resource, self.filters, window)
                except SequenceUnavailableError as e:
                    failures += 1
                    self.log.warning("Failure %d of at most %d: %s", failures, MOST_FAILURES, e)
                    if failures >= MOST_FAILURES:
                        raise
                else:
                    failures = 0
                    if count >= self.min_count:
                        return {"status": "success", "count": count}
                    self.log.info("Sequence has %d of %d %s", count, self.min_count, resource.name)
                await asyncio.sleep(self.poke_interval)
        finally:
            client.close()
