"""Triggers of the deferrable sensors, and the event trigger for new events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import asdict
from functools import partial
from itertools import count
from typing import Any, ClassVar, TypeVar

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_sequence.api.answer_size import MAX_PAGE
from airflow_provider_sequence.api.http.server_clock import ServerClock
from airflow_provider_sequence.api.resources import get_resource
from airflow_provider_sequence.compat import AirflowException
from airflow_provider_sequence.exceptions import (
    NON_RETRYABLE,
    SequenceError,
    SequenceUnavailableError,
)
from airflow_provider_sequence.hooks.connection_fields import DEFAULT_CONN_ID
from airflow_provider_sequence.hooks.sequence import make_client
from airflow_provider_sequence.triggers.compat import BaseEventTrigger, get_async_connection
from airflow_provider_sequence.triggers.conditions import (
    MAX_FAILURES,
    POKE_DEADLINE,
    Condition,
    MetricThreshold,
    MinEventCount,
    NoUnmappedAliases,
    PokeResult,
)
from airflow_provider_sequence.triggers.new_events import Watermark, check_watchable, find_new_events
from airflow_provider_sequence.triggers.state import TriggerState
from airflow_provider_sequence.utils.params import parse_duration, parse_filters

T = TypeVar("T")

#: Most seconds between two polls of a trigger that never ends, while polls fail.
MAX_PAUSE = 300.0
#: Seconds after which an announcement is in Airflow's database: the triggerer hands events on about once a second,
#: and ends where it can't store them.
SETTLED_AFTER = 5.0


class ConditionTrigger(BaseTrigger):
    """
    Base of the sensors' triggers: fires once a condition holds.

    :param sequence_conn_id: connection to Sequence.
    :param poke_interval: seconds between two pokes.
    :param silent_fail: whether to go on after any error that another poke may not meet, as the sensors' option of that name.
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
        """Poke until the condition holds; sleep in between, also after failures."""
        event: dict[str, Any]
        try:
            event = {"status": "success", "result": (await self._wait()).result}
        except (SequenceError, AirflowException) as e:
            event = {"status": "error", "message": str(e), "retryable": not isinstance(e, NON_RETRYABLE)}
        yield TriggerEvent(event)

    async def _wait(self) -> PokeResult:
        client = make_client(
            await get_async_connection(self.sequence_conn_id), deadline=POKE_DEADLINE, max_item=MAX_PAGE
        )
        failures = 0
        try:
            while True:
                try:
                    # The client's requests block, so they run beside the loop and not in it.
                    result = await asyncio.to_thread(self.condition.poke, client)
                except NON_RETRYABLE:
                    raise
                except SequenceError as e:
                    failures += 1
                    retryable = isinstance(e, SequenceUnavailableError) and failures < MAX_FAILURES
                    if not retryable and not self.silent_fail:
                        raise
                    self.log.warning("Failure %d in a row: %s", failures, e)
                else:
                    failures = 0
                    self.log.info("%s", result.message)
                    if result.done:
                        return result
                await asyncio.sleep(self.poke_interval)
        finally:
            client.close()


class SequenceEventsTrigger(ConditionTrigger):
    """
    Trigger that fires once Sequence has at least a number of events of a window.

    The arguments are JSON: those of every trigger here, ``sequence_conn_id``, ``poke_interval`` and ``silent_fail``, and
    ``resource``, ``min_count``, ``filters``, ``window_start``, ``window_end`` of
    :class:`~airflow_provider_sequence.triggers.conditions.MinEventCount`.
    """

    condition_type = MinEventCount


class SequenceUsageMetricTrigger(ConditionTrigger):
    """
    Trigger that fires once a usage metric has counted a number of events, or reached a value.

    Beside the arguments of every trigger here, it has those of
    :class:`~airflow_provider_sequence.triggers.conditions.MetricThreshold`.
    """

    condition_type = MetricThreshold


class SequenceUnmappedAliasesTrigger(ConditionTrigger):
    """
    Trigger that fires once at most a number of usage events of a window have an alias without a customer.

    Beside the arguments of every trigger here, it has those of
    :class:`~airflow_provider_sequence.triggers.conditions.NoUnmappedAliases`.
    """

    condition_type = NoUnmappedAliases


class SequenceNewEventsTrigger(BaseEventTrigger):
    """
    Event trigger that fires when new events have arrived in Sequence; for an ``AssetWatcher``.

    How far it has seen is kept in the asset's state store (Airflow 3.3), or else in an Airflow Variable
    whose name starts with ``sequence_new_events_``: after a restart it goes on from there, and also announces what
    arrived meanwhile. When it starts for the first time it announces nothing. An event is announced once; where the
    triggerer is killed in the seconds in which an announcement is on its way into Airflow's database, the same
    announcement, with the same ``newest_id``, is made again.

    Failures never end it: it goes on, and waits longer after each failure in a row. Another resource, connection or other
    filters are another watch, which starts anew.

    :param resource: ``usage_events`` or ``seat_events``.
    :param sequence_conn_id: connection to Sequence.
    :param filters: filters of the resource, such as ``{"event_type": "message-sent"}``; JSON.
    :param poll_interval: seconds between two polls, or a timedelta, or text such as ``PT1M``. A poll costs as many requests as there are pages of new events,
        and up to ten more.
    :raises SequenceConfigurationError: if the resource is no list of events, or a filter is not known.

    The payload of its events has the fields of :class:`~airflow_provider_sequence.triggers.new_events.Arrival`.
    """

    def __init__(
        self,
        *,
        resource: str = "usage_events",
        sequence_conn_id: str = DEFAULT_CONN_ID,
        filters: Mapping[str, Any] | None = None,
        poll_interval: Any = 60.0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        # Checked when the DAG is parsed, and not only in the triggerer's log, for ever.
        self.filters = parse_filters(filters)
        check_watchable(get_resource(resource), self.filters)
        self.resource = resource
        self.sequence_conn_id = sequence_conn_id
        self.poll_interval = parse_duration(
            "poll_interval", poll_interval, more_than_zero=True
        ).total_seconds()
        self._clock: ServerClock | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class's path and the arguments that make the trigger again."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "resource": self.resource,
                "sequence_conn_id": self.sequence_conn_id,
                "filters": self.filters,
                "poll_interval": self.poll_interval,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll for ever, and fire for each batch of new events."""
        watched = {"resource": self.resource, "conn_id": self.sequence_conn_id, "filters": self.filters}
        store = TriggerState(self, "sequence_new_events", watched)
        while True:
            state = await self._retry(partial(self._next_state, store))
            if "pending" in state:
                yield TriggerEvent(state["pending"])
                await asyncio.sleep(SETTLED_AFTER)
                await self._retry(partial(store.save, {"seen": state["seen"]}))
            await asyncio.sleep(self.poll_interval)

    async def _retry(self, step: Callable[[], Awaitable[T]]) -> T:
        """Run a step until it succeeds."""
        for failures in count(1):
            try:
                return await step()
            except Exception as e:  # noqa: BLE001  a watcher that ends is started again at once, without a pause
                longest = max(self.poll_interval, MAX_PAUSE)
                pause = min(self.poll_interval * 2 ** min(failures, 20), longest)
                self.log.error("Failure %d in a row, the next try is in %.1f s: %s", failures, pause, e)
                await asyncio.sleep(pause)
        raise AssertionError("there is no last number")

    async def _next_state(self, store: TriggerState) -> dict[str, Any]:
        state = await store.load()
        # An announcement that may not have got through goes first, as it was.
        if "pending" not in state:
            state = await self._poll(state)
            await store.save(state)
        return state

    async def _poll(self, state: Mapping[str, Any]) -> dict[str, Any]:
        resource = get_resource(self.resource)
        last = Watermark(seen=state["seen"]) if "seen" in state else None
        # Read anew each time: credentials may change.
        with make_client(
            await get_async_connection(self.sequence_conn_id),
            deadline=POKE_DEADLINE,
            max_item=MAX_PAGE,
            clock=self._clock,
        ) as client:
            self._clock = client.clock
            # The client's requests block, so they run beside the loop and not in it.
            arrival, watermark = await asyncio.to_thread(
                find_new_events, client, resource, self.filters, last
            )
        if arrival is None:
            return {"seen": watermark.seen}
        self.log.info("%d new %s", arrival.count, resource.name)
        return {"seen": watermark.seen, "pending": arrival.as_dict()}
