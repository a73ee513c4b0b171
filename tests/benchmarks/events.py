"""A month of usage events, the same at each run: as the API lists them, and as rows of a warehouse."""

from __future__ import annotations

import datetime as dt
import random
from typing import Literal

Spread = Literal["even", "skewed"]

START = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
END = dt.datetime(2026, 4, 1, tzinfo=dt.UTC)
_START_MS, _LENGTH_MS = int(START.timestamp() * 1000), int((END - START).total_seconds() * 1000)
#: Where 80 % of the events of a skewed month lie, in milliseconds from its start.
_BUSY_FROM, _BUSY_LENGTH, _BUSY_SHARE = 9 * 86_400_000, 3 * 86_400_000, 0.8

_ACCOUNT = "0184421e-a9cc-711b-af93-bf0511d4d833"
_REGIONS = ("eu-west-1", "us-east-1", "Zürich", "São Paulo", "東京", "Kraków")


def times(number: int, spread: Spread) -> list[int]:
    """Timestamps of a month's events in order, in milliseconds since 1970, a second away from the month's ends."""
    dice = random.Random(f"{number} {spread}")
    places = []
    for _ in range(number):
        if spread == "skewed" and dice.random() < _BUSY_SHARE:
            places.append(_BUSY_FROM + int(dice.random() * _BUSY_LENGTH))
        else:
            places.append(2000 + int(dice.random() * (_LENGTH_MS - 4000)))
    return [_START_MS + place for place in sorted(places)]


def listed(number: int, ms: int) -> bytes:
    """
    Write an event as ``GET /usage-events`` lists it: six properties, some unicode, a number with trailing zeros.

    :param number: its place in the order of arrival.
    :param ms: its timestamp.
    """
    seconds, rest = divmod(ms, 1000)
    time = dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    stamp, low = f"{ms:012x}", f"{number:012x}"
    return (
        f'{{"id":"{stamp[:8]}-{stamp[8:]}-7000-8000-{low}","customerEventId":"order-{number:09}",'
        f'"customerAlias":"customer-{number % 997}","eventType":"api-call","sequenceAccountId":"{_ACCOUNT}",'
        f'"eventTimestamp":"{time}.{rest:03}Z","eventProperties":{{"region":"{_REGIONS[number % 6]}",'
        f'"model":"größe-{number % 5}","tokens":{number % 4096},"cost":{number % 1000}.{number % 97:02}50,'
        f'"cached":{"true" if number % 3 else "false"},"note":"Anfrage №{number} · ✓"}}}}'
    ).encode()


#: The same as rows of a table: a column for each property.
MAKE_ROWS = """
CREATE TABLE {table} AS
SELECT 'order-' || lpad(n::text, 9, '0') AS customer_event_id,
       'customer-' || n % 997 AS customer_alias,
       timestamptz '2026-03-01' + n * (interval '31 days' / {number}) AS event_timestamp,
       (ARRAY['eu-west-1', 'us-east-1', 'Zürich', 'São Paulo', '東京', 'Kraków'])[n % 6 + 1] AS region,
       'größe-' || n % 5 AS model,
       (n % 4096)::integer AS tokens,
       (n % 1000 + (n % 97) / 100.0)::numeric(12, 4) AS cost,
       n % 3 <> 0 AS cached,
       'Anfrage №' || n || ' · ✓' AS note
FROM generate_series(0, {number} - 1) AS n
"""
