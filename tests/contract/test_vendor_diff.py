"""A newer description is told from the known facts, line by line."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from dev.vendor_diff import main
from tests.contract.contract import published

TYPES = {"text": "string", "flag": "boolean", "list": "array"}


def schema_of(fields: dict[str, str]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": [name for name, kind in fields.items() if "!" in kind],
        "properties": {
            name: {
                "type": TYPES.get(kind.rstrip("!?"), kind.rstrip("!?")),
                **({"nullable": True} if "?" in kind else {}),
            }
            for name, kind in fields.items()
        },
    }


def parameter(name: str, kind: str) -> dict[str, Any]:
    plain, _, most = kind.rstrip("!").partition(" of ")
    says = {"comma list": "Comma-separated", "encoded list": "Comma-separated, each percent-encoded"}.get(
        plain, ""
    )
    return {
        "name": name,
        "in": "query",
        "required": kind.endswith("!"),
        "description": says + (f", max {most} values" if most.isdigit() else ""),
        "schema": {
            "type": TYPES.get(plain, "string" if says else plain),
            **({"enum": most.split("|")} if "|" in most else {}),
        },
    }


@pytest.fixture
def description() -> dict[str, Any]:
    """An OpenAPI description with the known facts."""
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    for call, facts in published().items():
        method, _, path = call.partition(" ")
        item = {"type": "string"} if facts.get("texts") else schema_of(facts.get("fields", {}))
        schemas[call] = item
        item = {"$ref": "#/components/schemas/" + call.replace("/", "~1")}
        if "answer" in facts:
            item = {"type": "object", "properties": {"items": {"type": "array", "items": item}}}
            if facts["answer"] == "pages":
                item["properties"]["pagination"] = {"type": "object"}
        content = {"content": {"application/json": {"schema": item}}}
        first, *others = facts["statuses"]
        paths.setdefault(path.replace("{id}", "{theId}"), {})[method.lower()] = {
            "parameters": [parameter(name, kind) for name, kind in facts.get("query", {}).items()],
            "responses": {str(first): content, **{str(status): {} for status in others}},
            **(
                {"requestBody": {"content": {"application/json": {"schema": schema_of(facts["body"])}}}}
                if "body" in facts
                else {}
            ),
        }
    return {"paths": paths, "components": {"schemas": schemas}}


def told(description: dict[str, Any], tmp_path: Any, capsys: Any) -> tuple[int, list[str]]:
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(description))
    return main([str(path)]), capsys.readouterr().out.splitlines()


def test_the_same_facts_differ_in_nothing(description, tmp_path, capsys):
    assert told(description, tmp_path, capsys) == (0, ["nothing is new, gone or changed"])


def test_each_difference_is_a_line(description, tmp_path, capsys):
    paths = description["paths"]
    paths["/refunds"] = copy.deepcopy(paths["/credits"])
    del paths["/users"]
    quotes = description["components"]["schemas"]["GET /quotes"]
    del quotes["properties"]["title"]
    quotes["properties"]["total"] = {"type": "number"}
    quotes["properties"]["archivedAt"]["nullable"] = True
    seats = paths["/seat-events"]["get"]
    seats["parameters"] = [one for one in seats["parameters"] if one["name"] != "sortBy"]
    next(one for one in seats["parameters"] if one["name"] == "seatType")["description"] = (
        "Comma-separated, max 50"
    )
    seats["responses"]["404"] = {}
    next(one for one in seats["parameters"] if one["name"] == "customerAlias")["required"] = True
    quotes["properties"]["quoteNumber"]["type"] = "integer"
    quotes["required"].remove("status")
    customers = paths["/customers"]["get"]["parameters"]
    next(one for one in customers if one["name"] == "billingStatus")["schema"]["enum"] += ["PAUSED"]
    alias = paths["/customer-aliases"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    alias["required"].append("label")
    status, lines = told(description, tmp_path, capsys)
    assert (status, sorted(lines)) == (
        1,
        [
            "changed: GET /customers query billingStatus: text of ACTIVE|INACTIVE is now text of ACTIVE|INACTIVE|PAUSED",
            "changed: GET /quotes fields archivedAt: text is now text?",
            "changed: GET /quotes fields quoteNumber: text! is now integer!",
            "changed: GET /quotes fields status: text! is now text",
            "changed: GET /seat-events query customerAlias: text is now text!",
            "changed: GET /seat-events query seatType: comma list of 25 is now comma list of 50",
            "changed: GET /seat-events statuses: [200, 400, 401, 500] is now [200, 400, 401, 404, 500]",
            "changed: POST /customer-aliases body label: text is now text!",
            "gone: GET /quotes fields title",
            "gone: GET /seat-events query sortBy",
            "gone: GET /users",
            "new: GET /quotes fields total: number",
            "new: GET /refunds",
        ],
    )


def in_parts(schema: dict[str, Any]) -> dict[str, Any]:
    """The same object, made of two."""
    names = sorted(schema["properties"])
    halves = names[: len(names) // 2], names[len(names) // 2 :]
    return {
        "allOf": [
            {
                "type": "object",
                "required": [name for name in half if name in schema["required"]],
                "properties": {name: schema["properties"][name] for name in half},
            }
            for half in halves
        ]
    }


def alternatives(way: str) -> Any:
    """What two alternatives have in common is what there was; each has a field of its own as well."""

    def shape(schema: dict[str, Any]) -> dict[str, Any]:
        return {
            "required": schema["required"],
            way: [
                {**schema, "properties": {**schema["properties"], own: {"type": "string"}}}
                for own in ("ofTheOne", "ofTheOther")
            ],
        }

    return shape


@pytest.mark.parametrize(
    "shape",
    [
        in_parts,
        alternatives("oneOf"),
        alternatives("anyOf"),
        lambda schema: {"allOf": [alternatives("oneOf")(in_parts(schema)["allOf"][0]), in_parts(schema)["allOf"][1]]},
    ],
    ids=["allOf", "oneOf", "anyOf", "oneOf in allOf"],
)  # fmt: skip
def test_shape_of_a_schema_makes_no_difference(shape, description, tmp_path, capsys):
    schemas = description["components"]["schemas"]
    for name, schema in list(schemas.items()):
        if len(schema.get("properties", {})) > 1:
            schemas[f"inner {name}"] = shape(schema)
            schemas[name] = {"$ref": "#/components/schemas/" + f"inner {name}".replace("/", "~1")}
    assert told(description, tmp_path, capsys) == (0, ["nothing is new, gone or changed"])


def test_without_a_file_it_says_what_to_give(capsys):
    assert main([]) == 2
    assert "SPEC=" in capsys.readouterr().out
