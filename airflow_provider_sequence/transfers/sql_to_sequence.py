"""Operators that push rows of a warehouse to Sequence, as usage events or seat events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from airflow_provider_sequence.api.events import SEAT_EVENT, USAGE_EVENT
from airflow_provider_sequence.api.resources import SEAT_EVENTS, USAGE_EVENTS
from airflow_provider_sequence.utils.operator_options import SqlPushOptions
from airflow_provider_sequence.utils.sql_push_operator import SqlPushOperator


class SqlToSequenceUsageEventsOperator(SqlPushOperator):
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
    :param concurrency: how many requests may be in flight at a time; 32 by default, and 8 for seats. (templated)
    :param delivery_log_table: ``table`` or ``schema.table`` that remembers what was delivered, so that a run sends
        only what is new or changed, and a retry goes on where the last try stopped; made when missing. Without it,
        every row is sent. (templated)
    :param delivery_log_conn_id: connection to its database; ``sql_conn_id`` by default. (templated)
    :param runs_table: ``table`` or ``schema.table`` that gets a row for each try, in the database of the delivery log or
        else of ``sql_conn_id``; made when missing. With a delivery log, ``sequence_runs`` beside it by default. (templated)
    :param keep_delivered_for: how long the delivery log keeps what was delivered, a day at the least: a timedelta,
        seconds, or text such as ``P400D``; for ever by default. (templated)
    :param retry_rejected: whether to send also what earlier runs left behind as rejected, from the bodies in the log.
        (templated)
    :param max_future: how far ahead of now an event's time may lie: a timedelta, seconds, or text such as ``PT5M``; one
        that is further ahead is rejected. None for any time. (templated)
    :param late_after: how far back an event's time lies when it is late, in the same forms, since its period may be
        invoiced already; by default none is. An event that was delivered before and is unchanged is not late. (templated)
    :param late: ``report`` to deliver late events and count them, ``reject`` to reject them. (templated)
    :param dry_run: check every row and say what would become of it; send nothing and write nothing. Rows that would be
        rejected don't fail it. (templated)
    :param min_rows: how many rows the query has to give at least, 0 by default; with fewer the task fails in the end. A
        query without any row also fails in a run whose data interval is missing or of length zero, unless this is set to
        0. (templated)
    :return: rows by what became of them, ``{"rows", "delivered", "unchanged", "rejected", "not_tried"}``, the last where
        the push ended before; ``window_start`` and ``window_end`` of what the run is about, if anything; among the delivered ones,
        how many were ``corrected`` (they replace what an earlier run had delivered for the id) and ``late``; how many
        were ``conflicting`` (an earlier row of the query has the same id and says something else; the last one
        counts), and ``voided`` (unchanged, because the event was voided); ``{"requests", "throttled", "seconds"}``;
        ``rejected_rows`` and ``conflicting_rows`` with number, id and reason of the first ones; ``retried``, where
        rejected events were retried; and ``dry_run``, in a dry run.
    """

    template_fields: Sequence[str] = (*SqlPushOperator.template_fields, "event_type")

    resource = USAGE_EVENTS
    kind = USAGE_EVENT

    def __init__(self, *, event_type: str | None = None, **kwargs: Unpack[SqlPushOptions]) -> None:
        super().__init__(**kwargs)
        self.event_type = event_type

    def _constants(self) -> dict[str, str | None]:
        return {"event_type": self.event_type}


class SqlToSequenceSeatEventsOperator(SqlPushOperator):
    """
    Push the rows of a query to Sequence as seat events.

    Columns are found by their names: ``customer_event_id``, ``customer_alias``, ``seat_type``, ``event_timestamp`` and
    ``total``, the number of seats in use (not a change). How Sequence takes totals that arrive out of order is not
    documented: so those of one customer and seat type go out one after the other, in the order of their times. For
    that the query is read to its end first, onto the disk.

    The other parameters and the result are those of :class:`SqlToSequenceUsageEventsOperator`.

    :param seat_type: the seat type, where it is the same for each row. (templated)
    """

    template_fields: Sequence[str] = (*SqlPushOperator.template_fields, "seat_type")

    resource = SEAT_EVENTS
    kind = SEAT_EVENT
    default_concurrency = 8

    def __init__(self, *, seat_type: str | None = None, **kwargs: Unpack[SqlPushOptions]) -> None:
        super().__init__(**kwargs)
        self.seat_type = seat_type

    def _constants(self) -> dict[str, str | None]:
        return {"seat_type": self.seat_type}
