"""What a usage metric counts."""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation, localcontext
from typing import Any

import msgspec

from airflow_provider_sequence.sandbox import timestamps
from airflow_provider_sequence.sandbox.events import VOID
from airflow_provider_sequence.sandbox.filters import among, values
from airflow_provider_sequence.sandbox.http import HTTPError, Query
from airflow_provider_sequence.sandbox.resources import Resource
from airflow_provider_sequence.sandbox.settings import SandboxSettings
from airflow_provider_sequence.sandbox.store import Condition, Record, Store

#: Parameters that a calculation needs, and one that no metric of the sandbox knows what to do with.
NEEDED = frozenset({"customerAliases", "periodStart", "periodEnd"})
PARAMETERS = NEEDED | {"customParameters"}

# Far more digits than any sum of quantities has: sums are exact.
_DIGITS = 500
# Places before or after the decimal point that a number may have, written out.
_MOST_PLACES = 10_000


def calculate(
    metric: dict[str, Any], query: Query, settings: SandboxSettings, store: Store, events: Resource
) -> dict[str, Any]:
    """
    Return what a metric counts for some aliases in a period, its end included.

    Only the last received event of a ``customerEventId`` counts, and none that is void. Sums are exact.

    :raises HTTPError: a parameter is wrong or missing.
    """
    if settings.unknown_parameters == "reject":
        for name in sorted(query.names() - PARAMETERS):
            raise HTTPError(400, f"{name} is not a parameter of a calculation")
    for name in sorted(NEEDED):
        if query.one(name) is None:
            raise HTTPError(400, f"{name} is required")
    aliases = values("customerAliases", query, settings.aliases_separator)
    condition = (
        Condition("type = ?", (metric["eventType"],))
        & among("alias", aliases)
        & Condition(
            f"timestamp >= ? AND timestamp <= ? AND NOT superseded AND alias <> '{VOID}'",
            (_period(query, "periodStart", settings), _period(query, "periodEnd", settings)),
        )
    )
    counted = _matching(metric, store.read(events.source, condition))
    aggregate = metric["aggregationType"]
    values_found = [event[metric["aggregationProperty"]] for event in counted if _aggregated(metric, event)]
    if aggregate == "SUM":
        with localcontext() as exact:
            exact.prec = _DIGITS
            value = sum((Decimal(found) for found in values_found if _is_number(found)), Decimal(0))
    elif aggregate == "UNIQUE":
        value = Decimal(len({_plain(found) for found in values_found}))
    elif aggregate == "COUNT":
        value = Decimal(len(counted))
    else:
        raise HTTPError(400, f"this sandbox cannot calculate metrics that aggregate by {aggregate}")
    answer = {name: metric[name] for name in ("name", "metricType", "eventType", "aggregationType")}
    digits = f"{value:f}"
    written = digits if settings.calculated_value == "text" else msgspec.Raw(digits.encode())
    answer |= {"eventCount": len(counted), "value": written}
    if metric.get("unit") is not None:
        answer["unit"] = metric["unit"]
    return answer


def _period(query: Query, name: str, settings: SandboxSettings) -> int:
    text = query.one(name) or ""
    try:
        if "T" in text:
            return timestamps.parse(text, settings.naive_timestamps)
        start = timestamps.start_of(timestamps.parse_date(text))
    except ValueError as error:
        raise HTTPError(400, f"{name} {error}") from None
    return start if name == "periodStart" else start + timestamps.DAY - 1


def _matching(metric: dict[str, Any], records: Iterable[Record]) -> list[dict[str, Any]]:
    """Return the properties of the events that pass the metric's property filters."""
    fold = str if metric.get("caseSensitive", True) else str.casefold
    negated = set(metric.get("propertiesToNegate") or ())
    wanted = {
        name: {fold(_plain(value)) for value in (listed if isinstance(listed, list) else [listed])}
        for name, listed in (metric.get("propertyFilters") or {}).items()
    }
    found = []
    for record in records:
        properties = (
            json.loads(record.body, parse_float=_number, parse_int=_number).get("eventProperties") or {}
        )
        if all(
            (name in properties and fold(_plain(properties[name])) in allowed) != (name in negated)
            for name, allowed in wanted.items()
        ):
            found.append(properties)
    return found


def _number(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if number.is_nan() or (number and abs(number.adjusted()) > _MOST_PLACES):
        raise HTTPError(400, "an event's properties have a number that this sandbox cannot calculate with")
    return number


def _aggregated(metric: dict[str, Any], properties: dict[str, Any]) -> bool:
    return metric.get("aggregationProperty") in properties


def _plain(value: Any) -> str:
    """Return a value as text, the same for each way to write one number."""
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        return str(Decimal(str(value)).normalize())
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _is_number(value: Any) -> bool:
    return isinstance(value, Decimal)
