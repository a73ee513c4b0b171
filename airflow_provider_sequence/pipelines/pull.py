"""Window -> pages -> staged rows."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy.engine import Connection

from airflow_provider_sequence.api.client import SequenceClient
from airflow_provider_sequence.api.resources import Resource
from airflow_provider_sequence.api.windows import Window
from airflow_provider_sequence.exceptions import IncompletePullError
from airflow_provider_sequence.pipelines.items import ItemMapper, staging_columns
from airflow_provider_sequence.warehouse.staging import StagingLoad

#: How often a list is walked before its total and its items are taken to contradict each other. Items that arrive
#: while it is read raise the total; a further walk finds them on its first pages.
MOST_WALKS = 3


@dataclass(frozen=True, slots=True)
class PullSummary:
    """
    What a pull did.

    :param announced: how many items Sequence said there are, in what was asked for, or None where it did not say.
    :param read: different items that were read; what was asked for is a little wider than the window.
    :param loaded: items that belong to the window and are now in the table.
    :param requests: requests sent, each try counted.
    :param seconds: how long it took.
    """

    announced: int | None
    read: int
    loaded: int
    requests: int
    seconds: float

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
    on_progress: Callable[[int, int | None], None] = lambda *_: None,
) -> PullSummary:
    """
    Load what Sequence lists into a table: all of it, or nothing.

    :param connection: the warehouse.
    :param table: ``table`` or ``schema.table``; it is made when missing.
    :param window: the times to load, or None for the whole list.
    :param filters: filters of the resource.
    :param on_progress: called after each page with the number of items read and announced.
    :raises IncompletePullError: if fewer items came than Sequence says there are; the table is as it was.
    """
    started = time.monotonic()
    requests_before = client.requests_sent
    query = resource.query(filters or {}, window.widened() if window else None)
    columns = staging_columns(resource)
    load = StagingLoad(connection, table, columns, optional={f.column for f in resource.fields[1:]})
    names = [column.name for column in load.columns]
    to_row = ItemMapper(resource, names, dt.datetime.now(dt.UTC), holds_nul=load.holds_nul)

    announced: int | None = None
    for walk in range(MOST_WALKS):
        for page in client.pages(resource, query):
            load.add(map(to_row, page.items), (resource.belongs(item, window) for item in page.items))
            announced = announced if page.total is None else page.total
            on_progress(load.rows, announced)
            # A further walk is over once it has found what the first one missed.
            if walk and announced is not None and load.keys() >= announced:
                break
        read = load.keys()
        if announced is None or read >= announced:
            break
    else:
        raise IncompletePullError(
            f"Sequence says that there are {announced} {resource.name}, but gave {read} in {MOST_WALKS} readings. "
            f"{table} is as it was before; nothing was loaded."
        )
    loaded = load.merge()
    return PullSummary(
        announced, read, loaded, client.requests_sent - requests_before, time.monotonic() - started
    )
