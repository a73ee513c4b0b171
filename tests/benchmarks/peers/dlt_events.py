"""dlt: a source of windows, each a resource that pages with the REST client; merged into PostgreSQL by the id."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator
from typing import Any

import dlt
from dlt.sources.helpers.rest_client import RESTClient
from dlt.sources.helpers.rest_client.paginators import JSONResponseCursorPaginator

from tests.benchmarks import events
from tests.benchmarks.meter import measure


@dlt.source
def sequence(windows: int) -> Iterator[Any]:
    client = RESTClient(
        base_url=os.environ["BENCH_API"],
        paginator=JSONResponseCursorPaginator(cursor_path="pagination.after", cursor_param="after"),
        data_selector="items",
    )
    length = (events.END - events.START) / windows
    for number in range(windows):
        start = events.START + number * length
        yield _window(client, start, start + length, f"window_{number}")


def _window(client: RESTClient, start: dt.datetime, end: dt.datetime, name: str) -> Any:
    @dlt.resource(
        name=name,
        table_name="usage_events",
        primary_key="id",
        write_disposition={"disposition": "merge", "strategy": "upsert"},
        columns={"eventProperties": {"data_type": "json"}},
        max_table_nesting=0,
        parallelized=True,
    )
    def usage_events() -> Iterator[Any]:
        yield from client.paginate(
            "/usage-events",
            params={
                "limit": 100,
                "eventTimestampAfter": start.isoformat(),
                "eventTimestampBefore": end.isoformat(),
            },
        )

    return usage_events


def main() -> None:
    windows = int(os.environ["BENCH_WINDOWS"])
    pipeline = dlt.pipeline(
        "benchmark",
        pipelines_dir=os.environ["BENCH_FOLDER"],
        destination=dlt.destinations.postgres(os.environ["BENCH_POSTGRES"]),
        dataset_name="dlt",
    )
    measure(lambda: str(pipeline.run(sequence(windows), loader_file_format="csv")))


if __name__ == "__main__":
    main()
