"""Scans of long lists: the split into slices, its cost in requests, and the threads that read."""

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
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sequence.api.pagination import Page
from airflow_provider_sequence.api.resources import USAGE_EVENTS, get_resource
from airflow_provider_sequence.api.windows import Window
from airflow_provider_sequence.exceptions import SequenceAuthenticationError
from airflow_provider_sequence.pipelines.pull import scans
from airflow_provider_sequence.pipelines.pull.pipeline import cost_of_children
from airflow_provider_sequence.pipelines.pull.readers import ReaderPool
from airflow_provider_sequence.pipelines.pull.scans import ListScan
from tests.support.account import Account
from tests.unit.strategies import few_examples

START = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
END = START + dt.timedelta(days=30)
MONTH = Window(START, END)


def read(account: Any, threads: int, window: Window = MONTH) -> Counter[str]:
    """Read a window, and count how often each event came."""
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
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices may be short and hold few events."""
    monkeypatch.setattr(scans, "_MIN_SLICE_ITEMS", 20)
    monkeypatch.setattr(scans, "_EXTRA_REQUESTS", 100)
    monkeypatch.setattr(scans, "_MIN_SLICE", dt.timedelta(seconds=1))


class TestRequestCost:
    @pytest.mark.parametrize("number", [0, 1, 100, 101, 2500])
    def test_single_thread_makes_one_request_for_each_page(self, number):
        account = Account(evenly(number))
        assert read(account, 1).total() == number
        assert account.requests_sent == max(1, math.ceil(number / 100))

    @pytest.mark.parametrize(
        ("shape", "threads"),
        [
            ("even", 16),
            ("most in three days", 2),
            ("most in an hour", 8),
            ("all in a second", 16),
            ("by day, quiet at night", 8),
        ],
    )
    def test_slices_add_at_most_five_percent_of_requests(self, shape, threads):
        account = Account(SHAPES[shape](30_000))
        came = read(account, threads)
        assert len(came) == 30_000
        assert account.requests_sent <= 300 * 1.05

    @pytest.mark.parametrize(
        ("seconds", "items"),
        [(0.02, None), (0.05, 50_000), (0.1, 25_000), (0.2, 12_500), (0.3, 12_500), (0.4, 3125)],
    )
    def test_number_of_slices_depends_on_the_limit(self, seconds, items):
        """1,500 requests a minute keep two threads busy that wait 0.08 seconds for each response."""
        account: Any = Account([], per_minute=1500)
        scan = ListScan(account, USAGE_EVENTS, itertools.count(), USAGE_EVENTS.select({}, MONTH))
        slices: list[Any] = scan.split(Page([], "next", 100_000), 8, seconds)
        assert {each.plan.slice_items for each in slices} == ({items} if items else set())

    def test_short_list_is_not_split(self):
        account = Account(evenly(4000))
        read(account, 8)
        assert account.requests_sent == 40


class TestCompleteness:
    @pytest.mark.parametrize("shape", SHAPES)
    def test_each_event_is_read_once(self, small_slices, shape):
        account = Account(SHAPES[shape](3000), inclusive=shape in {"even", "all in a second"})
        came = read(account, 5)
        assert came == dict.fromkeys((f"{n:012}" for n in range(3000)), 1)
        assert account.requests_sent > 33  # else it was not split

    @few_examples
    @given(
        seconds=st.lists(st.integers(0, 7200).map(lambda s: s / 2), min_size=30, max_size=200),
        threads=st.integers(2, 6),
        inclusive=st.booleans(),
    )
    def test_events_at_the_bounds_of_slices_are_read_once(self, seconds, threads, inclusive):
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


class SlowAccount(Account):
    """Account with slow responses that counts the concurrent ones."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.now = self.most = 0

    def pages(self, *args: Any, **kwargs: Any) -> Any:
        pages = super().pages(*args, **kwargs)
        while True:
            with self.lock:
                self.now += 1
                self.most = max(self.most, self.now)
            time.sleep(0.005)
            with self.lock:
                self.now -= 1
            try:
                page = next(pages)
            except StopIteration:
                return
            yield page


def test_all_threads_read_concurrently(small_slices):
    threads = 6
    account = SlowAccount(evenly(5000))
    assert len(read(account, threads)) == 5000
    assert account.most == threads


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "sequence-reader"]


class TestReaderThreads:
    def test_no_thread_is_left_running(self, small_slices):
        read(Account(evenly(3000)), 4)
        assert not readers()

    def test_error_stops_all_threads(self, small_slices):
        class Broken(SlowAccount):
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

    def test_early_exit_stops_all_threads(self, small_slices):
        account = SlowAccount(evenly(50_000))
        scan = ListScan(account, USAGE_EVENTS, itertools.count(), USAGE_EVENTS.select({}, MONTH))
        pool = ReaderPool([scan], 4, account.close)
        assert isinstance(next(pool.__enter__())[1], Page)
        pool.__exit__(KeyboardInterrupt, None, None)
        assert account.closed
        assert not readers()
        assert account.requests_sent < 200

    def test_buffer_of_pages_is_bounded(self, small_slices):
        account = Account(evenly(50_000))
        scan = ListScan(account, USAGE_EVENTS, itertools.count(), USAGE_EVENTS.select({}, MONTH))
        with ReaderPool([scan], 4, account.close) as pages:
            next(pages)
            before = -1
            while before < (before := account.requests_sent):
                time.sleep(0.3)
            assert account.requests_sent < 100
        assert not readers()


@pytest.mark.parametrize(
    ("parents", "per_minute", "says"),
    [
        (12_400, 1_500, "12,400 invoices: 12,400 requests, about 8 minutes at the account's limit"),
        (25, 1_500, "25 invoices: 25 requests, about 1 seconds at the account's limit"),
    ],
)
def test_cost_of_a_list_below_an_id_is_said(parents, per_minute, says):
    assert cost_of_children(get_resource("invoice_line_items"), parents, per_minute).startswith(says)
