"""A long window is read in slices: by many threads, with hardly more requests, and nothing lost at the cuts."""

from __future__ import annotations

import datetime as dt
import itertools
import math
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_sequence.api.pagination import Page
from airflow_provider_sequence.api.resources import USAGE_EVENTS
from airflow_provider_sequence.api.windows import Window
from airflow_provider_sequence.exceptions import SequenceAuthenticationError
from airflow_provider_sequence.pipelines.pull import scans
from airflow_provider_sequence.pipelines.pull.readers import ReaderPool
from airflow_provider_sequence.pipelines.pull.scans import ListScan
from tests.support.account import Account

START = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
END = START + dt.timedelta(days=30)
MONTH = Window(START, END)


def read(account: Any, threads: int, window: Window = MONTH) -> Counter[str]:
    """Read a window; how often each event that is wanted came."""
    scan = ListScan(account, USAGE_EVENTS, itertools.count(), USAGE_EVENTS.select({}, window))
    came: Counter[str] = Counter()
    with ReaderPool([scan], threads, account.close) as pages:
        for each, page in pages:
            came.update(USAGE_EVENTS.id_of(item) for item in page.items if each.wants(item))
    return came


def evenly(number: int, start: dt.datetime = START, end: dt.datetime = END) -> list[dt.datetime]:
    return [start + (end - start) * i / number for i in range(number)]


BUSY = START + dt.timedelta(days=11)
SHAPES: dict[str, Callable[[int], list[dt.datetime]]] = {
    "even": evenly,
    "most in three days": lambda n: evenly(n // 5) + evenly(n - n // 5, BUSY, BUSY + dt.timedelta(days=3)),
    "most in an hour": lambda n: evenly(n // 100) + evenly(n - n // 100, BUSY, BUSY + dt.timedelta(hours=1)),
    "all in a second": lambda n: [BUSY] * n,
    "by day, quiet at night": lambda n: [
        START + dt.timedelta(days=i % 30, hours=8 + 10 * random.Random(i).random()) for i in range(n)
    ],
}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices of few events and any length."""
    monkeypatch.setattr(scans, "_MIN_SLICE_ITEMS", 20)
    monkeypatch.setattr(scans, "_EXTRA_REQUESTS", 100)
    monkeypatch.setattr(scans, "_MIN_SLICE", dt.timedelta(seconds=1))


class TestRequests:
    @pytest.mark.parametrize("number", [0, 1, 99, 100, 101, 2500, 10_001])
    def test_one_thread_makes_one_for_each_page(self, number):
        account = Account(evenly(number))
        assert read(account, 1).total() == number
        assert account.requests_sent == max(1, math.ceil(number / 100))

    @pytest.mark.parametrize("shape", SHAPES)
    @pytest.mark.parametrize("threads", [2, 8, 16])
    def test_slices_cost_five_in_a_hundred_at_most(self, shape, threads):
        account = Account(SHAPES[shape](60_000))
        came = read(account, threads)
        assert len(came) == 60_000
        assert account.requests_sent <= 600 * 1.05

    @pytest.mark.parametrize(
        ("seconds", "items"),
        [(0.02, None), (0.05, 50_000), (0.1, 25_000), (0.2, 12_500), (0.3, 12_500), (0.4, 3125)],
    )
    def test_no_more_slices_than_use_the_limit(self, seconds, items):
        """1,500 requests a minute keep two threads busy that wait 0.08 seconds for each answer."""
        account: Any = Account([], per_minute=1500)
        scan = ListScan(account, USAGE_EVENTS, itertools.count(), USAGE_EVENTS.select({}, MONTH))
        slices: list[Any] = scan.split(Page([], "next", 100_000), 8, seconds)
        assert {each.plan.slice_items for each in slices} == ({items} if items else set())

    def test_a_short_list_is_not_cut(self):
        account = Account(evenly(4000))
        read(account, 8)
        assert account.requests_sent == 40


class TestNothingIsLostOrDoubled:
    @pytest.mark.parametrize("inclusive", [True, False])
    @pytest.mark.parametrize("shape", SHAPES)
    def test_whatever_the_bounds(self, small, shape, inclusive):
        account = Account(SHAPES[shape](3000), inclusive=inclusive)
        came = read(account, 5)
        assert came == dict.fromkeys((f"{n:012}" for n in range(3000)), 1)
        assert account.requests_sent > 33  # else it was not cut

    @settings(max_examples=60, deadline=None)
    @given(
        seconds=st.lists(st.integers(0, 7200).map(lambda s: s / 2), min_size=30, max_size=400),
        threads=st.integers(2, 6),
        inclusive=st.booleans(),
    )
    def test_events_on_the_cuts(self, seconds, threads, inclusive):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(scans, "_MIN_SLICE_ITEMS", 5)
            patch.setattr(scans, "_EXTRA_REQUESTS", 100)
            patch.setattr(scans, "_MIN_SLICE", dt.timedelta(seconds=1))
            patch.setattr("tests.support.account.PAGE", 4)
            times = [START + dt.timedelta(seconds=second) for second in seconds]
            window = Window(START, START + dt.timedelta(hours=1))
            came = read(Account(times, inclusive=inclusive), threads, window)
        wanted = [f"{n:012}" for n, at in enumerate(times) if at in window]
        assert came == dict.fromkeys(wanted, 1)


class Slow(Account):
    """One that answers after a while, and remembers how many it answered at a time."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.now = self.most = 0

    def pages(self, *args: Any, **kwargs: Any) -> Any:
        pages = super().pages(*args, **kwargs)
        while True:
            with self.lock:
                self.now += 1
                self.most = max(self.most, self.now)
            time.sleep(0.01)
            with self.lock:
                self.now -= 1
            try:
                page = next(pages)
            except StopIteration:
                return
            yield page


@pytest.mark.parametrize("threads", [2, 6])
def test_as_many_at_a_time_as_asked(small, threads):
    account = Slow(evenly(5000))
    assert len(read(account, threads)) == 5000
    assert account.most == threads


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "sequence-reader"]


class TestTheEnd:
    def test_no_thread_is_left(self, small):
        read(Account(evenly(3000)), 4)
        assert not readers()

    def test_an_error_ends_all(self, small):
        class Broken(Slow):
            def pages(self, resource: Any, query: Any, **options: Any) -> Any:
                for number, page in enumerate(super().pages(resource, query, **options)):
                    if number == 2:
                        raise SequenceAuthenticationError("GET", "/usage-events", "revoked", status=401)
                    yield page

        account = Broken(evenly(5000))
        with pytest.raises(SequenceAuthenticationError):
            read(account, 4)
        assert account.closed
        assert not readers()

    def test_early_exit_leaves_no_thread_behind(self, small):
        account = Slow(evenly(50_000))
        scan = ListScan(account, USAGE_EVENTS, itertools.count(), USAGE_EVENTS.select({}, MONTH))
        pool = ReaderPool([scan], 4, account.close)
        assert isinstance(next(pool.__enter__())[1], Page)
        pool.__exit__(KeyboardInterrupt, None, None)
        assert account.closed
        assert not readers()
        assert account.requests_sent < 200

    def test_buffer_of_pages_is_bounded(self, small):
        account = Account(evenly(50_000))
        scan = ListScan(account, USAGE_EVENTS, itertools.count(), USAGE_EVENTS.select({}, MONTH))
        with ReaderPool([scan], 4, account.close) as pages:
            next(pages)
            before = -1
            while before < (before := account.requests_sent):
                time.sleep(0.3)
            assert account.requests_sent < 100
        assert not readers()
