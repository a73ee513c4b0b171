"""Rows of a warehouse to events in Sequence."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow.providers.common.compat.sdk import BaseOperator, Context

from airflow_provider_sequence.api.events import (
    SEAT_EVENT,
    USAGE_EVENT,
    EventKind,
    EventMapper,
    event_of_body,
    is_void,
)
from airflow_provider_sequence.api.resource import Resource
from airflow_provider_sequence.api.resources import SEAT_EVENTS, USAGE_EVENTS
from airflow_provider_sequence.assets.outlets import set_outlet_extra
from airflow_provider_sequence.exceptions import SequenceConfigurationError
from airflow_provider_sequence.hooks.connection_fields import DEFAULT_CONN_ID
from airflow_provider_sequence.hooks.sequence import SequenceHook
from airflow_provider_sequence.hooks.sql_engine import create_sql_engine
from airflow_provider_sequence.pipelines.delivery_log import DeliveryLog
from airflow_provider_sequence.pipelines.push.outcomes import (
    DeliveryState,
    DryRunState,
    LoggedState,
    RunState,
    Status,
)
from airflow_provider_sequence.pipelines.push.pipeline import make_events, push
from airflow_provider_sequence.pipelines.push.senders import DryRunSender, Sender
from airflow_provider_sequence.pipelines.push.sort import MappedRow
from airflow_provider_sequence.pipelines.push.summary import PushSummary, RejectionLimit
from airflow_provider_sequence.pipelines.push.timestamps import TimestampPolicy
from airflow_provider_sequence.utils.delivery_log import open_delivery_log
from airflow_provider_sequence.utils.metrics import Tally, counted
from airflow_provider_sequence.utils.openlineage import TransferLineage
from airflow_provider_sequence.utils.progress import told
from airflow_provider_sequence.utils.retries import fail_without_retry, whole_number
from airflow_provider_sequence.warehouse.reader import read_rows

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage


class SqlToSequenceOperator(BaseOperator):
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
        "late",
    )
    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "sql": "sql",
        "parameters": "json",
        "columns": "json",
    }
    ui_color = "#d6f0e4"

    resource: ClassVar[Resource]
    kind: ClassVar[EventKind]
    # Whether what is delivered voids events.
    voids: ClassVar[bool] = False

    # What OpenLineage asks for when the task is over.
    _ends: TransferLineage | None = None
    _tally = Tally()

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
        retry_rejected: bool = False,
        max_future: dt.timedelta | None = dt.timedelta(minutes=5),
        late_after: dt.timedelta | None = None,
        late: Literal["report", "reject"] = "report",
        dry_run: bool = False,
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
        self.retry_rejected = retry_rejected
        self.max_future = max_future
        self.late_after = late_after
        self.late = late
        # BaseOperator has a method of the name dry_run.
        self.is_dry_run = dry_run

    @cached_property
    def hook(self) -> SequenceHook:
        """The hook of the connection to Sequence."""
        return SequenceHook(self.sequence_conn_id, connections=whole_number("concurrency", self.concurrency))

    def _constants(self) -> dict[str, str | None]:
        """Fields that are the same for each row, by the names of their columns."""
        raise NotImplementedError

    def execute(self, context: Context) -> dict[str, Any]:
        """Push the query's rows; return the summary."""
        with fail_without_retry():
            limit = RejectionLimit.parse(self.max_rejected)
            lanes = whole_number("concurrency", self.concurrency)
            guards = self._guards()
            engine = create_sql_engine(self.sql_conn_id)
            with (
                self.hook.client as client,
                open_delivery_log(
                    self.delivery_log_table,
                    self.delivery_log_conn_id or self.sql_conn_id,
                    context,
                    account=client.account,
                    resource=self.resource.name,
                    voiding=self.voids,
                    read_only=self.is_dry_run,
                ) as log,
                read_rows(engine, self.sql, self.parameters) as rows,
            ):
                make_event = EventMapper(
                    self.kind,
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
                made = make_events(rows.batches, make_event)
                if self.is_dry_run:
                    return self._dry_run(made, log, lanes, guards)
                self._ends = TransferLineage.of(self, self.resource.name, engine)
                memory = RunState() if log is None else LoggedState(log)
                with (
                    counted(client, self.resource.name) as self._tally,
                    told(
                        self.log,
                        self.resource.name,
                        client,
                        self.resource.create_budget,
                        self._tally.progress,
                    ),
                ):
                    summary = self._push(made, client, lanes, memory, guards, self._tally)
                    result = summary.as_dict()
                    if self.retry_rejected and log is not None:
                        self._tally.retried = Tally()
                        result["retried"] = self._retry(
                            log, client, lanes, memory, guards, self._tally.retried
                        )
            limit.check(summary, log.query_for_rejected() if log is not None else "")
        facts = {
            "resource": self.resource.name,
            "rows": summary.rows,
            **{status.value: summary.counts[status] for status in Status},
            "watermark": summary.watermark,
        }
        set_outlet_extra(context, self.outlets, facts)
        return result

    def _guards(self) -> TimestampPolicy:
        if self.late not in {"report", "reject"}:
            raise SequenceConfigurationError(f"late={self.late!r} is neither 'report' nor 'reject'")
        for name in ("max_future", "late_after"):
            if not isinstance(getattr(self, name), dt.timedelta | None):
                raise SequenceConfigurationError(f"{name}={getattr(self, name)!r} is no timedelta")
        if self.retry_rejected and not self.delivery_log_table:
            raise SequenceConfigurationError(
                "retry_rejected needs a delivery_log_table: it is where rejected events are kept"
            )
        return TimestampPolicy(self.max_future, self.late_after, self.late == "reject")

    def _push(
        self,
        made: Iterable[MappedRow],
        client: Sender,
        lanes: int,
        memory: DeliveryState,
        guards: TimestampPolicy,
        tally: Tally,
    ) -> PushSummary:
        try:
            return push(
                made,
                client,
                self.resource,
                lanes=lanes,
                memory=memory,
                guards=guards,
                on_progress=tally.see,
            )
        finally:
            # Also of a run that breaks off: how far it came.
            self._report(tally.summary)

    def _dry_run(
        self, made: Iterable[MappedRow], log: DeliveryLog | None, lanes: int, guards: TimestampPolicy
    ) -> dict[str, Any]:
        self.log.info("Dry run: nothing is sent, and nothing is written")
        summary = self._push(made, DryRunSender(), lanes, DryRunState(log), guards, Tally())
        return {**summary.as_dict(), "dry_run": True}

    def _retry(
        self,
        log: DeliveryLog,
        client: Sender,
        lanes: int,
        memory: DeliveryState,
        guards: TimestampPolicy,
        tally: Tally,
    ) -> dict[str, int]:
        """Send what earlier runs left behind, from the bodies in the log."""
        self.log.info("What earlier runs left behind:")
        bodies = (body.encode() for _, body in log.rejected())
        # What a voiding left behind is for a voiding to send.
        bodies = (body for body in bodies if is_void(body) == self.voids)
        made = enumerate((event_of_body(self.kind, body) for body in bodies), 1)
        summary = self._push(made, client, lanes, memory, guards, tally)
        return {"rows": summary.rows, **{status.value: summary.counts[status] for status in Status}}

    def _report(self, summary: PushSummary) -> None:
        self.log.info("%s\n%s", self.resource.name, summary.as_table())
        for outcome in summary.first_rejected:
            self.log.warning("Row %d rejected (%s): %s", outcome.row, outcome.event_id, outcome.reason)
        for outcome in summary.first_conflicting:
            self.log.warning(
                "Row %d (%s) says something else than an earlier row with the same id; the last one counts",
                outcome.row,
                outcome.event_id,
            )

    def get_openlineage_facets_on_complete(self, task_instance: object) -> OperatorLineage[Any, Any] | None:
        """Tell OpenLineage's provider which tables the rows came from, and how many were delivered."""
        if self._ends is None:  # a dry run, too
            return None
        summary = self._tally.summary
        return self._ends.pushed(self.sql, rows=summary.rows, delivered=summary.counts[Status.DELIVERED])

    def on_kill(self) -> None:
        """Stop sending; requests under way are waited for by :meth:`execute`."""
        self.hook.end()


class SqlToSequenceUsageEventsOperator(SqlToSequenceOperator):
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
    :param retry_rejected: whether to send also what earlier runs left behind as rejected, from the bodies in the log.
    :param max_future: how far ahead of now an event's time may lie; one that is further ahead is rejected. None for any
        time.
    :param late_after: how far back an event's time lies when it is late, since its period may be invoiced already; by
        default none is. An event that was delivered before and is unchanged is not late.
    :param late: ``report`` to deliver late events and count them, ``reject`` to reject them. (templated)
    :param dry_run: check every row and say what would become of it; send nothing and write nothing.
    :return: rows by what became of them, ``{"rows", "delivered", "unchanged", "rejected"}``; among the delivered ones,
        how many were ``corrected`` (they replace what an earlier run had delivered for the id) and ``late``; how many
        were ``conflicting`` (an earlier row of the query has the same id and says something else; the last one
        counts), and ``voided`` (unchanged, because the event was voided); ``{"requests", "throttled", "seconds"}``;
        ``rejected_rows`` and ``conflicting_rows`` with number, id and reason of the first ones; ``retried``, where
        rejected events were retried; and ``dry_run``, in a dry run.
    """

    template_fields: Sequence[str] = (*SqlToSequenceOperator.template_fields, "event_type")

    resource = USAGE_EVENTS
    kind = USAGE_EVENT

    def __init__(self, *, event_type: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.event_type = event_type

    def _constants(self) -> dict[str, str | None]:
        return {"event_type": self.event_type}


class SqlToSequenceSeatEventsOperator(SqlToSequenceOperator):
    """
    Push the rows of a query to Sequence as seat events.

    Columns are found by their names: ``customer_event_id``, ``customer_alias``, ``seat_type``, ``event_timestamp`` and
    ``total``, the number of seats in use (not a change). How Sequence takes totals that arrive out of order is not
    documented: so those of one customer and seat type go out one after the other, in the order of their times. For
    that the query is read to its end first, onto the disk.

    The other parameters and the result are those of :class:`SqlToSequenceUsageEventsOperator`.

    :param seat_type: the seat type, where it is the same for each row. (templated)
    """

    template_fields: Sequence[str] = (*SqlToSequenceOperator.template_fields, "seat_type")

    resource = SEAT_EVENTS
    kind = SEAT_EVENT

    def __init__(self, *, seat_type: str | None = None, concurrency: int | str = 8, **kwargs: Any) -> None:
        super().__init__(concurrency=concurrency, **kwargs)
        self.seat_type = seat_type

    def _constants(self) -> dict[str, str | None]:
        return {"seat_type": self.seat_type}
