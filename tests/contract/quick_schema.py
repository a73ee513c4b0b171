"""A schema as one predicate: the quick answer for the many bodies that are right.

It knows the keywords that the description uses and refuses any other. What is wrong with a body that it turns down
is for jsonschema to tell; a test holds the two against each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.contract.formats import FORMATS

Predicate = Callable[[Any], bool]

# What a value that `json` has read is to JSON Schema. bool is no number, and 3.0 no integer.
_TYPES: dict[str, frozenset[type]] = {
    "object": frozenset({dict}),
    "array": frozenset({list}),
    "string": frozenset({str}),
    "integer": frozenset({int}),
    "number": frozenset({int, float}),
    "boolean": frozenset({bool}),
    "null": frozenset({type(None)}),
}
_NOTES = {"basis", "inferred", "house"}


def compile_schema(schema: Mapping[str, Any]) -> Predicate:
    """Make the predicate of a schema."""
    rest = {keyword: value for keyword, value in schema.items() if keyword not in _NOTES}
    kinds = rest.pop("type")
    allowed = frozenset().union(*(_TYPES[kind] for kind in ([kinds] if isinstance(kinds, str) else kinds)))
    rules = {}
    if _OBJECT & rest.keys():
        rules[dict] = _of_object(
            rest.pop("properties", {}), rest.pop("required", []), rest.pop("additionalProperties", True)
        )
    if _ARRAY & rest.keys():
        rules[list] = _of_array(rest.pop("items", None), rest.pop("maxItems", None))
    if _TEXT & rest.keys():
        rules[str] = _of_text(rest.pop("minLength", 0), rest.pop("format", None), rest.pop("enum", None))
    if _NUMBER & rest.keys():
        rules[int] = rules[float] = _of_number(rest.pop("minimum", None), rest.pop("maximum", None))
    if rest:
        raise ValueError(f"keywords that quick_schema does not know: {', '.join(rest)}")

    def holds(value: Any) -> bool:
        kind = type(value)
        if kind not in allowed:
            return False
        rule = rules.get(kind)
        return rule is None or rule(value)

    return holds


_OBJECT = {"properties", "required", "additionalProperties"}
_ARRAY = {"items", "maxItems"}
_TEXT = {"minLength", "format", "enum"}
_NUMBER = {"minimum", "maximum"}


def _of_object(properties: Mapping[str, Any], required: list[str], others: bool) -> Predicate:
    members = {name: compile_schema(schema) for name, schema in properties.items()}
    needed = frozenset(required)

    def holds(value: dict[str, Any]) -> bool:
        if not needed <= value.keys():
            return False
        for name, member in value.items():
            rule = members.get(name)
            if rule is None:
                if not others:
                    return False
            elif not rule(member):
                return False
        return True

    return holds


def _of_array(items: Mapping[str, Any] | None, most: int | None) -> Predicate:
    item = compile_schema(items) if items is not None else None

    def holds(value: list[Any]) -> bool:
        if most is not None and len(value) > most:
            return False
        return item is None or all(map(item, value))

    return holds


def _of_text(least: int, notation: str | None, enum: list[str] | None) -> Predicate:
    written = FORMATS[notation].holds if notation is not None else None

    def holds(value: str) -> bool:
        if len(value) < least or (enum is not None and value not in enum):
            return False
        return written is None or written(value)

    return holds


def _of_number(low: int | None, high: int | None) -> Predicate:
    def holds(value: float) -> bool:
        return (low is None or value >= low) and (high is None or value <= high)

    return holds
