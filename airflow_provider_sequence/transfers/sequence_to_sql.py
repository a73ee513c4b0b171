"""Operator that pulls a list of Sequence into a table of a warehouse."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_sequence.api.resources import get_resource
from airflow_provider_sequence.api.windows import window_texts
from airflow_provider_sequence.assets.sequence import set_outlet_extra
from airflow_provider_sequence.compat import BaseOperator, Context
from airflow_provider_sequence.hooks.connection_fields import DEFAULT_CONN_ID
from airflow_provider_sequence.hooks.sql_engine import create_sql_engine
from airflow_provider_sequence.links.sequence import SequenceDeliveriesLink
from airflow_provider_sequence.utils.metrics import emit_metrics
from airflow_provider_sequence.utils.openlineage import TransferLineage
from airflow_provider_sequence.utils.operator import SequenceTaskMixin
from airflow_provider_sequence.utils.params import parse_filters, parse_int, require_rows
from airflow_provider_sequence.utils.progress import Progress, log_progress
from airflow_provider_sequence.utils.retries import fail_without_retry
from airflow_provider_sequence.utils.run_window import window_of_run
from airflow_provider_sequence.utils.task_run import Route, task_run

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_provider_sequence.pipelines.pull.pipeline import PullSummary


class SequenceToSqlOperator(SequenceTaskMixin, BaseOperator):
    """
    Pull a resource of Sequence into a table: all of what was asked for, or nothing.

    Events are pulled for a half-open window of their timestamps, ``[window_start, window_end)``; neighbouring
    windows share no event and miss none. Invoices, credit notes and billing schedules can be pulled for a window of
    dates, which has to be given; without one, and for all else, the whole list is read. Lists below an id, such as the
    line items of invoices, are read for each of them, one request each; window and filters are those of the invoices.

    Rows replace those with the same ``id``, so that a window may be pulled again at any time. The table is made when
    missing: a column for each documented field, ``_extra`` with all other fields as JSON, and ``_loaded_at``.

    :param resource: what to pull, such as ``usage_events``. (templated)
    :param table: ``table`` or ``schema.table``. (templated)
    :param sql_conn_id: connection to the warehouse. (templated)
    :param sequence_conn_id: connection to Sequence. (templated)
    :param window_start: first time of the window; for events, by default what the run is about: the window that the
        events which started it tell of, or its partition, or its data interval. (templated)
    :param window_end: first time after the window, likewise. (templated)
    :param time_field: which time the window is about, where there are several: ``due_date`` (the default),
        ``invoice_date`` or ``sent_date`` of invoices, ``start_date`` (the default) or ``end_date`` of billing schedules.
        (templated)
    :param lookback: how much earlier than ``window_start`` to begin, for events that arrive late: a timedelta, seconds,
        or text such as ``PT6H``. (templated)
    :param filters: filters of the resource, such as ``{"customer_alias": ["acme"]}``. (templated)
    :param concurrency: how many lists, or slices of a long list's window, are read concurrently. 1 makes the fewest
        requests: one for each 100 items. More make a few more, 5 in 100 at most, and cut the waiting. (templated)
    :param staging_location: where rows may be put in files for the database to read, which is faster for many rows: for
        Redshift ``s3://connection@bucket/prefix?iam_role=role``, for Databricks ``/Volumes/catalog/schema/volume``.
        (templated)
    :param min_rows: how many items have to be loaded at least; with fewer the task fails in the end. (templated)
    :param runs_table: ``table`` or ``schema.table`` that gets a row for each try; made when missing. (templated)
    :return: ``{"reported_total", "read", "loaded", "window_start", "window_end", "requests", "seconds"}``: how many items
        Sequence reported, how many were read, how many of them belong to the window and were put into the table; the
        window, or None twice for a whole list.
    """

    template_fields: Sequence[str] = (
        "resource",
        "table",
        "sql_conn_id",
        "sequence_conn_id",
        "window_start",
        "window_end",
        "time_field",
        "lookback",
        "filters",
        "concurrency",
        "staging_location",
        "min_rows",
        "runs_table",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"filters": "json"}
    ui_color = "#e4e0f7"
    operator_extra_links = (SequenceDeliveriesLink(),)

    # For OpenLineage, which asks when the task is over.
    _lineage: TransferLineage | None = None
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
        time_field: str | None = None,
        lookback: Any = None,
        filters: Mapping[str, Any] | None = None,
        concurrency: int | str = 1,
        staging_location: str | None = None,
        min_rows: int | str = 0,
        runs_table: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.resource = resource
        self.table = table
        self.sql_conn_id = sql_conn_id
        self.sequence_conn_id = sequence_conn_id
        self.window_start = window_start
        self.window_end = window_end
        self.time_field = time_field
        self.lookback = lookback
        self.filters = filters
        self.concurrency = concurrency
        self.staging_location = staging_location
        self.min_rows = min_rows
        self.runs_table = runs_table

    def execute(self, context: Context) -> dict[str, Any]:
        """Pull the window; return the summary."""
        # Not before: it takes time in each parsing of a DAG file.
        from airflow_provider_sequence.pipelines.pull.pipeline import PullSummary, pull

        with fail_without_retry():
            self.check_rendered()
            min_rows = parse_int("min_rows", self.min_rows, min_value=0)
            filters = parse_filters(self.filters)
            resource = get_resource(self.resource).by_time(self.time_field or None)
            window = window_of_run(resource, context, self.window_start, self.window_end, self.lookback)
            engine = create_sql_engine(self.sql_conn_id, self.staging_location)
            self._lineage = TransferLineage.capture(self, resource.name, engine)
            progress = Progress()
            started = time.monotonic()

            def summary_so_far() -> PullSummary:
                seconds = time.monotonic() - started
                return self._summary or PullSummary(
                    progress.total, progress.rows, 0, *window_texts(window), client.requests_sent, seconds
                )

            text = f"from {{sequence}} into {self.sql_conn_id}.{self.table}"
            with (
                self.hook.client as client,
                task_run(self, context, client, Route("pull", resource.name, text), window) as run,
                emit_metrics(client, resource.name),
                log_progress(self.log, resource.name, client, "requests", lambda: progress),
            ):
                run.result = lambda: summary_so_far().as_dict()
                try:
                    self._summary = summary = pull(
                        client,
                        resource,
                        engine,
                        self.table,
                        window=window,
                        filters=filters,
                        concurrency=parse_int("concurrency", self.concurrency),
                        on_progress=progress.update,
                    )
                finally:
                    # Also of a pull that fails: how far it came.
                    self.log.info("%s into %s\n%s", resource.name, self.table, summary_so_far().as_table())
                require_rows(
                    summary.loaded,
                    min_rows,
                    f"Sequence gave {resource.name}, and {self.table} has what it gave",
                )
        facts = {
            "resource": resource.name,
            "reported_total": summary.reported_total,
            "read": summary.read,
            "loaded": summary.loaded,
            "window_start": summary.window_start,
            "window_end": summary.window_end,
            "watermark": summary.window_end,
        }
        set_outlet_extra(context, self.outlets, facts)
        return summary.as_dict()

    def get_openlineage_facets_on_complete(self, task_instance: object) -> OperatorLineage[Any, Any] | None:
        """Return for OpenLineage what was read, and which table it went to; nothing of a pull that failed."""
        if self._lineage is None or self._summary is None:
            return None
        return self._lineage.pull_facets(self.table, read=self._summary.read, loaded=self._summary.loaded)
