"""The sandbox's answers fit the contract, whatever its settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.contract.contract import load, published
from tests.contract.examples import NEW_CUSTOMER_ALIAS, NEW_SEAT_EVENT, NEW_USAGE_EVENT, described
from tests.support.server import Server

PERIOD = {"customerAliases": "acme", "periodStart": "2024-03-01", "periodEnd": "2024-03-31"}


@dataclass
class World:
    """A small account in the sandbox: the answers to what was put in."""

    server: Server
    usage_events: list[dict[str, Any]]
    seat_events: list[dict[str, Any]]
    metrics: list[dict[str, Any]]

    def cursor(self, path: str) -> str:
        return self.server.call("GET", path, params="limit=1").json()["pagination"]["after"]


def populate(server):
    def post(path, body):
        response = server.call("POST", path, json=body)
        assert response.ok, response.text
        return response.json()

    server.add("customers", [{"id": "customer-1", "aliases": ["acme-eu"]}, {"id": "customer-2"}])
    post("/customer-aliases", {"customerId": "customer-1", "value": "acme"})
    letters = {"eventType": "letter-sent", "aggregationType": "COUNT"}
    pages = {"eventType": "letter-sent", "aggregationType": "SUM", "aggregationProperty": "pages"}
    odd = {"eventType": "a,b c", "aggregationType": "UNIQUE", "aggregationProperty": "x,y%"}
    metrics = server.add("usage-metrics", [letters, pages, odd])["items"]
    usage_events, seat_events = [], []
    for number, alias in enumerate(["new", "acme", "acme", "VOID"]):
        event = {"customerAlias": alias, "eventTimestamp": f"2024-03-0{number + 1}T12:00:00Z"}
        usage_events.append(
            post("/usage-events", NEW_USAGE_EVENT | event | {"customerEventId": f"u{number}"})
        )
        seat_events.append(post("/seat-events", NEW_SEAT_EVENT | event | {"customerEventId": f"s{number}"}))
    return World(server, usage_events, seat_events, metrics)


READINGS = [
    {},
    *({"last_page": edge, "first_page": edge} for edge in ("null", "empty", "cursor")),
    *({"total": total} for total in ("absent", "null", "estimate_low", "estimate_high")),
    {"default_limit": 1},
    {"cursor_style": "uuid_micros_order"},
    {"offset_without_cursor": "reject"},
    {"after_bound": "exclusive", "before_bound": "inclusive"},
    {"timestamp_filter_resolution": "second"},
    {"event_id_filter": "customer_event_id"},
    {"customer_alias_parameter": "repeated"},
    {"customer_alias_parameter": "comma"},
    {"aliases_separator": "repeated"},
    {"aliases_separator": "both"},
    {"listed_values": "split_before_decoding"},
    {"superseded": "hidden"},
    {"void_events_unmapped": True},
    {
        "unknown_parameters": "reject",
        "unknown_fields": "reject",
        "null_fields": "absent",
        "naive_timestamps": "reject",
    },
    *({"timestamp_format": style} for style in ("utc_millis", "offset", "naive")),
    {"calculated_value": "text"},
    {"newest_seat_event": "received"},
    {"extra_fields": True},
]


def queries(world):
    """Yield each parameter of each list by itself, and all of a list at once."""
    later = {"eventTimestampAfter": "2024-03-02T00:00:00Z", "eventTimestampBefore": "2024-03-05T00:00:00.5Z"}
    cursor = world.cursor("/usage-events")
    usage_events = {
        **later,
        "limit": "2",
        "sortOrder": "ASC",
        "customerAlias": ["acme", "new"],
        "unmappedAliasesOnly": "true",
        "eventType": "letter-sent",
        "eventId": world.usage_events[0]["id"],
    }
    seat_events = {
        **later,
        "limit": "2",
        "sortOrder": "DESC",
        "customerAlias": "acme",
        "customerIds": "customer-1,customer-2",
        "seatType": "editor",
        "customerEventId": "s1",
    }
    metrics = {
        "limit": "2",
        "name": "METRIC",
        "id": world.metrics[0]["id"][:8].upper(),
        "eventType": "letter-sent,a%2Cb%20c",
        "eventProperty": "pages",
        "aggregationType": "SUM,COUNT",
    }
    for path, parameters, after in (
        ("/usage-events", usage_events, cursor),
        ("/seat-events", seat_events, world.cursor("/seat-events")),
        ("/usage-metrics", metrics, world.cursor("/usage-metrics")),
    ):
        yield path, {}
        yield path, parameters
        yield path, {"after": after}
        yield path, {"before": after}
        for name, value in parameters.items():
            yield path, {name: value}
    yield "/usage-events", {"after": cursor, "offset": "1"}
    yield "/usage-events", {"unmappedAliasesOnly": "false"}
    for metric in world.metrics:
        yield f"/usage-metrics/{metric['id']}/calculate", PERIOD
    yield f"/seat-events/{world.seat_events[0]['id']}", {}
    yield "/seat-balances", {}
    yield "/customer-aliases", {}
    yield "/customer-aliases", {"value": "acme"}
    yield "/customers", {"alias": "acme"}
    yield "/customers/customer-1/aliases", {}


@pytest.mark.parametrize(
    "reading", READINGS, ids=lambda reading: ",".join(f"{n}={v}" for n, v in reading.items())
)
def test_answers_fit_with_any_setting(server, reading):
    server.settings(**reading)
    world = populate(server)
    before = server.findings()
    asked = list(queries(world))
    expected = before["checked_answers"] + 3 + len(asked)
    for path, query in asked:
        answer = server.call("GET", path, params=urlencode(query, doseq=True))
        assert answer.status_code == 200, (path, query, answer.text)
        content = answer.json()
        if "items" in content and "limit" in query:
            assert len(content["items"]) <= int(query["limit"])
    findings = server.findings()
    assert (findings["checked_requests"], findings["checked_answers"]) == (expected, expected)
    assert findings["violations"] == []


def test_every_described_endpoint_exists(server):
    world = populate(server)
    bodies = {
        "POST /usage-events": NEW_USAGE_EVENT,
        "POST /seat-events": NEW_SEAT_EVENT,
        "POST /customer-aliases": NEW_CUSTOMER_ALIAS | {"customerId": "customer-1", "value": "another"},
    }
    ids = {
        "GET /seat-events/{id}": world.seat_events[0]["id"],
        "GET /usage-metrics/{id}/calculate": world.metrics[0]["id"],
    }
    for parent in ("invoices", "credit-notes"):
        ids[parent] = server.add(parent, [{}])["items"][0]["id"]
    for endpoint in load().endpoints:
        query = PERIOD if endpoint.path.endswith("calculate") else {}
        identity = ids.get(endpoint.name) or ids.get(endpoint.path.split("/")[1], "customer-2")
        path = endpoint.path.replace("{id}", identity)
        answer = server.call(endpoint.method, path, json=bodies.get(endpoint.name), params=query)
        assert answer.status_code == endpoint.status, (endpoint.name, answer.text)
        if "{id}" in endpoint.path:
            answer = server.call("GET", endpoint.path.replace("{id}", "unknown"), params=query)
            documented = published()[endpoint.name]["statuses"]
            of_anybody = "for-merchant" in endpoint.path
            expected = 200 if of_anybody else 404 if 404 in documented else 400
            assert answer.status_code == expected, endpoint.name


def test_every_endpoint_checks_credentials_and_version(server):
    server.check(check_requests=False)
    for endpoint in load().endpoints:
        method, path = described(endpoint.name)
        assert server.call(method, path, auth=("key", "wrong")).status_code == 401, endpoint.name
        answer = server.call(method, path, headers={"Sequence-Version": "2099-01-01"})
        assert answer.status_code == 400, endpoint.name
        assert answer.json()["error"]["type"] == "UnrecognisedApiVersion", endpoint.name


@pytest.mark.parametrize("notation", ["seconds", "date", "none"])
def test_throttled_answers_fit(server, notation):
    server.settings(usage_events_per_minute=2, requests_per_minute=1, retry_after=notation)
    answers = [server.call("POST", "/usage-events", json=NEW_USAGE_EVENT) for _ in range(3)]
    answers += [server.call("GET", "/usage-events") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201, 429, 200, 429]
    assert all(("Retry-After" in answers[number].headers) == (notation != "none") for number in (2, 4))
    assert server.findings()["checked_answers"] == 5


def test_undocumented_status_of_the_sandbox_is_reported(server):
    server.settings(post_status=200)
    assert server.call("POST", "/usage-events", json=NEW_USAGE_EVENT).status_code == 200
    [told] = server.violations()
    assert told.startswith("POST /usage-events -> 200: status: expected one of 201")
    server.clear_violations()
