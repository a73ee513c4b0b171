"""Cursor pagination: parse a page, and follow cursors to the end of a list."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from airflow_provider_sequence.api.odd_json import members, readable

#: An item of a list: its fields' JSON texts by name, each as it came.
Item = dict[str, msgspec.Raw]


class CursorRepeatedError(Exception):
    """A cursor came a second time: following it would never end."""


@dataclass(frozen=True, slots=True)
class Page:
    """
    One page of a list.

    :param items: the items, in the order they came.
    :param after: the cursor to the next page, or None on the last.
    :param total: how many items the whole list has, by the API's word, or None where it gave none.
    """

    items: list[Item]
    after: str | None
    total: int | None


class _Pagination(msgspec.Struct):
    after: str | None = None
    totalResultSize: int | None = None


class _Envelope(msgspec.Struct):
    items: list[Item]
    pagination: _Pagination | None = None


_decode: Callable[[Any], _Envelope] = msgspec.json.Decoder(_Envelope).decode


def _split_items(body: bytes) -> list[Item]:
    items = [value for name, value in members(body) if name == "items"][-1]
    return [{name: msgspec.Raw(value) for name, value in members(item)} for _, item in members(items)]


def parse_page(body: bytes) -> Page:
    """
    Parse a page of a list.

    The documents don't say whether the last page leaves its cursor out, sends null or an empty text, or leads
    to an empty page. Each of these is an end; an empty page's own cursor is not followed. What no text can hold, such as
    half a surrogate pair, stays as it came in its item, and does not end the page.

    :raises msgspec.MsgspecError: if the answer is no list of objects.
    """
    try:
        envelope = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        if isinstance(e, msgspec.ValidationError):
            raise
        envelope = _decode(readable(body))
        envelope.items = _split_items(body)
    pagination = envelope.pagination or _Pagination()
    after = (pagination.after or None) if envelope.items else None
    return Page(envelope.items, after, pagination.totalResultSize)


def iterate_pages(fetch: Callable[[str | None], Page]) -> Iterator[Page]:
    """
    Follow the cursors from the first page to the last, one page in memory at a time.

    Cursors are opaque: they are passed back as they came and never made.

    :param fetch: gets the page of a cursor; None stands for the first page.
    :raises CursorRepeatedError: if a cursor comes a second time.
    """
    seen: set[int] = set()
    cursor: str | None = None
    while True:
        page = fetch(cursor)
        yield page
        if page.after is None:
            return
        cursor = page.after
        # The hash is kept and not the cursor: eight bytes a page, whatever a cursor's length.
        if hash(cursor) in seen:
            raise CursorRepeatedError
        seen.add(hash(cursor))
