"""TaskFlow task that splits a window into slices, to map a task over them."""

from __future__ import annotations

from typing import Any

from airflow_provider_sequence.exceptions import SequenceConfigurationError
from airflow_provider_sequence.utils.params import (
    RENDERED_TO_NOTHING,
    is_nothing,
    parse_duration,
    parse_int,
)
from airflow_provider_sequence.utils.retries import fail_without_retry
from airflow_provider_sequence.utils.run_window import parse_window

try:  # Not in compat: a DAG file that names operators would pay for what comes with it.
    from airflow.sdk import task
except ImportError:  # 2
    from airflow.decorators import task  # type: ignore[attr-defined,no-redef]


@task
def split_window(
    *,
    parts: int | str | None = None,
    every: Any = None,
    window_start: Any = None,
    window_end: Any = None,
    lookback: Any = None,
    **context: Any,
) -> list[dict[str, str]]:
    """
    Split a window into slices, to map a task over them.

    For example ``SequenceToSqlOperator.partial(…).expand_kwargs(split_window(every=timedelta(days=1)))``. A task of
    Airflow's TaskFlow: ``split_window.override(task_id=…)(…)`` gives it another id.

    :param parts: how many slices of the same length; fewer where the window has fewer microseconds.
    :param every: how long a slice is: a timedelta, seconds, or text such as ``PT6H``; the last one may be shorter. Give
        one of the two. (templated)
    :param window_start: first time of the window; by default what the run is about. (templated)
    :param window_end: first time after it. (templated)
    :param lookback: how much earlier to begin, in the same forms as ``every``. (templated)
    :return: the slices, ``{"window_start", "window_end"}`` each, in ISO 8601: neighbours that share no time and miss
        none.
    :raises airflow.sdk.exceptions.AirflowFailException: if the window is empty or backwards, or a bound is missing.
    """
    with fail_without_retry():
        # Of Airflow 3.0, the context's own "task" is the one before its templates are rendered.
        given = context["ti"].task.op_kwargs
        for name in ("window_start", "window_end", "lookback"):
            if name in given and is_nothing(given[name]):
                raise SequenceConfigurationError(RENDERED_TO_NOTHING.format(name=name))
        window = parse_window(context, window_start, window_end, lookback)
        if (parts is None) == (every is None):
            raise SequenceConfigurationError("give parts or every, one of the two")
        slices = (
            window.cut(parse_duration("every", every, more_than_zero=True))
            if every is not None
            else window.split(parse_int("parts", parts))
        )
    return [{"window_start": each.start.isoformat(), "window_end": each.end.isoformat()} for each in slices]
