"""Operators that reconcile the warehouse with Sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_sequence.api.client import SequenceClient
from airflow_provider_sequence.api.event_mapper import EventMapper
from airflow_provider_sequence.api.resource import Resource
from airflow_provider_sequence.api.resources import USAGE_METRICS, get_resource
from airflow_provider_sequence.compat import BaseOperator, Context
from airflow_provider_sequence.exceptions import DifferencesError, SequenceConfigurationError
from airflow_provider_sequence.hooks.connection_fields import DEFAULT_CONN_ID
from airflow_provider_sequence.hooks.sql_engine import create_sql_engine
from airflow_provider_sequence.links.sequence import SequenceDeliveriesLink
from airflow_provider_sequence.pipelines.push.delivery_state import DeliveryState, ResendState, RunState
from airflow_provider_sequence.pipelines.push.outcomes import Status
from airflow_provider_sequence.pipelines.push.pipeline import map_rows, push
from airflow_provider_sequence.pipelines.push.summary import RejectionLimit
from airflow_provider_sequence.pipelines.reconcile.comparison import Reconciliation
from airflow_provider_sequence.pipelines.reconcile.differences import DifferencesTable
from airflow_provider_sequence.pipelines.reconcile.usage_metric import (
    MetricSummary,
    metric_rows,
    reconcile_metric,
)
from airflow_provider_sequence.utils.delivery_log import open_delivery_log
from airflow_provider_sequence.utils.metrics import TaskCounters
from airflow_provider_sequence.utils.openlineage import TransferLineage
from airflow_provider_sequence.utils.operator import SequenceTaskMixin
from airflow_provider_sequence.utils.params import parse_bool, parse_decimal, parse_int
from airflow_provider_sequence.utils.progress import Progress, log_progress
from airflow_provider_sequence.utils.retries import fail_without_retry
from airflow_provider_sequence.utils.run_window import parse_window, window_of_run
from airflow_provider_sequence.utils.task_run import Route, task_run
from airflow_provider_sequence.warehouse.engine import connect
from airflow_provider_sequence.warehouse.reader import named_rows, read_rows
from airflow_provider_sequence.warehouse.staging import keys_of_window

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage


class _ReconcileOperator(SequenceTaskMixin, BaseOperator):
    """Base of both: what they compare, and what they tell OpenLineage when they are over."""

    operator_extra_links = (SequenceDeliveriesLink(),)

    sql: str
    sql_conn_id: str

    # For OpenLineage, which asks when the task is over.
    _lineage: TransferLineage | None = None
    _tables: Mapping[str, Any] = MappingProxyType({})

    def _route(self, operation: str, what: str) -> Route:
        return Route(operation, what, f"in {self.sql_conn_id} and {{sequence}}")

    def get_openlineage_facets_on_complete(self, task_instance: object) -> OperatorLineage[Any, Any] | None:
        """Return for OpenLineage what was compared, and where differences and events went."""
        return None if self._lineage is None else self._lineage.reconcile_facets(self.sql, **self._tables)


class SequenceReconcileOperator(_ReconcileOperator):
    """
    Compare the events of a query with what Sequence holds of a window, event by event.

    An event is *missing* (the query gives it, Sequence does not have it), *different* (both have it, and the fields
    differ), *unexpected* (Sequence has it, the query does not give it) or *voided* (the query gives it, and it
    was voided). Rows whose events lie outside the window are only counted. Memory does not grow with the number of
    events; the two sides meet in a temporary file.

    :param resource: ``usage_events`` or ``seat_events``. (templated)
    :param sql: the query, or the path of a ``.sql`` file; its columns are those of a push. (templated)
    :param sql_conn_id: connection to the warehouse. (templated)
    :param parameters: the query's parameters, in the style of the database's driver. (templated)
    :param sequence_conn_id: connection to Sequence. (templated)
    :param window_start: first time of the window; the start of the run's data interval by default. (templated)
    :param window_end: first time after the window; the end of the run's data interval by default. (templated)
    :param columns: ``{name of a push's column: column of the query}`` where they differ. (templated)
    :param constants: fields that are the same for each row, such as ``{"event_type": "api-call"}``. (templated)
    :param event_key: columns that identify a row, as of the push. (templated)
    :param timezone: the zone of timestamps that have none. (templated)
    :param differences_table: a table for the differences, one row each; those of the same window are replaced. (templated)
    :param staging_table: the table that the events are pulled into: events that it lacks arrived after its last pull,
        and are counted as ``late``. (templated)
    :param resend: whether to send what is missing or different again, and to compare once more. What was voided stays
        so. (templated)
    :param delivery_log_table: the push's log: it knows what was voided, and is kept right where events are sent again.
        (templated)
    :param delivery_log_conn_id: connection to its database; ``sql_conn_id`` by default. (templated)
    :param runs_table: ``table`` or ``schema.table`` that gets a row for each try, in the database of the delivery log or
        else of ``sql_conn_id``; made when missing. With a delivery log, ``sequence_runs`` beside it by default. (templated)
    :param max_differences: how many events may be missing, different or unexpected in the end: a number (``10``) or a
        part of the expected ones (``0.001``). (templated)
    :param concurrency: how many requests may be in flight at a time, where events are sent again. (templated)
    :return: ``{"rows", "expected", "found", "missing", "different", "unexpected", "voided", "late", "outside",
        "invalid", "resent", "requests", "seconds", "first_differences"}``, the last with id and kind of the first ten.
    """

    template_fields: Sequence[str] = (
        "resource",
        "sql",
        "sql_conn_id",
        "parameters",
        "sequence_conn_id",
        "window_start",
        "window_end",
        "columns",
        "constants",
        "event_key",
        "timezone",
        "differences_table",
        "staging_table",
        "resend",
        "delivery_log_table",
        "delivery_log_conn_id",
        "runs_table",
        "max_differences",
        "concurrency",
    )
    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers: ClassVar[dict[str, str]] = {"sql": "sql", "parameters": "json"}
    ui_color = "#f5d9d9"

    def __init__(
        self,
        *,
        sql: str,
        sql_conn_id: str,
        resource: str = "usage_events",
        parameters: Mapping[str, Any] | Sequence[Any] | None = None,
        sequence_conn_id: str = DEFAULT_CONN_ID,
        window_start: Any = None,
        window_end: Any = None,
        columns: Mapping[str, str] | None = None,
        constants: Mapping[str, str] | None = None,
        event_key: Sequence[str] | None = None,
        timezone: str = "UTC",
        differences_table: str | None = None,
        staging_table: str | None = None,
        resend: bool | str = False,
        delivery_log_table: str | None = None,
        delivery_log_conn_id: str | None = None,
        runs_table: str | None = None,
        max_differences: float | str = 0,
        concurrency: int | str = 8,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sql = sql
        self.sql_conn_id = sql_conn_id
        self.resource = resource
        self.parameters = parameters
        self.sequence_conn_id = sequence_conn_id
        self.window_start = window_start
        self.window_end = window_end
        self.columns = columns
        self.constants = constants
        self.event_key = event_key
        self.timezone = timezone
        self.differences_table = differences_table
        self.staging_table = staging_table
        self.resend = resend
        self.delivery_log_table = delivery_log_table
        self.delivery_log_conn_id = delivery_log_conn_id
        self.runs_table = runs_table
        self.max_differences = max_differences
        self.concurrency = concurrency

    def _hook_options(self) -> dict[str, Any]:
        return {"connections": parse_int("concurrency", self.concurrency)}

    def execute(self, context: Context) -> dict[str, Any]:
        """Compare; return the summary."""
        with fail_without_retry():
            self.check_rendered()
            limit = RejectionLimit.parse(self.max_differences, "max_differences")
            resend = parse_bool("resend", self.resend)
            resource = get_resource(self.resource)
            window = window_of_run(resource, context, self.window_start, self.window_end)
            if resource.event is None or window is None:
                raise SequenceConfigurationError(
                    f"{resource.name} are no events\nusage_events and seat_events can be reconciled"
                )
            engine = create_sql_engine(self.sql_conn_id)
            self._lineage = TransferLineage.capture(self, resource.name, engine)
            self._tables = {"staging_table": self.staging_table, "written": self.differences_table}
            with (
                self.hook.client as client,
                task_run(self, context, client, self._route("reconcile", resource.name), window) as run,
                open_delivery_log(
                    self,
                    context,
                    account=client.account,
                    resource=resource.name,
                    read_only=not resend,
                ) as log,
                Reconciliation(client, resource, window) as reconciliation,
            ):
                run.result = reconciliation.summary.as_dict
                differences = None
                if self.differences_table:
                    differences = DifferencesTable(
                        engine,
                        self.differences_table,
                        account=client.account,
                        resource=resource.name,
                        window=window,
                    )
                with read_rows(engine, self.sql, self.parameters, self.running_query) as query:
                    to_event = EventMapper(
                        resource.event,
                        query.columns,
                        columns=self.columns,
                        constants=self.constants,
                        event_key=self.event_key,
                        timezone=self.timezone,
                        longest_id=None if log is None else log.longest_id,
                    )
                    reconciliation.expect(map_rows(query.batches, to_event))
                if self.staging_table:
                    with connect(engine) as connection:
                        reconciliation.add_staged(
                            keys_of_window(
                                connection, self.staging_table, "event_timestamp", (window.start, window.end)
                            )
                        )
                if log is not None:
                    reconciliation.add_voided(log.known)
                self._compare(reconciliation, client, resource)
                if resend:
                    state = RunState() if log is None else ResendState(log)
                    self._resend(reconciliation, client, resource, state)
                    self._tables = {**self._tables, "resent": reconciliation.summary.resent}
                query_for_all = "" if differences is None else differences.store(reconciliation.differences())
                summary = reconciliation.summary
                self.log.info(
                    "%s of [%s, %s)\n%s", resource.name, window.start, window.end, summary.as_table()
                )
                if summary.outside:
                    self.log.warning(
                        "%d rows of the query lie outside the window, and were not compared: its WHERE and timezone=%r may not "
                        "fit together",
                        summary.outside,
                        self.timezone,
                    )
                if summary.unresolved > limit.allowed(summary.expected):
                    raise DifferencesError(summary.describe(str(limit), query_for_all))
        return summary.as_dict()

    def _compare(self, reconciliation: Reconciliation, client: SequenceClient, resource: Resource) -> None:
        """Compare, with progress lines: Sequence probably has as many events as the query."""
        expected = reconciliation.summary.expected or None
        with log_progress(
            self.log, resource.name, client, "requests", lambda: Progress(reconciliation.read, expected)
        ):
            reconciliation.compare()

    def _resend(
        self, reconciliation: Reconciliation, client: SequenceClient, resource: Resource, state: DeliveryState
    ) -> None:
        """Send what is missing or different again, and compare once more."""
        self.log.info("Sending again what is missing or different")
        counters = TaskCounters()
        with log_progress(self.log, resource.name, client, resource.create_budget, counters.progress):
            pushed = push(
                reconciliation.to_resend(),
                client,
                resource,
                threads=parse_int("concurrency", self.concurrency),
                state=state,
                on_progress=counters.update,
            )
        reconciliation.summary.resent = pushed.counts[Status.DELIVERED]
        for outcome in pushed.first_rejected:
            self.log.warning("Rejected %s: %s", outcome.shown_row, outcome.reason)
        self._compare(reconciliation, client, resource)


class SequenceReconcileMetricOperator(_ReconcileOperator):
    """
    Compare what a usage metric counted, which is what Sequence bills by, with the warehouse's own figures.

    :param metric_id: the metric's id. (templated)
    :param sql: a query that gives ``customer_alias`` and ``value``, a row for each alias; NULL is 0. (templated)
    :param sql_conn_id: connection to the warehouse. (templated)
    :param parameters: the query's parameters, in the style of the database's driver. (templated)
    :param sequence_conn_id: connection to Sequence. (templated)
    :param period_start: first time of the period; the start of the run's data interval by default. (templated)
    :param period_end: first time after the period; the end of the run's data interval by default. Whole days in UTC are
        right whichever way Sequence reads the period. (templated)
    :param tolerance: by how much the value of an alias may differ, in the metric's unit. (templated)
    :param custom_parameters: values of the metric's parameters by their names, where not the defaults. (templated)
    :param runs_table: ``table`` or ``schema.table`` that gets a row for each try; made when missing. (templated)
    :return: ``{"aliases", "different", "warehouse", "sequence", "requests", "different_rows"}``: how many aliases were
        compared, how many of them differ by more than the tolerance, and the two sums, as text with every digit; of the
        first rows that differ the number and the two values.
    """

    template_fields: Sequence[str] = (
        "metric_id",
        "sql",
        "sql_conn_id",
        "parameters",
        "sequence_conn_id",
        "period_start",
        "period_end",
        "tolerance",
        "custom_parameters",
        "runs_table",
    )
    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers: ClassVar[dict[str, str]] = {"sql": "sql", "parameters": "json"}
    ui_color = "#f5d9d9"

    def __init__(
        self,
        *,
        metric_id: str,
        sql: str,
        sql_conn_id: str,
        parameters: Mapping[str, Any] | Sequence[Any] | None = None,
        sequence_conn_id: str = DEFAULT_CONN_ID,
        period_start: Any = None,
        period_end: Any = None,
        tolerance: float | Decimal | str = 0,
        custom_parameters: Mapping[str, Any] | str | None = None,
        runs_table: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.metric_id = metric_id
        self.sql = sql
        self.sql_conn_id = sql_conn_id
        self.parameters = parameters
        self.sequence_conn_id = sequence_conn_id
        self.period_start = period_start
        self.period_end = period_end
        self.tolerance = tolerance
        self.custom_parameters = custom_parameters
        self.runs_table = runs_table

    def execute(self, context: Context) -> dict[str, Any]:
        """Compare alias by alias; return the summary."""
        with fail_without_retry():
            self.check_rendered()
            tolerance = parse_decimal("tolerance", self.tolerance)
            period = parse_window(context, self.period_start, self.period_end, prefix="period")
            engine = create_sql_engine(self.sql_conn_id)
            self._lineage = TransferLineage.capture(self, USAGE_METRICS.name, engine)
            summary = MetricSummary()
            with (
                self.hook.client as client,
                task_run(self, context, client, self._route("metric", USAGE_METRICS.name), period) as run,
                read_rows(engine, self.sql, self.parameters, self.running_query) as query,
            ):
                run.result = summary.as_dict
                rows = metric_rows(named_rows(query, ("customer_alias", "value")), parse_decimal)
                with log_progress(
                    self.log, "aliases", client, "requests", lambda: Progress(summary.aliases, query.count)
                ):
                    reconcile_metric(
                        rows,
                        client,
                        self.metric_id,
                        period,
                        summary,
                        tolerance=tolerance,
                        custom_parameters=self.custom_parameters,
                    )
                result = summary.as_dict()
                self.log.info("The metric of [%s, %s)\n%s", period.start, period.end, summary.as_table())
                if summary.different:
                    raise DifferencesError(summary.describe(tolerance))
        return result
