"""Order, pages and filters of the sandbox's lists, as documented."""

from __future__ import annotations

from itertools import pairwise
from urllib.parse import quote, urlencode

import pytest

LISTS = ["/usage-events", "/seat-events", "/usage-metrics"]


def ids(items):
    return [item["id"] for item in items]


@pytest.mark.parametrize(
    ("path", "kept"), [("/usage-events", "usage_events"), ("/seat-events", "seat_events")]
)
def test_newest_first_unless_asked_otherwise(world, path, kept):
    came_in = ids(getattr(world, kept))
    assert ids(world.items(path)) == came_in[::-1]
    assert ids(world.items(path, "sortOrder=DESC")) == came_in[::-1]
    assert ids(world.items(path, "sortOrder=ASC")) == came_in


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("limit", [1, 2, 3, 100])
@pytest.mark.parametrize("style", ["uuid", "uuid_micros_order"])
@pytest.mark.parametrize("edge", ["omit", "null", "empty", "cursor"])
def test_cursors_lead_through_a_list_and_back(world, path, limit, style, edge):
    world.server.settings(cursor_style=style, last_page=edge, first_page=edge)
    whole = ids(world.items(path, "limit=100"))
    forth, query = [], {"limit": limit}
    for _ in range(len(whole) + 2):
        page = world.get(path, query)
        assert len(page["items"]) <= limit
        assert page["pagination"]["totalResultSize"] == len(whole)
        if not page["items"]:
            break
        forth.append(page)
        if not page["pagination"].get("after"):
            break
        query = {"limit": limit, "after": page["pagination"]["after"]}
    assert [identity for page in forth for identity in ids(page["items"])] == whole
    for nearer, farther in pairwise(forth):
        back = world.get(path, {"limit": limit, "before": farther["pagination"]["before"]})
        assert ids(back["items"]) == ids(nearer["items"])


def test_an_offset_of_nothing_is_the_next_page(world):
    after = world.get("/usage-events", "limit=2")["pagination"]["after"]
    plain = world.items("/usage-events", {"limit": 2, "after": after})
    assert ids(world.items("/usage-events", {"limit": 2, "after": after, "offset": 0})) == ids(plain)
    assert ids(world.items("/usage-events", {"limit": 2, "after": after, "offset": 1})) != ids(plain)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"customerAlias": ["acme"]}, ["u1", "u3"]),
        ({"customerAlias": ["acme", "new"]}, ["u1", "u3", "u5"]),
        ({"customerAlias": ["globex, inc."]}, ["u0", "u2", "u4"]),
        ({"customerAlias": ["ACME"]}, []),
        ({"eventType": "parcel-sent"}, ["u4"]),
        ({"eventType": "letter"}, []),
        ({"unmappedAliasesOnly": "true"}, ["u5"]),
        ({"unmappedAliasesOnly": "false"}, ["u0", "u1", "u2", "u3", "u4", "u5"]),
        ({"eventTimestampAfter": "2024-03-03T00:00:00Z"}, ["u2", "u3", "u4"]),
        ({"eventTimestampBefore": "2024-03-03T00:00:00Z"}, ["u0", "u1", "u5"]),
        (
            {"eventTimestampAfter": "2024-03-02T00:00:00Z", "eventTimestampBefore": "2024-03-04T00:00:00Z"},
            ["u1", "u2"],
        ),
        (
            {
                "eventType": "letter-sent",
                "customerAlias": ["acme"],
                "eventTimestampAfter": "2024-03-03T00:00:00Z",
            },
            ["u3"],
        ),
    ],
)
def test_filters_of_usage_events(world, query, found):
    world.server.settings(customer_alias_parameter="repeated")
    assert world.usage(urlencode(query, doseq=True)) == found


def test_an_event_id_is_one_of_the_two(world):
    event = world.usage_events[2]
    assert world.usage({"eventId": event["id"]}) == ["u2"]
    world.server.settings(event_id_filter="customer_event_id")
    assert world.usage({"eventId": "u2"}) == ["u2"]
    assert world.usage({"eventId": event["id"]}) == []


@pytest.mark.parametrize(
    ("switches", "found"),
    [
        ({"after_bound": "inclusive", "before_bound": "inclusive"}, ["u1", "u2", "u3"]),
        ({"after_bound": "inclusive", "before_bound": "exclusive"}, ["u1", "u2"]),
        ({"after_bound": "exclusive", "before_bound": "inclusive"}, ["u2", "u3"]),
        ({"after_bound": "exclusive", "before_bound": "exclusive"}, ["u2"]),
    ],
)
def test_either_reading_of_a_bound(world, switches, found):
    world.server.settings(**switches)
    query = {"eventTimestampAfter": "2024-03-02T12:00:00Z", "eventTimestampBefore": "2024-03-04T12:00:00Z"}
    assert world.usage(query) == found
    assert world.seats(query) == [name.replace("u", "s") for name in found]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"customerAlias": "acme"}, ["s1", "s3"]),
        ({"customerAlias": "Acme"}, []),
        ({"customerIds": "customer-1"}, ["s1", "s3"]),
        ({"customerIds": "customer-2"}, []),
        ({"customerIds": "customer-2,customer-1"}, ["s1", "s3"]),
        ({"seatType": "admin"}, ["s3", "s4"]),
        ({"customerEventId": "s2"}, ["s2"]),
        ({"eventTimestampAfter": "2024-03-04T00:00:00Z"}, ["s3", "s4"]),
        ({"eventTimestampBefore": "2024-03-02T00:00:00Z"}, ["s0"]),
        ({"customerIds": "customer-1", "seatType": "editor"}, ["s1"]),
    ],
)
def test_filters_of_seat_events(world, query, found):
    assert world.seats(query) == found


def test_customer_ids_stand_for_all_aliases_and_for_the_id_itself(world):
    for name, alias in (("x1", "acme-eu"), ("x2", "customer-1")):
        body = {
            "customerEventId": name,
            "customerAlias": alias,
            "seatType": "editor",
            "eventTimestamp": "2024-03-06T00:00:00Z",
            "total": 1,
        }
        assert world.server.call("POST", "/seat-events", json=body).status_code == 201
    assert world.seats({"customerIds": "customer-1"}) == ["s1", "s3", "x1", "x2"]
    assert world.seats({"customerAlias": "acme-eu"}) == ["x1"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"name": "letter"}, ["Letters", "Pages of letters"]),
        ({"name": "PAGES OF"}, ["Pages of letters"]),
        ({"name": "parcel"}, []),
        ({"eventType": "letter-sent"}, ["Letters", "Pages of letters"]),
        ({"eventType": "letter"}, []),
        ({"eventProperty": "pages"}, ["Pages of letters"]),
        ({"aggregationType": "COUNT"}, ["Letters"]),
        ({"aggregationType": "COUNT,UNIQUE"}, ["Letters", "Odd one"]),
        ({"aggregationType": "CUSTOM"}, []),
        ({"eventType": "letter-sent", "aggregationType": "SUM"}, ["Pages of letters"]),
    ],
)
def test_filters_of_usage_metrics(world, query, found):
    assert world.named(query) == found


def test_a_part_of_an_id_finds_a_metric_in_either_case(world):
    metric = world.metrics["Odd one"]
    for part in (metric["id"], metric["id"].upper(), metric["id"][9:30], metric["id"][9:30].upper()):
        assert "Odd one" in world.named({"id": part})
    assert world.named({"id": "no such part"}) == []


@pytest.mark.parametrize(
    ("field", "value", "others"), [("eventType", "a,b c", "letter-sent"), ("eventProperty", "x,y%", "pages")]
)
def test_a_comma_inside_a_value_survives(world, field, value, others):
    encoded = quote(value, safe="")
    assert world.named(urlencode({field: encoded})) == ["Odd one"]
    assert "Odd one" in world.named(urlencode({field: f"{encoded},{others}"}))
    assert len(world.named(urlencode({field: f"{encoded},{others}"}))) > 1
    world.server.settings(listed_values="split_before_decoding")
    world.server.check(check_requests=False)  # the other reading of the same sentence: encoded once
    assert world.named(f"{field}={encoded}") == ["Odd one"]


def test_customers_and_aliases_are_found_by_alias(world):
    assert ids(world.items("/customers", {"alias": "acme-eu"})) == ["customer-1"]
    assert world.items("/customers", {"alias": "Acme"}) == []
    [alias] = world.items("/customer-aliases", {"value": "acme-eu"})
    assert (alias["customerId"], alias["value"]) == ("customer-1", "acme-eu")
    assert world.items("/customer-aliases", {"value": "acme-e"}) == []
