"""The window of a run: explicit bounds, or the run's data interval."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from airflow_provider_sequence.api.lists import Resource
from airflow_provider_sequence.api.windows import Window
from airflow_provider_sequence.exceptions import SequenceConfigurationError


def window_of_run(
    resource: Resource,
    context: Mapping[str, Any],
    start: Any = None,
    end: Any = None,
    lookback: dt.timedelta | None = None,
) -> Window | None:
    """
    Find the window that a task works on.

    :param resource: what is worked on; a list below an id has the window of its parents.
    :param context: the task's context; its data interval stands in for bounds that are not given. For a list
        that is asked by dates it does so only where something else is given.
    :param start: first time, or None.
    :param end: first time after the window, or None.
    :param lookback: how much earlier to begin.
    :return: the window, or None for the whole list.
    :raises SequenceConfigurationError: if the window is empty or backwards, a bound is missing, or the
        API has no filter on time for the resource.
    """
    times = resource.filtered.times
    given = start is not None or end is not None or lookback is not None
    if times is None:
        if given:
            raise SequenceConfigurationError(
                f"{resource.name} has no window: the API has no filter on time for it. Leave window_start, "
                "window_end and lookback out; the whole list is read"
            )
        return None
    if times.days and not given:
        return None
    window = Window.parse(
        context.get("data_interval_start") if start is None else start,
        context.get("data_interval_end") if end is None else end,
    )
    return window if lookback is None else Window(window.start - lookback, window.end)
