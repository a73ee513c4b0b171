"""Window of a run: explicit bounds, or what the run itself is about."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

from airflow_provider_sequence.api.resource import Resource
from airflow_provider_sequence.api.windows import Window, what_to_set
from airflow_provider_sequence.exceptions import SequenceConfigurationError
from airflow_provider_sequence.utils.params import parse_duration
from airflow_provider_sequence.utils.partitions import window_of_partition


def window_of_run(
    resource: Resource,
    context: Mapping[str, Any],
    start: Any = None,
    end: Any = None,
    lookback: Any = None,
) -> Window | None:
    """
    Find the window of a resource that a task works on.

    What is not given is taken from the run: from the asset events that started it, where they name a window of this
    resource; or its partition key; or its data interval. For a list that is asked by dates, a bound has to be given.

    :param resource: what is worked on; a list below an id has the window of its parents.
    :param context: the task's context.
    :param start: first time, or None.
    :param end: first time after the window, or None.
    :param lookback: how much earlier to begin; see :func:`~airflow_provider_sequence.utils.params.parse_duration`.
    :return: the window, or None for the whole list.
    :raises SequenceConfigurationError: if the window is empty or backwards, a bound is missing, or the
        API has no filter on time for the resource.
    """
    times = resource.filtered.times
    given = start is not None or end is not None or lookback is not None
    if times is None:
        if given:
            raise SequenceConfigurationError(
                f"{resource.name} has no window: the API has no filter on time for it\nLeave window_start, "
                "window_end and lookback out; the whole list is read"
            )
        return None
    if times.days and not given:
        return None
    return parse_window(context, start, end, lookback, resource_name=resource.name)


def parse_window(
    context: Mapping[str, Any],
    start: Any = None,
    end: Any = None,
    lookback: Any = None,
    *,
    resource_name: str | None = None,
    prefix: str = "window",
) -> Window:
    """
    Find the window that a task works on; see :func:`window_of_run`.

    :param resource_name: whose asset events may have started the run; None for any.
    :param prefix: the parameters' names begin with it, in errors: ``window_start``, or ``period_start`` for metrics.
    :raises SequenceConfigurationError: if the window is empty or backwards, or a bound is missing.
    """
    earlier = dt.timedelta(0) if lookback is None else parse_duration("lookback", lookback)
    if start is None or end is None:
        run_start, run_end = _bounds_of_run(context, resource_name)
        if start is None and end is None and (reason := _why_empty(context, run_start, run_end)):
            raise SequenceConfigurationError(
                f"{reason}, so there is no {prefix} to work on. {what_to_set(prefix)}"
            )
        start, end = (run_start if start is None else start), (run_end if end is None else end)
    window = Window.parse(start, end, prefix)
    try:
        return Window(window.start - earlier, window.end)
    except OverflowError:
        raise SequenceConfigurationError(f"lookback={lookback!r} reaches back before the year 1") from None


def interval_of_run(context: Mapping[str, Any], resource: Resource) -> tuple[Window | None, str | None]:
    """
    Find the window that a run is about, for a task whose query selects by it.

    :param context: the task's context.
    :param resource: what the task works on.
    :return: the window, or None and why it has no length; or None twice, for a partition that is no time, and for code
        that calls a task outside of a DAG.
    """
    if context.get("dag") is None:
        return None, None
    try:
        start, end = _bounds_of_run(context, resource.name)
    except SequenceConfigurationError:
        return None, None
    reason = _why_empty(context, start, end)
    return (None, reason) if reason else (Window.parse(start, end), None)


def _why_empty(context: Mapping[str, Any], start: Any, end: Any) -> str | None:
    """Why a run has no time to work on, and whose fault it is; None where it has some."""
    if start is not None and end is not None and start < end:
        return None
    dag = context.get("dag")
    schedule = getattr(dag, "schedule", None)
    timetable = type(getattr(dag, "timetable", None)).__name__
    told = f"schedule={schedule!r}, {timetable}" if isinstance(schedule, str) else timetable
    what = (
        "no data interval" if start is None or end is None else f"a data interval of length zero, at {start}"
    )
    return f"this run has {what} (its timetable: {told})"


def _bounds_of_run(context: Mapping[str, Any], resource_name: str | None) -> tuple[Any, Any]:
    windows = list(_windows_of_events(context, resource_name))
    if windows:
        return min(window.start for window in windows), max(window.end for window in windows)
    key = getattr(context.get("dag_run"), "partition_key", None)
    if key is not None:
        window = window_of_partition(key, getattr(context.get("dag"), "timetable", None))
        return window.start, window.end
    return context.get("data_interval_start"), context.get("data_interval_end")


def _windows_of_events(context: Mapping[str, Any], resource_name: str | None) -> Iterator[Window]:
    """Windows named by the asset events that started the run, in their extra or, of a trigger's, in its payload."""
    events = context.get("triggering_asset_events")
    if events is None and getattr(context.get("dag_run"), "run_type", None) == "dataset_triggered":
        # Airflow 2 fails to look for them in runs that have none.
        events = context.get("triggering_dataset_events")
    for of_one_asset in (events or {}).values():
        for event in of_one_asset:
            extra = event.extra or {}
            facts = extra.get("payload", extra)
            if (
                isinstance(facts, Mapping)
                and facts.get("window_start")
                and resource_name in {None, facts.get("resource")}
            ):
                yield Window.parse(facts["window_start"], facts.get("window_end"))
