"""
Pull pipeline: a window of a list is scanned page by page, staged, checked, and loaded in one transaction.

The window is asked for a little wider than wanted; what does not belong is counted and left out.
"""

from __future__ import annotations

import datetime as dt
import itertools
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy.engine import Engine

from airflow_provider_sequence.api.client import SequenceClient
from airflow_provider_sequence.api.pagination import MAX_READS, Page, read_whole
from airflow_provider_sequence.api.resource import Query, Resource, Selection
from airflow_provider_sequence.api.windows import Window, window_texts
from airflow_provider_sequence.exceptions import IncompletePullError
from airflow_provider_sequence.pipelines.pull.readers import ReaderPool
from airflow_provider_sequence.pipelines.pull.rows import ItemMapper, staging_columns
from airflow_provider_sequence.pipelines.pull.scans import ListScan
from airflow_provider_sequence.warehouse.staging import StagingLoad

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PullSummary:
    """
    Counts of a pull.

    :param reported_total: how many items Sequence reported, in all that was asked for, or None where it did not.
    :param read: different items that were read; what is asked for is a little wider than the window.
    :param loaded: items that belong to the window and are now in the table.
    :param window_start: first time of the window, ISO 8601, or None for the whole list.
    :param window_end: first time after it.
    :param requests: requests sent, each attempt counted.
    :param seconds: how long it took.
    """

    reported_total: int | None
    read: int
    loaded: int
    window_start: str | None
    window_end: str | None
    requests: int
    seconds: float

    def as_table(self) -> str:
        """Return the table for the task's log."""
        return "\n".join(
            f"  {name:<15} {value if isinstance(value, str) else format(value, ','):>20}"
            for name, value in self.as_dict().items()
            if value is not None
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the XCom value."""
        return {**asdict(self), "seconds": round(self.seconds, 3)}


def pull(
    client: SequenceClient,
    resource: Resource,
    engine: Engine,
    table: str,
    *,
    window: Window | None = None,
    filters: Mapping[str, Any] | None = None,
    concurrency: int = 1,
    on_progress: Callable[[int, int | None], None] = lambda *_: None,
) -> PullSummary:
    """
    Load a list, or a window of it, into a table: all of it, or nothing.

    :param engine: the warehouse.
    :param table: ``table`` or ``schema.table``; it is made when missing.
    :param window: the times to load, or None for the whole list.
    :param filters: filters of the resource. The window of a list below an id is about its parents, and so are the filters,
        but for those of its own.
    :param concurrency: how many lists, or slices of a long list's window, are read concurrently.
    :param on_progress: called after each page with the number of items read so far, and the number reported.
    :raises IncompletePullError: if fewer items came than Sequence reported, in any of the lists that were read; the
        table is as it was before.
    :raises SequenceConfigurationError: if the filters or the window can't be asked for, or the table can't take the
        items.
    """
    started = time.monotonic()
    requests_before = client.requests_sent
    own, of_parents = resource.divide(filters)
    selection = resource.filtered.select(of_parents, window, whole=True)
    below = resource.select(own, whole=True) if resource.parent else None
    optional = {field.column for field in resource.fields[1:]}
    added = {field.column for field in resource.fields if field.added}
    with closing(StagingLoad(engine, table, staging_columns(resource), optional, added)) as load:
        names = [column.name for column in load.columns]
        mapper = ItemMapper(resource, names, dt.datetime.now(dt.UTC), holds_nul=load.holds_nul)
        state = _PullState(load, mapper, on_progress)
        scans = _scans(client, resource, selection, below, table)
        with ReaderPool(scans, concurrency, cancel=client.close) as pages:
            for scan, page in pages:
                state.stage(scan, page)
        found = load.keys_by_list()
        for scan in state.scans.values():
            if scan.reported_total is not None and found.get(scan.number, 0) < scan.reported_total:
                _read_again(scan, state, resource, table)
        read = load.keys()
        _check_slices(state.scans.values(), read, resource, table)
        loaded = load.merge()
        return PullSummary(
            state.reported_total,
            read,
            loaded,
            *window_texts(window),
            client.requests_sent - requests_before,
            time.monotonic() - started,
        )


@dataclass
class _PullState:
    """
    What was read so far.

    :param scans: the scans that gave pages, by their numbers.
    :param reported_total: items reported in the lists that are begun; None if one of them did not report any.
    """

    load: StagingLoad
    mapper: ItemMapper
    on_progress: Callable[[int, int | None], None]
    scans: dict[int, ListScan] = field(default_factory=dict)
    reported_total: int | None = 0
    _reported: dict[int, int] = field(default_factory=dict)

    def stage(self, scan: ListScan, page: Page) -> None:
        """Stage a page's items."""
        self.scans[scan.number] = scan
        if page.total is not None:
            scan.reported_total = page.total
        self._add_total(scan.whole)
        items = scan.items(page)
        self.load.add(self.mapper.rows(items), map(scan.wants, items), scan.number)
        self.on_progress(self.load.rows, self.reported_total)

    def _add_total(self, whole: ListScan) -> None:
        if whole.reported_total is None:
            self.reported_total = None
        elif self.reported_total is not None:
            self.reported_total += whole.reported_total - self._reported.get(whole.number, 0)
            self._reported[whole.number] = whole.reported_total


def _scans(
    client: SequenceClient, resource: Resource, selection: Selection, below: Selection | None, table: str
) -> Iterable[ListScan]:
    numbers = itertools.count()
    if below is None:
        return [ListScan(client, resource, numbers, part) for part in selection.by_query()]
    # All ids before the first child list: assumption cursor-lifetime.
    ids = _parent_ids(client, resource, selection, table)
    log.info("%s", cost_of_children(resource, len(ids), client.limits["requests"]))
    return (ListScan(client, resource, numbers, below, parent_id=parent_id) for parent_id in ids)


def cost_of_children(resource: Resource, parents: int, per_minute: float) -> str:
    """
    Say what it costs to read a list below each of its parents, before that begins.

    :param per_minute: requests a minute that the account allows.
    """
    seconds = parents / per_minute * 60
    duration = f"{seconds:.0f} seconds" if seconds < 90 else f"{seconds / 60:.0f} minutes"
    return (
        f"{parents:,} {resource.filtered.name.replace('_', ' ')}: {parents:,} requests, about {duration} at the account's "
        f"limit. Filters and windows of {resource.filtered.name} make it fewer"
    )


def _read_again(scan: ListScan, state: _PullState, resource: Resource, table: str) -> None:
    """
    Read a list again until as many different items came as Sequence reports.

    :raises IncompletePullError: if there were fewer in each read.
    """

    def found() -> int:
        return state.load.keys_by_list().get(scan.number, 0)

    for _ in range(MAX_READS - 1):
        for number, page in enumerate(scan.pages(), 1):
            state.stage(scan, page)
            # What is missing is mostly on the first pages: what arrived while the list was read. Counting costs the
            # more, the more was read.
            if number.bit_count() == 1 and found() >= (scan.reported_total or 0):
                return
        if found() >= (scan.reported_total or 0):
            return
    raise IncompletePullError(_too_few(scan.reported_total, resource, found(), table))


def _check_slices(scans: Iterable[ListScan], read: int, resource: Resource, table: str) -> None:
    """
    Check that the slices of a list have together what it had before it was split: an answer that came late on a connection
    may have been taken for that to the request of another slice, whose total it then has as well.

    :param read: how many different items were read in all.
    :raises IncompletePullError: if they have less.
    """
    for scan in scans:
        reported = scan.whole.reported_total
        if scan.slice_of is not None and reported is not None and read < reported:
            raise IncompletePullError(_too_few(reported, resource, read, table, reads=1))


def _too_few(reported: int | None, resource: Resource, read: int, table: str, reads: int = MAX_READS) -> str:
    times = f"{reads} reads" if reads > 1 else "one read, slice by slice"
    return (
        f"Sequence reports {reported} {resource.name}, but gave {read} in {times}\n"
        f"{table} is as it was before; nothing was loaded"
    )


def _parent_ids(client: SequenceClient, resource: Resource, selection: Selection, table: str) -> list[str]:
    """
    List the ids of the parents that are wanted.

    :raises IncompletePullError: if there were fewer in each read than Sequence reports.
    """
    parent = resource.filtered
    wanted: dict[str | None, None] = {}
    for query in selection.queries():
        ids: set[str] = set()

        def read(query: Query = query, ids: set[str] = ids) -> int:
            reported = 0
            for page in client.pages(parent, query):
                reported = reported if page.total is None else page.total
                ids.update(map(parent.id_of, page.items))
                wanted.update((resource.parent_id_of(item), None) for item in page.items if item in selection)
            return reported

        for _ in range(MAX_READS):
            reported = read_whole(read)
            if len(ids) >= reported:
                break
        else:
            raise IncompletePullError(_too_few(reported, parent, len(ids), table))
    return [parent_id for parent_id in wanted if parent_id is not None]
