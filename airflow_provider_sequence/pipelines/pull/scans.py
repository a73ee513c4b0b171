"""Lists on their way into a load: each is walked page by page, a long one in slices of its window."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from airflow_provider_sequence.api.client import SequenceClient
from airflow_provider_sequence.api.pagination import Item, Page
from airflow_provider_sequence.api.resource import PAGE_LIMIT, Resource, Selection
from airflow_provider_sequence.api.windows import Window

#: Slices for each thread, so that none waits long for the last one.
_SLICES_A_THREAD = 4
#: Slices for each thread that the account's limit keeps busy, where it leaves others idle.
_SLICES_A_BUSY_THREAD = 1.5
#: Items that a slice has at least.
_LEAST_ITEMS = 3000
#: Parts into which a window is cut at a time. Where its events are is known afterwards; parts that have too many are
#: cut again. Fewer parts at a time waste first pages, and more of them find nothing where most events are in one.
_MOST_PARTS = 8
#: The shortest slice. What is asked for is some seconds wider.
_SHORTEST = dt.timedelta(minutes=2)
#: Requests that slices may cost more, as a part of those that the list takes in one go. A cut costs the page that was
#: read before it, and for each part a last page that is half empty, or all of a page that is empty: so it is charged.
_SPARE, _PER_CUT, _PER_PART = 0.04, 1.0, 0.75


@dataclass
class SplitPlan:
    """
    How a list is cut.

    :param items: how many items a slice is to have.
    :param spare: how many more requests it may cost.
    """

    items: int
    spare: float

    @classmethod
    def of(cls, total: int, threads: int, busy: float) -> SplitPlan:
        """
        Decide for a list of so many items.

        :param busy: how many threads it takes to use all requests that the account allows.
        """
        enough = min(math.ceil(_SLICES_A_BUSY_THREAD * busy), threads)
        slices = enough if busy < threads else _SLICES_A_THREAD * threads
        return cls(max(total // slices, _LEAST_ITEMS), total / PAGE_LIMIT * _SPARE)

    def parts(self, total: int, window: Window) -> int:
        """Tell into how many parts a window with so many items is cut now; 1 if it is not."""
        parts = min(_MOST_PARTS, round(total / self.items), (window.end - window.start) // _SHORTEST)
        cost = _PER_CUT + _PER_PART * parts
        if parts < 2 or cost > self.spare:
            return 1
        self.spare -= cost
        return parts


class Walk(Protocol):
    """
    The way through one list.

    :param number: names it.
    :param announced: how many items Sequence says the list has, by the page that was read last, if it says.
    :param began_at: how many rows had been gathered when the first page was taken.
    """

    number: int
    announced: int | None
    began_at: int | None

    @property
    def whole(self) -> Walk:
        """The walk of the whole list."""

    def pages(self) -> Iterator[Page]:
        """Read it from the start."""

    def cut(self, first: Page, threads: int, seconds: float) -> list[Walk]:
        """
        Make walks of slices that take its place, where it is long; called by one thread at a time.

        :param first: its first page.
        :param threads: how many can be walked side by side.
        :param seconds: how long the first page took.
        """

    def items(self, page: Page) -> list[Item]:
        """Return a page's items."""

    def wants(self, item: Item) -> bool:
        """Tell whether an item goes into the table. What is asked for is a little more than what is wanted."""


@dataclass
class ListScan:
    """
    The way through a list of its own.

    :param selection: what is wanted, in one query.
    :param numbers: where numbers come from.
    :param cuts: how the list is cut, where this is a slice of it.
    :param slice_of: the walk of the whole list then.
    """

    client: SequenceClient
    selection: Selection
    numbers: Iterator[int]
    cuts: SplitPlan | None = None
    slice_of: ListScan | None = None
    number: int = field(init=False)
    announced: int | None = None
    began_at: int | None = None

    def __post_init__(self) -> None:
        self.number = next(self.numbers)

    @property
    def whole(self) -> ListScan:
        return self.slice_of or self

    def pages(self) -> Iterator[Page]:
        (query,) = self.selection.queries()
        return self.client.pages(self.selection.resource, query)

    def cut(self, first: Page, threads: int, seconds: float) -> list[Walk]:
        window, times = self.selection.window, self.selection.resource.times
        if threads == 1 or first.after is None or first.total is None or window is None:
            return []
        if times is None or times.days:
            return []
        busy = self.client.limits["requests"] / 60 * seconds
        cuts = self.cuts or SplitPlan.of(first.total, threads, busy)
        parts = cuts.parts(first.total, window)
        if parts == 1:
            return []
        return [
            ListScan(self.client, self.selection.within(part), self.numbers, cuts, self.whole)
            for part in window.split(parts)
        ]

    def items(self, page: Page) -> list[Item]:
        return page.items

    def wants(self, item: Item) -> bool:
        return item in self.selection


@dataclass
class ChildListScan:
    """
    The way through the list below one id.

    :param parent_id: the id.
    """

    client: SequenceClient
    resource: Resource
    parent_id: str
    number: int
    announced: int | None = None
    began_at: int | None = None

    @property
    def whole(self) -> ChildListScan:
        return self

    def pages(self) -> Iterator[Page]:
        return self.client.pages(self.resource, parent_id=self.parent_id)

    def cut(self, first: Page, threads: int, seconds: float) -> list[Walk]:
        return []

    def items(self, page: Page) -> list[Item]:
        return [self.resource.below(self.parent_id, item) for item in page.items]

    def wants(self, item: Item) -> bool:
        return True
