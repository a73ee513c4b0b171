"""Windows of business time: half-open, so that neighbours share nothing and miss nothing."""

# ruff: noqa: DTZ001 - times without a zone are test data here

from __future__ import annotations

import datetime as dt
import itertools
import zoneinfo
from typing import ClassVar

import pendulum
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from airflow_provider_sequence.api.windows import Window
from airflow_provider_sequence.exceptions import SequenceConfigurationError

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


FEW = settings(max_examples=50, deadline=None)


def window_between(one: dt.datetime, other: dt.datetime) -> Window:
    assume(one != other)
    return Window(min(one, other), max(one, other))


WINDOWS = st.builds(window_between, CLOSE | TIMES, CLOSE | TIMES)


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


DAY = Window(at("2024-01-01T00:00:00+00:00"), at("2024-01-02T00:00:00+00:00"))


class TestHalfOpen:
    def test_the_start_belongs_and_the_end_does_not(self):
        assert DAY.start in DAY
        assert DAY.start - TICK not in DAY
        assert DAY.end - TICK in DAY
        assert DAY.end not in DAY

    def test_other_zones_are_compared_by_instant(self):
        assert at("2024-01-01T01:00:00+01:00") in DAY
        assert at("2024-01-01T00:59:59.999999+01:00") not in DAY
        assert at("2024-01-01T23:00:00-01:00") not in DAY

    @given(st.lists(CLOSE, min_size=3, max_size=6, unique=True), CLOSE)
    def test_neighbours_share_nothing_and_miss_nothing(self, bounds, time):
        bounds.sort()
        neighbours = [Window(start, end) for start, end in itertools.pairwise(bounds)]
        holding = sum(time in window for window in neighbours)
        assert holding == (bounds[0] <= time < bounds[-1])

    @pytest.mark.parametrize("day", ["2024-03-31", "2024-10-27"])
    def test_days_in_which_the_clocks_change(self, day):
        """23 and 25 hours; in between, a wall clock shows some times never and others twice."""
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
    def test_empty_and_backwards(self, start, end, word):
        base = DAY.start
        with pytest.raises(SequenceConfigurationError, match=word):
            Window(base + start * TICK, base + end * TICK)

    def test_empty_in_two_zones(self):
        with pytest.raises(SequenceConfigurationError, match="empty"):
            Window(at("2024-01-01T00:00:00+00:00"), at("2024-01-01T01:00:00+01:00"))


class TestWidened:
    """What is asked of Sequence, of which nobody knows whether it includes its bounds or reads their fractions."""

    READINGS: ClassVar = [
        (truncate, after, before)
        for truncate in (False, True)
        for after in ("inclusive", "exclusive")
        for before in ("inclusive", "exclusive")
    ]

    @staticmethod
    def served(time, bounds, reading):
        """Whether Sequence would give an event of this time, by one reading of its parameters."""
        truncate, after, before = reading
        low, high = (bound.replace(microsecond=0) if truncate else bound for bound in bounds)
        return (low < time or (after == "inclusive" and low == time)) and (
            time < high or (before == "inclusive" and time == high)
        )

    @pytest.mark.parametrize("reading", READINGS, ids=str)
    @FEW
    @given(window=WINDOWS, time=CLOSE | TIMES)
    def test_no_time_of_the_window_is_left_out(self, reading, window, time):
        for inside in [window.start, window.end - TICK, time]:
            if inside in window:
                assert self.served(inside, window.widened(), reading)

    @pytest.mark.parametrize("reading", READINGS, ids=str)
    @FEW
    @given(window=WINDOWS, time=CLOSE)
    def test_an_event_whose_fraction_sequence_drops_is_found_too(self, reading, window, time):
        if time in window:
            assert self.served(time.replace(microsecond=0), window.widened(), reading)

    @given(WINDOWS)
    def test_whole_seconds_and_little_more_than_the_window(self, window):
        low, high = window.widened()
        assert low.microsecond == high.microsecond == 0
        assert window.start - dt.timedelta(seconds=3) <= low < window.start
        assert window.end < high <= window.end + dt.timedelta(seconds=3)

    @pytest.mark.parametrize("reading", READINGS, ids=str)
    @FEW
    @given(window=WINDOWS, times=st.lists(CLOSE, max_size=20))
    def test_what_is_too_much_lies_in_the_margins(self, reading, window, times):
        """Counting: what the wide question gives, without what the margins give outside the window."""
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

    @pytest.mark.parametrize("reading", READINGS, ids=str)
    @FEW
    @given(window=WINDOWS)
    def test_margins_are_small(self, reading, window):
        for low, high in window.margins():
            assert low < high
            assert high - low <= dt.timedelta(seconds=5)

    def test_at_the_edges_of_time(self):
        window = Window(dt.datetime.min.replace(tzinfo=UTC), dt.datetime.max.replace(tzinfo=UTC))
        low, high = window.widened()
        assert low <= window.start + dt.timedelta(seconds=1)
        assert high >= window.end - dt.timedelta(seconds=1)


class TestSplit:
    @given(WINDOWS, st.integers(1, 50))
    def test_parts_are_neighbours_and_cover_the_window(self, window, parts):
        split = window.split(parts)
        assert split[0].start == window.start
        assert split[-1].end == window.end
        assert all(one.end == other.start for one, other in itertools.pairwise(split))
        assert all(part.start < part.end for part in split)

    @given(WINDOWS, st.integers(1, 50))
    def test_as_many_parts_as_asked_where_there_is_room(self, window, parts):
        ticks = (window.end - window.start) // TICK
        split = window.split(parts)
        assert len(split) == min(parts, ticks)
        lengths = [part.end - part.start for part in split]
        assert max(lengths) - min(lengths) <= TICK

    def test_a_window_of_one_tick(self):
        window = Window(DAY.start, DAY.start + TICK)
        assert window.split(8) == [window]

    def test_one_part_is_the_window(self):
        assert DAY.split(1) == [DAY]


BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")


class TestZonesWhoseClocksChange:
    """Python compares and adds times of one zone by their wall clocks; a window is about instants."""

    @pytest.mark.parametrize("make", [Window, Window.parse], ids=["made", "parsed"])
    @pytest.mark.parametrize(
        "day", [dt.datetime(2024, 3, 31), dt.datetime(2024, 10, 27)], ids=["spring", "autumn"]
    )
    def test_parts_are_neighbours_in_time(self, make, day):
        start, end = day.replace(tzinfo=BERLIN), (day + dt.timedelta(days=1)).replace(tzinfo=BERLIN)
        bounds = [(p.start.astimezone(UTC), p.end.astimezone(UTC)) for p in make(start, end).split(96)]
        assert bounds[0][0] == start.astimezone(UTC)
        assert bounds[-1][1] == end.astimezone(UTC)
        assert all(one[1] == other[0] for one, other in itertools.pairwise(bounds))
        lengths = [high - low for low, high in bounds]
        assert min(lengths) > dt.timedelta(0)
        assert max(lengths) - min(lengths) <= TICK

    @pytest.mark.parametrize("make", [Window, Window.parse], ids=["made", "parsed"])
    def test_the_hour_that_comes_twice(self, make):
        first = dt.datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN)
        second = first.replace(fold=1)
        window = make(first, second)
        assert first in window
        assert second not in window
        assert dt.datetime(2024, 10, 27, 1, 0, tzinfo=UTC) in window
        assert dt.datetime(2024, 10, 27, 1, 30, tzinfo=UTC) not in window

    @pytest.mark.parametrize("make", [Window, Window.parse], ids=["made", "parsed"])
    def test_backwards_by_the_wall_and_forwards_in_time(self, make):
        window = make(
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
    def test_all_that_a_template_may_give(self, start):
        window = Window.parse(start, "2024-01-02T00:00:00Z")
        assert window == DAY
        assert window.start.utcoffset() is not None

    @given(WINDOWS)
    def test_text_of_times_is_read_back(self, window):
        assert Window.parse(window.start.isoformat(), str(window.end)) == window

    @pytest.mark.parametrize("missing", [None, "", "None", "  "])
    def test_a_bound_that_is_missing(self, missing):
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
    def test_a_bound_that_is_no_time(self, wrong):
        with pytest.raises(SequenceConfigurationError, match="window_start"):
            Window.parse(wrong, "2024-01-02")
        with pytest.raises(SequenceConfigurationError, match="window_end"):
            Window.parse("2024-01-01", wrong)

    @pytest.mark.parametrize(("end", "word"), [("2024-01-01", "empty"), ("2023-12-31", "backwards")])
    def test_empty_or_backwards_says_what_to_set(self, end, word):
        with pytest.raises(SequenceConfigurationError, match=word) as caught:
            Window.parse("2024-01-01", end)
        assert "window_start" in str(caught.value)

    def test_all_of_time(self):
        window = Window.parse("0001-01-01", "9999-12-31")
        assert window.start in window
        assert len(window.split(3)) == 3
        assert window.widened()[0].year == 1


class TestCut:
    LENGTHS = st.timedeltas(TICK, dt.timedelta(days=400))

    @given(WINDOWS, LENGTHS)
    def test_parts_are_neighbours_and_cover_the_window(self, window, length):
        assume((window.end - window.start) // length < 2000)
        parts = window.cut(length)
        assert (parts[0].start, parts[-1].end) == (window.start, window.end)
        assert all(one.end == other.start for one, other in itertools.pairwise(parts))

    @given(WINDOWS, LENGTHS)
    def test_all_but_the_last_are_of_the_length(self, window, length):
        assume((window.end - window.start) // length < 2000)
        *full, last = (part.end - part.start for part in window.cut(length))
        assert set(full) <= {length}
        assert dt.timedelta(0) < last <= length

    @pytest.mark.parametrize(
        ("hours", "parts"), [(1, 24), (5, 5), (12, 2), (13, 2), (24, 1), (25, 1), (10_000_000, 1)]
    )
    def test_as_many_as_there_have_to_be(self, hours, parts):
        assert len(DAY.cut(dt.timedelta(hours=hours))) == parts

    def test_a_window_of_one_tick(self):
        window = Window(DAY.start, DAY.start + TICK)
        assert window.cut(TICK) == window.cut(dt.timedelta(days=1)) == [window]

    @pytest.mark.parametrize("length", [dt.timedelta(0), -TICK, dt.timedelta(days=-1)])
    def test_a_length_that_is_none_is_refused(self, length):
        with pytest.raises(SequenceConfigurationError):
            DAY.cut(length)

    def test_at_the_end_of_time(self):
        window = Window.parse("9999-12-30", "9999-12-31T23:59:59.999999Z")
        assert [part.end for part in window.cut(dt.timedelta(days=1))][-1] == window.end

    @pytest.mark.parametrize(
        "day", [dt.datetime(2024, 3, 31), dt.datetime(2024, 10, 27)], ids=["spring", "autumn"]
    )
    def test_days_in_which_the_clocks_change(self, day):
        """Parts are of the length in time, not by the clock on the wall."""
        window = Window(day.replace(tzinfo=BERLIN), (day + dt.timedelta(days=1)).replace(tzinfo=BERLIN))
        hours = 23 if day.month == 3 else 25
        assert len(window.cut(dt.timedelta(hours=1))) == hours
