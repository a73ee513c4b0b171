"""What Sequence lists to a table of a warehouse."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow.providers.common.compat.sdk import BaseOperator, Context

from airflow_provider_sequence.api.resources import get_resource
from airflow_provider_sequence.api.timestamps import utc_text
from airflow_provider_sequence.assets.outlets import set_outlet_extra
from airflow_provider_sequence.hooks.connection_fields import DEFAULT_CONN_ID
from airflow_provider_sequence.hooks.sequence import SequenceHook
from airflow_provider_sequence.hooks.sql_engine import create_sql_engine
from airflow_provider_sequence.utils.metrics import counted
from airflow_provider_sequence.utils.openlineage import TransferLineage
from airflow_provider_sequence.utils.progress import Progress, told
from airflow_provider_sequence.utils.retries import fail_without_retry, whole_number
from airflow_provider_sequence.utils.run_window import window_of_run
from airflow_provider_sequence.warehouse.engine import connect

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_provider_sequence.pipelines.pull.pipeline import PullSummary


class SequenceToSqlOperator(BaseOperator):
    """
    Pull a resource of Sequence into a table: all of what was asked for, or nothing.

    Events are pulled for a half-open window of their timestamps, ``[window_start, window_end)``; neighbouring
    windows share no event and miss none. Invoices and billing schedules can be pulled for a window of their due or
    start dates, which has to be given; without one, and for all else, the whole list is read. The line items of
    invoices and credit notes are read for each of them; window and filters are those of the invoices.

    Rows replace those with the same ``id``, so that a window may be pulled again at any time. The table is made when
    missing: a column for each documented field, ``_extra`` with all other fields as JSON, and ``_loaded_at``.

    :param resource: what to pull, such as ``usage_events``. (templated)
    :param table: ``table`` or ``schema.table``. (templated)
    :param sql_conn_id: connection to the warehouse. (templated)
    :param sequence_conn_id: connection to Sequence. (templated)
    :param window_start: first time of the window; for events, by default what the run is about: the window that the
        events which started it tell of, or its partition, or its data interval. (templated)
    :param window_end: first time after the window, likewise. (templated)
    :param lookback: how much earlier than ``window_start`` to begin, for events that arrive late.
    :param filters: filters of the resource, such as ``{"customer_alias": ["acme"]}``. (templated)
    :param superseded: what becomes of copies of an event that a later one with the same ``customer_event_id``
        supersedes, where Sequence lists them: ``keep`` or ``drop``. (templated)
    :param concurrency: how many lists, or slices of a long list's window, are read side by side. 1 makes the fewest
        requests: one for each 100 items. More make a few more, 5 in 100 at most, and cut the waiting. (templated)
    :return: ``{"announced", "read", "loaded", "held", "requests", "seconds"}``: how many items Sequence said there
        are, how many were read, how many of them belong to the window and were put into the table, and how many rows
        of the window (without one: in all) the table holds now.
    """

    template_fields: Sequence[str] = (
        "resource",
        "table",
        "sql_conn_id",
        "sequence_conn_id",
        "window_start",
        "window_end",
        "filters",
        "superseded",
        "concurrency",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"filters": "json"}
    ui_color = "#e4e0f7"

    # What OpenLineage asks for when the task is over.
    _ends: TransferLineage | None = None
    _summary: PullSummary | None = None

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
        superseded: Literal["keep", "drop"] = "keep",
        concurrency: int | str = 1,
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
        self.superseded = superseded
        self.concurrency = concurrency

    @cached_property
    def hook(self) -> SequenceHook:
        """The hook of the connection to Sequence."""
        return SequenceHook(self.sequence_conn_id)

    def execute(self, context: Context) -> dict[str, Any]:
        """Pull the window; return the summary."""
        # Not before: it takes time in each parsing of a DAG file.
        from airflow_provider_sequence.pipelines.pull.pipeline import pull

        with fail_without_retry():
            resource = get_resource(self.resource)
            window = window_of_run(resource, context, self.window_start, self.window_end, self.lookback)
            engine = create_sql_engine(self.sql_conn_id)
            self._ends = TransferLineage.of(self, resource.name, engine)
            reached = Progress()
            with (
                self.hook.client as client,
                counted(client, resource.name),
                told(self.log, resource.name, client, "requests", lambda: reached),
                connect(engine) as connection,
            ):
                self._summary = summary = pull(
                    client,
                    resource,
                    connection,
                    self.table,
                    window=window,
                    filters=self.filters,
                    superseded=self.superseded,
                    concurrency=whole_number("concurrency", self.concurrency),
                    on_progress=reached.see,
                )
        self.log.info("%s into %s\n%s", resource.name, self.table, summary.as_table())
        start, end = (None, None) if window is None else (utc_text(window.start), utc_text(window.end))
        facts = {
            "resource": resource.name,
            "announced": summary.announced,
            "read": summary.read,
            "loaded": summary.loaded,
            "window_start": start,
            "window_end": end,
            "watermark": end,
        }
        set_outlet_extra(context, self.outlets, facts)
        return summary.as_dict()

    def get_openlineage_facets_on_complete(self, task_instance: object) -> OperatorLineage[Any, Any] | None:
        """Tell OpenLineage's provider what was read, and which table it went to; nothing of a pull that failed."""
        if self._ends is None or self._summary is None:
            return None
        return self._ends.pulled(self.table, read=self._summary.read, loaded=self._summary.loaded)

    def on_kill(self) -> None:
        """Stop asking; the table stays as it was."""
        self.hook.end()
