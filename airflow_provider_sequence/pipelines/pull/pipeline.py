"""Window -> walks -> pages -> staged rows."""

from __future__ import annotations

import datetime as dt
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from sqlalchemy.engine import Connection

from airflow_provider_sequence.api.client import SequenceClient
from airflow_provider_sequence.api.pagination import Page
from airflow_provider_sequence.api.resource import Resource, Selection
from airflow_provider_sequence.api.windows import Window
from airflow_provider_sequence.exceptions import (
    IncompletePullError,
    SequenceConfigurationError,
    SequenceResponseError,
)
from airflow_provider_sequence.pipelines.pull.readers import read_concurrently
from airflow_provider_sequence.pipelines.pull.rows import ItemMapper, staging_columns
from airflow_provider_sequence.pipelines.pull.scans import ChildListScan, ListScan, Walk
from airflow_provider_sequence.warehouse.staging import StagingLoad

#: How often a list is read before its total and its items are taken to contradict each other. Items that arrive
#: while it is read raise the total; a further reading finds them on its first pages.
MAX_READS = 3

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
    concurrency: int = 1,
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
    :param concurrency: how many lists, or slices of a long list's window, are read side by side. With
        ``superseded="drop"`` a list is always read in one go.
    :param on_progress: called after each page with the number of items read and announced so far.
    :raises IncompletePullError: if fewer items came than Sequence says there are, in any of the lists that were
        read; the table is as it was.
    :raises SequenceConfigurationError: if the filters or the window can't be asked for, or the table lacks a column.
    """
    started = time.monotonic()
    requests_before = client.requests_sent
    selection = resource.filtered.select(filters, window, whole=True)
    optional = {field.column for field in resource.fields[1:]}
    with closing(StagingLoad(connection, table, staging_columns(resource), optional)) as load:
        names = [column.name for column in load.columns]
        to_row = ItemMapper(resource, names, dt.datetime.now(dt.UTC), holds_nul=load.holds_nul)
        drops = _drops(superseded, resource, names, filters)
        if drops:
            concurrency = 1  # which copy came last is seen by their order in one list
        gathering = _PullState(load, to_row, on_progress)
        walks = _walks(client, resource, selection, table)
        with closing(read_concurrently(walks, concurrency, client.close)) as pages:
            for walk, page in pages:
                gathering.take(walk, page)
        found = load.keys_by_list()
        for walk in gathering.walks.values():
            if walk.announced is not None and found.get(walk.number, 0) < walk.announced:
                _read_again(walk, gathering, resource, table)
        if drops:
            _need_order(gathering, resource, filters)
        return PullSummary(
            gathering.announced,
            load.keys(),
            load.merge(newest_of=_EVENT_ID if drops else None),
            _held(load, resource, window, names),
            client.requests_sent - requests_before,
            time.monotonic() - started,
        )


def _walks(client: SequenceClient, resource: Resource, selection: Selection, table: str) -> Iterable[Walk]:
    numbers = itertools.count()
    if resource.parent is None:
        return [ListScan(client, one, numbers) for one in selection.walks()]
    # All ids before the first list below: nobody says how long the cursor to more of them can be used.
    ids = _parent_ids(client, resource.parent, selection, table)
    return (ChildListScan(client, resource, parent_id, next(numbers)) for parent_id in ids)


@dataclass
class _PullState:
    """
    What was read so far.

    :param walks: the ways it came, by their numbers.
    :param announced: how many items Sequence says there are in the lists that are begun; None if it does not say.
    """

    load: StagingLoad
    to_row: ItemMapper
    on_progress: Callable[[int, int | None], None]
    walks: dict[int, Walk] = field(default_factory=dict)
    announced: int | None = 0
    _announced: dict[int, int] = field(default_factory=dict)

    def take(self, walk: Walk, page: Page) -> None:
        """Put a page's items where they wait for the others."""
        self.walks[walk.number] = walk
        if walk.began_at is None:
            walk.began_at = self.load.rows
        if page.total is not None:
            walk.announced = page.total
        self._add_up(walk.whole)
        items = walk.items(page)
        self.load.add(map(self.to_row, items), map(walk.wants, items), walk.number)
        self.on_progress(self.load.rows, self.announced)

    def _add_up(self, whole: Walk) -> None:
        if whole.announced is None:
            self.announced = None
        elif self.announced is not None:
            self.announced += whole.announced - self._announced.get(whole.number, 0)
            self._announced[whole.number] = whole.announced


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


def _need_order(gathering: _PullState, resource: Resource, filters: Mapping[str, Any] | None) -> None:
    """
    See that copies of an event came in the order of their arrival.

    :raises SequenceResponseError: if they did not.
    """
    newest_first = str((filters or {}).get("sort_order") or "DESC").upper() == "DESC"
    for walk in gathering.walks.values():
        first = walk.began_at or 0
        if not gathering.load.is_in_order(_EVENT_ID, walk.number, first, newest_first=newest_first):
            raise SequenceResponseError(
                "GET",
                resource.path,
                "ids are not in the order of arrival, so that it can't be told which copies are superseded; nothing "
                "was loaded. Use superseded='keep'",
            )


def _held(load: StagingLoad, resource: Resource, window: Window | None, names: Sequence[str]) -> int | None:
    if window is None:
        return load.held(None, None)
    (column,) = (f.column for f in resource.filtered.fields if f.name == resource.filtered.time_field)
    by_dates = resource.times is None or resource.times.days
    return None if by_dates or column not in names else load.held(column, (window.start, window.end))


def _read_again(walk: Walk, gathering: _PullState, resource: Resource, table: str) -> None:
    """
    Read a list again until as many different items came as Sequence says there are.

    :raises IncompletePullError: if there were fewer in each reading.
    """

    def found() -> int:
        return gathering.load.keys_by_list().get(walk.number, 0)

    for _ in range(MAX_READS - 1):
        walk.began_at = None
        for number, page in enumerate(walk.pages(), 1):
            gathering.take(walk, page)
            # What is missing is mostly on the first pages: what arrived while the list was read. Counting costs the
            # more, the more was read.
            if number.bit_count() == 1 and found() >= (walk.announced or 0):
                return
        if found() >= (walk.announced or 0):
            return
    raise IncompletePullError(_too_few(walk.announced, resource, found(), table))


def _too_few(announced: int | None, resource: Resource, read: int, table: str) -> str:
    return (
        f"Sequence says that there are {announced} {resource.name}, but gave {read} in {MAX_READS} readings. "
        f"{table} is as it was before; nothing was loaded."
    )


def _parent_ids(client: SequenceClient, parent: Resource, selection: Selection, table: str) -> Iterator[str]:
    """
    List the ids of the parents that are wanted.

    :raises IncompletePullError: if there were fewer in each reading than Sequence says there are.
    """
    wanted: dict[str, None] = {}
    for query in selection.queries():
        ids: set[str] = set()
        announced: int | None = None
        for _ in range(MAX_READS):
            for page in client.pages(parent, query):
                announced = announced if page.total is None else page.total
                ids.update(map(parent.id_of, page.items))
                wanted.update((parent.id_of(item), None) for item in page.items if item in selection)
            if len(ids) >= (announced or 0):
                break
        else:
            raise IncompletePullError(_too_few(announced, parent, len(ids), table))
    return iter(wanted)
