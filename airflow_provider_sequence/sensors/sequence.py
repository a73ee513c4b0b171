"""Sensors that wait for events, metrics and aliases in Sequence."""

from __future__ import annotations

import datetime as dt
import inspect
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from decimal import Decimal
from itertools import count
from typing import Any, ClassVar, NoReturn, Unpack

from airflow_provider_sequence.api import lossless_json
from airflow_provider_sequence.api.answer_size import MAX_PAGE
from airflow_provider_sequence.api.resources import USAGE_EVENTS, get_resource
from airflow_provider_sequence.api.usage_metrics import aliases_to_ask, custom_parameters_text
from airflow_provider_sequence.compat import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    Context,
    PokeReturnValue,
    conf,
)
from airflow_provider_sequence.exceptions import (
    NON_RETRYABLE,
    SequenceConfigurationError,
    SequenceError,
    SequenceUnavailableError,
)
from airflow_provider_sequence.hooks.connection_fields import DEFAULT_CONN_ID
from airflow_provider_sequence.triggers.conditions import (
    MAX_FAILURES,
    POKE_DEADLINE,
    Condition,
    MetricThreshold,
    MinEventCount,
    NoUnmappedAliases,
    PokeResult,
)
from airflow_provider_sequence.utils.operator import SequenceTaskMixin
from airflow_provider_sequence.utils.operator_options import SensorOptions
from airflow_provider_sequence.utils.params import parse_decimal, parse_filters, parse_int
from airflow_provider_sequence.utils.run_window import parse_window, window_of_run

#: Most seconds between two pokes while Sequence is out of reach.
MAX_PAUSE = 60.0


#: What Airflow says of a task that was deferred for longer than its timeout.
_TIMED_OUT = "Trigger timeout"


class _ConditionSensor(SequenceTaskMixin, BaseSensorOperator):
    """
    Base of the sensors: wait until a condition holds, on a worker or in the triggerer, with the same result.

    While Sequence is out of reach the sensor goes on, for ten failures in a row at most, and then fails; where it is
    skipped on its timeout (``soft_fail``), an outage is a failure all the same.
    """

    ui_color = "#fdf3d8"
    #: The name of the class that waits in the triggerer.
    trigger_name: ClassVar[str]

    def __init__(
        self,
        *,
        sequence_conn_id: str = DEFAULT_CONN_ID,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sequence_conn_id = sequence_conn_id
        self.deferrable = deferrable

    def _hook_options(self) -> dict[str, Any]:
        return {"deadline": POKE_DEADLINE, "max_item": MAX_PAGE}

    def _condition(self, context: Context) -> Condition:
        """Read the settings, which may have been rendered to text."""
        raise NotImplementedError

    def _poke(self, context: Context) -> PokeResult:
        try:
            self.check_rendered()
            result = self._condition(context).poke(self.hook.client)
        except NON_RETRYABLE as e:
            raise AirflowFailException(str(e)) from e
        self.log.info("%s", result.message)
        return result

    def poke(self, context: Context) -> PokeReturnValue:
        """Poke once; again while Sequence is out of reach, since a count of failures would not survive a reschedule."""
        pause = min(self.poke_interval, MAX_PAUSE)
        until = time.monotonic() + self.timeout - pause
        for failures in count(1):
            try:
                result = self._poke(context)
            except SequenceUnavailableError as e:
                if failures >= MAX_FAILURES:
                    raise
                self.log.warning("Failure %d of at most %d in a row: %s", failures, MAX_FAILURES, e)
            else:
                return PokeReturnValue(is_done=result.done, xcom_value=result.result)
            if time.monotonic() > until:
                break
            time.sleep(pause)
        return PokeReturnValue(is_done=False)

    def execute(self, context: Context) -> Any:
        """Wait on the worker or in the triggerer."""
        if not self.deferrable:
            # Airflow 2 takes a call of a base class's execute for one from another task, unless it is unwrapped.
            return inspect.unwrap(BaseSensorOperator.execute)(self, context)
        try:
            result = self._poke(context)
        except SequenceUnavailableError as e:
            self.log.warning("Failure 1 in a row: %s", e)
        except (SequenceError, AirflowFailException) as e:
            if not self.silent_fail or isinstance(e, AirflowFailException):
                self._raise_or_skip(e)
            self.log.warning("Failure 1 in a row: %s", e)
        else:
            if result.done:
                return result.result
        return self._defer(context)

    def _defer(self, context: Context) -> NoReturn:
        # Not before: Airflow's triggers take longer to import than all sensors, in each parsing of a DAG file.
        from airflow_provider_sequence.triggers import sequence as triggers

        self.defer(
            trigger=getattr(triggers, self.trigger_name)(
                sequence_conn_id=self.sequence_conn_id,
                poke_interval=self.poke_interval,
                silent_fail=self.silent_fail,
                **asdict(self._condition(context)),
            ),
            method_name="execute_complete",
            timeout=dt.timedelta(seconds=self.timeout),
        )

    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """
        Return the trigger's result.

        :raises AirflowFailException: if the trigger met a non-retryable error.
        :raises SequenceError: if the trigger gave up, or its event is not understood.
        """
        status = (event or {}).get("status")
        if event is not None and status == "error":
            kind = AirflowFailException if not event.get("retryable", True) else SequenceError
            self._raise_or_skip(kind(str(event.get("message"))))
        if event is None or status != "success" or not isinstance(event.get("result"), Mapping):
            raise SequenceError(f"the trigger sent no event that is understood (status {status!r})")
        result = dict(event["result"])
        self.log.info("The wait is over: %s", result)
        return result

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """
        Resume the task; on a timeout, say what there is now.

        :raises AirflowSkipException: on a timeout, where ``soft_fail`` says so, which Airflow 3.0 does not see to.
        """
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except AirflowException:  # of another class in each line of Airflow
            if (next_kwargs or {}).get("error") != _TIMED_OUT:
                raise
            message = f"After {self.timeout:,g} s: {self._state(context)}"
        kind = AirflowSkipException if self.soft_fail else AirflowSensorTimeout
        raise kind(message)

    def _state(self, context: Context) -> str:
        """What a last poke finds, in words."""
        try:
            return self._condition(context).poke(self.hook.client).message
        except SequenceError as e:
            return str(e)

    def _raise_or_skip(self, error: Exception) -> NoReturn:
        """Raise an error of a deferred wait as the base class does one of :meth:`poke`: some are skips."""
        if self.never_fail or (self.soft_fail and isinstance(error, AirflowFailException)):
            raise AirflowSkipException(f"Skipping instead of failing: {error}") from error
        raise error


class SequenceEventsSensor(_ConditionSensor):
    """
    Sensor that waits until Sequence has at least a number of events of a window.

    Events of the same id count once. Of more than 10,000 events the total that Sequence reports is taken, in which
    copies that were superseded count where Sequence lists them; the log says so.

    :param resource: ``usage_events`` or ``seat_events``. (templated)
    :param min_count: how many events to wait for. (templated)
    :param filters: filters of the resource, such as ``{"event_type": "message-sent"}``. (templated)
    :param window_start: first time of the window; the start of the run's data interval by default. (templated)
    :param window_end: first time after the window; the end of the run's data interval by default. (templated)
    :param sequence_conn_id: connection to Sequence. (templated)
    :param deferrable: whether to wait in the triggerer, without holding a worker.
    :return: ``{"count": how many events there were}``.
    """

    template_fields: Sequence[str] = (
        "resource",
        "min_count",
        "filters",
        "window_start",
        "window_end",
        "sequence_conn_id",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"filters": "json"}
    trigger_name = "SequenceEventsTrigger"

    def __init__(
        self,
        *,
        resource: str = "usage_events",
        min_count: int | str = 1,
        filters: Mapping[str, Any] | None = None,
        window_start: Any = None,
        window_end: Any = None,
        **kwargs: Unpack[SensorOptions],
    ) -> None:
        super().__init__(**kwargs)
        self.resource = resource
        self.min_count = min_count
        self.filters = filters
        self.window_start = window_start
        self.window_end = window_end

    def _condition(self, context: Context) -> MinEventCount:
        resource = get_resource(self.resource)
        min_count = parse_int("min_count", self.min_count, min_value=0)
        window = window_of_run(resource, context, self.window_start, self.window_end)
        # Kept, since the values of a generator come once.
        self.filters = parse_filters(self.filters)
        return MinEventCount(
            resource=resource.name,
            min_count=min_count,
            filters=self.filters,
            window_start=window.start.isoformat() if window else None,
            window_end=window.end.isoformat() if window else None,
        )


class SequenceUsageMetricSensor(_ConditionSensor):
    """
    Sensor that waits until a usage metric, which Sequence bills by, has counted a number of events or reached a value.

    The period is half-open as every window, ``[period_start, period_end)``, although the API's own includes its
    end. Whole days in UTC are right whichever way Sequence reads the period.

    :param metric_id: the metric's id. (templated)
    :param customer_aliases: one alias or several; several only of a metric that counts or sums, whose results are
        added up. (templated)
    :param min_event_count: how many events to wait for. (templated)
    :param min_value: which value to wait for; give one of the two. (templated)
    :param custom_parameters: values of the metric's parameters by their names, where not the defaults. (templated)
    :param period_start: first time of the period; the start of the run's data interval by default. (templated)
    :param period_end: first time after the period; the end of the run's data interval by default. (templated)
    :param sequence_conn_id: connection to Sequence. (templated)
    :param deferrable: whether to wait in the triggerer, without holding a worker.
    :return: ``{"event_count", "value"}``, the value as text with every digit.
    """

    template_fields: Sequence[str] = (
        "metric_id",
        "customer_aliases",
        "min_event_count",
        "min_value",
        "custom_parameters",
        "period_start",
        "period_end",
        "sequence_conn_id",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"customer_aliases": "json"}
    trigger_name = "SequenceUsageMetricTrigger"

    def __init__(
        self,
        *,
        metric_id: str,
        customer_aliases: str | Sequence[str],
        min_event_count: int | str | None = None,
        min_value: float | Decimal | str | None = None,
        custom_parameters: Mapping[str, Any] | str | None = None,
        period_start: Any = None,
        period_end: Any = None,
        **kwargs: Unpack[SensorOptions],
    ) -> None:
        super().__init__(**kwargs)
        self.metric_id = metric_id
        self.customer_aliases = customer_aliases
        self.min_event_count = min_event_count
        self.min_value = min_value
        self.custom_parameters = custom_parameters
        self.period_start = period_start
        self.period_end = period_end

    def _condition(self, context: Context) -> MetricThreshold:
        if (self.min_event_count is None) == (self.min_value is None):
            raise SequenceConfigurationError("give min_event_count or min_value, one of the two")
        period = parse_window(context, self.period_start, self.period_end, prefix="period")
        # Kept, since the values of a generator come once.
        self.customer_aliases = aliases = aliases_to_ask(self.customer_aliases)
        return MetricThreshold(
            metric_id=self.metric_id,
            customer_aliases=aliases,
            custom_parameters=custom_parameters_text(self.custom_parameters),
            period_start=period.start.isoformat(),
            period_end=period.end.isoformat(),
            min_event_count=None
            if self.min_event_count is None
            else parse_int("min_event_count", self.min_event_count, min_value=0),
            min_value=None
            if self.min_value is None
            else lossless_json.format_decimal(parse_decimal("min_value", self.min_value)),
        )


class SequenceUnmappedAliasesSensor(_ConditionSensor):
    """
    Sensor that waits until no usage event of a window has an alias without a customer, so that all can be billed.

    Events that were voided, or sent again with another alias, don't count. Aliases are customers' data, and neither
    logged nor returned; ``SequenceHook.list("usage_events", unmapped_aliases_only=True)`` has them.

    :param max_unmapped: how many such events there may be. (templated)
    :param window_start: first time of the window; the start of the run's data interval by default. (templated)
    :param window_end: first time after the window; the end of the run's data interval by default. (templated)
    :param sequence_conn_id: connection to Sequence. (templated)
    :param deferrable: whether to wait in the triggerer, without holding a worker.
    :return: ``{"count", "aliases"}``: how many such events there were in the end, and of how many aliases.
    """

    template_fields: Sequence[str] = ("max_unmapped", "window_start", "window_end", "sequence_conn_id")
    trigger_name = "SequenceUnmappedAliasesTrigger"

    def __init__(
        self,
        *,
        max_unmapped: int | str = 0,
        window_start: Any = None,
        window_end: Any = None,
        **kwargs: Unpack[SensorOptions],
    ) -> None:
        super().__init__(**kwargs)
        self.max_unmapped = max_unmapped
        self.window_start = window_start
        self.window_end = window_end

    def _condition(self, context: Context) -> NoUnmappedAliases:
        window = window_of_run(USAGE_EVENTS, context, self.window_start, self.window_end)
        if window is None:
            raise NotImplementedError("usage events have windows")
        return NoUnmappedAliases(
            window_start=window.start.isoformat(),
            window_end=window.end.isoformat(),
            max_unmapped=parse_int("max_unmapped", self.max_unmapped, min_value=0),
        )
