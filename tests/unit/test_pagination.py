"""Cursor pagination: parsing of pages, the end of a list, and cycles of cursors."""

from __future__ import annotations

import gc
import itertools
import json
import weakref
from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sequence.api.pagination import EndlessListError, Page, iterate_pages, parse_page
from tests.unit.strategies import TEXT, few_examples

ITEM = {"id": msgspec.Raw(b'"1"')}


def body(items, pagination=None) -> bytes:
    return json.dumps({"items": items} | ({} if pagination is None else {"pagination": pagination})).encode()


class TestParsePage:
    def test_items_cursor_and_total(self):
        page = parse_page(
            body([{"id": "1", "n": 1.10}, {"id": "2"}], {"after": "c", "before": "b", "totalResultSize": 10})
        )
        assert [bytes(item["id"]) for item in page.items] == [b'"1"', b'"2"']
        assert (page.after, page.total) == ("c", 10)

    @pytest.mark.parametrize(
        "number", [b"1.10", b"1E400", b"12345678901234567890.12345678901234567890", b"-0"]
    )
    def test_values_are_kept_byte_for_byte(self, number):
        page = parse_page(b'{"items":[{"id":"1","new":{"n": ' + number + b"}}]}")
        assert bytes(page.items[0]["new"]) == b'{"n": ' + number + b"}"

    @pytest.mark.parametrize(
        "pagination",
        [
            None,
            {},
            {"after": None},
            {"after": ""},
            {"after": None, "before": None, "totalResultSize": None},
            {"before": "b"},
        ],
        ids=repr,
    )
    def test_last_page_in_each_form(self, pagination):
        page = parse_page(body([{"id": "1"}], pagination))
        assert not page.after
        assert list(iterate_pages(lambda cursor: page)) == [page]

    def test_missing_total_is_none(self):
        assert parse_page(body([{"id": "1"}], {})).total is None
        assert parse_page(body([{"id": "1"}], {"totalResultSize": 0})).total == 0

    def test_total_of_64_bits(self):
        assert parse_page(body([], {"totalResultSize": 2**63 - 1})).total == 2**63 - 1

    def test_undocumented_fields_are_ignored(self):
        text = b'{"new":[1],"items":[{"id":"1","x":null}],"pagination":{"after":"c","new":{"a":1}}}'
        page = parse_page(text)
        assert page.after == "c"
        assert bytes(page.items[0]["x"]) == b"null"

    @pytest.mark.parametrize(
        "text",
        [
            b"",
            b"null",
            b"[]",
            b"{}",
            b'{"items":null}',
            b'{"items":{}}',
            b'{"items":[1]}',
            b'{"items":[null]}',
            b'{"items":[{}',
        ],
        ids=repr,
    )
    def test_body_that_is_no_list_is_refused(self, text):
        with pytest.raises(msgspec.MsgspecError):
            parse_page(text)

    def test_deeply_nested_body_is_refused(self):
        with pytest.raises(msgspec.MsgspecError):
            parse_page(b'{"items":[{"a":' + b"[" * 200_000)


def page_of(items: list[int], pagination: dict[str, object] | None = None) -> Page:
    """Page parsed from a response."""
    return parse_page(body([{"id": number} for number in items], pagination))


def numbers_in(pages: Iterable[Page]) -> list[int]:
    return [int(bytes(item["id"])) for page in pages for item in page.items]


class Pages:
    """Pages by their cursors."""

    def __init__(self, pages: list[Page], cursors: list[str]) -> None:
        self.pages = dict(zip([None, *cursors], pages, strict=True))
        self.requested: list[str | None] = []

    def __call__(self, cursor: str | None) -> Page:
        self.requested.append(cursor)
        return self.pages[cursor]


CURSORS = st.lists(TEXT.filter(len), unique=True, max_size=8)
ENDS = {"left out": {}, "null": {"after": None}, "empty text": {"after": ""}, "no pagination": None}


class TestIteratePages:
    @few_examples
    @given(CURSORS, st.sampled_from([*ENDS, "empty page"]), st.data())
    def test_every_page_is_read_once_and_in_order(self, cursors, end, data):
        """The last page has no cursor or an empty one, or leads to an empty page."""
        count = itertools.count()
        contents = [[next(count) for _ in range(data.draw(st.integers(1, 3)))] for _ in [None, *cursors]]
        followed = [{"after": cursor} for cursor in cursors]
        if end == "empty page":
            followed.append({"after": "\x00beyond"})
            data_pages = [
                *map(page_of, contents, followed),
                page_of([], data.draw(st.sampled_from([*ENDS.values()]))),
            ]
            cursors = [*cursors, "\x00beyond"]
        else:
            data_pages = [*map(page_of, contents, [*followed, ENDS[end]])]
        server = Pages(data_pages, cursors)
        assert numbers_in(iterate_pages(server)) == [number for content in contents for number in content]
        assert server.requested == [None, *cursors]

    @pytest.mark.parametrize("own", ["b", "a"])
    def test_cursor_of_an_empty_page_is_not_followed(self, own):
        server = Pages([page_of([1], {"after": "a"}), page_of([], {"after": own})], ["a"])
        assert numbers_in(iterate_pages(server)) == [1]
        assert server.requested == [None, "a"]

    def test_empty_list(self):
        server = Pages([Page([], None, 0)], [])
        assert [page for page in iterate_pages(server) if page.items] == []
        assert server.requested == [None]

    @few_examples
    @given(st.lists(st.text(min_size=1), unique=True, min_size=1, max_size=6), st.data())
    def test_repeated_cursor_is_an_error(self, cursors, data):
        again = data.draw(st.sampled_from(cursors))
        pages = [Page([ITEM], after, None) for after in [*cursors, again]]
        server = Pages(pages, cursors)
        with pytest.raises(EndlessListError):
            for _ in itertools.islice(iterate_pages(server), 50):
                pass
        assert server.requested == [None, *cursors]

    def test_page_that_leads_to_itself_is_an_error(self):
        requested = []

        def fetch(cursor: str | None) -> Page:
            requested.append(cursor)
            return Page([ITEM], "same", None)

        with pytest.raises(EndlessListError):
            list(itertools.islice(iterate_pages(fetch), 50))
        assert requested == [None, "same"]

    def test_error_does_not_contain_the_cursor(self):
        """A cursor is opaque and may hold data."""
        with pytest.raises(EndlessListError) as caught:
            list(itertools.islice(iterate_pages(lambda _: Page([ITEM], "Y3Vyc29y", None)), 50))
        assert "Y3Vyc29y" not in str(caught.value)

    def test_pages_are_fetched_lazily(self):
        server = Pages(
            [Page([ITEM], "a", None), Page([ITEM], "b", None), Page([ITEM], None, None)], ["a", "b"]
        )
        pages = iterate_pages(server)
        assert server.requested == []
        next(pages)
        assert server.requested == [None]
        next(pages)
        assert server.requested == [None, "a"]

    def test_one_page_is_in_memory_at_a_time(self):
        alive: weakref.WeakSet[Held] = weakref.WeakSet()

        class Held(list):
            __hash__ = object.__hash__

        def fetch(cursor: str | None) -> Page:
            gc.collect()
            assert len(alive) <= 1, "the pages before are still in memory"
            items = Held([ITEM])
            alive.add(items)
            number = int(cursor or 0) + 1
            return Page(items, str(number) if number < 8 else None, None)

        count = 0
        for page in iterate_pages(fetch):
            count += len(page.items)
            del page
        assert count == 8

    def test_error_of_a_request_is_raised(self):
        def fetch(cursor: str | None) -> Page:
            if cursor:
                raise ConnectionError("gone")
            return Page([ITEM], "a", None)

        pages = iterate_pages(fetch)
        next(pages)
        with pytest.raises(ConnectionError, match="gone"):
            next(pages)
