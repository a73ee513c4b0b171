"""The description of the API: complete, and each fact marked with its basis."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from tests.contract.contract import DESCRIPTION, load
from tests.contract.examples import ANSWERS

BASES = {"documented", "inferred", "house", "unknown"}
description = yaml.safe_load(DESCRIPTION.read_text(encoding="utf-8"))


def facts() -> Iterator[tuple[str, dict[str, Any]]]:
    for part in ("request_headers", "answer_headers"):
        for name, rule in description[part].items():
            yield f"{part}.{name}", rule
    for group, parameters in description["parameters"].items():
        for name, rule in parameters.items():
            yield f"parameters.{group}.{name}", rule
    for endpoint in description["endpoints"]:
        yield endpoint["call"], endpoint
        for name, rule in endpoint.get("query", {}).get("own", {}).items():
            yield f"{endpoint['call']}?{name}", rule
    yield "versions", description["versions"]
    for name, schema in description["schemas"].items():
        yield from fields(name, schema)


def fields(place: str, schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, field in schema.get("properties", {}).items():
        yield f"{place}.{name}", field
        yield from fields(f"{place}.{name}", field.get("items", {}))


def test_every_fact_names_its_basis():
    for place, fact in facts():
        assert fact.get("basis") in BASES, place
        for weaker in ("inferred", "house"):
            noted = set(fact.get(weaker, ()))
            kinds = fact.get("type", [])
            assert noted <= fact.keys() | ({kinds} if isinstance(kinds, str) else set(kinds)), place
            assert weaker != fact["basis"] or not noted, place


def test_error_statuses_name_their_basis():
    assert set(description["error_statuses"].values()) <= BASES
    assert {400, 401, 429, 500} <= description["error_statuses"].keys()


def test_no_endpoint_is_described_twice():
    names = [endpoint.name for endpoint in load().endpoints]
    assert len(names) == len(set(names))


def test_every_endpoint_has_an_example():
    assert {endpoint.name for endpoint in load().endpoints} == ANSWERS.keys()


def test_request_body_takes_no_unknown_field_and_answer_does():
    for endpoint in load().endpoints:
        status, answer = ANSWERS[endpoint.name]
        assert endpoint.status == status, endpoint.name
        assert endpoint.answer.judge(answer | {"fieldOfNextYear": {}}) == [], endpoint.name
        if endpoint.request is not None:
            told = endpoint.request.judge({"fieldOfNextYear": {}})
            assert any("fieldOfNextYear" in problem for problem in told), endpoint.name
