"""JSON bodies: strict reading, and a schema that is compiled once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from tests.contract.formats import FORMATS, shown
from tests.contract.quick_schema import compile_schema

MOST_PROBLEMS = 20


class NotJson(ValueError):
    """A body that is not one JSON text in UTF-8 that every reader understands alike."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise NotJson(f"expected each name once in an object, got {shown(twice)} twice")
    return members


def _constant(token: str) -> Any:
    raise NotJson(f"expected JSON numbers, got {token}")


_decode = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant).decode


def parse(body: bytes) -> Any:
    """Read a body, stricter than ``json.loads``: UTF-8, no name twice, no NaN, no half of a surrogate pair."""
    try:
        value = _decode(body.decode())
    except NotJson:
        raise
    except UnicodeDecodeError as error:
        raise NotJson(f"expected UTF-8, got byte {body[error.start]:#x} at {error.start}") from None
    except (ValueError, RecursionError) as error:
        raise NotJson(f"expected JSON, got {shown(body)} ({error})") from None
    if b"\\u" in body:
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise NotJson("expected whole Unicode characters, got half of a surrogate pair") from None
    return value


def _format_checker() -> FormatChecker:
    checker = FormatChecker(formats=())
    for name, notation in FORMATS.items():
        checker.checks(name)(lambda value, holds=notation.holds: not isinstance(value, str) or holds(value))
    return checker


# Unlike JSON Schema, 3.0 is no integer here: a reader with types of its own may refuse it.
_Validator = extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    ),
)
_FORMAT_CHECKER = _format_checker()


class BodyRules:
    """One schema, and the fields that are always sent although the API could do without."""

    def __init__(self, schema: Mapping[str, Any], always_sent: tuple[str, ...] = ()) -> None:
        self.schema = schema
        _Validator.check_schema(schema)
        self._is_right = compile_schema(schema)
        self._validator = _Validator(schema, format_checker=_FORMAT_CHECKER)
        self._always_sent = always_sent

    def check(self, body: bytes) -> list[str]:
        try:
            value = parse(body)
        except NotJson as error:
            return [f"body: {error}"]
        return [*self.judge(value), *self._unsent(value)]

    def judge(self, value: Any) -> list[str]:
        """What the schema finds wrong with a value that has been read."""
        if self._is_right(value):
            return []
        told = [
            f"body field {_place(error)}: {_told(error)}"
            for error in islice(self._validator.iter_errors(value), MOST_PROBLEMS)
            if error.validator != "enum" or isinstance(error.instance, str)  # else its type is told already
        ]
        return told or ["body: turned down by quick_schema, but jsonschema finds nothing wrong with it"]

    def _unsent(self, value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            for name in self._always_sent:
                if name not in value:
                    yield f"body field {name}: expected from this client in every case, but missing"


def envelope(
    item: Mapping[str, Any], pagination: Mapping[str, Any] | None, most: int | None = 100
) -> dict[str, Any]:
    """The schema of a page of a list, or of a list that has no pages."""
    items = {"type": "array", "items": item} | ({"maxItems": most} if most else {})
    properties = {"items": items} | ({"pagination": pagination} if pagination else {})
    return {"type": "object", "required": list(properties), "properties": properties}


def _place(error: ValidationError) -> str:
    return ".".join(str(step) for step in error.absolute_path) or "(whole body)"


def _told(error: ValidationError) -> str:
    wanted, got = error.validator_value, error.instance
    match error.validator:
        case "required":
            return "expected the field " + error.message.replace(" is a required property", ", but missing")
        case "additionalProperties":
            known = error.schema["properties"]
            unknown = sorted(set(got) - set(known))
            return f"expected no other fields than {', '.join(known)}, got {shown(unknown)}"
        case "type":
            kinds = wanted if isinstance(wanted, list) else [wanted]
            return f"expected {' or '.join(kinds)}, got {shown(got)}"
        case "format":
            return f"expected {FORMATS[wanted].expects}, got {shown(got)}"
        case "enum":
            return f"expected one of {', '.join(wanted)}, got {shown(got)}"
        case _:
            return f"expected {error.validator} {wanted}, got {shown(got)}"
