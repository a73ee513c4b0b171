"""Windows of partition keys, with Airflow's timetables."""

from __future__ import annotations

import contextlib
import datetime as dt
import importlib
import itertools
from typing import Any

import pytest

from airflow_provider_sequence.api.windows import Window
from airflow_provider_sequence.exceptions import SequenceConfigurationError
from airflow_provider_sequence.utils.partitions import window_of_partition
from tests.integration.support.airflow import AIRFLOW_VERSION

TICK = dt.timedelta(microseconds=1)
HOUR = dt.timedelta(hours=1)


def window(start: str, end: str) -> Window:
    return Window.parse(start, end)


class TestPeriods:
    """Keys that Airflow's mappers write, of DAGs without a cron schedule."""

    @pytest.mark.parametrize(
        ("key", "start", "end"),
        [
            ("2026", "2026-01-01", "2027-01-01"),
            ("2026-06", "2026-06-01", "2026-07-01"),
            ("2026-12", "2026-12-01", "2027-01-01"),
            ("2024-02", "2024-02-01", "2024-03-01"),
            ("2026-06-14", "2026-06-14", "2026-06-15"),
            ("2024-02-29", "2024-02-29", "2024-03-01"),
            ("2026-12-31", "2026-12-31", "2027-01-01"),
            ("2026-06-14T03", "2026-06-14T03:00", "2026-06-14T04:00"),
            ("2026-06-14T23", "2026-06-14T23:00", "2026-06-15T00:00"),
        ],
    )
    def test_key_is_a_year_month_day_or_hour_in_utc(self, key, start, end):
        for timetable in (None, object()):
            assert window_of_partition(key, timetable) == window(start, end)

    @pytest.mark.parametrize(
        "keys",
        [
            [f"2024-{month:02}" for month in range(1, 13)],
            [f"2024-02-{day:02}" for day in range(1, 30)],
            [f"2026-03-29T{hour:02}" for hour in range(24)],
        ],
        ids=["months", "days", "hours"],
    )
    def test_windows_of_adjacent_keys_are_adjacent(self, keys):
        windows = [window_of_partition(key, None) for key in keys]

        assert all(one.end == other.start for one, other in itertools.pairwise(windows))

    @pytest.mark.parametrize(
        "key",
        [
            "",
            "eu",
            "eu|2026-06-14",
            "2026-06-14|eu",
            "2026-06-14 ",
            "2026-6-14",
            "2026-02-30",
            "2026-13",
            "26",
            "2026-Q1",
            "2026-06-15 (W25)",
            "2026-W25",
            "2026-06-14T24",
            "2026-06-14T03:00:00",
            "20260614",
            "２０２６",
        ],
    )
    def test_other_key_is_refused_with_the_parameters_to_set(self, key):
        with pytest.raises(SequenceConfigurationError, match="partition key") as caught:
            window_of_partition(key, None)

        assert repr(key) in str(caught.value)
        assert "window_start" in str(caught.value)
        assert "window_end" in str(caught.value)


# Airflow has partitions since 3.2; before, there is nothing more to test.
if AIRFLOW_VERSION >= (3, 2):

    def cron(expression: str, module: str = "airflow.sdk", **options: Any) -> Any:
        """Make a timetable of a cron expression, in Berlin. A task may get either of Airflow's two classes."""
        kind = importlib.import_module(module).CronPartitionTimetable
        return kind(expression, **({"timezone": "Europe/Berlin"} | options))

    def partitions_of(timetable: Any, start: dt.datetime, end: dt.datetime) -> list[tuple[str, dt.datetime]]:
        """Key and time of each partition that Airflow makes."""
        import pendulum
        from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
        from airflow.timetables.trigger import CronPartitionTimetable, CronTriggerTimetable

        core = (
            timetable
            if isinstance(timetable, CronPartitionTimetable)
            else CronPartitionTimetable(
                timetable.expression, timezone=timetable.timezone, key_format=timetable.key_format
            )
        )
        ticks = CronTriggerTimetable(core._expression, timezone=core._timezone)
        found, at = [], pendulum.instance(start - TICK)
        while True:
            info = ticks.next_dagrun_info(
                last_automated_data_interval=DataInterval.exact(at),
                restriction=TimeRestriction(earliest=None, latest=None, catchup=True),
            )
            assert isinstance(info, DagRunInfo)
            at = info.run_after
            if at > end:
                return found
            found.append((core._get_partition_info(run_date=at)[1], at))

    class TestCronPartitions:
        @pytest.mark.parametrize(
            "key",
            [
                "2026-06-15T12:00:00",
                "2026-06-15T00:00:01",
                "2026-06-15",
                "2026-06",
                "eu",
                "",
                "2026-06-15T00:00:00|eu",
            ],
        )
        def test_key_between_ticks_or_of_another_form_is_refused(self, key):
            with pytest.raises(SequenceConfigurationError, match="window_start"):
                window_of_partition(key, cron("@daily"))

        @pytest.mark.parametrize(
            ("expression", "key_format"),
            [
                ("@daily", "%Y-%m-%dT%H:%M:%S"),
                ("0 0 * * 1", "%Y-%m-%d"),
                ("0 0 1 * *", "%Y-%m"),
                ("30 6 * * 1-5", "%Y-%m-%dT%H:%M:%S"),
                ("0 */6 * * *", "%Y-%m-%dT%H"),
                ("30 2 * * *", "%Y-%m-%dT%H:%M:%S"),
                ("0 * * * *", "%Y-%m-%dT%H:%M:%S%z"),
            ],
        )
        def test_windows_of_airflows_keys_are_adjacent(self, expression, key_format):
            timetable = cron(expression, key_format=key_format)
            for start in (dt.datetime(2026, 3, 28, tzinfo=dt.UTC), dt.datetime(2026, 10, 24, tzinfo=dt.UTC)):
                made = partitions_of(timetable, start, start + dt.timedelta(days=35))[:60]
                windows = [window_of_partition(key, timetable) for key, _ in made]

                assert [each.start for each in windows] == [at for _, at in made]
                assert all(one.end == other.start for one, other in itertools.pairwise(windows))

        def test_repeated_hour_is_read_or_refused(self):
            """Airflow gives both hours the same key, but for 3.2. Their runs read both, or fail."""
            timetable = cron("0 * * * *")
            start = dt.datetime(2026, 10, 24, 23, tzinfo=dt.UTC)
            made = partitions_of(timetable, start, start + 3 * HOUR)
            assert len(made) == 4
            assert len({key for key, _ in made}) == (3 if AIRFLOW_VERSION >= (3, 3) else 4)

            covered: list[Window] = []
            with contextlib.suppress(SequenceConfigurationError):
                covered = [window_of_partition(key, timetable) for key, _ in made]
            if covered:
                for hour in range(4):
                    assert any(start + hour * HOUR in each for each in covered)


# Since 3.3; 3.2 writes them in UTC.
if AIRFLOW_VERSION >= (3, 3):

    class TestKeysInTheZoneOfTheSchedule:
        @pytest.mark.parametrize(
            ("day", "hours"), [("2026-03-28", 24), ("2026-03-29", 23), ("2026-10-25", 25), ("2026-10-26", 24)]
        )
        def test_length_of_a_day_follows_the_clock(self, day, hours):
            found = window_of_partition(f"{day}T00:00:00", cron("@daily"))

            assert found.end - found.start == hours * HOUR
            summer = day in {"2026-03-29", "2026-10-25"} and hours == 25
            offset = "+02:00" if summer else "+01:00"
            assert found.start == dt.datetime.fromisoformat(f"{day}T00:00:00{offset}")

        @pytest.mark.parametrize("module", ["airflow.sdk", "airflow.timetables.trigger"])
        def test_either_class_of_airflow_is_read(self, module):
            timetable = cron("@daily", module, key_format="%Y-%m-%d")

            assert window_of_partition("2026-06-15", timetable) == window(
                "2026-06-15T00:00+02:00", "2026-06-16T00:00+02:00"
            )
            with pytest.raises(SequenceConfigurationError, match="window_start"):
                window_of_partition("2026-06", timetable)

        def test_week_begins_on_its_tick(self):
            found = window_of_partition("2026-06-15T00:00:00", cron("0 0 * * 1"))

            assert found == window("2026-06-15T00:00+02:00", "2026-06-22T00:00+02:00")

        @pytest.mark.parametrize(
            ("key", "end"),
            [("2026-02-01", "2026-03-01T00:00+01:00"), ("2026-03-01", "2026-04-01T00:00+02:00")],
        )
        def test_length_of_a_month(self, key, end):
            found = window_of_partition(key, cron("0 0 1 * *", key_format="%Y-%m-%d"))

            assert found == window(f"{key}T00:00+01:00", end)

        @pytest.mark.parametrize(
            ("key_format", "key"),
            [
                ("%Y-%m-%dT%H:%M:%S", "2026-06-15T00:00:00"),
                ("%Y-%m-%d", "2026-06-15"),
                ("%Y%m%d", "20260615"),
                ("day %d.%m.%Y", "day 15.06.2026"),
                ("%Y-%j", "2026-166"),
            ],
        )
        def test_key_of_any_format(self, key_format, key):
            found = window_of_partition(key, cron("@daily", key_format=key_format))

            assert found == window("2026-06-15T00:00+02:00", "2026-06-16T00:00+02:00")

        def test_key_without_the_time_of_the_tick(self):
            found = window_of_partition("2026-06-15", cron("0 6 * * *", key_format="%Y-%m-%d"))

            assert found == window("2026-06-15T06:00+02:00", "2026-06-16T06:00+02:00")

        def test_date_key_of_a_weekly_schedule_is_the_week(self):
            found = window_of_partition("2026-06-15", cron("0 0 * * 1", key_format="%Y-%m-%d"))

            assert found.end - found.start == dt.timedelta(days=7)

        def test_run_offset_does_not_move_the_window(self):
            plain, moved = cron("@daily"), cron("@daily", run_offset=-1)
            key = "2026-06-15T00:00:00"

            assert window_of_partition(key, moved) == window_of_partition(key, plain)
