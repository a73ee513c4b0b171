"""The window of a partition key, which Airflow has since 3.2."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pendulum

from airflow_provider_sequence.api.windows import Window
from airflow_provider_sequence.exceptions import SequenceConfigurationError

#: How Airflow's mappers write the start of a period as a key, and how long the period is.
_PERIODS = {
    "%Y": {"years": 1},
    "%Y-%m": {"months": 1},
    "%Y-%m-%d": {"days": 1},
    "%Y-%m-%dT%H": {"hours": 1},
}


def window_of_partition(key: str, timetable: Any) -> Window:
    """
    Find the period that a partition key names.

    Of a DAG on a ``CronPartitionTimetable`` it is the time from the key's tick of the schedule to the next one, in the
    schedule's time zone. Other keys name a year, month, day or hour in UTC: ``2026``, ``2026-06``, ``2026-06-14``,
    ``2026-06-14T03``.

    :param key: the run's partition key.
    :param timetable: the DAG's.
    :raises SequenceConfigurationError: if the key is none of these; it says what to set instead.
    """
    key_format = getattr(timetable, "key_format", None)
    window = _between_ticks(key, key_format, timetable) if key_format else _period(key)
    if window is None:
        raise SequenceConfigurationError(
            f"the partition key {key!r} names no time that a window can be made of. Set window_start and window_end, "
            'for example window_start="{{ dag_run.partition_key }}" and '
            'window_end="{{ macros.ds_add(dag_run.partition_key, 7) }}" for keys that are the first days of weeks'
        )
    return window


def _between_ticks(key: str, key_format: str, timetable: Any) -> Window | None:
    from airflow.timetables.base import DataInterval, TimeRestriction
    from airflow.timetables.interval import CronDataIntervalTimetable

    start = _parsed(key, key_format, timetable.timezone)
    if start is None:
        return None
    ticks = CronDataIntervalTimetable(timetable.expression, timezone=timetable.timezone)
    following = ticks.next_dagrun_info(
        last_automated_data_interval=DataInterval.exact(start),
        restriction=TimeRestriction(earliest=None, latest=None, catchup=True),
    )
    interval = following and following.data_interval
    # A key that somebody made up may lie between two ticks.
    return Window(start, interval.end) if interval and interval.start == start else None


def _period(key: str) -> Window | None:
    for key_format, length in _PERIODS.items():
        start = _parsed(key, key_format, "UTC")
        if start is not None:
            return Window(start, start.add(**length))
    return None


def _parsed(key: str, key_format: str, timezone: Any) -> pendulum.DateTime | None:
    try:
        time = dt.datetime.strptime(key, key_format)  # noqa: DTZ007 (the zone is the schedule's, not the key's)
    except ValueError:
        return None
    # Python also reads "2026-6-1"; a key is what the format would write.
    return pendulum.instance(time, tz=timezone) if time.strftime(key_format) == key else None
