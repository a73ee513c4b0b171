"""Operators that create single events and aliases, and that void events."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

from airflow_provider_sequence.api.events import VOID_ALIAS, VOID_EVENT
from airflow_provider_sequence.api.resource import Resource
from airflow_provider_sequence.api.resources import SEAT_EVENTS, USAGE_EVENTS
from airflow_provider_sequence.compat import AirflowFailException, BaseOperator, Context
from airflow_provider_sequence.exceptions import InvalidEventError, SequenceRejectedError
from airflow_provider_sequence.hooks.connection_fields import DEFAULT_CONN_ID
from airflow_provider_sequence.hooks.sql_engine import create_sql_engine
from airflow_provider_sequence.operators.push_rows import (
    SequencePushSeatEventsOperator,
    SequencePushUsageEventsOperator,
)
from airflow_provider_sequence.operators.reconcile import (
    SequenceReconcileMetricOperator,
    SequenceReconcileOperator,
)
from airflow_provider_sequence.pipelines.aliases import create_aliases
from airflow_provider_sequence.pipelines.push.outcomes import Status
from airflow_provider_sequence.pipelines.push.summary import PushSummary, RejectionLimit
from airflow_provider_sequence.utils.metrics import emit_metrics
from airflow_provider_sequence.utils.openlineage import TransferLineage
from airflow_provider_sequence.utils.operator import SequenceTaskMixin
from airflow_provider_sequence.utils.operator_options import OperatorOptions, SequenceOptions, SqlPushOptions
from airflow_provider_sequence.utils.params import parse_int
from airflow_provider_sequence.utils.retries import fail_without_retry
from airflow_provider_sequence.utils.sql_push_operator import SqlPushOperator
from airflow_provider_sequence.utils.task_run import Route, task_run
from airflow_provider_sequence.warehouse.reader import named_rows, read_rows

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage


__all__ = [
    "SequenceCreateCustomerAliasesOperator",
    "SequenceCreateSeatEventOperator",
    "SequenceCreateUsageEventOperator",
    "SequencePushSeatEventsOperator",
    "SequencePushUsageEventsOperator",
    "SequenceReconcileMetricOperator",
    "SequenceReconcileOperator",
    "SequenceVoidUsageEventsOperator",
]


class _SequenceOperator(SequenceTaskMixin, BaseOperator):
    """Base of the operators that create single things."""

    ui_color = "#d6f0e4"

    def __init__(self, *, sequence_conn_id: str = DEFAULT_CONN_ID, **kwargs: Unpack[OperatorOptions]) -> None:
        super().__init__(**kwargs)
        self.sequence_conn_id = sequence_conn_id


class _CreateEventOperator(_SequenceOperator):
    """Base of the operators that create one event."""

    resource: ClassVar[Resource]

    def _create(self) -> str:
        """Send the event; return the id that Sequence gave it."""
        raise NotImplementedError

    def _required(self, name: str) -> Any:
        """Return a field's value, unless a template made it of nothing."""
        value = getattr(self, name)
        if value is None or (isinstance(value, str) and value.strip() in {"", "None"}):
            raise InvalidEventError(name, "is empty; every event needs it")
        return value

    def execute(self, context: Context) -> dict[str, str]:
        """Create the event; return its ids."""
        try:
            with fail_without_retry(), emit_metrics(self.hook.client, self.resource.name) as counters:
                self.check_rendered()
                counts = counters.summary.counts
                try:
                    sequence_id = self._create()
                except (InvalidEventError, SequenceRejectedError):
                    counts[Status.REJECTED] += 1
                    raise
                counts[Status.DELIVERED] += 1
        except InvalidEventError as e:
            raise AirflowFailException(str(e)) from e
        event_id = str(self._required("customer_event_id"))
        self.log.info("Sequence has event %s as %s", event_id, sequence_id)
        return {"id": sequence_id, "customer_event_id": event_id}


class SequenceCreateUsageEventOperator(_CreateEventOperator):
    """
    Create one usage event.

    A retry sends the same id, and so supersedes what an earlier attempt may have sent; nothing is counted twice. A value
    that can't be sent, or an event that Sequence refuses, fails the task at once, without retries.

    :param customer_event_id: its id; another event with the same id supersedes this one. (templated)
    :param customer_alias: who used something. (templated)
    :param event_type: what was used. (templated)
    :param event_timestamp: when; a datetime or ISO 8601 text, UTC where it has no zone. (templated)
    :param event_properties: further facts that metrics may refer to, as a dict, or as the text of a JSON object. A
        template in a dict gives text, in JSON text it may give a number. (templated)
    :param sequence_conn_id: connection to Sequence. (templated)
    :return: ``{"id", "customer_event_id"}``, the first the id that Sequence gave it.
    """

    template_fields: Sequence[str] = (
        "customer_event_id",
        "customer_alias",
        "event_type",
        "event_timestamp",
        "event_properties",
        "sequence_conn_id",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"event_properties": "json"}

    resource = USAGE_EVENTS

    def __init__(
        self,
        *,
        customer_event_id: str,
        customer_alias: str,
        event_type: str,
        event_timestamp: Any,
        event_properties: Mapping[str, Any] | str | None = None,
        **kwargs: Unpack[SequenceOptions],
    ) -> None:
        super().__init__(**kwargs)
        self.customer_event_id = customer_event_id
        self.customer_alias = customer_alias
        self.event_type = event_type
        self.event_timestamp = event_timestamp
        self.event_properties = event_properties

    def _create(self) -> str:
        return self.hook.create_usage_event(
            customer_event_id=self._required("customer_event_id"),
            customer_alias=self._required("customer_alias"),
            event_type=self._required("event_type"),
            event_timestamp=self._required("event_timestamp"),
            event_properties=self.event_properties,
        )


class SequenceCreateSeatEventOperator(_CreateEventOperator):
    """
    Create one seat event: how many seats a customer has in use from a time on.

    :param customer_event_id: its id; another event with the same id supersedes this one. (templated)
    :param customer_alias: whose seats. (templated)
    :param seat_type: which seats. (templated)
    :param event_timestamp: since when; a datetime or ISO 8601 text, UTC where it has no zone. (templated)
    :param total: how many seats are in use; not a change. (templated)
    :param sequence_conn_id: connection to Sequence. (templated)
    :return: ``{"id", "customer_event_id"}``, the first the id that Sequence gave it.
    """

    template_fields: Sequence[str] = (
        "customer_event_id",
        "customer_alias",
        "seat_type",
        "event_timestamp",
        "total",
        "sequence_conn_id",
    )

    resource = SEAT_EVENTS

    def __init__(
        self,
        *,
        customer_event_id: str,
        customer_alias: str,
        seat_type: str,
        event_timestamp: Any,
        total: int | str,
        **kwargs: Unpack[SequenceOptions],
    ) -> None:
        super().__init__(**kwargs)
        self.customer_event_id = customer_event_id
        self.customer_alias = customer_alias
        self.seat_type = seat_type
        self.event_timestamp = event_timestamp
        self.total = total

    def _create(self) -> str:
        return self.hook.create_seat_event(
            customer_event_id=self._required("customer_event_id"),
            customer_alias=self._required("customer_alias"),
            seat_type=self._required("seat_type"),
            event_timestamp=self._required("event_timestamp"),
            total=parse_int("total", self.total, min_value=0),
        )


class SequenceVoidUsageEventsOperator(SqlPushOperator):
    """
    Void usage events, so that they are billed no more: the ids that a query gives.

    The query needs a column ``customer_event_id``, and should give ``event_timestamp``, the event's own: then the copy
    that voids it stands in the same window. Others are not looked at. Each event is sent again with its id and
    the alias ``VOID``, as Sequence's documents say. With a delivery log, the log remembers that it is voided: a push
    that finds the same row again leaves it voided, and one that finds another body for the id sends that, which is
    what counts from then on.

    Of the parameters of
    :class:`~airflow_provider_sequence.transfers.sql_to_sequence.SqlToSequenceUsageEventsOperator` it takes ``sql``,
    ``sql_conn_id``, ``parameters``, ``sequence_conn_id``, ``columns``, ``event_key``, ``timezone``, ``max_rejected``,
    ``concurrency``, ``delivery_log_table``, ``delivery_log_conn_id``, ``runs_table``, ``keep_delivered_for``,
    ``dry_run`` and ``min_rows``; the result is the same.

    :param event_type: the event type to write; a voided event is not billed, whatever its type. (templated)
    """

    template_fields: Sequence[str] = (*SqlPushOperator.template_fields, "event_type")

    resource = USAGE_EVENTS
    kind = VOID_EVENT
    voids = True

    def __init__(self, *, event_type: str = VOID_ALIAS, **kwargs: Unpack[SqlPushOptions]) -> None:
        super().__init__(**kwargs)
        self.event_type = event_type

    def _constants(self) -> dict[str, str | None]:
        return {"customer_alias": VOID_ALIAS, "event_type": self.event_type}


class SequenceCreateCustomerAliasesOperator(_SequenceOperator):
    """
    Give customers the aliases that a query's rows name, so that events with these aliases are theirs.

    Columns are found by their names: ``customer_id`` (Sequence's id of the customer), ``value`` (the alias, as events
    carry it) and ``label``, which may be missing or NULL. Each row ends created, unchanged (the customer has the
    alias already) or rejected, because the alias is another customer's, for example. Rejected rows don't stop the
    others; if there are more of them than ``max_rejected`` the task fails in the end.

    An alias is looked up before it is created, so that a rerun creates nothing twice, and afterwards: what is there then
    is the outcome. Deleted and archived aliases are not in use.

    :param sql: the query, or the path of a ``.sql`` file. (templated)
    :param sql_conn_id: connection to the warehouse. (templated)
    :param parameters: the query's parameters, in the style of the database's driver. (templated)
    :param max_rejected: how many rows may be rejected: a number (``10``) or a part (``0.01``). (templated)
    :param sequence_conn_id: connection to Sequence. (templated)
    :return: ``{"rows", "created", "unchanged", "rejected", "requests", "throttled", "seconds", "rejected_rows"}``,
        the last with number and reason of the first rejected rows.
    """

    template_fields: Sequence[str] = ("sql", "parameters", "sql_conn_id", "max_rejected", "sequence_conn_id")
    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers: ClassVar[dict[str, str]] = {"sql": "sql", "parameters": "json"}

    # For OpenLineage, which asks when the task is over.
    _lineage: TransferLineage | None = None

    def __init__(
        self,
        *,
        sql: str,
        sql_conn_id: str,
        parameters: Mapping[str, Any] | Sequence[Any] | None = None,
        max_rejected: float | str = 0,
        **kwargs: Unpack[SequenceOptions],
    ) -> None:
        super().__init__(**kwargs)
        self.sql = sql
        self.sql_conn_id = sql_conn_id
        self.parameters = parameters
        self.max_rejected = max_rejected

    def execute(self, context: Context) -> dict[str, Any]:
        """Create what is missing; return the summary."""
        started = time.monotonic()
        with fail_without_retry():
            self.check_rendered()
            limit = RejectionLimit.parse(self.max_rejected)
            engine = create_sql_engine(self.sql_conn_id)
            self._lineage = TransferLineage.capture(self, _ALIASES, engine)
            with (
                self.hook.client as client,
                task_run(self, context, client, self._route(), None, writes=False) as run,
                emit_metrics(client, _ALIASES) as self._counters,
                read_rows(engine, self.sql, self.parameters, self.running_query) as query,
            ):
                summary = self._counters.summary
                run.result = partial(_as_dict, summary)
                create_aliases(named_rows(query, ("customer_id", "value"), ("label",)), client, summary)
                summary.seconds = time.monotonic() - started
                result = _as_dict(summary)
                self.log.info(
                    "%(rows)d rows: %(created)d aliases created, %(unchanged)d unchanged, %(rejected)d rejected",
                    result,
                )
                for outcome in summary.first_rejected:
                    self.log.warning("Rejected %s: %s", outcome.shown_row, outcome.reason)
                limit.enforce(summary, done="created")
        return result

    def _route(self) -> Route:
        return Route("aliases", _ALIASES, f"from {self.sql_conn_id} to {{sequence}}")

    def get_openlineage_facets_on_complete(self, task_instance: object) -> OperatorLineage[Any, Any] | None:
        """Return for OpenLineage which tables the rows came from, and how many aliases were created."""
        if self._lineage is None:
            return None
        summary = self._counters.summary
        return self._lineage.push_facets(
            self.sql, rows=summary.rows, delivered=summary.counts[Status.DELIVERED]
        )


_ALIASES = "customer_aliases"


def _as_dict(summary: PushSummary) -> dict[str, Any]:
    pushed = summary.as_dict()
    return {
        "rows": summary.rows,
        "created": summary.counts[Status.DELIVERED],
        **{name: pushed[name] for name in ("unchanged", "rejected", "requests", "throttled", "seconds")},
        "rejected_rows": [{"row": o.row, "reason": o.reason} for o in summary.first_rejected],
    }
