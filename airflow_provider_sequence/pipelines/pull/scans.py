"""Scan of a list: its pages, one after another; a long list is split into slices of its window."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from airflow_provider_sequence.api.answer_size import PAGE_LIMIT
from airflow_provider_sequence.api.client import SequenceClient
from airflow_provider_sequence.api.pagination import MAX_READS, Item, Page
from airflow_provider_sequence.api.resource import Resource, Selection
from airflow_provider_sequence.api.windows import Window
from airflow_provider_sequence.exceptions import SequenceGoneError

#: Slices for each thread, so that none waits long for the last one.
_SLICES_PER_THREAD = 4
#: The same for threads that the account's limit keeps busy, where it leaves others idle.
_SLICES_PER_BUSY_THREAD = 1.5
#: Items that a slice has at least.
_MIN_SLICE_ITEMS = 3000
#: Parts into which a window is split at a time. Where its events are is known afterwards; parts that have too many are
#: split again. Fewer parts at a time waste first pages, and more of them find nothing where most events are in one.
_MAX_PARTS = 8
#: The shortest slice. What is asked for is some seconds wider.
_MIN_SLICE = dt.timedelta(minutes=2)
#: Requests that splitting may add, as a share of those that the list takes unsplit. A split costs the page that was
#: read before it, and for each part a last page that is half empty, or all of a page that is empty: so it is charged.
_EXTRA_REQUESTS, _COST_OF_SPLIT, _COST_OF_PART = 0.04, 1.0, 0.75


@dataclass
class SplitPlan:
    """
    Plan by which a list is split.

    :param slice_items: how many items a slice is to have.
    :param extra_requests: how many more requests splitting may still add.
    """

    slice_items: int
    extra_requests: float

    @classmethod
    def for_list(cls, total: int, threads: int, busy_threads: float) -> SplitPlan:
        """
        Make the plan for a list of so many items.

        :param busy_threads: how many threads it takes to use all requests that the account allows.
        """
        enough = min(math.ceil(_SLICES_PER_BUSY_THREAD * busy_threads), threads)
        slices = enough if busy_threads < threads else _SLICES_PER_THREAD * threads
        return cls(max(total // slices, _MIN_SLICE_ITEMS), total / PAGE_LIMIT * _EXTRA_REQUESTS)

    def take_parts(self, total: int, window: Window) -> int:
        """Number of parts into which a window with so many items is split now, 1 if it is not; charges their cost."""
        parts = min(_MAX_PARTS, round(total / self.slice_items), (window.end - window.start) // _MIN_SLICE)
        cost = _COST_OF_SPLIT + _COST_OF_PART * parts
        if parts < 2 or cost > self.extra_requests:
            return 1
        self.extra_requests -= cost
        return parts


@dataclass
class ListScan:
    """
    Scan of one list, or of a slice of its window.

    :param numbers: where scans get their numbers from.
    :param selection: what is wanted of the list, in one query.
    :param parent_id: whose list it is, for a list below an id.
    :param plan: how the list is split, where this is a slice of it.
    :param slice_of: the scan of the whole list then.
    """

    client: SequenceClient
    resource: Resource
    numbers: Iterator[int]
    selection: Selection
    parent_id: str | None = None
    plan: SplitPlan | None = None
    slice_of: ListScan | None = None
    #: Identifies the scan.
    number: int = field(init=False)
    #: ``totalResultSize`` of the page that was read last, where the API gave it.
    reported_total: int | None = None

    def __post_init__(self) -> None:
        self.number = next(self.numbers)

    @property
    def whole(self) -> ListScan:
        """The scan of the whole list."""
        return self.slice_of or self

    def pages(self) -> Iterator[Page]:
        """
        Read the list from the start; anew from there where its cursor expired, so that pages may come twice.

        :raises SequenceGoneError: if it happens each time, or what the list is below is gone.
        """
        for number in count(1):
            try:
                yield from self._read()
                return
            except SequenceGoneError:
                if number == MAX_READS:
                    raise

    def _read(self) -> Iterator[Page]:
        (query,) = self.selection.queries()
        return self.client.pages(self.resource, query, parent_id=self.parent_id)

    def items(self, page: Page) -> list[Item]:
        """Items of a page, with the parent's id in each."""
        return [self.resource.with_parent(self.parent_id, item) for item in page.items]

    def wants(self, item: Item) -> bool:
        """Whether an item goes into the table: a little more is asked for than is wanted."""
        return item in self.selection

    def split(self, first: Page, threads: int, seconds: float) -> list[ListScan]:
        """
        Make scans of slices that replace this one, where it is long. One thread at a time may call it.

        :param first: its first page.
        :param threads: how many scans can run concurrently.
        :param seconds: how long the first page took.
        """
        window = self.selection.window
        if window is None or threads == 1:
            return []
        times = self.resource.times
        if first.after is None or first.total is None or times is None or times.days:
            return []
        busy_threads = self.client.limits["requests"] / 60 * seconds
        plan = self.plan or SplitPlan.for_list(first.total, threads, busy_threads)
        parts = plan.take_parts(first.total, window)
        if parts == 1:
            return []
        self.reported_total = first.total
        return [
            ListScan(
                self.client,
                self.resource,
                self.numbers,
                self.selection.within(part),
                plan=plan,
                slice_of=self.whole,
            )
            for part in window.split(parts)
        ]
