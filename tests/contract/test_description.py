"""The description itself: complete, and every fact marked with what it rests on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.contract.contract import DESCRIPTION, load
from tests.contract.examples import ANSWERS

BASES = {"documented", "inferred", "house", "unknown"}
LISTS = {
    "activity-logs",
    "billing-products",
    "billing-schedules",
    "credit-notes",
    "credits",
    "customer-aliases",
    "customers",
    "discounts",
    "invoices",
    "list-prices",
    "notifications/policies",
    "prices",
    "products",
    "quotes",
    "seat-events",
    "seat-metrics",
    "sequence-accounts",
    "tax-rates",
    "tax-registrations",
    "usage-events",
    "usage-metrics",
    "users",
}
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
    yield "plain_lists", description["plain_lists"]
    yield "versions", description["versions"]
    for name, schema in description["schemas"].items():
        yield from fields(name, schema)


def fields(place: str, schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, field in schema.get("properties", {}).items():
        yield f"{place}.{name}", field
        yield from fields(f"{place}.{name}", field.get("items", {}))


@pytest.mark.parametrize(("place", "fact"), [pytest.param(*fact, id=fact[0]) for fact in facts()])
def test_a_fact_says_what_it_rests_on(place, fact):
    assert fact["basis"] in BASES
    for weaker in ("inferred", "house"):
        noted = set(fact.get(weaker, ()))
        kinds = fact.get("type", [])
        assert noted <= fact.keys() | ({kinds} if isinstance(kinds, str) else set(kinds)), f"{place}: {noted}"
        assert weaker != fact["basis"] or not noted


def test_error_statuses_say_what_they_rest_on():
    assert set(description["error_statuses"].values()) <= BASES
    assert {400, 401, 429, 500} <= description["error_statuses"].keys()


def test_no_call_is_described_twice():
    names = [endpoint.name for endpoint in load().endpoints]
    assert len(names) == len(set(names))


def test_every_call_is_there():
    names = {endpoint.name for endpoint in load().endpoints}
    parents = ("invoices", "credit-notes")
    under_an_id = {
        f"{parent}/{{id}}/{what}" for parent in parents for what in ("line-items", "line-item-groups")
    }
    assert names == ANSWERS.keys() | {f"GET /{name}" for name in LISTS | under_an_id}


@pytest.mark.parametrize("endpoint", load().endpoints, ids=lambda endpoint: endpoint.name)
def test_a_request_body_takes_no_unknown_field_and_an_answer_does(endpoint):
    status, answer = ANSWERS.get(endpoint.name, (200, {"items": [], "pagination": {}}))
    assert endpoint.status == status
    if isinstance(answer, dict):
        assert endpoint.answer.judge(answer | {"fieldOfNextYear": {}}) == []
    if endpoint.request is not None:
        assert any("fieldOfNextYear" in told for told in endpoint.request.judge({"fieldOfNextYear": {}}))
