"""Order of the keys of several pages, which shows whether a key can be there twice."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_sequence.warehouse.staging import _KeyOrder as KeyOrder
from tests.unit.strategies import few_examples

PAGES = st.lists(st.lists(st.text("abc", max_size=2), max_size=4), max_size=4)


def ordered(pages: list[list[str]]) -> KeyOrder:
    order = KeyOrder()
    for page in pages:
        order.add(page)
    return order


@few_examples
@given(PAGES | PAGES.map(lambda pages: [sorted(page) for page in pages]))
@example([["b"], [], ["b"]])
@example([["b", "a"], ["b"]])
@example([["a"], ["b", "a"]])
def test_key_order(pages):
    keys = [key for page in pages for key in page]
    different = sorted(set(keys))
    order = ordered(pages)
    assert order.count == len(keys)
    assert order.is_descending == (keys == different[::-1])
    assert order.is_strict == (keys in (different, different[::-1]))
