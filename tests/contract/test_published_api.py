"""The client's lists, the contract and the sandbox have what the published description has, neither less nor more."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from airflow_provider_sequence.api.query_params import MAX_LISTED
from airflow_provider_sequence.api.resource import Resource
from airflow_provider_sequence.api.resources import RESOURCES
from airflow_provider_sequence.sandbox.resources import BY_PATH
from tests.contract.contract import load, published
from tests.contract.examples import NEW_SEAT_EVENT, NEW_USAGE_EVENT
from tests.support.server import Server

LISTS = {call.removeprefix("GET "): facts for call, facts in published().items() if "answer" in facts}
BY_LIST = {resource.path: resource for resource in RESOURCES.values()}
PAGES = {"after", "before", "limit"}
#: How the client stores what the description calls so.
STORED = {
    "text": {"text", "timestamp", "date"},
    "integer": {"integer"},
    "number": {"number"},
    "flag": {"boolean"},
    "list": {"json"},
    "object": {"json"},
}
#: Parameters of more than one value: how two of them are written, and how many there may be.
WRITTEN = {"list": ["a", "b"], "comma list": ["a,b"], "encoded list": ["a,b"]}


def every_list(names: Mapping[str, Any] = LISTS) -> Any:
    return pytest.mark.parametrize("path", names)


def test_every_list_can_be_pulled_and_no_other():
    assert BY_LIST.keys() == LISTS.keys()
    assert len(BY_LIST) == len(RESOURCES)


@every_list()
def test_fields(path):
    facts, resource = LISTS[path], BY_LIST[path]
    fields = {name: kind.rstrip("!?") for name, kind in facts.get("fields", {"id": "text"}).items()}
    documented = fields.keys() - set(resource.secrets)
    assert {field.name for field in resource.fields} - {resource.parent_field} == documented - {
        resource.parent_field
    }
    for field in resource.fields:
        assert field.type in STORED[fields.get(field.name, "text")], field.name
    assert resource.texts == facts.get("texts", False)


@every_list()
def test_filters_and_windows(path):
    resource, query = BY_LIST[path], LISTS[path].get("query", {})
    times = [one for one in (resource.times, *resource.other_times) if one]
    bounds = {name for one in times for name in (one.after, one.before)}
    own = {one.parameter for one in resource.filters}
    assert own | bounds | (PAGES if resource.paged else set()) == query.keys()
    for one in resource.filters:
        kind, _, most = query[one.parameter].partition(" of ")
        assert one.max_values == (int(most) if most.isdigit() else one.max_values), one.name
        if kind in WRITTEN:
            assert one.encode(["a", "b"]) == WRITTEN[kind], one.name
        elif kind == "flag":
            assert one.encode(True) == ["true"], one.name
        elif kind == "number":
            assert one.encode("1e2") == ["100"], one.name
    assert MAX_LISTED in {one.max_values for one in resource.filters} or "of 25" not in str(query)


def test_contract():
    described = {endpoint.name: endpoint for endpoint in load().endpoints}
    assert described.keys() == published().keys()
    for call, facts in published().items():
        endpoint = described[call]
        assert endpoint.query.parameters.keys() == facts.get("query", {}).keys(), call
        assert not endpoint.query.is_open
        assert endpoint.status == facts["statuses"][0]
        assert endpoint.other_statuses >= set(facts["statuses"][1:])
        for name, kind in facts.get("query", {}).items():
            assert endpoint.query.parameters[name].get("required", False) == kind.endswith("!"), (call, name)
        if "body" in facts:
            assert endpoint.request.schema["properties"].keys() == facts["body"].keys()
            required = {name for name, kind in facts["body"].items() if "!" in kind}
            assert set(endpoint.request.schema["required"]) == required
        if "fields" in facts:
            schema = endpoint.answer.schema
            item = schema["properties"]["items"]["items"] if "answer" in facts else schema
            assert item["properties"].keys() == facts["fields"].keys(), call
            assert set(item["required"]) == {n for n, kind in facts["fields"].items() if "!" in kind}, call


def test_sandbox_has_every_list_with_its_parameters():
    assert {f"/{path.replace('*', '{id}')}" for path in BY_PATH} == LISTS.keys()
    for path, resource in BY_PATH.items():
        assert resource.parameters == LISTS[f"/{path.replace('*', '{id}')}"].get("query", {}).keys(), path


#: What a JSON value of each type is in Python.
TYPES = {
    "text": str,
    "integer": int,
    "number": (int, float),
    "flag": bool,
    "list": list,
    "object": dict,
}


def items_of_the_demo(server, resource: Resource) -> list[Any]:
    """Every item of a list, archived ones too."""
    ids = [""]
    if resource.parent is not None:
        parents = items_of_the_demo(server, resource.parent)
        ids = [parent[resource.parent_key] for parent in parents if parent[resource.parent_key]]
    archived = [one.parameter for one in resource.filters if one.name.startswith("include_archived")]
    found = []
    for identifier in ids:
        path = resource.path.replace("{id}", identifier)
        params = dict.fromkeys(archived, "true") | ({"limit": 100} if resource.paged else {})
        answer = server.call("GET", path, params=params).json()
        assert ("pagination" in answer) == (LISTS[resource.path]["answer"] == "pages")
        found += answer["items"]
    return found


@pytest.fixture(scope="module")
def demo():
    """A sandbox with the demo's account, and an event of each kind."""
    event = {"customerAlias": "acme", "eventTimestamp": "2024-01-01T00:00:00Z"}
    with Server() as server:
        server._admin("POST", "/_sandbox/demo")
        for path, body in (
            ("/usage-events", {"eventType": "message-sent", "eventProperties": {"length": 5}}),
            ("/seat-events", {"seatType": "admin", "total": 3}),
        ):
            body |= event | {"customerEventId": "1"}
            assert server.call("POST", path, json=body).status_code == 201
        yield server
        assert server.violations() == []


@every_list()
def test_demo_has_every_field_and_null_only_where_it_may_be(path, demo):
    facts = LISTS[path]
    items = items_of_the_demo(demo, BY_LIST[path])
    assert items
    if facts.get("texts"):
        assert all(isinstance(item, str) for item in items)
        return
    fields = facts["fields"]
    assert {name for item in items for name in item} == fields.keys()
    for item in items:
        for name, kind in fields.items():
            if name not in item:
                assert "!" not in kind, name
            elif item[name] is None:
                assert "?" in kind, name
            else:
                assert isinstance(item[name], TYPES[kind.rstrip("!?")]), name


@every_list([path for path in LISTS if "{id}" in path and "for-merchant" not in path])
def test_missing_id_is_refused_as_documented(path, demo):
    documented = 404 if 404 in LISTS[path]["statuses"] else 400
    assert demo.call("GET", path.replace("{id}", "nobody")).status_code == documented


@pytest.mark.contract(off=True)
@pytest.mark.parametrize("path", ["/usage-events", "/seat-events"])
def test_null_is_taken_in_a_body_where_it_is_documented_and_never_sent(path, sandbox):
    call = f"POST {path}"
    fields = published()[call]["body"]
    whole = {"/usage-events": NEW_USAGE_EVENT, "/seat-events": NEW_SEAT_EVENT}[path]
    assert whole.keys() == fields.keys()
    (endpoint,) = (each for each in load().endpoints if each.name == call)
    for name, kind in fields.items():
        body = whole | {name: None}
        status = sandbox.call("POST", path, json=body).status_code
        assert status == (201 if "?" in kind else 400), name
        assert list(endpoint.request.check(json.dumps(body).encode())), name
