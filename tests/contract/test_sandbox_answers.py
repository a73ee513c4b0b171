"""The sandbox answers every call of the description as described, however it reads what the documents leave open."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from tests.contract.contract import load
from tests.contract.examples import NEW_CUSTOMER_ALIAS, NEW_SEAT_EVENT, NEW_USAGE_EVENT, described
from tests.contract.world import populate

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
    """Each parameter of each list by itself, and all that go together at once."""
    later = {"eventTimestampAfter": "2024-03-02T00:00:00Z", "eventTimestampBefore": "2024-03-05T00:00:00.5Z"}
    cursor = world.get("/usage-events", "limit=1")["pagination"]["after"]
    seats_cursor = world.get("/seat-events", "limit=1")["pagination"]["after"]
    metrics_cursor = world.get("/usage-metrics", "limit=1")["pagination"]["after"]
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
        "name": "LETTER",
        "id": world.metrics["Letters"]["id"][:8].upper(),
        "eventType": "letter-sent,a%2Cb%20c",
        "eventProperty": "pages",
        "aggregationType": "SUM,COUNT",
    }
    for path, parameters, after in (
        ("/usage-events", usage_events, cursor),
        ("/seat-events", seat_events, seats_cursor),
        ("/usage-metrics", metrics, metrics_cursor),
    ):
        yield path, {}
        yield path, parameters
        yield path, {"after": after}
        yield path, {"before": after}
        for name, value in parameters.items():
            yield path, {name: value}
    yield "/usage-events", {"after": cursor, "offset": "1"}
    yield "/usage-events", {"unmappedAliasesOnly": "false"}
    period = {"customerAliases": "acme", "periodStart": "2024-03-01", "periodEnd": "2024-03-31"}
    for metric in world.metrics.values():
        yield f"/usage-metrics/{metric['id']}/calculate", period
    yield f"/seat-events/{world.seat_events[0]['id']}", {}
    yield "/seat-balances", {}
    yield "/customer-aliases", {}
    yield "/customer-aliases", {"value": "acme"}
    yield "/customers", {"alias": "acme"}
    yield "/customers/customer-1/aliases", {}


@pytest.mark.parametrize(
    "reading", READINGS, ids=lambda reading: ",".join(f"{n}={v}" for n, v in reading.items())
)
def test_every_parameter_under_every_reading(server, reading):
    server.settings(**reading)
    world = populate(server)
    before = server.findings()
    asked = list(queries(world))
    expected = before["checked_answers"] + 3 + len(asked)
    for path, query in asked:
        answer = server.call("GET", path, params=urlencode(query, doseq=True))
        assert answer.status_code == 200, (path, query, answer.text)
        assert answer.headers["Sequence-Version"] == "2024-07-30"
        content = answer.json()
        if "items" in content and "limit" in query:
            assert len(content["items"]) <= int(query["limit"])
    findings = server.findings()
    assert (findings["checked_requests"], findings["checked_answers"]) == (expected, expected)
    assert findings["violations"] == []


def test_every_call_of_the_description_is_there(world):
    server = world.server
    bodies = {
        "POST /usage-events": NEW_USAGE_EVENT,
        "POST /seat-events": NEW_SEAT_EVENT,
        "POST /customer-aliases": NEW_CUSTOMER_ALIAS | {"customerId": "customer-1", "value": "another"},
    }
    ids = {
        "GET /seat-events/{id}": world.seat_events[0]["id"],
        "GET /usage-metrics/{id}/calculate": world.metrics["Letters"]["id"],
        "GET /customers/{id}/aliases": "customer-2",
    }
    period = {"customerAliases": "acme", "periodStart": "2024-03-01", "periodEnd": "2024-03-31"}
    for parent in ("invoices", "credit-notes"):
        identity = server.add(parent, [{}])["items"][0]["id"]
        ids |= {f"GET /{parent}/{{id}}/{what}": identity for what in ("line-items", "line-item-groups")}
    for endpoint in load().endpoints:
        method, path = endpoint.method, endpoint.path.replace("{id}", ids.get(endpoint.name, ""))
        answer = server.call(
            method, path, json=bodies.get(endpoint.name), params=period if path.endswith("calculate") else {}
        )
        assert answer.status_code == endpoint.status, (endpoint.name, answer.text)
    assert {name for name in ids if "{id}" in name} == {e.name for e in load().endpoints if "{id}" in e.path}


@pytest.mark.parametrize("name", [endpoint.name for endpoint in load().endpoints if "{id}" in endpoint.path])
def test_an_unknown_id_is_not_found(server, name):
    method, path = described(name)
    period = {"customerAliases": "acme", "periodStart": "2024-03-01", "periodEnd": "2024-03-31"}
    query = period if path.endswith("calculate") else {}
    assert server.call(method, path, params=query).status_code == 404


def test_a_status_that_is_not_documented_is_noticed(server):
    """The check would see a sandbox that strays."""
    server.settings(post_status=200)
    assert server.call("POST", "/usage-events", json=NEW_USAGE_EVENT).status_code == 200
    assert len(server.violations()) == 1
    assert server.violations()[0].startswith("POST /usage-events -> 200: status: expected one of 201")
    server.clear_violations()
