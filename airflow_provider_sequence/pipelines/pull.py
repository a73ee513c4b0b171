"""Window -> walks -> pages -> staged rows."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol

from sqlalchemy.engine import Connection

from airflow_provider_sequence.api.client import SequenceClient
from airflow_provider_sequence.api.lists import Query, Resource, Selection
from airflow_provider_sequence.api.pagination import Page
from airflow_provider_sequence.api.windows import Window
from airflow_provider_sequence.exceptions import (
    IncompletePullError,
    SequenceConfigurationError,
    SequenceResponseError,
)
from airflow_provider_sequence.pipelines.items import ItemMapper, staging_columns
from airflow_provider_sequence.warehouse.staging import StagingLoad

#: How often a list is walked before its total and its items are taken to contradict each other. Items that arrive
#: while it is read raise the total; a further walk finds them on its first pages.
MOST_WALKS = 3

#: The column that copies of one event share.
_EVENT_ID = "customer_event_id"


@dataclass(frozen=True, slots=True)
class PullSummary:
    """
    What a pull did.

    :param announced: how many items Sequence said there are, in all that was asked for, or None where it did not
        say.
    :param read: different items that were read; what was asked for is a little wider than the window.
    :param loaded: items that belong to the window and are now in the table.
    :param held: rows that the table holds now of the window, or in all where there is none; other pulls' rows count
        too. None for a window of dates.
    :param requests: requests sent, each try counted.
    :param seconds: how long it took.
    """

    announced: int | None
    read: int
    loaded: int
    held: int | None
    requests: int
    seconds: float

    def as_table(self) -> str:
        """Return what goes into the task's log."""
        return "\n".join(
            f"  {name:<10} {value:>12,}" for name, value in self.as_dict().items() if value is not None
        )

    def as_dict(self) -> dict[str, Any]:
        """Return what goes into XCom."""
        return {**asdict(self), "seconds": round(self.seconds, 3)}


def pull(
    client: SequenceClient,
    resource: Resource,
    connection: Connection,
    table: str,
    *,
    window: Window | None = None,
    filters: Mapping[str, Any] | None = None,
    superseded: Literal["keep", "drop"] = "keep",
    on_progress: Callable[[int, int | None], None] = lambda *_: None,
) -> PullSummary:
    """
    Load what Sequence lists into a table: all of it, or nothing.

    :param connection: the warehouse.
    :param table: ``table`` or ``schema.table``; it is made when missing.
    :param window: the times to load, or None for the whole list.
    :param filters: filters of the resource. Filters and window of a list below an id are those of its parents.
    :param superseded: what becomes of copies of an event that a later one with the same ``customerEventId`` supersedes,
        where Sequence lists them: they are kept, or dropped, also from what is in the table already.
    :param on_progress: called after each page with the number of items read and announced so far.
    :raises IncompletePullError: if fewer items came than Sequence says there are, in any of the lists that were
        read; the table is as it was.
    :raises SequenceConfigurationError: if the filters or the window can't be asked for, or the table lacks a column.
    """
    started = time.monotonic()
    requests_before = client.requests_sent
    selection = resource.filtered.select(filters, window, whole=True)
    columns = staging_columns(resource)
    load = StagingLoad(connection, table, columns, optional={f.column for f in resource.fields[1:]})
    names = [column.name for column in load.columns]
    to_row = ItemMapper(resource, names, dt.datetime.now(dt.UTC), holds_nul=load.holds_nul)

    drops = _drops(superseded, resource, names, filters)

    announced: int | None = 0
    read = 0

    def progress(total: int | None) -> None:
        on_progress(load.rows, None if announced is None or total is None else announced + total)

    if resource.parent is None:
        # Made one after the other, each when those before it are read.
        lists: Iterator[_List] = (
            _OwnList(client, resource, query, load, to_row, selection, read) for query in selection.queries()
        )
    else:
        # All ids before the first list below: nobody says how long the cursor to more of them can be used.
        ids = _parent_ids(client, resource.parent, selection, table)
        lists = (_ListBelow(client, resource, parent_id, load, to_row) for parent_id in ids)
    for each in lists:
        total, found = _read(each, resource, table, progress)
        announced = None if announced is None or total is None else announced + total
        read += found
        newest_first = str((filters or {}).get("sort_order") or "DESC").upper() == "DESC"
        if drops and not load.is_in_order(_EVENT_ID, each.walk_began, newest_first=newest_first):
            raise SequenceResponseError(
                "GET",
                resource.path,
                "ids are not in the order of arrival, so that it can't be told which copies are superseded; nothing "
                "was loaded. Use superseded='keep'",
            )
    loaded = load.merge(newest_of=_EVENT_ID if drops else None)
    return PullSummary(
        announced,
        read,
        loaded,
        _held(load, resource, window, names),
        client.requests_sent - requests_before,
        time.monotonic() - started,
    )


def _drops(
    superseded: str, resource: Resource, names: Sequence[str], filters: Mapping[str, Any] | None
) -> bool:
    if superseded not in {"keep", "drop"}:
        raise SequenceConfigurationError(f"superseded={superseded!r} is neither 'keep' nor 'drop'")
    if superseded == "drop" and (resource.event is None or _EVENT_ID not in names):
        raise SequenceConfigurationError(
            f"superseded='drop' is for events, in a table with a column {_EVENT_ID}"
        )
    if superseded == "drop" and "sort_by" in (filters or {}):
        raise SequenceConfigurationError(
            "superseded='drop' needs the list in the order of arrival: leave sort_by out"
        )
    return superseded == "drop"


def _held(load: StagingLoad, resource: Resource, window: Window | None, names: Sequence[str]) -> int | None:
    if window is None:
        return load.held(None, None)
    (column,) = (f.column for f in resource.filtered.fields if f.name == resource.filtered.time_field)
    by_dates = resource.times is None or resource.times.days
    return None if by_dates or column not in names else load.held(column, (window.start, window.end))


class _List(Protocol):
    """
    A list on its way to somewhere.

    :param walk_began: how many rows had been gathered when it was last begun.
    """

    walk_began: int

    def pages(self) -> Iterator[Page]:
        """Read it from the start."""

    def take(self, page: Page) -> None:
        """Keep a page's items."""

    def different(self) -> int:
        """Count the different items that were kept."""


def _read(
    each: _List, resource: Resource, table: str, progress: Callable[[int | None], None]
) -> tuple[int | None, int]:
    """
    Read a list until as many different items came as Sequence says there are.

    :param progress: called after each page with the number of items announced.
    :return: how many Sequence said there are, or None where it did not say; and how many different ones came.
    :raises IncompletePullError: if there were fewer in each reading.
    """
    announced: int | None = None
    for walk in range(MOST_WALKS):
        for page in each.pages():
            each.take(page)
            announced = announced if page.total is None else page.total
            progress(announced)
            # A further walk is over once it has found what the first one missed.
            if walk and announced is not None and each.different() >= announced:
                break
        read = each.different()
        if announced is None or read >= announced:
            return announced, read
    raise IncompletePullError(
        f"Sequence says that there are {announced} {resource.name}, but gave {read} in {MOST_WALKS} readings. "
        f"{table} is as it was before; nothing was loaded."
    )


@dataclass(slots=True)
class _OwnList:
    """
    A walk of a list of its own, on its way into a load. It may be long: its keys are counted in the database.

    :param before: the different items of the walks before it.
    """

    client: SequenceClient
    resource: Resource
    query: Query
    load: StagingLoad
    to_row: ItemMapper
    selection: Selection
    before: int
    walk_began: int = 0

    def pages(self) -> Iterator[Page]:
        self.walk_began = self.load.rows
        return self.client.pages(self.resource, self.query)

    def take(self, page: Page) -> None:
        self.load.add(map(self.to_row, page.items), (item in self.selection for item in page.items))

    def different(self) -> int:
        return self.load.keys() - self.before


@dataclass(slots=True)
class _ListBelow:
    """The list below one id, on its way into a load. It is short, and there are many: its keys are held in memory."""

    client: SequenceClient
    resource: Resource
    parent_id: str
    load: StagingLoad
    to_row: ItemMapper
    ids: set[str] = field(default_factory=set)
    walk_began: int = 0

    def pages(self) -> Iterator[Page]:
        self.walk_began = self.load.rows
        return self.client.pages(self.resource, parent_id=self.parent_id)

    def take(self, page: Page) -> None:
        items = [self.resource.below(self.parent_id, item) for item in page.items]
        self.load.add(map(self.to_row, items), (True for _ in items))
        self.ids.update(map(self.resource.id_of, items))

    def different(self) -> int:
        return len(self.ids)


@dataclass(slots=True)
class _Parents:
    """A walk of the list of parents, of which only the ids are wanted."""

    client: SequenceClient
    query: Query
    selection: Selection
    wanted: dict[str, None]
    ids: set[str] = field(default_factory=set)
    walk_began: int = 0

    def pages(self) -> Iterator[Page]:
        return self.client.pages(self.selection.resource, self.query)

    def take(self, page: Page) -> None:
        id_of = self.selection.resource.id_of
        self.ids.update(map(id_of, page.items))
        self.wanted.update((id_of(item), None) for item in page.items if item in self.selection)

    def different(self) -> int:
        return len(self.ids)


def _parent_ids(client: SequenceClient, parent: Resource, selection: Selection, table: str) -> Iterator[str]:
    wanted: dict[str, None] = {}
    for query in selection.queries():
        _read(_Parents(client, query, selection, wanted), parent, table, lambda _: None)
    return iter(wanted)
