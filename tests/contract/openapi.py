"""The contract as an OpenAPI 3.1 document, for tools that read one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.contract.contract import Contract, Endpoint

#: Values that only an account can know, such as ids and cursors: by call and parameter, as `GET /customers after`.
Known = Mapping[str, Sequence[str]]

#: OpenAPI's names of notations. Answers may have times without an offset, so that theirs have no name.
_FORMATS = {"utc-instant": "date-time", "date-or-instant": "date"}
_NOTES = {"basis", "inferred", "house"}
#: Whole numbers of a request: to JSON Schema 3.0 is one as well, which neither client nor sandbox takes for one.
_WHOLE = [0, 1, 25, 2**31 - 1]


def document(
    contract: Contract, server: str = "http://127.0.0.1:8484", known: Known | None = None
) -> dict[str, Any]:
    """
    Describe every call of the contract.

    A cursor or an id cannot be described; where the account's own are given, no others are valid, and a cursor that
    nobody knows is left out.
    """
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in contract.endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _call(endpoint, known)
    return {
        "openapi": "3.1.0",
        "info": {"title": "What is known of the Sequence API", "version": "2024-07-30"},
        "servers": [{"url": server + contract.base_path}],
        "security": [{"basic": []}],
        "components": {"securitySchemes": {"basic": {"type": "http", "scheme": "basic"}}},
        "paths": paths,
    }


def _call(endpoint: Endpoint, known: Known | None) -> dict[str, Any]:
    parameters = []
    if "{id}" in endpoint.path:
        parameters.append({
            "name": "id",
            "in": "path",
            "required": True,
            "schema": _valued(endpoint, "id", known),
        })
    for name, rule in endpoint.query.parameters.items():
        cursor = name in {"after", "before"}
        if known is not None and cursor and f"{endpoint.name} {name}" not in known:
            continue
        parameters.append(_parameter(name, rule, _valued(endpoint, name, known)))
    responses: dict[str, Any] = {
        str(status): {"description": "refused"} for status in sorted(endpoint.other_statuses)
    }
    answer = {"application/json": {"schema": _plain(endpoint.answer.schema)}}
    responses[str(endpoint.status)] = {"description": "done", "content": answer}
    call: dict[str, Any] = {"operationId": endpoint.name, "parameters": parameters, "responses": responses}
    if endpoint.request is not None:
        schema = _plain(endpoint.request.schema)
        for name, field in schema["properties"].items():
            if field["type"] == "integer":
                field["enum"] = _WHOLE
            elif known and name in known:
                field["enum"] = list(known[name])
        body = {"application/json": {"schema": schema}}
        call["requestBody"] = {"required": True, "content": body}
    return call


def _valued(endpoint: Endpoint, name: str, known: Known | None) -> dict[str, Any]:
    values = (known or {}).get(f"{endpoint.name} {name}") or (known or {}).get(name)
    return {"type": "string", "minLength": 1, **({"enum": list(values)} if values else {})}


def _parameter(name: str, rule: Mapping[str, Any], valued: dict[str, Any]) -> dict[str, Any]:
    schema = {key: rule[key] for key in ("type", "enum", "minimum", "maximum") if key in rule}
    if schema["type"] == "string":
        schema = {**valued, **schema}
    if rule.get("format") in _FORMATS:
        schema["format"] = _FORMATS[rule["format"]]
    described = {"name": name, "in": "query", "required": rule.get("required", False), "schema": schema}
    if "list" in rule:
        if rule["list"] != "repeated":  # else a comma in a value would be two values
            schema.setdefault("pattern", r"^[A-Za-z0-9_.~-]+$" if "enum" not in schema else ".")
        described["schema"] = {"type": "array", "items": schema, "minItems": 1}
        if "max_items" in rule:
            described["schema"]["maxItems"] = rule["max_items"]
        described |= {"style": "form", "explode": rule["list"] == "repeated"}
    return described


def _plain(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema without the notes of what its facts rest on, and with OpenAPI's names of formats."""
    plain: dict[str, Any] = {name: value for name, value in schema.items() if name not in _NOTES | {"format"}}
    if schema.get("format") in _FORMATS:
        plain["format"] = _FORMATS[schema["format"]]
    if "properties" in plain:
        plain["properties"] = {name: _plain(each) for name, each in plain["properties"].items()}
    if isinstance(plain.get("items"), dict):
        plain["items"] = _plain(plain["items"])
    return plain
