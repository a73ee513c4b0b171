"""Rows of a warehouse to events in Sequence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, ClassVar

from airflow.providers.common.compat.sdk import BaseOperator, Context

from airflow_provider_sequence.api.client import SequenceClient
from airflow_provider_sequence.api.events import EventMapper
from airflow_provider_sequence.api.lists import Resource
from airflow_provider_sequence.api.resources import SEAT_EVENTS, USAGE_EVENTS
from airflow_provider_sequence.connection import DEFAULT_CONN_ID
from airflow_provider_sequence.hooks.sequence import SequenceHook
from airflow_provider_sequence.hooks.warehouse import get_engine
from airflow_provider_sequence.pipelines.outcomes import DeliveryMemory, LoggedMemory, NoMemory
from airflow_provider_sequence.pipelines.push import PushSummary, RejectionLimit, push
from airflow_provider_sequence.transfers.failures import no_retry_where_useless, whole_number
from airflow_provider_sequence.warehouse.database import connect
from airflow_provider_sequence.warehouse.delivery_log import DeliveryLog
from airflow_provider_sequence.warehouse.reader import read_rows


class _SqlToSequenceOperator(BaseOperator):
    """What pushing usage events and pushing seat events have in common."""

    template_fields: Sequence[str] = (
        "sql",
        "parameters",
        "sql_conn_id",
        "sequence_conn_id",
        "columns",
        "event_key",
        "timezone",
        "max_rejected",
        "concurrency",
        "delivery_log_table",
        "delivery_log_conn_id",
    )
    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "sql": "sql",
        "parameters": "json",
        "columns": "json",
    }
    ui_color = "#d6f0e4"

    resource: ClassVar[Resource]

    def __init__(
        self,
        *,
        sql: str,
        sql_conn_id: str,
        parameters: Mapping[str, Any] | Sequence[Any] | None = None,
        sequence_conn_id: str = DEFAULT_CONN_ID,
        columns: Mapping[str, str] | None = None,
        event_key: Sequence[str] | None = None,
        timezone: str = "UTC",
        max_rejected: float | str = 0,
        concurrency: int | str = 32,
        delivery_log_table: str | None = None,
        delivery_log_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sql = sql
        self.sql_conn_id = sql_conn_id
        self.parameters = parameters
        self.sequence_conn_id = sequence_conn_id
        self.columns = columns
        self.event_key = event_key
        self.timezone = timezone
        self.max_rejected = max_rejected
        self.concurrency = concurrency
        self.delivery_log_table = delivery_log_table
        self.delivery_log_conn_id = delivery_log_conn_id

    @cached_property
    def hook(self) -> SequenceHook:
        """The hook of the connection to Sequence."""
        return SequenceHook(self.sequence_conn_id, connections=whole_number("concurrency", self.concurrency))

    def _constants(self) -> dict[str, str | None]:
        """Fields that are the same for each row, by the names of their columns."""
        raise NotImplementedError

    def execute(self, context: Context) -> dict[str, Any]:
        """Push the query's rows; return the summary."""
        with no_retry_where_useless():
            limit = RejectionLimit.parse(self.max_rejected)
            lanes = whole_number("concurrency", self.concurrency)
            if self.resource.event is None:
                raise NotImplementedError(self.resource.name)
            engine = get_engine(self.sql_conn_id)
            with (
                self.hook.client as client,
                self._memory(client, context) as memory,
                read_rows(engine, self.sql, self.parameters) as rows,
            ):
                make_event = EventMapper(
                    self.resource.event,
                    rows.columns,
                    columns=self.columns,
                    constants=self._constants(),
                    event_key=self.event_key,
                    timezone=self.timezone,
                )
                if make_event.unused:
                    self.log.warning(
                        "Columns of the query that go into no event: %s", ", ".join(make_event.unused)
                    )
                summary = push(rows.batches, make_event, client, self.resource, lanes=lanes, memory=memory)
            self._report(summary)
            limit.check(summary)
        return summary.as_dict()

    @contextmanager
    def _memory(self, client: SequenceClient, context: Context) -> Iterator[DeliveryMemory]:
        if not self.delivery_log_table:
            yield NoMemory()
            return
        instance = context["ti"]
        task = {"dag_id": instance.dag_id, "task_id": instance.task_id, "run_id": instance.run_id}
        with connect(get_engine(self.delivery_log_conn_id or self.sql_conn_id)) as connection:
            yield LoggedMemory(
                DeliveryLog(
                    connection,
                    self.delivery_log_table,
                    account=client.account,
                    resource=self.resource.name,
                    task=task,
                )
            )

    def _report(self, summary: PushSummary) -> None:
        self.log.info(
            "%s: %d rows; %s; %d requests in %.1f s",
            self.resource.name,
            summary.rows,
            ", ".join(f"{count} {status.value}" for status, count in summary.counts.items())
            or "nothing to do",
            summary.requests,
            summary.seconds,
        )
        for outcome in summary.first_rejected:
            self.log.warning("Row %d rejected (%s): %s", outcome.row, outcome.event_id, outcome.reason)

    def on_kill(self) -> None:
        """Stop sending; requests under way are waited for by :meth:`execute`."""
        self.hook.close()


class SqlToSequenceUsageEventsOperator(_SqlToSequenceOperator):
    """
    Push the rows of a query to Sequence as usage events.

    Columns are found by their names: ``customer_event_id``, ``customer_alias``, ``event_type``,
    ``event_timestamp``; ``event_properties`` as JSON, or, where the query has no such column, each further column
    as a property of its own (NULL leaves the property out).

    Each row ends delivered, unchanged or rejected. Rejected rows don't stop the others; if there are more of
    them than ``max_rejected`` the task fails in the end. An outage ends the task as failed and rejects nothing:
    a retry sends the same events with the same ids, and nothing is counted twice.

    :param sql: the query, or the path of a ``.sql`` file. (templated)
    :param sql_conn_id: connection to the warehouse. (templated)
    :param parameters: the query's parameters, in the style of the database's driver. (templated)
    :param sequence_conn_id: connection to Sequence. (templated)
    :param columns: ``{name above: column of the query}`` where they differ. (templated)
    :param event_type: the event type, where it is the same for each row. (templated)
    :param event_key: columns that identify a row, to derive the event's id from where there is no
        ``customer_event_id``: the same values give the same id for ever. (templated)
    :param timezone: the zone of timestamps that have none. (templated)
    :param max_rejected: how many rows may be rejected: a number (``10``) or a part (``0.01``). (templated)
    :param concurrency: how many requests may be under way at a time. (templated)
    :param delivery_log_table: ``table`` or ``schema.table`` that remembers what was delivered, so that a run sends
        only what is new or changed, and a retry goes on where the last try stopped; made when missing. Without it,
        every row is sent. (templated)
    :param delivery_log_conn_id: connection to its database; ``sql_conn_id`` by default. (templated)
    :return: ``{"rows", "delivered", "unchanged", "rejected", "requests", "throttled", "seconds",
        "rejected_rows"}``, the last with number, id and reason of the first rejected rows.
    """

    template_fields: Sequence[str] = (*_SqlToSequenceOperator.template_fields, "event_type")

    resource = USAGE_EVENTS

    def __init__(self, *, event_type: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.event_type = event_type

    def _constants(self) -> dict[str, str | None]:
        return {"event_type": self.event_type}


class SqlToSequenceSeatEventsOperator(_SqlToSequenceOperator):
    """
    Push the rows of a query to Sequence as seat events.

    Columns are found by their names: ``customer_event_id``, ``customer_alias``, ``seat_type``, ``event_timestamp`` and
    ``total``, the number of seats in use (not a change). How Sequence takes totals that arrive out of order is not
    documented: let the query order its rows by time. They go out one after the other, unless ``concurrency`` says
    otherwise.

    The other parameters and the result are those of :class:`SqlToSequenceUsageEventsOperator`.

    :param seat_type: the seat type, where it is the same for each row. (templated)
    """

    template_fields: Sequence[str] = (*_SqlToSequenceOperator.template_fields, "seat_type")

    resource = SEAT_EVENTS

    def __init__(self, *, seat_type: str | None = None, concurrency: int | str = 1, **kwargs: Any) -> None:
        super().__init__(concurrency=concurrency, **kwargs)
        self.seat_type = seat_type

    def _constants(self) -> dict[str, str | None]:
        return {"seat_type": self.seat_type}
