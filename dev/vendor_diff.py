"""
What is new, gone or changed in Sequence's OpenAPI description, beside the facts that this project was made by.

    python -m dev.vendor_diff 2024-07-30.product.json    # prints the differences; 1 if there are some

The facts are those of tests/contract/published_api.yaml, which says how they are written. The description is a file that
you have downloaded.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

PUBLISHED = Path(__file__).resolve().parents[1] / "tests" / "contract" / "published_api.yaml"

Facts = Mapping[str, Any]

_TYPES = {"string": "text", "boolean": "flag", "array": "list"}
_MOST = re.compile(r"\bmax(?:imum)?\.?\s+(?:of\s+)?(\d+)|\bup to (\d+)", re.IGNORECASE)


def facts_of(description: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the facts of each call that an OpenAPI description has."""
    found = {}
    for path, calls in description["paths"].items():
        for method, call in calls.items():
            if method in {"get", "post"}:
                name = f"{method.upper()} {re.sub(r'{[^}]*}', '{id}', path)}"
                found[name] = _facts(description, calls, call)
    return found


def _facts(description: Mapping[str, Any], calls: Any, call: Any) -> dict[str, Any]:
    parameters = [
        _resolved(description, each) for each in (*calls.get("parameters", ()), *call.get("parameters", ()))
    ]
    query = {each["name"]: _parameter(description, each) for each in parameters if each["in"] == "query"}
    facts: dict[str, Any] = {"query": query} if query else {}
    body = _content(description, call.get("requestBody"))
    if body:
        facts["body"] = _fields(description, body)
    answer = next((each for status, each in call["responses"].items() if status.startswith("2")), None)
    schema = _content(description, answer)
    items = schema.get("properties", {}).get("items")
    if items is not None:
        facts["answer"] = "pages" if "pagination" in schema["properties"] else "items"
        schema = _resolved(description, _resolved(description, items).get("items", {}))
        if schema.get("type") == "string":
            facts["texts"] = True
    if fields := _fields(description, schema):
        facts["fields"] = fields
    facts["statuses"] = sorted(int(status) for status in call["responses"] if status.isdigit())
    return facts


def _resolved(description: Mapping[str, Any], schema: Any) -> Any:
    """Follow references, and put together what a schema is made of; of alternatives, what they have in common."""
    schema = schema or {}
    while "$ref" in schema:
        found: Any = description
        for step in schema["$ref"].removeprefix("#/").split("/"):
            found = found[step.replace("~1", "/").replace("~0", "~")]
        schema = found
    parts = [_resolved(description, part) for part in schema.get("allOf", ())]
    ways = [_resolved(description, part) for part in (*schema.get("oneOf", ()), *schema.get("anyOf", ()))]
    merged = dict(schema)
    if ways:
        names = set.intersection(*(set(way.get("properties", {})) for way in ways))
        parts.append({
            "type": ways[0].get("type"),
            "properties": {name: ways[0]["properties"][name] for name in names},
        })
    for part in parts:
        merged["type"] = merged.get("type") or part.get("type")
        merged["properties"] = {**part.get("properties", {}), **merged.get("properties", {})}
        merged["required"] = [*merged.get("required", ()), *part.get("required", ())]
    return merged


def _content(description: Mapping[str, Any], message: Any) -> Any:
    content = _resolved(description, message).get("content", {})
    return _resolved(description, content.get("application/json", {}).get("schema"))


def _type(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type", "object")
    kinds = [one for one in (kind if isinstance(kind, list) else [kind]) if one != "null"]
    return _TYPES.get(kinds[0], kinds[0]) if kinds else "object"


def _fields(description: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, str]:
    required = set(schema.get("required", ()))
    fields = {}
    for name, each in sorted(schema.get("properties", {}).items()):
        one = _resolved(description, each)
        nullable = one.get("nullable") or (isinstance(one.get("type"), list) and "null" in one["type"])
        fields[name] = _type(one) + ("!" if name in required else "") + ("?" if nullable else "")
    return fields


def _parameter(description: Mapping[str, Any], parameter: Mapping[str, Any]) -> str:
    schema = _resolved(description, parameter.get("schema"))
    kind = _type(schema)
    says = parameter.get("description", "").lower()
    most = _MOST.search(says)
    if "percent" in says or "encoded" in says:
        kind = "encoded list"
    elif kind == "text" and ("comma" in says or most):
        kind = "comma list"
    if most and kind == "comma list":
        kind += f" of {most[1] or most[2]}"
    if kind == "text" and "enum" in schema:
        kind += " of " + "|".join(schema["enum"])
    return kind + ("!" if parameter.get("required") else "")


def differences(known: Mapping[str, Facts], newer: Mapping[str, Facts]) -> Iterator[str]:
    """Say what is new, gone or changed, a line each. Calls that are not known are new if they are lists."""
    for call in sorted(newer.keys() - known.keys()):
        if "answer" in newer[call]:
            yield f"new: {call}"
    for call, facts in known.items():
        if call not in newer:
            yield f"gone: {call}"
            continue
        for part in ("query", "body", "fields"):
            yield from _changes(f"{call} {part}", facts.get(part, {}), newer[call].get(part, {}))
        for part in ("answer", "texts", "statuses"):
            if facts.get(part) != newer[call].get(part):
                yield f"changed: {call} {part}: {facts.get(part)} is now {newer[call].get(part)}"


def _changes(place: str, known: Mapping[str, str], newer: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(newer.keys() - known.keys()):
        yield f"new: {place} {name}: {newer[name]}"
    for name, kind in known.items():
        if name not in newer:
            yield f"gone: {place} {name}"
        elif newer[name] != kind:
            yield f"changed: {place} {name}: {kind} is now {newer[name]}"


def main(arguments: list[str]) -> int:
    """Print the differences; 1 if there are some, 2 without a file."""
    if len(arguments) != 1 or not Path(arguments[0]).is_file():
        print(
            "give the path of an OpenAPI description in JSON: make vendor-diff SPEC=2024-07-30.product.json"
        )
        return 2
    newer = facts_of(json.loads(Path(arguments[0]).read_text(encoding="utf-8")))
    found = list(differences(yaml.safe_load(PUBLISHED.read_text(encoding="utf-8")), newer))
    print("\n".join(found) or "nothing is new, gone or changed")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
