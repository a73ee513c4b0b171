"""The quick predicate and jsonschema say the same of every body."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.contract.body_rules import _Validator
from tests.contract.contract import load
from tests.contract.examples import ANSWERS, REQUESTS, patient
from tests.contract.quick_schema import compile_schema

SCALARS = st.sampled_from([
    None, True, False, 0, 1, -1, 101, 12.0, 1.5, 2**63, "", "x", "SUM", "SIMPLE", "INTEGER",
    "2024-03-31T23:59:59Z", "2024-03-31T23:59:59", "2024-02-30T00:00:00Z",
])  # fmt: skip
VALUES = st.recursive(
    SCALARS | st.text(max_size=3) | st.integers() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


def places(value, way=()):
    yield way
    members = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for step, member in members:
        yield from places(member, (*way, step))


def spoil(data, value):
    """Put something else in one place of a value, take the place out, or add one beside it."""
    way = data.draw(st.sampled_from(list(places(value))))
    if not way:
        return data.draw(VALUES)
    value = copy.deepcopy(value)
    place = value
    for step in way[:-1]:
        place = place[step]
    if data.draw(st.booleans()):
        place[way[-1]] = data.draw(VALUES)
    elif isinstance(place, dict):
        del place[way[-1]]
    else:
        place.append(data.draw(VALUES))
    return value


def agree(rules, value):
    told = list(rules._validator.iter_errors(value))
    assert rules._is_right(value) is (told == []), (value, told)


DIFFERENT = [
    endpoint for endpoint in load().endpoints if endpoint.name in ANSWERS
]  # the others are plain lists


@pytest.mark.parametrize("endpoint", DIFFERENT, ids=lambda endpoint: endpoint.name)
@patient
@given(data=st.data())
def test_they_agree_about_every_body(endpoint, data):
    _, answer = ANSWERS[endpoint.name]
    agree(endpoint.answer, answer)
    spoilt = spoil(data, answer)
    agree(endpoint.answer, spoilt)
    agree(endpoint.answer, spoil(data, spoilt))
    if endpoint.request is not None:
        agree(endpoint.request, REQUESTS[endpoint.name])
        agree(endpoint.request, spoil(data, REQUESTS[endpoint.name]))


@pytest.mark.parametrize(
    ("schema", "right", "wrong"),
    [
        ({"type": "object"}, {}, []),
        ({"type": "array"}, [], {}),
        ({"type": "string"}, "", None),
        ({"type": "integer"}, 5, 5.0),
        ({"type": "integer"}, -(2**70), True),
        ({"type": "number"}, 5.0, "5"),
        ({"type": "number"}, 5, False),
        ({"type": "boolean"}, True, 1),
        ({"type": "null"}, None, 0),
        ({"type": ["string", "null"]}, None, 0),
        ({"type": "object", "required": ["a"]}, {"a": 1}, {"b": 1}),
        ({"type": "object", "properties": {"a": {"type": "null"}}}, {"b": 1}, {"a": 1}),
        (
            {"type": "object", "properties": {"a": {"type": "null"}}, "additionalProperties": False},
            {},
            {"b": 1},
        ),
        ({"type": "array", "items": {"type": "null"}}, [None], [None, 1]),
        ({"type": "array", "maxItems": 1}, [1], [1, 2]),
        ({"type": "string", "minLength": 1}, "a", ""),
        ({"type": "string", "enum": ["a"]}, "a", "b"),
        ({"type": "string", "format": "utc-instant"}, "2024-01-01T00:00:00Z", "2024-01-01"),
        ({"type": "integer", "minimum": 1}, 1, 0),
        ({"type": "number", "maximum": 1}, 1.0, 1.1),
    ],
)
def test_each_keyword(schema, right, wrong):
    holds, validator = compile_schema(schema), _Validator(schema)
    assert (holds(right), holds(wrong)) == (True, False)
    if "format" not in schema:
        assert (validator.is_valid(right), validator.is_valid(wrong)) == (True, False)


@pytest.mark.parametrize("keyword", ["pattern", "const", "oneOf", "$ref", "uniqueItems"])
def test_a_keyword_that_it_does_not_know_is_refused(keyword):
    with pytest.raises(ValueError, match=rf"does not know: {keyword.replace('$', '.')}"):
        compile_schema({"type": "string", keyword: None})
