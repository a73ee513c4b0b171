"""A Singer tap as the SDK's cookiecutter makes one: a stream of a REST API, pages by a cursor."""

from __future__ import annotations

import os
from typing import Any

from singer_sdk import RESTStream, Tap
from singer_sdk import typing as th
from singer_sdk.pagination import JSONPathPaginator

from tests.benchmarks import events


class UsageEvents(RESTStream):
    name = "usage_events"
    path = "/usage-events"
    primary_keys = ("id",)
    records_jsonpath = "$.items[*]"
    url_base = os.environ["BENCH_API"]
    schema = th.PropertiesList(
        th.Property("id", th.StringType),
        th.Property("customerEventId", th.StringType),
        th.Property("customerAlias", th.StringType),
        th.Property("eventType", th.StringType),
        th.Property("sequenceAccountId", th.StringType),
        th.Property("eventTimestamp", th.DateTimeType),
        th.Property("eventProperties", th.ObjectType(additional_properties=True)),
    ).to_dict()

    def get_new_paginator(self) -> JSONPathPaginator:
        return JSONPathPaginator("$.pagination.after")

    def get_url_params(self, context: Any, next_page_token: str | None) -> dict[str, Any]:
        params = {
            "limit": 100,
            "eventTimestampAfter": events.START.isoformat(),
            "eventTimestampBefore": events.END.isoformat(),
        }
        return params | ({"after": next_page_token} if next_page_token else {})


class TapSequence(Tap):
    name = "tap-sequence"

    def discover_streams(self) -> list[RESTStream]:
        return [UsageEvents(self)]


if __name__ == "__main__":
    TapSequence.cli()
