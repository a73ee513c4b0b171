"""Cursor pagination: parse a page, and follow cursors to the end of a list."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeVar

import msgspec

from airflow_provider_sequence.api.answer_size import MAX_ODD_PAGE, PAGE_LIMIT, TooLargeError
from airflow_provider_sequence.api.odd_json import members, readable
from airflow_provider_sequence.exceptions import SequenceGoneError

#: An item of a list: its fields' JSON texts by name, each as it came.
Item = dict[str, msgspec.Raw]


#: Pages in a row that held the items of an earlier page, after which a list has no end. A few may do so: items that
#: arrive meanwhile push others onto the next page.
_REPEATED_PAGES = 10


#: How many times the largest total that any page told a list may have of items, and how many more.
_BEYOND_TOTAL = (2, 1000)


#: How often a list is read before what is wrong with it is taken to stay so: its total and its items contradict each other,
#: or a cursor of it expires. Items that arrive while it is read raise the total; a further read finds them on its first
#: pages.
MAX_READS = 3

T = TypeVar("T")


class EndlessListError(Exception):
    """A list has no end: a cursor or the same page comes again, or far more items than it is said to have."""


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


class _UnsplitEnvelope(msgspec.Struct):
    items: msgspec.Raw
    pagination: _Pagination | None = None


#: Colons and braces of a page, up to which its fields are few enough to be split at once: some 30 ms.
_MAX_MARKS = 50_000
#: Items of a page and fields of an item, beyond which it is no page: ten times what the API allows, or documents.
_MAX_ITEMS, _MAX_FIELDS = 10 * PAGE_LIMIT, 1000

#: Up to so many items, each undecoded; a longer list is refused where it gets too long, and not when it was read.
_Items = msgspec.defstruct(
    "_Items",
    [(f"item{number}", msgspec.Raw, msgspec.UNSET) for number in range(_MAX_ITEMS)],
    array_like=True,
    forbid_unknown_fields=True,
)
_decode_unsplit: Callable[[Any], _UnsplitEnvelope] = msgspec.json.Decoder(_UnsplitEnvelope).decode
_decode_items: Callable[[Any], Any] = msgspec.json.Decoder(_Items).decode
_decode_item: Callable[[Any], Item] = msgspec.json.Decoder(Item).decode


def _split_wide(body: bytes) -> _Envelope:
    """Decode a page of wide items step by step, since each step keeps all other threads from running."""
    page = _decode_unsplit(body)
    items = [
        _decode_item(raw) if bytes(raw).count(b":") < _MAX_MARKS else _fields(bytes(raw))
        for raw in msgspec.structs.astuple(_decode_items(page.items))
        if raw is not msgspec.UNSET
    ]
    return _Envelope(items, page.pagination)


def _split_odd(body: bytes) -> _Envelope:
    if len(body) > MAX_ODD_PAGE:
        raise TooLargeError(MAX_ODD_PAGE)
    envelope = _decode(readable(body))
    items = [value for name, value in members(body) if name == "items"][-1]
    envelope.items = [
        _fields(item) for _, item in _at_most(_MAX_ITEMS, members(items), "more items than a page has")
    ]
    return envelope


def _fields(item: bytes) -> Item:
    fields = _at_most(_MAX_FIELDS, members(item), "more fields than an item has")
    return {name: msgspec.Raw(value) for name, value in fields}


def _at_most(most: int, values: Iterable[T], otherwise: str) -> Iterator[T]:
    for number, value in enumerate(values):
        if number == most:
            raise msgspec.ValidationError(otherwise)
        yield value


def parse_page(body: bytes) -> Page:
    """
    Parse a page of a list.

    The documents don't say whether the last page leaves its cursor out, sends null or an empty text, or leads
    to an empty page. Each of these is an end; an empty page's own cursor is not followed. What no text can hold, such as
    half a surrogate pair, stays as it came in its item, and does not end the page.

    :raises msgspec.MsgspecError: if the answer is no list of objects.
    :raises TooLargeError: if it is too large to be taken apart.
    """
    few = body.count(b":") + body.count(b"{") < _MAX_MARKS
    try:
        envelope = _decode(body) if few else _split_wide(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        if isinstance(e, msgspec.ValidationError):
            raise
        envelope = _split_odd(body)
    pagination = envelope.pagination or _Pagination()
    after = (pagination.after or None) if envelope.items else None
    total = pagination.totalResultSize
    return Page(envelope.items, after, total if total is not None and 0 <= total < 2**63 else None)


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
    :raises EndlessListError: if a cursor comes a second time, pages come again under new cursors, or there are far more
        items than the list is said to have.
    """
    cursors: set[int] = set()
    pages: set[int] = set()
    repeated = items = 0
    total: int | None = None
    cursor: str | None = None
    while True:
        page = fetch(cursor)
        yield page
        items += len(page.items)
        if page.total is not None:
            total = max(total or 0, page.total)
        if page.after is None:
            return
        cursor = page.after
        # Hashes are kept: eight bytes a page, whatever its length.
        content = hash(frozenset(map(_identity, page.items)))
        repeated = repeated + 1 if content in pages else 0
        times, more = _BEYOND_TOTAL
        beyond = total is not None and items > times * total + more
        if hash(cursor) in cursors or repeated >= _REPEATED_PAGES or beyond:
            raise EndlessListError
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
