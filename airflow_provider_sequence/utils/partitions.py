"""Window of a partition key, which Airflow has since 3.2."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
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

    Of a DAG on a ``CronPartitionTimetable`` it is the time from the key's tick of the schedule to the next tick that has
    another key. Other keys name a year, month, day or hour in UTC: ``2026``, ``2026-06``, ``2026-06-14``,
    ``2026-06-14T03``.

    :param key: the run's partition key.
    :param timetable: the DAG's.
    :raises SequenceConfigurationError: if the key is none of these; it says what to set instead.
    """
    settings = _cron_settings(timetable)
    window = _between_ticks(key, *settings) if settings else _period(key)
    if window is None:
        raise SequenceConfigurationError(
            f"the partition key {key!r} names no time that a window can be made of\nSet window_start and window_end, "
            'for example window_start="{{ dag_run.partition_key }}" and '
            'window_end="{{ macros.ds_add(dag_run.partition_key, 7) }}" for keys that are the first days of weeks'
        )
    return window


def _cron_settings(timetable: Any) -> tuple[str, str, Any] | None:
    """Key format, cron expression and time zone of a timetable whose partitions follow a cron schedule."""
    if hasattr(timetable, "key_format"):  # the class of Airflow's SDK
        return timetable.key_format, timetable.expression, timetable.timezone
    if getattr(timetable, "partitioned", False):  # that of its core
        settings = timetable.serialize()
        if "key_format" in settings:
            return settings["key_format"], settings["expression"], pendulum.timezone(settings["timezone"])
    return None


def _between_ticks(key: str, key_format: str, cron: str, zone: Any) -> Window | None:
    from airflow.timetables.trigger import CronPartitionTimetable

    near = _parsed(key, key_format, zone)
    if near is None:
        return None
    # Airflow's own, because it writes a key in UTC in 3.2, and in the schedule's zone since 3.3.
    key_of = CronPartitionTimetable(cron, timezone=zone, key_format=key_format)._format_key
    # A key may leave out the tick's time, and its hour may come twice: so ticks are gone through until one has the key.
    start = None
    for tick in _ticks(cron, zone, near.subtract(days=1)):
        has_key = key_of(tick.in_timezone("UTC")) == key
        if start is None and has_key:
            start = tick
        elif start is not None and not has_key:
            return Window(start, tick)
        elif start is None and tick > near.add(years=1):
            break
    return None


def _ticks(cron: str, zone: Any, start: pendulum.DateTime) -> Iterator[pendulum.DateTime]:
    from airflow.timetables.base import DataInterval, TimeRestriction
    from airflow.timetables.interval import CronDataIntervalTimetable

    intervals = CronDataIntervalTimetable(cron, timezone=zone)
    while True:
        following = intervals.next_dagrun_info(
            last_automated_data_interval=DataInterval(start.subtract(microseconds=1), start),
            restriction=TimeRestriction(earliest=None, latest=None, catchup=True),
        )
        if following is None or following.data_interval is None:
            return
        yield following.data_interval.start
        start = following.data_interval.end


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
