"""Awkward values, there and back: each row has one outcome, and what arrives is what was there, digit for digit."""

from __future__ import annotations

import datetime as dt
import json
import random
import re
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from tests.faults.awkward import NUMBERS, Awkward, awkward_rows
from tests.faults.figures import CAMPAIGN, measured
from tests.faults.world import World


def digits(text: str) -> Any:
    """JSON whose numbers are their own texts."""
    return json.loads(
        text, parse_float=lambda word: ("number", word), parse_int=lambda word: ("number", word)
    )


def instant(time: str) -> tuple[str, str]:
    """A time in UTC: to the second, and the rest, in which zeros at the end say nothing."""
    assert time.endswith("Z")
    return time[:19], time[19:-1].rstrip("0.")


def values(text: str) -> Any:
    """JSON whose numbers are exact, and as many places as there are count: 1.10 is not 1.1."""

    def number(word: str) -> tuple[str, str]:
        sign, mantissa, exponent = Decimal(word).as_tuple()
        value = Decimal((sign if any(mantissa) else 0, mantissa, exponent))
        return ("number", format(value, "f"))  # what jsonb makes of it: it knows neither exponents nor -0

    return json.loads(text, parse_float=number, parse_int=number)


@pytest.mark.quick
def test_awkward_values_there_and_back(world: World, dice: random.Random):
    rows = awkward_rows(CAMPAIGN.values, dice)
    world.put(rows)
    where = {"host": world.server.api_url, "within": 200, "deadline": 20}
    run = world.run(
        "push", world.push_options(max_rejected=len(rows), max_future=None, concurrency=8), **where
    )
    assert run.is_right, run.said
    world.check_summary(run)

    arrived: dict[str, dict[str, Any]] = {}
    for item in world.ledger():
        assert item["customerEventId"] not in arrived, "twice"
        arrived[item["customerEventId"]] = item
    log = world.delivery_log()
    wrong = []
    for row in rows:
        item, entry = arrived.get(row.id), log.get(row.id)
        if row.why is not None:
            if item is not None or (entry and not re.search(row.why, entry["reason"] or "")):
                wrong.append((row, entry))
            continue
        if item is None:
            wrong.append((row, entry))
            continue
        assert entry["status"] == "delivered"
        body = msgspec.json.decode(item["body"], type=dict[str, msgspec.Raw])
        assert msgspec.json.decode(body["customerAlias"]) == row.alias
        assert msgspec.json.decode(body["eventType"]) == row.type
        assert instant(msgspec.json.decode(body["eventTimestamp"])) == instant(row.time), row
        sent = bytes(body["eventProperties"]).decode() if "eventProperties" in body else None
        assert (sent is None and row.properties is None) or digits(sent) == digits(row.properties), row
    assert not wrong, f"{len(wrong)}: {wrong[:5]}"
    refused = [row for row in rows if row.why]
    assert run.value["rejected"] == len(refused)
    assert run.value["delivered"] == len(rows) - len(refused)

    window = {"window_start": "0001-01-01T00:00:00Z", "window_end": "9999-12-31T23:59:59.999999Z"}
    last_instant = {row.id for row in rows if row.time == window["window_end"]}
    run = world.run("pull", world.pull_options(**window), **where)
    assert run.is_right, run.said
    expected = {row.id: row for row in rows if not row.why and row.id not in last_instant}
    check_staged(world, expected)
    measured("values", "rows", tried=len(rows))


def check_staged(world: World, expected: dict[str, Awkward]) -> None:
    staged = {
        row[0]: row[1:]
        for row in world.warehouse.rows(
            "SELECT customer_event_id, customer_alias, event_type,"
            " to_char(event_timestamp AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), event_properties, _extra"
            f" FROM {world.staged}"
        )
    }
    assert staged.keys() == expected.keys()
    in_extra = 0
    for event_id, (alias, kind, at, properties, extra) in staged.items():
        row = expected[event_id]
        rest = values(extra) if extra else {}
        assert (alias, kind) == (row.alias, row.type)
        if "eventTimestamp" in rest:  # finer than a microsecond
            in_extra += 1
            assert instant(rest["eventTimestamp"]) == instant(row.time)
        else:
            assert dt.datetime.fromisoformat(at) == dt.datetime.fromisoformat(row.time)
        if row.properties is None:
            assert properties is None or values(properties) == {}
        elif "eventProperties" in rest:
            in_extra += 1
            back = rest["eventProperties"]
            back = values(back) if isinstance(back, str) else back
            assert same(back, values(row.properties)), (row, extra)
        elif "\\u0000" in row.properties.replace("\\\\", ""):
            assert same(values(properties), values(row.properties)), (row, properties)
        else:
            assert values(properties) == values(row.properties), (row, properties)


def same(back: Any, wanted: Any) -> bool:
    """Whether a value came back, but for U+0000, which no text of a database holds."""
    if isinstance(wanted, str) and isinstance(back, str):
        return back == wanted or len(back.replace("\\u0000", "?")) >= len(wanted.replace("\0", ""))
    if isinstance(wanted, dict) and isinstance(back, dict):
        return len(back) == len(wanted) and all(
            same(b, w) for b, w in zip(back.values(), wanted.values(), strict=True)
        )
    if isinstance(wanted, list | tuple) and isinstance(back, list | tuple):
        return len(back) == len(wanted) and all(same(b, w) for b, w in zip(back, wanted, strict=True))
    return back == wanted


def test_numeric_columns_become_properties_digit_for_digit(world: World):
    """Each column a property: what a DECIMAL holds is what is sent, in the end without an exponent."""
    numbers = [
        number
        for number in NUMBERS
        if Decimal(number).adjusted() < 1000 and Decimal(number).adjusted() > -400
    ]
    world.warehouse.execute(
        f"CREATE TABLE {world.usage} (n INTEGER, value NUMERIC, big BIGINT, at TIMESTAMPTZ, flag BOOLEAN, day DATE)"
    )
    world.warehouse.execute(
        f"INSERT INTO {world.usage} VALUES (:n, CAST(:value AS NUMERIC), 9007199254740993, '2026-03-01 12:00+05:45', true, '0001-01-01')",
        *[{"n": i, "value": number} for i, number in enumerate([*numbers, "NaN"])],
    )
    sql = (
        f"SELECT n AS customer_event_id, 'acme' AS customer_alias, 'call' AS event_type, at AS event_timestamp,"
        f" value, big, flag, day FROM {world.usage}"
    )
    run = world.push(sql=sql, max_rejected=1)
    assert run.is_right, run.said
    assert run.value["rejected"] == 1, "NaN is no number of JSON"
    stored = dict(world.warehouse.rows(f"SELECT n::text, value::text FROM {world.usage}"))
    ledger = world.ledger()
    assert len(ledger) == len(numbers)
    for item in ledger:
        body = msgspec.json.decode(item["body"], type=dict[str, msgspec.Raw])
        properties = msgspec.json.decode(body["eventProperties"], type=dict[str, msgspec.Raw])
        assert bytes(properties["value"]).decode() == stored[item["customerEventId"]]
        assert bytes(properties["big"]) == b"9007199254740993"
        assert bytes(properties["flag"]) == b"true"
        assert bytes(properties["day"]) == b'"0001-01-01"'
