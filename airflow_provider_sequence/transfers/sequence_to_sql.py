"""What Sequence lists to a table of a warehouse."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

from airflow.providers.common.compat.sdk import BaseOperator, Context

from airflow_provider_sequence.api.resources import get_resource
from airflow_provider_sequence.connection import DEFAULT_CONN_ID
from airflow_provider_sequence.hooks.sequence import SequenceHook
from airflow_provider_sequence.hooks.warehouse import get_engine
from airflow_provider_sequence.intervals import window_of_run
from airflow_provider_sequence.pipelines.pull import pull
from airflow_provider_sequence.transfers.failures import no_retry_where_useless
from airflow_provider_sequence.warehouse.database import connect


class SequenceToSqlOperator(BaseOperator):
    """
    Pull a resource of Sequence into a table: all of what was asked for, or nothing.

    Events are pulled for a half-open window of their timestamps, ``[window_start, window_end)``; neighbouring
    windows share no event and miss none. Invoices and billing schedules can be pulled for a window of their due or
    start dates, which has to be given; without one, and for all else, the whole list is read. The line items of
    invoices and credit notes are read for each of them; window and filters are those of the invoices. Rows replace those with the same ``id``, so that a window may be
    pulled again at any time. The table is made when missing: a column for each documented field, ``_extra`` with
    all other fields as JSON, and ``_loaded_at``.

    :param resource: what to pull, such as ``usage_events``. (templated)
    :param table: ``table`` or ``schema.table``. (templated)
    :param sql_conn_id: connection to the warehouse. (templated)
    :param sequence_conn_id: connection to Sequence. (templated)
    :param window_start: first time of the window; for events, the start of the run's data interval by default.
        (templated)
    :param window_end: first time after the window; for events, the end of the run's data interval by default.
        (templated)
    :param lookback: how much earlier than ``window_start`` to begin, for events that arrive late.
    :param filters: filters of the resource, such as ``{"customer_alias": ["acme"]}``. (templated)
    :return: ``{"announced", "read", "loaded", "requests", "seconds"}``: how many items Sequence said there are,
        how many were read, and how many of them belong to the window and are in the table.
    """

    template_fields: Sequence[str] = (
        "resource",
        "table",
        "sql_conn_id",
        "sequence_conn_id",
        "window_start",
        "window_end",
        "filters",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"filters": "json"}
    ui_color = "#e4e0f7"

    def __init__(
        self,
        *,
        resource: str,
        table: str,
        sql_conn_id: str,
        sequence_conn_id: str = DEFAULT_CONN_ID,
        window_start: Any = None,
        window_end: Any = None,
        lookback: dt.timedelta | None = None,
        filters: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.resource = resource
        self.table = table
        self.sql_conn_id = sql_conn_id
        self.sequence_conn_id = sequence_conn_id
        self.window_start = window_start
        self.window_end = window_end
        self.lookback = lookback
        self.filters = filters

    @cached_property
    def hook(self) -> SequenceHook:
        """The hook of the connection to Sequence."""
        return SequenceHook(self.sequence_conn_id)

    def execute(self, context: Context) -> dict[str, Any]:
        """Pull the window; return the summary."""
        with no_retry_where_useless():
            resource = get_resource(self.resource)
            window = window_of_run(resource, context, self.window_start, self.window_end, self.lookback)
            with self.hook.client as client, connect(get_engine(self.sql_conn_id)) as connection:
                summary = pull(client, resource, connection, self.table, window=window, filters=self.filters)
        self.log.info(
            "%s into %s: Sequence announced %s, %d read, %d loaded; %d requests in %.1f s",
            resource.name,
            self.table,
            summary.announced,
            summary.read,
            summary.loaded,
            summary.requests,
            summary.seconds,
        )
        return summary.as_dict()

    def on_kill(self) -> None:
        """Stop asking; the table stays as it was."""
        self.hook.close()
