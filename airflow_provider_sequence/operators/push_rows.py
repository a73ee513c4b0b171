"""Operators that push rows that Python code gives to Sequence, as usage events or seat events."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Unpack

from airflow_provider_sequence.api.events import SEAT_EVENT, USAGE_EVENT
from airflow_provider_sequence.api.resources import SEAT_EVENTS, USAGE_EVENTS
from airflow_provider_sequence.compat import Context
from airflow_provider_sequence.exceptions import SequenceConfigurationError
from airflow_provider_sequence.utils.given_rows import GivenRows, Rows, call_rows, read_given_rows
from airflow_provider_sequence.utils.operator_options import PushOptions, RowsPushOptions
from airflow_provider_sequence.utils.push_operator import PushOperator
from airflow_provider_sequence.warehouse.reader import QueryRows


class _RowsPushOperator(PushOperator):
    """Base of the operators that push rows that are given."""

    template_fields: Sequence[str] = ("rows", *PushOperator.template_fields)

    def __init__(self, *, rows: Rows | Any, **kwargs: Unpack[PushOptions]) -> None:
        super().__init__(**kwargs)
        self.rows = rows

    @property
    def rows(self) -> Any:
        """The rows as the DAG has them; from when they are rendered, without a text that has their values."""
        return self._rows

    @rows.setter
    def rows(self, rows: Any) -> None:
        # Airflow calls functions in templated fields itself, and stores the text of what it has rendered.
        is_rendered = hasattr(self, "_rows") and rows is not None and not isinstance(rows, GivenRows)
        self._rows = GivenRows(rows) if callable(rows) or is_rendered else rows

    def _source(self) -> str:
        return "rows"

    def _read_rows(self, context: Context) -> AbstractContextManager[QueryRows]:
        for name, value in (("delivery_log_table", self.delivery_log_table), ("runs_table", self.runs_table)):
            if value and not self.delivery_log_conn_id:
                raise SequenceConfigurationError(
                    f"{name} needs delivery_log_conn_id, the connection to its database: rows come from none"
                )
        rows = self.rows.rows if isinstance(self.rows, GivenRows) else self.rows
        return read_given_rows(call_rows(rows, context) if callable(rows) else rows)


class SequencePushUsageEventsOperator(_RowsPushOperator):
    """
    Push rows that Python code gives to Sequence as usage events.

    Everything but the source of the rows is as with
    :class:`~airflow_provider_sequence.transfers.sql_to_sequence.SqlToSequenceUsageEventsOperator`: the columns, the checks, the
    delivery log, the other parameters and the result.

    :param rows: mappings, each of columns' names to the values of one row; a column that a row lacks is NULL there. A list; what
        another task returns; or a function that returns or yields them, called when the task runs, with those values of the
        task's context that its parameters name. What a function yields takes no memory and no XCom: rows are read to the end
        onto the worker's disk before the first event is sent. (templated)
    :param event_type: the event type, where it is the same for each row. (templated)
    :param delivery_log_conn_id: connection to the database of the delivery log and of the table of runs; needed where one of them
        is named. (templated)
    """

    template_fields: Sequence[str] = (*_RowsPushOperator.template_fields, "event_type")

    resource = USAGE_EVENTS
    kind = USAGE_EVENT

    def __init__(self, *, event_type: str | None = None, **kwargs: Unpack[RowsPushOptions]) -> None:
        super().__init__(**kwargs)
        self.event_type = event_type

    def _constants(self) -> dict[str, str | None]:
        return {"event_type": self.event_type}


class SequencePushSeatEventsOperator(_RowsPushOperator):
    """
    Push rows that Python code gives to Sequence as seat events.

    The columns and their order are as with
    :class:`~airflow_provider_sequence.transfers.sql_to_sequence.SqlToSequenceSeatEventsOperator`; the other parameters are those of
    :class:`SequencePushUsageEventsOperator`.

    :param seat_type: the seat type, where it is the same for each row. (templated)
    """

    template_fields: Sequence[str] = (*_RowsPushOperator.template_fields, "seat_type")

    resource = SEAT_EVENTS
    kind = SEAT_EVENT
    default_concurrency = 8

    def __init__(self, *, seat_type: str | None = None, **kwargs: Unpack[RowsPushOptions]) -> None:
        super().__init__(**kwargs)
        self.seat_type = seat_type

    def _constants(self) -> dict[str, str | None]:
        return {"seat_type": self.seat_type}
