"""The query of a request against the parameters that an endpoint takes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote

from tests.contract.formats import FORMATS, shown

_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,18})")
# What may stand in a value of a comma-separated list besides escapes: nothing that a second decoding would change.
_ENCODED_VALUE = re.compile(r"(?:[A-Za-z0-9\-._~!*'()]|%[0-9A-Fa-f]{2})+")


class QueryRules:
    """The parameters of one endpoint. With ``is_open`` others may come too."""

    def __init__(self, parameters: Mapping[str, Mapping[str, Any]], is_open: bool = False) -> None:
        self.parameters = parameters
        self.is_open = is_open
        self._required = [name for name, rule in parameters.items() if rule.get("required")]

    def check(self, raw_query: str) -> list[str]:
        if not raw_query:
            return [f"query parameter {name}: expected, but missing" for name in self._required]
        if not raw_query.isascii() or _BROKEN_ESCAPE.search(raw_query):
            return [f"query: expected ASCII with whole percent escapes, got {shown(raw_query)}"]
        try:
            pairs = parse_qsl(raw_query, keep_blank_values=True, errors="strict")
        except UnicodeDecodeError:
            return [f"query: expected escapes of UTF-8, got {shown(raw_query)}"]
        values: dict[str, list[str]] = {}
        for name, value in pairs:
            values.setdefault(name, []).append(value)
        return [
            f"query parameter {name}: {problem}"
            for name in dict.fromkeys([*values, *self._required])
            for problem in self._problems(name, values)
        ]

    def _problems(self, name: str, values: Mapping[str, list[str]]) -> Iterator[str]:
        rule = self.parameters.get(name)
        if rule is None:
            if not self.is_open:
                yield "expected one of " + (", ".join(self.parameters) or "no parameter at all")
            return
        given = values.get(name, [])
        if not given:
            yield "expected, but missing"
            return
        style = rule.get("list")
        if len(given) > 1 and style not in {"repeated", "unknown"}:
            yield f"expected once, got {len(given)} times"
        needed = rule.get("needs", ())
        if needed and not any(other in values for other in needed):
            yield "expected only together with " + " or ".join(needed)
        for other in rule.get("excludes", ()):
            if other in values:
                yield f"expected without {other}"
        for text in given:
            yield from _list_problems(rule, style, text)


def _list_problems(rule: Mapping[str, Any], style: str | None, text: str) -> Iterator[str]:
    if style not in {"comma", "comma-percent-encoded"}:
        yield from _value_problems(rule, text)
        return
    parts = text.split(",")
    most = rule.get("max_items")
    if most is not None and len(parts) > most:
        yield f"expected at most {most} values, got {len(parts)}"
    for part in parts:
        if style == "comma":
            yield from _value_problems(rule, part)
        elif not _ENCODED_VALUE.fullmatch(part):
            yield f"expected each value percent-encoded before the commas go in, got {shown(part)}"
        else:
            try:
                yield from _value_problems(rule, unquote(part, errors="strict"))
            except UnicodeDecodeError:
                yield f"expected escapes of UTF-8 in each value, got {shown(part)}"


def _value_problems(rule: Mapping[str, Any], text: str) -> Iterator[str]:
    if not text:
        yield "expected a value, got none"
    elif rule["type"] == "integer":
        yield from _integer_problems(rule, text)
    elif rule["type"] == "number":
        if not _NUMBER.fullmatch(text):
            yield f"expected a number, got {shown(text)}"
    elif rule["type"] == "boolean":
        if text not in {"true", "false"}:
            yield f"expected true or false, got {shown(text)}"
    elif "enum" in rule and text not in rule["enum"]:
        yield f"expected one of {', '.join(rule['enum'])}, got {shown(text)}"
    elif "format" in rule and not FORMATS[rule["format"]].holds(text):
        yield f"expected {FORMATS[rule['format']].expects}, got {shown(text)}"


def _integer_problems(rule: Mapping[str, Any], text: str) -> Iterator[str]:
    low, high = rule.get("minimum"), rule.get("maximum")
    number = int(text) if _INTEGER.fullmatch(text) else None
    if number is None or (low is not None and number < low) or (high is not None and number > high):
        bounds = (f" from {low}" if low is not None else "") + (f" to {high}" if high is not None else "")
        yield f"expected a whole number{bounds}, got {shown(text)}"
