"""Lists on their way into a load: each is walked page by page, a long one in slices of its window."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from airflow_provider_sequence.api.client import SequenceClient
from airflow_provider_sequence.api.lists import Resource, Selection
from airflow_provider_sequence.api.pagination import Item, Page

#: Slices for each thread, so that none waits long for the last one.
_SLICES_A_THREAD = 4
#: Items that a slice has at least: its last page is half empty, which costs half a request a slice.
_LEAST_ITEMS = 3000
#: Parts into which a window is cut at a time. Where its events are is known afterwards; then those parts that have too
#: many are cut again. A part that has none costs a request all the same.
_MOST_PARTS = 8
#: The shortest slice. What is asked for is some seconds wider.
_SHORTEST = dt.timedelta(minutes=2)


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

    def pages(self) -> Iterator[Page]:
        """Read it from the start."""

    def cut(self, first: Page, threads: int) -> list[Walk]:
        """
        Make walks of slices that take its place, where it is long.

        :param first: its first page.
        :param threads: how many can be walked side by side.
        """

    def items(self, page: Page) -> list[Item]:
        """Return a page's items."""

    def wants(self, item: Item) -> bool:
        """Tell whether an item goes into the table. What is asked for is a little more than what is wanted."""


@dataclass
class OwnWalk:
    """
    The way through a list of its own.

    :param selection: what is wanted, in one query.
    :param numbers: where numbers come from.
    :param slice_items: how many items a slice is to have, where this is one.
    """

    client: SequenceClient
    selection: Selection
    numbers: Iterator[int]
    slice_items: int = 0
    number: int = field(init=False)
    announced: int | None = None
    began_at: int | None = None

    def __post_init__(self) -> None:
        self.number = next(self.numbers)

    def pages(self) -> Iterator[Page]:
        (query,) = self.selection.queries()
        return self.client.pages(self.selection.resource, query)

    def cut(self, first: Page, threads: int) -> list[Walk]:
        window, times = self.selection.window, self.selection.resource.times
        if threads == 1 or first.after is None or first.total is None or window is None:
            return []
        if times is None or times.days:
            return []
        items = self.slice_items or max(first.total // (_SLICES_A_THREAD * threads), _LEAST_ITEMS)
        parts = min(_MOST_PARTS, round(first.total / items), (window.end - window.start) // _SHORTEST)
        if parts < 2:
            return []
        return [
            OwnWalk(self.client, self.selection.within(part), self.numbers, items)
            for part in window.split(parts)
        ]

    def items(self, page: Page) -> list[Item]:
        return page.items

    def wants(self, item: Item) -> bool:
        return item in self.selection


@dataclass
class WalkBelow:
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

    def pages(self) -> Iterator[Page]:
        return self.client.pages(self.resource, parent_id=self.parent_id)

    def cut(self, first: Page, threads: int) -> list[Walk]:
        return []

    def items(self, page: Page) -> list[Item]:
        return [self.resource.below(self.parent_id, item) for item in page.items]

    def wants(self, item: Item) -> bool:
        return True
