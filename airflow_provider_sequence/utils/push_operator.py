"""Base of the operators that push rows as events, wherever the rows come from."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, ClassVar, Literal, Unpack

from airflow_provider_sequence.api.event_mapper import EventMapper
from airflow_provider_sequence.api.events import EventKind, event_of_body, is_void
from airflow_provider_sequence.api.resource import Resource
from airflow_provider_sequence.api.windows import USE_INTERVALS, Window, window_texts
from airflow_provider_sequence.assets.sequence import set_outlet_extra
from airflow_provider_sequence.compat import BaseOperator, Context
from airflow_provider_sequence.exceptions import SequenceConfigurationError, SequenceUnavailableError
from airflow_provider_sequence.hooks.connection_fields import DEFAULT_CONN_ID
from airflow_provider_sequence.links.sequence import SequenceDeliveriesLink
from airflow_provider_sequence.pipelines.delivery_log import DeliveryLog
from airflow_provider_sequence.pipelines.push.delivery_state import (
    DeliveryState,
    DryRunState,
    LoggedState,
    RunState,
)
from airflow_provider_sequence.pipelines.push.interval import OutsideCount
from airflow_provider_sequence.pipelines.push.pipeline import map_rows, push
from airflow_provider_sequence.pipelines.push.senders import DryRunSender, Sender
from airflow_provider_sequence.pipelines.push.sort import MappedRow
from airflow_provider_sequence.pipelines.push.summary import PushSummary, RejectionLimit
from airflow_provider_sequence.pipelines.push.timestamps import TimestampPolicy
from airflow_provider_sequence.utils.delivery_log import open_delivery_log
from airflow_provider_sequence.utils.metrics import TaskCounters, emit_metrics
from airflow_provider_sequence.utils.operator import SequenceTaskMixin
from airflow_provider_sequence.utils.operator_options import OperatorOptions
from airflow_provider_sequence.utils.params import parse_bool, parse_duration, parse_int, require_rows
from airflow_provider_sequence.utils.progress import log_progress
from airflow_provider_sequence.utils.retries import fail_without_retry
from airflow_provider_sequence.utils.run_window import interval_of_run
from airflow_provider_sequence.utils.task_run import Route, task_run
from airflow_provider_sequence.warehouse.reader import QueryRows

#: How long the log keeps what was delivered, at the least.
LEAST_KEPT = dt.timedelta(days=1)
#: What another try does without a delivery log.
_SENDS_ALL_AGAIN = (
    "sends all rows again; each event replaces its earlier copy. With delivery_log_table it goes on from here"
)


class PushOperator(SequenceTaskMixin, BaseOperator):
    """
    Base of the operators that push rows as events.

    A subclass gives the rows, and names the ``resource``, the ``kind`` of event, and fields that are the same for each row.
    """

    template_fields: Sequence[str] = (
        "sequence_conn_id",
        "columns",
        "event_key",
        "timezone",
        "max_rejected",
        "concurrency",
        "delivery_log_table",
        "delivery_log_conn_id",
        "runs_table",
        "keep_delivered_for",
        "retry_rejected",
        "max_future",
        "late_after",
        "late",
        "is_dry_run",
        "min_rows",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"columns": "json"}
    ui_color = "#d6f0e4"
    operator_extra_links = (SequenceDeliveriesLink(),)

    resource: ClassVar[Resource]
    kind: ClassVar[EventKind]
    #: Whether what is delivered voids events.
    voids: ClassVar[bool] = False

    default_concurrency: ClassVar[int] = 32
    #: Connection that the rows come from, empty where they come from none; the delivery log is there, too, by default.
    sql_conn_id: str = ""

    def __init__(
        self,
        *,
        sequence_conn_id: str = DEFAULT_CONN_ID,
        columns: Mapping[str, str] | None = None,
        event_key: Sequence[str] | None = None,
        timezone: str = "UTC",
        max_rejected: float | str = 0,
        concurrency: int | str | None = None,
        delivery_log_table: str | None = None,
        delivery_log_conn_id: str | None = None,
        runs_table: str | None = None,
        keep_delivered_for: Any = None,
        retry_rejected: bool | str = False,
        max_future: Any = dt.timedelta(minutes=5),
        late_after: Any = None,
        late: Literal["report", "reject"] = "report",
        dry_run: bool | str = False,
        min_rows: int | str | None = None,
        **kwargs: Unpack[OperatorOptions],
    ) -> None:
        super().__init__(**kwargs)
        self.sequence_conn_id = sequence_conn_id
        self.columns = columns
        self.event_key = event_key
        self.timezone = timezone
        self.max_rejected = max_rejected
        self.concurrency = self.default_concurrency if concurrency is None else concurrency
        self.delivery_log_table = delivery_log_table
        self.delivery_log_conn_id = delivery_log_conn_id
        self.runs_table = runs_table
        self.keep_delivered_for = keep_delivered_for
        self.retry_rejected = retry_rejected
        self.max_future = max_future
        self.late_after = late_after
        self.late = late
        # BaseOperator has a method of the name dry_run.
        self.is_dry_run = dry_run
        self.min_rows = min_rows

    def _hook_options(self) -> dict[str, Any]:
        return {"connections": parse_int("concurrency", self.concurrency)}

    def _constants(self) -> dict[str, str | None]:
        """Fields that are the same for each row, by the names of their columns."""
        raise NotImplementedError

    def _source(self) -> str:
        """Where the rows come from, for the log."""
        raise NotImplementedError

    def _read_rows(self, context: Context) -> AbstractContextManager[QueryRows]:
        """Return what reads the rows when it is entered; what is wrong with the options is raised here."""
        raise NotImplementedError

    def _begin_sending(self) -> None:
        """Do what is done before the first event is sent, and not in a dry run."""

    def execute(self, context: Context) -> dict[str, Any]:
        """Push the rows; return the summary."""
        with fail_without_retry():
            self.check_rendered()
            limit = RejectionLimit.parse(self.max_rejected)
            threads = parse_int("concurrency", self.concurrency)
            interval, why_empty = interval_of_run(context, self.resource)
            policy = self._timestamp_policy(interval)
            is_dry_run = parse_bool("dry_run", self.is_dry_run)
            retry_rejected = self._retries_rejected()
            keep = self._keeps_delivered()
            min_rows = None if self.min_rows is None else parse_int("min_rows", self.min_rows, min_value=0)
            reading = self._read_rows(context)
            with (
                self.hook.client as client,
                task_run(self, context, client, self._route(), interval, writes=not is_dry_run) as run,
                open_delivery_log(
                    self,
                    context,
                    account=client.account,
                    resource=self.resource.name,
                    voiding=self.voids,
                    read_only=is_dry_run,
                ) as log,
                reading as given,
            ):
                self.log.info(
                    "The rows are read; they take %.1f MB of the worker's disk", given.disk_bytes / 1e6
                )
                rows = self._mapped(given, log)
                push_rows = partial(self._push, threads=threads, policy=policy)
                total = given.count
                if is_dry_run:
                    self.log.info("Dry run: nothing is sent, and nothing is written")
                    counters = TaskCounters()
                    run.result = partial(self._result, counters, interval, dry_run=True)
                    summary = push_rows(rows, DryRunSender(), DryRunState(log), counters, total=total)
                    self._warn_of_rows_outside(policy)
                    self._require_rows(summary.rows, min_rows, why_empty)
                    return self._result(counters, interval, dry_run=True)
                policy.clock = client.now
                self._begin_sending()
                state = RunState() if log is None else LoggedState(log)
                with (
                    emit_metrics(client, self.resource.name) as self._counters,
                    log_progress(
                        self.log,
                        self.resource.name,
                        client,
                        self.resource.create_budget,
                        self._counters.progress,
                    ),
                ):
                    run.result = partial(self._result, self._counters, interval)
                    summary = push_rows(rows, client, state, self._counters, total=total)
                    self._warn_of_rows_outside(policy)
                    if retry_rejected and log is not None:
                        self.log.info("Events that earlier runs left as rejected:")
                        self._counters.retried = TaskCounters()
                        retried = push_rows(self._rejected(log), client, state, self._counters.retried)
                        why_empty = None if retried.rows else why_empty
                self._require_rows(summary.rows, min_rows, why_empty)
                limit.enforce(summary, log.query_for_rejected() if log is not None else "")
                if keep is not None and log is not None:
                    pruned = log.prune_delivered(keep)
                    self.log.info(
                        "%d delivered entries are deleted from the log: older than %s", pruned, keep
                    )
        facts = {
            "resource": self.resource.name,
            "rows": summary.rows,
            **summary.by_status(),
            "watermark": summary.watermark,
        }
        set_outlet_extra(context, self.outlets, facts)
        return self._result(self._counters, interval)

    def _mapped(self, given: QueryRows, log: DeliveryLog | None) -> Iterator[MappedRow]:
        if not given.columns:
            return iter(())  # no row, and so no names of columns that could be wrong
        to_event = EventMapper(
            self.kind,
            given.columns,
            columns=self.columns,
            constants=self._constants(),
            event_key=self.event_key,
            timezone=self.timezone,
            longest_id=None if log is None else log.longest_id,
        )
        if to_event.unused:
            self.log.warning("Columns that go into no event: %s", ", ".join(to_event.unused))
        return map_rows(given.batches, to_event)

    def _route(self) -> Route:
        operation, verb = ("void", "to void ") if self.voids else ("push", "")
        return Route(
            operation,
            self.resource.name,
            f"{verb}from {self._source()} to {{sequence}}",
            self.resource.create_budget,
        )

    @staticmethod
    def _result(counters: TaskCounters, interval: Window | None, *, dry_run: bool = False) -> dict[str, Any]:
        """Return the XCom value so far."""
        retried = counters.retried and counters.retried.summary
        start, end = window_texts(interval)
        return {
            **counters.summary.as_dict(),
            "window_start": start,
            "window_end": end,
            **({"retried": {"rows": retried.rows, **retried.by_status()}} if retried else {}),
            **({"dry_run": True} if dry_run else {}),
        }

    def _timestamp_policy(self, interval: Window | None) -> TimestampPolicy:
        if self.late not in {"report", "reject"}:
            raise SequenceConfigurationError(f"late={self.late!r} is neither 'report' nor 'reject'")
        max_future, late_after = (
            None if value is None else parse_duration(name, value)
            for name, value in (("max_future", self.max_future), ("late_after", self.late_after))
        )
        outside = None if interval is None else OutsideCount(interval)
        return TimestampPolicy(max_future, late_after, self.late == "reject", outside=outside)

    def _retries_rejected(self) -> bool:
        retry_rejected = parse_bool("retry_rejected", self.retry_rejected)
        if retry_rejected and not self.delivery_log_table:
            raise SequenceConfigurationError(
                "retry_rejected needs a delivery_log_table:\nit is where rejected events are kept"
            )
        return retry_rejected

    def _keeps_delivered(self) -> dt.timedelta | None:
        if self.keep_delivered_for is None:
            return None
        keep = parse_duration("keep_delivered_for", self.keep_delivered_for)
        if keep < LEAST_KEPT:
            raise SequenceConfigurationError(
                f"keep_delivered_for={self.keep_delivered_for!r} is less than a day: what is deleted from the log is sent "
                "again when the query gives it again"
            )
        if not self.delivery_log_table:
            raise SequenceConfigurationError(
                "keep_delivered_for needs a delivery_log_table: it is where entries are deleted"
            )
        return keep

    def _require_rows(self, rows: int, min_rows: int | None, why_empty: str | None) -> None:
        """Fail where there were too few rows, or none in a run that has no interval to select by."""
        require_rows(rows, min_rows or 0, "They were read; what was read is delivered")
        if rows == 0 and min_rows is None and why_empty:
            raise SequenceConfigurationError(
                f"there was no row, and {why_empty};\na query that selects by it never gives one\n{USE_INTERVALS}\n"
                "If it is right that there is no row, set min_rows=0"
            )

    def _warn_of_rows_outside(self, policy: TimestampPolicy) -> None:
        """Warn of rows of another time than the run's, and count no more: what earlier runs left behind is of any time."""
        outside, policy.outside = policy.outside, None
        if outside is not None and (outside.before or outside.after):
            self.log.warning(
                "Of the rows to send, %d lie before the run's interval [%s, %s), and %d after it. That is right if "
                "late rows are selected, too; if not, the selection and timezone=%r don't fit together",
                outside.before,
                outside.interval.start,
                outside.interval.end,
                outside.after,
                self.timezone,
            )

    def _push(
        self,
        rows: Iterable[MappedRow],
        client: Sender,
        state: DeliveryState,
        counters: TaskCounters,
        *,
        total: int = 0,
        **options: Any,
    ) -> PushSummary:
        try:
            return push(rows, client, self.resource, state=state, on_progress=counters.update, **options)
        except SequenceUnavailableError as e:
            again = "goes on from here" if self.delivery_log_table else _SENDS_ALL_AGAIN
            raise e.with_message(f"{e.message}\nThe next try {again}") from None
        finally:
            # Also of a run that fails: how far it came, of how many rows.
            counters.summary.rows = max(counters.summary.rows, total)
            self._log_summary(counters.summary, is_dry_run=isinstance(client, DryRunSender))

    def _rejected(self, log: DeliveryLog) -> Iterator[MappedRow]:
        """Events that earlier runs left as rejected, from the bodies in the log."""
        bodies = (body.encode() for _, body in log.rejected())
        # What a voiding left behind is for a voiding to send.
        bodies = (body for body in bodies if is_void(body) == self.voids)
        return enumerate((event_of_body(self.kind, body) for body in bodies), 1)

    def _log_summary(self, summary: PushSummary, *, is_dry_run: bool) -> None:
        self.log.info("%s\n%s", self.resource.name, summary.as_table(is_dry_run=is_dry_run))
        for outcome in summary.first_rejected:
            self.log.warning("Rejected %s: %s", outcome.shown_row, outcome.reason)
        for outcome in summary.first_conflicting:
            self.log.warning(
                "Another body than an earlier row with the same id: %s; the last one counts",
                outcome.shown_row,
            )
