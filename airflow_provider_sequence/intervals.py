"""The window of a run: explicit bounds, or the run's data interval."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from airflow_provider_sequence.api.resources import Resource
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

    :param context: the task's context; its data interval stands in for bounds that are not given.
    :param start: first time, or None.
    :param end: first time after the window, or None.
    :param lookback: how much earlier to begin.
    :return: the window, or None for a resource that the API can't be asked a window of.
    :raises SequenceConfigurationError: if the window is empty or backwards, or a bound is missing.
    """
    if resource.time_field is None:
        if start is not None or end is not None or lookback is not None:
            raise SequenceConfigurationError(
                f"{resource.name} has no window: the API has no filter on time for it. Leave window_start, "
                "window_end and lookback out; the whole list is read"
            )
        return None
    window = Window.parse(
        context.get("data_interval_start") if start is None else start,
        context.get("data_interval_end") if end is None else end,
    )
    return window if lookback is None else Window(window.start - lookback, window.end)
