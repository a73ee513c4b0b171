"""Cursor pagination: parse a page, and follow cursors to the end of a list."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeVar

import msgspec

from airflow_provider_sequence.api.odd_json import members, readable
from airflow_provider_sequence.exceptions import SequenceGoneError

#: An item of a list: its fields' JSON texts by name, each as it came.
Item = dict[str, msgspec.Raw]


#: Pages in a row that held the items of an earlier page, after which a list has no end. A few may do so: items that
#: arrive meanwhile push others onto the next page.
_REPEATED_PAGES = 10


#: How often a list is read before what is wrong with it is taken to stay so: its total and its items contradict each other,
#: or a cursor of it expires. Items that arrive while it is read raise the total; a further read finds them on its first
#: pages.
MAX_READS = 3

T = TypeVar("T")


class CursorRepeatedError(Exception):
    """A cursor, or the same page under new cursors, came again: following it would never end."""


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


class _Texts(msgspec.Struct):
    items: list[str]


_decode_texts: Callable[[Any], _Texts] = msgspec.json.Decoder(_Texts).decode
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


def parse_texts(body: bytes) -> Page:
    """
    Parse a page of a list of texts: each is the ``id`` of an item.

    :raises msgspec.MsgspecError: if the answer is no list of texts.
    """
    return Page(
        [{"id": msgspec.Raw(msgspec.json.encode(text))} for text in _decode_texts(body).items], None, None
    )


def iterate_pages(fetch: Callable[[str | None], Page]) -> Iterator[Page]:
    """
    Follow the cursors from the first page to the last, one page in memory at a time.

    Cursors are opaque: they are passed back as they came and never made.

    :param fetch: gets the page of a cursor; None stands for the first page.
    :raises CursorRepeatedError: if a cursor comes a second time, or pages come again under new cursors.
    """
    cursors: set[int] = set()
    pages: set[int] = set()
    repeated = 0
    cursor: str | None = None
    while True:
        page = fetch(cursor)
        yield page
        if page.after is None:
            return
        cursor = page.after
        # Hashes are kept: eight bytes a page, whatever its length.
        content = hash(frozenset(map(_identity, page.items)))
        repeated = repeated + 1 if content in pages else 0
        if hash(cursor) in cursors or repeated >= _REPEATED_PAGES:
            raise CursorRepeatedError
        cursors.add(hash(cursor))
        pages.add(content)


def _identity(item: Item) -> bytes | int:
    """An item's id; of one without, a hash of all that it holds."""
    return bytes(item["id"]) if "id" in item else hash(tuple(map(bytes, item.values())))


def read_whole(read: Callable[[], T]) -> T:
    """
    Read a list with a function that starts from the beginning each time: again where a cursor expired.

    :raises SequenceGoneError: if one expires in each read.
    """
    for number in count(1):
        try:
            return read()
        except SequenceGoneError:
            if number == MAX_READS:
                raise
    raise AssertionError("reads end by return or raise")
