"""Holds the warehouse's rows against what was staged, without the provider's code."""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any


@dataclass
class Comparison:
    """
    What became of the rows of some days.

    :param rows: rows in the warehouse.
    :param delivered: rows that the delivery log has as delivered.
    :param rejected: rejected rows by their reason.
    :param staged: rows in the staging table.
    :param differences: what should be the same and is not.
    """

    rows: int = 0
    delivered: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    staged: int = 0
    differences: list[str] = field(default_factory=list)


def compare(warehouse: Path, first: dt.datetime, days: int) -> Comparison:
    """
    Compare each row of the warehouse with its event in the staging table, digit by digit.

    :param warehouse: the SQLite file that holds both.
    :param first: start of the first day.
    :param days: how many days.
    """
    result = Comparison()
    connection = sqlite3.connect(f"file:{warehouse}?mode=ro", uri=True)
    end = first + dt.timedelta(days=days)
    usage = connection.execute(
        "SELECT usage_id, customer, kind, used_at, quantity, region, note FROM usage "
        "WHERE used_at >= ? AND used_at < ?",
        (first.isoformat(), end.isoformat()),
    )
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    staged = _staged(connection) if "sequence_usage_events" in tables else {}
    staged = {usage_id: event for usage_id, event in staged.items() if first <= event[2] < end}
    log = _logged(connection) if "sequence_delivery_log" in tables else {}
    for usage_id, *row in usage:
        result.rows += 1
        status, reason = log.get(usage_id, ("neither delivered nor rejected", ""))
        event = staged.pop(usage_id, None)
        if status == "delivered":
            result.delivered += 1
            if event != _expected(*row):
                result.differences.append(f"{usage_id}: staged differs from the warehouse")
        elif status == "rejected":
            result.rejected[reason] += 1
            if event is not None:
                result.differences.append(f"{usage_id}: rejected, and yet staged")
        else:
            result.differences.append(f"{usage_id}: {status}")
        result.staged += event is not None
    result.staged += len(staged)
    result.differences += [f"{usage_id}: staged, but not in the warehouse" for usage_id in staged]
    connection.close()
    return result


Event = tuple[str, str, dt.datetime, dict[str, Any]]


def _expected(
    customer: str, kind: str, used_at: str, quantity: float, region: str | None, note: str | None
) -> Event:
    properties = {"quantity": Decimal(repr(quantity)), "region": region, "note": note}
    given = {name: value for name, value in properties.items() if value is not None}
    return (customer, kind, dt.datetime.fromisoformat(used_at), given)


def _staged(connection: sqlite3.Connection) -> dict[str, Event]:
    rows = connection.execute(
        "SELECT customer_event_id, customer_alias, event_type, event_timestamp, event_properties "
        "FROM sequence_usage_events"
    )
    return {
        event_id: (
            alias,
            kind,
            dt.datetime.fromisoformat(time).replace(tzinfo=dt.UTC),
            json.loads(properties, parse_float=Decimal, parse_int=Decimal),
        )
        for event_id, alias, kind, time, properties in rows
    }


def _logged(connection: sqlite3.Connection) -> dict[str, tuple[str, str]]:
    rows = connection.execute("SELECT customer_event_id, status, reason FROM sequence_delivery_log")
    return {event_id: (status, reason) for event_id, status, reason in rows}
