"""Pages of lists: from a query to an envelope of items and cursors."""

from __future__ import annotations

import sys
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from airflow_provider_sequence.sandbox.cursors import Cursors
from airflow_provider_sequence.sandbox.filters import json_field
from airflow_provider_sequence.sandbox.http import HTTPError, Query
from airflow_provider_sequence.sandbox.resources import Resource
from airflow_provider_sequence.sandbox.settings import SandboxSettings
from airflow_provider_sequence.sandbox.store import Condition, Record, Store

MOST = 100

_TOTALS: dict[str, Callable[[int], dict[str, Any]]] = {
    "exact": lambda count: {"totalResultSize": count},
    "absent": lambda count: {},
    "null": lambda count: {"totalResultSize": None},
    "estimate_low": lambda count: {"totalResultSize": max(0, count - max(1, count // 10))},
    "estimate_high": lambda count: {"totalResultSize": count + max(1, count // 10)},
}

#: What stands in place of a cursor where there is no page to point to; where it is not here, nothing does.
_NO_PAGE: dict[str, str | None] = {"null": None, "empty": ""}


def page(
    resource: Resource,
    query: Query,
    settings: SandboxSettings,
    store: Store,
    cursors: Cursors,
    render: Callable[[Record], bytes],
    base: Condition,
) -> bytes:
    """
    Return the body of a list's answer.

    :param render: makes the JSON of one item.
    :param base: what all records of the list fulfil.
    :raises HTTPError: a parameter is wrong; the reason names it.
    """
    if settings.unknown_parameters == "reject":
        for name in sorted(query.names() - resource.parameters):
            raise HTTPError(400, f"{name} is not a parameter of this list")
    condition = base
    if resource.kind and settings.superseded == "hidden":
        condition &= Condition("NOT superseded", lasting=False)
    if resource.archived and query.one(resource.archived) != "true":
        condition &= Condition(f"{json_field('archivedAt')} IS NULL")
    for name, build in resource.filters.items():
        if query.raw(name):
            condition &= build(name, query, settings)

    asked = {name: query.one(name) for name in resource.paging}
    everything = "limit" not in resource.paging
    limit = (
        sys.maxsize if everything else _number("limit", asked.get("limit"), settings.default_limit, 1, MOST)
    )
    order = asked.get("sortOrder") or "DESC"
    if order not in {"ASC", "DESC"}:
        raise HTTPError(400, f"sortOrder must be ASC or DESC, not {order!r}")
    if asked.get("sortBy") not in {None, "createdAt"}:
        raise HTTPError(400, "sortBy: this sandbox sorts by the time of creation only")

    found = store.search(resource.source, condition)
    descending = order == "DESC"

    def place(name: str, cursor: str) -> int:
        identifier = cursors.read(name, cursor, order, settings)
        seq = store.seq_of(resource.source, identifier)
        if seq is None:
            raise HTTPError(400, f"{name} is not a cursor of this list")
        past = (name == "after") != descending  # of equal places, which side belongs to the page before
        ascending = bisect_right(found, seq) if past else bisect_left(found, seq)
        return len(found) - ascending if descending else ascending

    start, end = _span(asked, limit, len(found), settings, place)
    records = store.at(resource.source, _slice(found, start, end, descending))
    pagination = _TOTALS[settings.total](len(found))
    edges = {"before": (records[:1], start > 0), "after": (records[-1:], end < len(found))}
    for name, (edge, exists) in edges.items():
        if name not in resource.paging:
            continue
        style = settings.last_page if name == "after" else settings.first_page
        if edge and (exists or style == "cursor"):
            pagination[name] = cursors.make(edge[0].id, order, settings)
        elif style in _NO_PAGE:
            pagination[name] = _NO_PAGE[style]
    items = b",".join(map(render, records))
    if not resource.enveloped:
        return b'{"items":[' + items + b"]}"
    return b'{"items":[' + items + b'],"pagination":' + msgspec.json.encode(pagination) + b"}"


def _span(
    asked: dict[str, str | None],
    limit: int,
    count: int,
    settings: SandboxSettings,
    place: Callable[[str, str], int],
) -> tuple[int, int]:
    """Return the places, counted in the order of the list, where the page starts and where it has ended."""
    after, before = asked.get("after"), asked.get("before")
    offset = _number("offset", asked.get("offset"), 0, 0, None)
    if after is not None and before is not None:
        raise HTTPError(400, "after and before cannot be combined")
    if before is not None:
        end = max(0, place("before", before) - offset)
        return max(0, end - limit), end
    if after is None and asked.get("offset") is not None and settings.offset_without_cursor == "reject":
        raise HTTPError(400, "offset needs after or before: it is counted from a cursor")
    start = min(count, (place("after", after) if after is not None else 0) + offset)
    return start, min(count, start + limit)


def _slice(found: Sequence[int], start: int, end: int, descending: bool) -> Sequence[int]:
    if descending:
        return found[len(found) - end : len(found) - start][::-1]
    return found[start:end]


def _number(name: str, text: str | None, default: int, least: int, most: int | None) -> int:
    if text is None:
        return default
    if text.isascii() and text.isdigit() and len(text) < 19:
        number = int(text)
        if least <= number and (most is None or number <= most):
            return number
    raise HTTPError(400, f"{name} must be an integer from {least}" + (f" to {most}" if most else ""))
