"""The table of usage events that scripts in Python fill: its columns by the API's names, and what is asked for."""

from __future__ import annotations

import json
from typing import Any

from tests.benchmarks import events

FIELDS = (
    "id",
    "customerEventId",
    "customerAlias",
    "eventType",
    "sequenceAccountId",
    "eventTimestamp",
    "eventProperties",
)
CREATE = """CREATE TABLE IF NOT EXISTS {table} (
    id text PRIMARY KEY, "customerEventId" text, "customerAlias" text, "eventType" text, "sequenceAccountId" text,
    "eventTimestamp" timestamptz, "eventProperties" jsonb)"""
WINDOW = {
    "limit": 100,
    "eventTimestampAfter": events.START.isoformat(),
    "eventTimestampBefore": events.END.isoformat(),
}


def row_of(item: dict[str, Any]) -> tuple[Any, ...]:
    return *(item[field] for field in FIELDS[:-1]), json.dumps(item["eventProperties"])
