"""The quick predicate of a schema agrees with jsonschema."""

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
BODIES = [
    (endpoint.answer, ANSWERS[endpoint.name][1]) for endpoint in load().endpoints if endpoint.name in ANSWERS
]
BODIES += [(load().find(*name.split(" ")).request, body) for name, body in REQUESTS.items()]


def places(value, way=()):
    yield way
    members = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for step, member in members:
        yield from places(member, (*way, step))


def spoil(data, value):
    """Replace or remove one place of a value, or add one beside it."""
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


@patient
@given(data=st.data(), body=st.sampled_from(BODIES))
def test_predicate_agrees_with_jsonschema_about_any_body(data, body):
    rules, value = body
    for _ in range(3):
        told = list(rules._validator.iter_errors(value))
        assert rules._is_right(value) is (told == []), (value, told)
        value = spoil(data, value)


def test_each_keyword_tells_right_from_wrong():
    null = {"type": "null"}
    for schema, right, wrong in [
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
        ({"type": "object", "properties": {"a": null}}, {"b": 1}, {"a": 1}),
        ({"type": "object", "properties": {"a": null}, "additionalProperties": False}, {}, {"b": 1}),
        ({"type": "array", "items": null}, [None], [None, 1]),
        ({"type": "array", "maxItems": 1}, [1], [1, 2]),
        ({"type": "string", "minLength": 1}, "a", ""),
        ({"type": "string", "enum": ["a"]}, "a", "b"),
        ({"type": "integer", "minimum": 1}, 1, 0),
        ({"type": "number", "maximum": 1}, 1.0, 1.1),
    ]:
        holds, validator = compile_schema(schema), _Validator(schema)
        assert (holds(right), holds(wrong)) == (True, False), schema
        assert (validator.is_valid(right), validator.is_valid(wrong)) == (True, False), schema


def test_unknown_keyword_is_refused():
    with pytest.raises(ValueError, match="does not know: pattern"):
        compile_schema({"type": "string", "pattern": None})
