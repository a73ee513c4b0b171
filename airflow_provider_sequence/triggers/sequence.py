"""Triggers: what the sensors wait for, in the triggerer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any, ClassVar

from airflow.providers.common.compat.connection import get_async_connection
from airflow.providers.common.compat.sdk import AirflowException
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_sequence.conditions import (
    HOPELESS,
    LOOK_DEADLINE,
    MOST_FAILURES,
    Condition,
    EnoughEvents,
    Look,
    MetricReached,
    NoUnmappedAliases,
)
from airflow_provider_sequence.exceptions import SequenceError, SequenceUnavailableError
from airflow_provider_sequence.hooks.sequence import make_client


class _ConditionTrigger(BaseTrigger):
    """
    Fire once a condition holds.

    :param sequence_conn_id: connection to Sequence.
    :param poke_interval: seconds between two looks.
    :param silent_fail: whether to go on after whatever another look may mend, as the sensors' option of that name.
    :param condition: the fields of the condition; JSON.
    """

    condition_type: ClassVar[type[Condition]]

    def __init__(
        self, *, sequence_conn_id: str, poke_interval: float, silent_fail: bool = False, **condition: Any
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.sequence_conn_id = sequence_conn_id
        self.poke_interval = poke_interval
        self.silent_fail = silent_fail
        self.condition: Condition = self.condition_type(**condition)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class's path and the arguments that make the trigger again."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "sequence_conn_id": self.sequence_conn_id,
                "poke_interval": self.poke_interval,
                "silent_fail": self.silent_fail,
                **asdict(self.condition),
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look, and look again; sleep in between, whatever came of it."""
        event: dict[str, Any]
        try:
            event = {"status": "success", "result": (await self._wait()).result}
        except (SequenceError, AirflowException) as e:
            event = {"status": "error", "message": str(e), "hopeless": isinstance(e, HOPELESS)}
        yield TriggerEvent(event)

    async def _wait(self) -> Look:
        connection = await get_async_connection(self.sequence_conn_id)
        client = make_client(connection, deadline=LOOK_DEADLINE)
        failures = 0
        try:
            while True:
                try:
                    # The client's requests block, so they run beside the loop and not in it.
                    look = await asyncio.to_thread(self.condition.look, client)
                except HOPELESS:
                    raise
                except SequenceError as e:
                    failures += 1
                    passing = isinstance(e, SequenceUnavailableError) and failures < MOST_FAILURES
                    if not passing and not self.silent_fail:
                        raise
                    self.log.warning("Failure %d in a row: %s", failures, e)
                else:
                    failures = 0
                    self.log.info("%s", look.said)
                    if look.done:
                        return look
                await asyncio.sleep(self.poke_interval)
        finally:
            client.close()


class SequenceEventsTrigger(_ConditionTrigger):
    """
    Fire once Sequence has at least so many events of a window.

    The arguments are JSON: those of every trigger here, ``sequence_conn_id``, ``poke_interval`` and ``silent_fail``, and
    ``resource``, ``min_count``, ``filters``, ``window_start``, ``window_end`` of
    :class:`~airflow_provider_sequence.conditions.EnoughEvents`.
    """

    condition_type = EnoughEvents


class SequenceUsageMetricTrigger(_ConditionTrigger):
    """
    Fire once a usage metric has counted so many events, or reached a value.

    Beside the arguments of every trigger here, it has those of
    :class:`~airflow_provider_sequence.conditions.MetricReached`.
    """

    condition_type = MetricReached


class SequenceUnmappedAliasesTrigger(_ConditionTrigger):
    """
    Fire once no more than so many usage events of a window have an alias without a customer.

    Beside the arguments of every trigger here, it has those of
    :class:`~airflow_provider_sequence.conditions.NoUnmappedAliases`.
    """

    condition_type = NoUnmappedAliases
