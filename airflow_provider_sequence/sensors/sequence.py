"""Sensors that wait for Sequence."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, NoReturn

from airflow.providers.common.compat.sdk import BaseSensorOperator, Context, PokeReturnValue, conf

from airflow_provider_sequence.api.resources import get_resource
from airflow_provider_sequence.connection import DEFAULT_CONN_ID
from airflow_provider_sequence.exceptions import SequenceError
from airflow_provider_sequence.hooks.sequence import SequenceHook
from airflow_provider_sequence.intervals import window_of_run
from airflow_provider_sequence.transfers.failures import no_retry_where_useless, whole_number
from airflow_provider_sequence.triggers.sequence import SequenceEventsTrigger


class SequenceEventsSensor(BaseSensorOperator):
    """
    Wait until Sequence has at least so many events of a window.

    Copies of an event that a later one with the same id has superseded are counted where Sequence lists them.

    :param resource: ``usage_events`` or ``seat_events``. (templated)
    :param min_count: how many events to wait for. (templated)
    :param filters: filters of the resource, such as ``{"event_type": "message-sent"}``. (templated)
    :param window_start: first time of the window; the start of the run's data interval by default. (templated)
    :param window_end: first time after the window; the end of the run's data interval by default. (templated)
    :param sequence_conn_id: connection to Sequence. (templated)
    :param deferrable: whether to wait in the triggerer, without holding a worker.
    :return: ``{"count": how many events there were}``.
    """

    template_fields: Sequence[str] = (
        "resource",
        "min_count",
        "filters",
        "window_start",
        "window_end",
        "sequence_conn_id",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"filters": "json"}
    ui_color = "#fdf3d8"

    def __init__(
        self,
        *,
        resource: str = "usage_events",
        min_count: int | str = 1,
        filters: Mapping[str, Any] | None = None,
        window_start: Any = None,
        window_end: Any = None,
        sequence_conn_id: str = DEFAULT_CONN_ID,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.resource = resource
        self.min_count = min_count
        self.filters = filters
        self.window_start = window_start
        self.window_end = window_end
        self.sequence_conn_id = sequence_conn_id
        self.deferrable = deferrable

    @cached_property
    def hook(self) -> SequenceHook:
        """The hook of the connection to Sequence."""
        return SequenceHook(self.sequence_conn_id)

    def poke(self, context: Context) -> PokeReturnValue:
        """Count the events once."""
        with no_retry_where_useless():
            resource = get_resource(self.resource)
            wanted = whole_number("min_count", self.min_count, least=0)
            window = window_of_run(resource, context, self.window_start, self.window_end)
            count = self.hook.client.count(resource, self.filters, window)
        self.log.info("Sequence has %d of %d %s", count, wanted, resource.name)
        return PokeReturnValue(is_done=count >= wanted, xcom_value={"count": count})

    def execute(self, context: Context) -> Any:
        """Wait here or in the triggerer."""
        if not self.deferrable:
            return super().execute(context)
        result = self.poke(context)
        if not result.is_done:
            self._defer(context)
        return result.xcom_value

    def _defer(self, context: Context) -> NoReturn:
        window = window_of_run(get_resource(self.resource), context, self.window_start, self.window_end)
        self.defer(
            trigger=SequenceEventsTrigger(
                sequence_conn_id=self.sequence_conn_id,
                resource=self.resource,
                min_count=int(self.min_count),
                filters=dict(self.filters or {}),
                window_start=window.start.isoformat() if window else None,
                window_end=window.end.isoformat() if window else None,
                poke_interval=self.poke_interval,
            ),
            method_name="execute_complete",
            timeout=dt.timedelta(seconds=self.timeout),
        )

    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """
        Take in what the trigger found.

        :raises SequenceError: if the trigger gave up, or said nothing that is understood.
        """
        status = (event or {}).get("status")
        if event is None or status not in {"success", "error"}:
            raise SequenceError(f"the trigger sent no event that is understood (status {status!r})")
        if status == "error":
            raise SequenceError(str(event.get("message")))
        self.log.info("Sequence has %d %s", event["count"], self.resource)
        return {"count": event["count"]}
