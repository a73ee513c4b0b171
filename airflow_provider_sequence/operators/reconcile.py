"""Operators that hold the warehouse against Sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Context as DecimalContext
from decimal import Decimal
from functools import cached_property
from typing import Any, ClassVar

from airflow.providers.common.compat.sdk import BaseOperator, Context

from airflow_provider_sequence.api.client import SequenceClient
from airflow_provider_sequence.api.events import EventMapper
from airflow_provider_sequence.api.lossless_json import format_decimal
from airflow_provider_sequence.api.resources import get_resource
from airflow_provider_sequence.api.windows import Window
from airflow_provider_sequence.exceptions import DifferencesError, SequenceConfigurationError
from airflow_provider_sequence.hooks.connection_fields import DEFAULT_CONN_ID
from airflow_provider_sequence.hooks.sequence import SequenceHook
from airflow_provider_sequence.hooks.sql_engine import create_sql_engine
from airflow_provider_sequence.pipelines.push.outcomes import DeliveryState, ResendState, RunState, Status
from airflow_provider_sequence.pipelines.push.pipeline import make_events, push
from airflow_provider_sequence.pipelines.push.summary import MAX_ROWS_SHOWN, RejectionLimit
from airflow_provider_sequence.pipelines.reconcile.comparison import Reconciliation
from airflow_provider_sequence.pipelines.reconcile.differences import store_differences
from airflow_provider_sequence.utils.delivery_log import open_delivery_log
from airflow_provider_sequence.utils.retries import (
    exact_number,
    fail_without_retry,
    whole_number,
)
from airflow_provider_sequence.utils.run_window import period_of_run, window_of_run
from airflow_provider_sequence.warehouse.engine import connect
from airflow_provider_sequence.warehouse.reader import named_rows, read_rows
from airflow_provider_sequence.warehouse.staging import keys_of_window

#: Adds with far more digits than quantities have.
_EXACT = DecimalContext(prec=1000)


class SequenceReconcileOperator(BaseOperator):
    """
    Hold the events of a query against what Sequence holds of a window, event by event.

    An event is *missing* (the query gives it, Sequence does not have it), *different* (both have it, and it says
    something else), *unexpected* (Sequence has it, the query does not give it) or *voided* (the query gives it, and it
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
        so.
    :param delivery_log_table: the push's log: it knows what was voided, and is kept right where events are sent again.
        (templated)
    :param delivery_log_conn_id: connection to its database; ``sql_conn_id`` by default. (templated)
    :param max_differences: how many events may be missing, different or unexpected in the end: a number (``10``) or a
        part of the expected ones (``0.001``). (templated)
    :param concurrency: how many requests may be under way at a time, where events are sent again. (templated)
    :return: ``{"rows", "expected", "held", "missing", "different", "unexpected", "voided", "late", "outside",
        "invalid", "resent", "requests", "seconds"}``.
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
        "delivery_log_table",
        "delivery_log_conn_id",
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
        resend: bool = False,
        delivery_log_table: str | None = None,
        delivery_log_conn_id: str | None = None,
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
        self.max_differences = max_differences
        self.concurrency = concurrency

    @cached_property
    def hook(self) -> SequenceHook:
        """The hook of the connection to Sequence."""
        return SequenceHook(self.sequence_conn_id, connections=whole_number("concurrency", self.concurrency))

    def execute(self, context: Context) -> dict[str, Any]:
        """Compare; return the summary."""
        with fail_without_retry():
            limit = RejectionLimit.parse(self.max_differences, "max_differences")
            resource = get_resource(self.resource)
            window = window_of_run(resource, context, self.window_start, self.window_end)
            if resource.event is None or not isinstance(window, Window):
                raise SequenceConfigurationError(
                    f"{resource.name} are no events; usage_events and seat_events can be reconciled"
                )
            engine = create_sql_engine(self.sql_conn_id)
            with (
                self.hook.client as client,
                open_delivery_log(
                    self.delivery_log_table,
                    self.delivery_log_conn_id or self.sql_conn_id,
                    context,
                    account=client.account,
                    resource=resource.name,
                    read_only=not self.resend,
                ) as log,
                Reconciliation(client, resource, window) as both,
            ):
                with read_rows(engine, self.sql, self.parameters) as rows:
                    make_event = EventMapper(
                        resource.event,
                        rows.columns,
                        columns=self.columns,
                        constants=self.constants,
                        event_key=self.event_key,
                        timezone=self.timezone,
                    )
                    both.expect(make_events(rows.batches, make_event))
                if self.staging_table:
                    with connect(engine) as connection:
                        both.staged(
                            keys_of_window(
                                connection, self.staging_table, "event_timestamp", (window.start, window.end)
                            )
                        )
                if log is not None:
                    both.remember_voided(log.known)
                both.compare()
                if self.resend:
                    self._send_again(both, client, RunState() if log is None else ResendState(log))
                if self.differences_table:
                    with connect(engine) as connection:
                        store_differences(
                            connection,
                            self.differences_table,
                            of={
                                "account": client.account,
                                "resource": resource.name,
                                "window_start": window.start,
                                "window_end": window.end,
                            },
                            found=(
                                (d.event_id, d.difference.value, d.sequence_id) for d in both.differences()
                            ),
                        )
                summary = both.summary
            self.log.info("%s of [%s, %s)\n%s", resource.name, window.start, window.end, summary.as_table())
            if summary.to_answer_for > limit.allowed(summary.expected):
                raise DifferencesError(
                    f"{summary.to_answer_for} events differ between the query and Sequence, "
                    f"{limit.allowed(summary.expected):g} may (max_differences): "
                    f"{dict(summary.differences)}. {self._where_to_look()}"
                )
        return summary.as_dict()

    def _send_again(self, both: Reconciliation, client: SequenceClient, memory: DeliveryState) -> None:
        pushed = push(
            both.to_resend(),
            client,
            get_resource(self.resource),
            lanes=whole_number("concurrency", self.concurrency),
            memory=memory,
        )
        both.summary.resent = pushed.counts[Status.DELIVERED]
        for outcome in pushed.first_rejected:
            self.log.warning("Row %d rejected (%s): %s", outcome.row, outcome.event_id, outcome.reason)
        both.compare()

    def _where_to_look(self) -> str:
        if self.differences_table:
            return f"They are in {self.differences_table}, one row each"
        return "Set differences_table to have them one by one"

    def on_kill(self) -> None:
        """Stop asking."""
        self.hook.end()


class SequenceReconcileMetricOperator(BaseOperator):
    """
    Hold what a usage metric counted, which is what Sequence bills by, against the warehouse's own figures.

    :param metric_id: the metric's id. (templated)
    :param sql: a query that gives ``customer_alias`` and ``value``, a row for each alias; NULL is 0. (templated)
    :param sql_conn_id: connection to the warehouse. (templated)
    :param parameters: the query's parameters, in the style of the database's driver. (templated)
    :param sequence_conn_id: connection to Sequence. (templated)
    :param period_start: first time of the period; the start of the run's data interval by default. (templated)
    :param period_end: first time after the period; the end of the run's data interval by default. Whole days in UTC are
        right whichever way Sequence reads the period. (templated)
    :param tolerance: by how much the value of an alias may differ, in the metric's unit. (templated)
    :return: ``{"aliases", "different", "warehouse", "sequence", "requests"}``: how many aliases were compared, how many
        of them differ by more than the tolerance, and the two sums, as text with every digit.
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

    @cached_property
    def hook(self) -> SequenceHook:
        """The hook of the connection to Sequence."""
        return SequenceHook(self.sequence_conn_id)

    def execute(self, context: Context) -> dict[str, Any]:
        """Compare alias by alias; return the summary."""
        with fail_without_retry():
            tolerance = exact_number("tolerance", self.tolerance)
            period = period_of_run(context, self.period_start, self.period_end)
            aliases = different = 0
            ours = theirs = Decimal(0)
            engine = create_sql_engine(self.sql_conn_id)
            with self.hook.client as client, read_rows(engine, self.sql, self.parameters) as rows:
                for row in named_rows(rows, ("customer_alias", "value")):
                    aliases += 1
                    expected = exact_number(f"value of row {aliases}", row["value"] or 0)
                    counted = Decimal(
                        client.calculate_metric(self.metric_id, row["customer_alias"], period)["value"]
                    )
                    ours, theirs = _EXACT.add(ours, expected), _EXACT.add(theirs, counted)
                    if _EXACT.abs(_EXACT.subtract(expected, counted)) > tolerance:
                        different += 1
                        if different <= MAX_ROWS_SHOWN:
                            self.log.warning(
                                "Row %d: the warehouse has %s, the metric counts %s",
                                aliases,
                                format_decimal(expected),
                                format_decimal(counted),
                            )
                requests = client.requests_sent
            result = {
                "aliases": aliases,
                "different": different,
                "warehouse": format_decimal(ours),
                "sequence": format_decimal(theirs),
                "requests": requests,
            }
            self.log.info("%s", result)
            if different:
                raise DifferencesError(
                    f"{different} of {aliases} aliases differ by more than {tolerance}: the warehouse has "
                    f"{result['warehouse']} in all, the metric counts {result['sequence']}"
                )
        return result

    def on_kill(self) -> None:
        """Stop asking."""
        self.hook.end()
