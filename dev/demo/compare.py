"""Holds the warehouse's rows against what was staged, without the provider's code."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import sqlalchemy as sa


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

    def lines(self) -> list[tuple[str, int]]:
        """What was delivered and what was rejected, for the table in the end."""
        reasons = [(f"    {reason}", count) for reason, count in self.rejected.most_common()]
        return [("delivered", self.delivered), ("rejected", self.rejected.total()), *reasons]


#: Alias, type, time and properties.
Event = tuple[str, str, dt.datetime, dict[str, Any]]


def compare(warehouse: sa.Engine, first: dt.datetime, days: int) -> Comparison:
    """
    Compare each row of the warehouse with its event in the staging table, digit by digit.

    :param warehouse: the database that holds both.
    :param first: start of the first day.
    :param days: how many days.
    """
    result = Comparison()
    end = first + dt.timedelta(days=days)
    with warehouse.connect() as connection:
        usage = connection.execute(
            sa.text(
                "SELECT usage_id, customer, kind, used_at, quantity, region, note FROM usage "
                "WHERE used_at >= :first AND used_at < :end"
            ),
            {"first": first.isoformat(), "end": end.isoformat()},
        ).all()
        tables = sa.inspect(connection).get_table_names()
        staged = _staged(connection) if "sequence_usage_events" in tables else {}
        log = _logged(connection) if "sequence_delivery_log" in tables else {}
    staged = {usage_id: event for usage_id, event in staged.items() if first <= event[2] < end}
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
    return result


def compare_with_sequence(warehouse: sa.Engine, ledger: Iterable[dict[str, Any]]) -> list[str]:
    """
    Compare each event that Sequence holds with its row in the staging table; return what differs.

    :param warehouse: the database of the staging table.
    :param ledger: the events in the order of their arrival, each with its body as received.
    """
    with warehouse.connect() as connection:
        there = sa.inspect(connection).has_table("sequence_usage_events")
        staged = _staged(connection) if there else {}
    differences, seen = [], set()
    for item in ledger:
        body = _exact(item["body"])
        event_id = body["customerEventId"]
        fields = (
            body["customerAlias"],
            body["eventType"],
            _time(body["eventTimestamp"]),
            body["eventProperties"],
        )
        if event_id in seen:
            differences.append(f"{event_id}: Sequence holds it twice")
        elif staged.pop(event_id, None) != fields:
            differences.append(f"{event_id}: staged differs from what Sequence holds")
        seen.add(event_id)
    return differences + [f"{event_id}: staged, but not in Sequence" for event_id in staged]


def _expected(
    customer: str, kind: str, used_at: Any, quantity: Any, region: str | None, note: str | None
) -> Event:
    properties = {"quantity": Decimal(str(quantity)), "region": region, "note": note}
    given = {name: value for name, value in properties.items() if value is not None}
    return (customer, kind, _time(used_at), given)


def _staged(connection: sa.Connection) -> dict[str, Event]:
    rows = connection.exec_driver_sql(
        "SELECT customer_event_id, customer_alias, event_type, event_timestamp, "
        "CAST(event_properties AS TEXT) FROM sequence_usage_events"
    )
    return {
        event_id: (alias, kind, _time(time), _exact(properties))
        for event_id, alias, kind, time, properties in rows
    }


def _logged(connection: sa.Connection) -> dict[str, tuple[str, str]]:
    rows = connection.exec_driver_sql("SELECT customer_event_id, status, reason FROM sequence_delivery_log")
    return {event_id: (status, reason) for event_id, status, reason in rows}


def _time(value: Any) -> dt.datetime:
    """A time as a database gives it; without a zone it is in UTC."""
    time = value if isinstance(value, dt.datetime) else dt.datetime.fromisoformat(value)
    return time if time.tzinfo else time.replace(tzinfo=dt.UTC)


def _exact(text: str) -> Any:
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)
