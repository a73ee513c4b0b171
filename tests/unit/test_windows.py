"""Half-open windows: parse, widen, split and cut."""

# ruff: noqa: DTZ001 - times without a zone are test data here

from __future__ import annotations

import datetime as dt
import itertools
import zoneinfo

import pendulum
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from airflow_provider_sequence.api.windows import Window
from airflow_provider_sequence.exceptions import SequenceConfigurationError
from tests.unit.strategies import few_examples

UTC = dt.UTC
TICK = dt.timedelta(microseconds=1)
ZONES = st.sampled_from([
    UTC,
    *map(zoneinfo.ZoneInfo, ["Europe/Berlin", "Asia/Kathmandu", "America/St_Johns"]),
])
TIMES = st.datetimes(dt.datetime(2000, 1, 1), dt.datetime(2040, 1, 1), timezones=ZONES).map(
    lambda time: time.astimezone(UTC)
)
#: Times close together, where bounds and seconds meet.
CLOSE = st.integers(-3_000_000, 3_000_000).map(
    lambda micros: dt.datetime(2024, 1, 1, tzinfo=UTC) + dt.timedelta(microseconds=micros)
) | st.integers(-3, 3).map(
    lambda seconds: dt.datetime(2024, 1, 1, tzinfo=UTC) + dt.timedelta(seconds=seconds)
)


many_examples = settings(max_examples=100, deadline=None)


def window_between(one: dt.datetime, other: dt.datetime) -> Window:
    assume(one != other)
    return Window(min(one, other), max(one, other))


WINDOWS = st.builds(window_between, CLOSE | TIMES, CLOSE | TIMES)


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


DAY = Window(at("2024-01-01T00:00:00+00:00"), at("2024-01-02T00:00:00+00:00"))


class TestHalfOpen:
    def test_start_is_inside_and_end_is_not(self):
        assert DAY.start in DAY
        assert DAY.start - TICK not in DAY
        assert DAY.end - TICK in DAY
        assert DAY.end not in DAY

    def test_times_are_compared_by_instant(self):
        assert at("2024-01-01T01:00:00+01:00") in DAY
        assert at("2024-01-01T00:59:59.999999+01:00") not in DAY
        assert at("2024-01-01T23:00:00-01:00") not in DAY

    @few_examples
    @given(st.lists(CLOSE, min_size=3, max_size=6, unique=True), CLOSE)
    def test_adjacent_windows_share_no_time_and_miss_none(self, bounds, time):
        bounds.sort()
        windows = [Window(start, end) for start, end in itertools.pairwise(bounds)]
        holding = sum(time in window for window in windows)
        assert holding == (bounds[0] <= time < bounds[-1])

    @pytest.mark.parametrize("day", ["2024-03-31", "2024-10-27"])
    def test_days_with_a_change_of_the_clock(self, day):
        """These days have 23 and 25 hours."""
        zone = zoneinfo.ZoneInfo("Europe/Berlin")
        midnight = at(f"{day}T00:00:00").replace(tzinfo=zone)
        next_midnight = at(f"{day}T00:00:00").replace(
            day=midnight.day + 1 if midnight.day < 31 else 1, tzinfo=zone
        )
        if midnight.day == 31:
            next_midnight = next_midnight.replace(month=4)
        window = Window(midnight, next_midnight)
        hours = 23 if day == "2024-03-31" else 25
        start = midnight.astimezone(UTC)
        inside = [start + dt.timedelta(hours=hour) in window for hour in range(-2, hours + 2)]
        assert inside == [False] * 2 + [True] * hours + [False] * 2
        assert all(start + dt.timedelta(hours=hour, minutes=30) in window for hour in range(hours))

    @pytest.mark.parametrize(("start", "end", "word"), [(0, 0, "empty"), (1, 0, "backwards")])
    def test_empty_or_reversed_window_is_refused(self, start, end, word):
        base = DAY.start
        with pytest.raises(SequenceConfigurationError, match=word):
            Window(base + start * TICK, base + end * TICK)

    def test_window_empty_in_utc_is_refused(self):
        with pytest.raises(SequenceConfigurationError, match="empty"):
            Window(at("2024-01-01T00:00:00+00:00"), at("2024-01-01T01:00:00+01:00"))


class TestQueryBounds:
    """The wider query. The API may include its bounds or not, and may drop their fractions."""

    READINGS = st.tuples(
        st.booleans(),
        st.sampled_from(["inclusive", "exclusive"]),
        st.sampled_from(["inclusive", "exclusive"]),
    )

    @staticmethod
    def served(time, bounds, reading):
        """Whether the API would return an event of this time, by one reading of its parameters."""
        truncate, after, before = reading
        low, high = (bound.replace(microsecond=0) if truncate else bound for bound in bounds)
        return (low < time or (after == "inclusive" and low == time)) and (
            time < high or (before == "inclusive" and time == high)
        )

    @few_examples
    @given(reading=READINGS, window=WINDOWS, time=CLOSE | TIMES)
    def test_query_covers_the_window(self, reading, window, time):
        for inside in [window.start, window.end - TICK, time]:
            if inside in window:
                assert self.served(inside, window.widened(), reading)

    @many_examples
    @given(reading=READINGS, window=WINDOWS, time=CLOSE)
    def test_query_covers_times_without_their_fraction(self, reading, window, time):
        if time in window:
            assert self.served(time.replace(microsecond=0), window.widened(), reading)

    @few_examples
    @given(WINDOWS)
    def test_query_has_whole_seconds_and_is_little_wider(self, window):
        low, high = window.widened()
        assert low.microsecond == high.microsecond == 0
        assert window.start - dt.timedelta(seconds=3) <= low < window.start
        assert window.end < high <= window.end + dt.timedelta(seconds=3)

    @many_examples
    @given(reading=READINGS, window=WINDOWS, times=st.lists(CLOSE, max_size=20))
    def test_count_of_the_query_less_the_margins_is_that_of_the_window(self, reading, window, times):
        times = {*times, window.start, window.start - TICK, window.end, window.end - TICK, *window.widened()}
        wide = {time for time in times if self.served(time, window.widened(), reading)}
        found = {
            time
            for margin in window.margins()
            for time in times
            if self.served(time, margin, reading) and time not in window
        }
        assert wide - found == {time for time in times if time in window}
        assert found <= wide

    @few_examples
    @given(WINDOWS)
    def test_margins_are_at_most_five_seconds(self, window):
        for low, high in window.margins():
            assert low < high
            assert high - low <= dt.timedelta(seconds=5)

    def test_query_at_the_edges_of_the_calendar(self):
        window = Window(dt.datetime.min.replace(tzinfo=UTC), dt.datetime.max.replace(tzinfo=UTC))
        low, high = window.widened()
        assert low <= window.start + dt.timedelta(seconds=1)
        assert high >= window.end - dt.timedelta(seconds=1)


class TestSplit:
    @few_examples
    @given(WINDOWS, st.integers(1, 50))
    def test_parts_are_adjacent_and_cover_the_window(self, window, parts):
        split = window.split(parts)
        assert split[0].start == window.start
        assert split[-1].end == window.end
        assert all(one.end == other.start for one, other in itertools.pairwise(split))
        assert all(part.start < part.end for part in split)

    @few_examples
    @given(WINDOWS, st.integers(1, 50))
    def test_parts_are_equal_and_as_many_as_possible(self, window, parts):
        ticks = (window.end - window.start) // TICK
        split = window.split(parts)
        assert len(split) == min(parts, ticks)
        lengths = [part.end - part.start for part in split]
        assert max(lengths) - min(lengths) <= TICK

    def test_window_of_one_microsecond(self):
        window = Window(DAY.start, DAY.start + TICK)
        assert window.split(8) == [window]

    def test_one_part_is_the_window(self):
        assert DAY.split(1) == [DAY]


BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")


class TestDaylightSaving:
    """Python compares and adds times of one zone by their wall clocks; windows compare instants."""

    @pytest.mark.parametrize(
        "day", [dt.datetime(2024, 3, 31), dt.datetime(2024, 10, 27)], ids=["spring", "autumn"]
    )
    def test_parts_are_adjacent_in_elapsed_time(self, day):
        start, end = day.replace(tzinfo=BERLIN), (day + dt.timedelta(days=1)).replace(tzinfo=BERLIN)
        bounds = [(p.start.astimezone(UTC), p.end.astimezone(UTC)) for p in Window(start, end).split(96)]
        assert bounds[0][0] == start.astimezone(UTC)
        assert bounds[-1][1] == end.astimezone(UTC)
        assert all(one[1] == other[0] for one, other in itertools.pairwise(bounds))
        lengths = [high - low for low, high in bounds]
        assert min(lengths) > dt.timedelta(0)
        assert max(lengths) - min(lengths) <= TICK

    @pytest.mark.parametrize("make", [Window, Window.parse], ids=["made", "parsed"])
    def test_repeated_hour(self, make):
        first = dt.datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN)
        second = first.replace(fold=1)
        window = make(first, second)
        assert first in window
        assert second not in window
        assert dt.datetime(2024, 10, 27, 1, 0, tzinfo=UTC) in window
        assert dt.datetime(2024, 10, 27, 1, 30, tzinfo=UTC) not in window

    def test_window_reversed_by_the_wall_clock_is_accepted(self):
        window = Window(
            dt.datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN),
            dt.datetime(2024, 10, 27, 2, 10, tzinfo=BERLIN, fold=1),
        )
        assert dt.datetime(2024, 10, 27, 1, 0, tzinfo=UTC) in window


class TestParse:
    @pytest.mark.parametrize(
        "start",
        [
            "2024-01-01",
            "2024-01-01T00:00:00",
            "2024-01-01 00:00:00",
            "2024-01-01T00:00:00Z",
            "2024-01-01T00:00:00+00:00",
            "2024-01-01T02:00:00+02:00",
            "2023-12-31 19:00:00.000000-05:00",
            " 2024-01-01T00:00:00+00:00 ",
            dt.date(2024, 1, 1),
            dt.datetime(2024, 1, 1),
            dt.datetime(2024, 1, 1, tzinfo=UTC),
            dt.datetime(2024, 1, 1, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")),
            pendulum.datetime(2024, 1, 1),
            pendulum.datetime(2024, 1, 1, 1, tz="Europe/Berlin"),
        ],
        ids=repr,
    )
    def test_bound_of_any_type_or_form(self, start):
        window = Window.parse(start, "2024-01-02T00:00:00Z")
        assert window == DAY
        assert window.start.utcoffset() is not None

    @few_examples
    @given(WINDOWS)
    def test_isoformat_is_parsed_back(self, window):
        assert Window.parse(window.start.isoformat(), str(window.end)) == window

    @pytest.mark.parametrize("missing", [None, "", "None", "  "])
    def test_missing_bound_is_refused(self, missing):
        for start, end, name in [
            (missing, "2024-01-02", "window_start"),
            ("2024-01-02", missing, "window_end"),
        ]:
            with pytest.raises(SequenceConfigurationError, match=name) as caught:
                Window.parse(start, end)
            assert "window_start" in str(caught.value)
            assert "window_end" in str(caught.value)
            assert "Set " in str(caught.value)

    @pytest.mark.parametrize(
        "wrong",
        [
            "yesterday",
            5,
            1.5,
            True,
            [],
            "2024-02-30",
            "01/02/2024",
            "{{ data_interval_start }}",
            dt.time(1),
            b"2024-01-01",
        ],
    )
    def test_invalid_bound_is_refused(self, wrong):
        with pytest.raises(SequenceConfigurationError, match="window_start"):
            Window.parse(wrong, "2024-01-02")
        with pytest.raises(SequenceConfigurationError, match="window_end"):
            Window.parse("2024-01-01", wrong)

    @pytest.mark.parametrize(("end", "word"), [("2024-01-01", "empty"), ("2023-12-31", "backwards")])
    def test_empty_or_reversed_bounds_name_the_parameter(self, end, word):
        with pytest.raises(SequenceConfigurationError, match=word) as caught:
            Window.parse("2024-01-01", end)
        assert "window_start" in str(caught.value)

    def test_whole_calendar(self):
        window = Window.parse("0001-01-01", "9999-12-31")
        assert window.start in window
        assert len(window.split(3)) == 3
        assert window.widened()[0].year == 1


class TestCut:
    LENGTHS = st.timedeltas(TICK, dt.timedelta(days=400))

    @few_examples
    @given(WINDOWS, LENGTHS)
    def test_parts_are_adjacent_and_cover_the_window(self, window, length):
        assume((window.end - window.start) // length < 2000)
        parts = window.cut(length)
        assert (parts[0].start, parts[-1].end) == (window.start, window.end)
        assert all(one.end == other.start for one, other in itertools.pairwise(parts))

    @few_examples
    @given(WINDOWS, LENGTHS)
    def test_all_parts_but_the_last_have_the_length(self, window, length):
        assume((window.end - window.start) // length < 2000)
        *full, last = (part.end - part.start for part in window.cut(length))
        assert set(full) <= {length}
        assert dt.timedelta(0) < last <= length

    @pytest.mark.parametrize(
        ("hours", "parts"), [(1, 24), (5, 5), (12, 2), (13, 2), (24, 1), (25, 1), (10_000_000, 1)]
    )
    def test_number_of_parts(self, hours, parts):
        assert len(DAY.cut(dt.timedelta(hours=hours))) == parts

    def test_window_of_one_microsecond(self):
        window = Window(DAY.start, DAY.start + TICK)
        assert window.cut(TICK) == window.cut(dt.timedelta(days=1)) == [window]

    @pytest.mark.parametrize("length", [dt.timedelta(0), -TICK, dt.timedelta(days=-1)])
    def test_length_that_is_not_positive_is_refused(self, length):
        with pytest.raises(SequenceConfigurationError):
            DAY.cut(length)

    def test_cut_at_the_end_of_the_calendar(self):
        window = Window.parse("9999-12-30", "9999-12-31T23:59:59.999999Z")
        assert [part.end for part in window.cut(dt.timedelta(days=1))][-1] == window.end

    @pytest.mark.parametrize(
        "day", [dt.datetime(2024, 3, 31), dt.datetime(2024, 10, 27)], ids=["spring", "autumn"]
    )
    def test_days_with_a_change_of_the_clock(self, day):
        """Parts have the length in elapsed time, not by the wall clock."""
        window = Window(day.replace(tzinfo=BERLIN), (day + dt.timedelta(days=1)).replace(tzinfo=BERLIN))
        hours = 23 if day.month == 3 else 25
        assert len(window.cut(dt.timedelta(hours=1))) == hours
