"""What becomes of an event that the sandbox has taken."""

from __future__ import annotations

import json

import pytest

from tests.contract.examples import BODY_HEADERS, NEW_SEAT_EVENT, NEW_USAGE_EVENT
from tests.contract.world import created, seat_event, usage_event

JSON = {"Content-Type": BODY_HEADERS["Content-Type"]}


def value(world, metric="Pages of letters", aliases="acme", start="2024-03-01", end="2024-03-31"):
    identity = world.metrics[metric]["id"]
    query = {"customerAliases": aliases, "periodStart": start, "periodEnd": end}
    answer = world.get(f"/usage-metrics/{identity}/calculate", query)
    return answer["eventCount"], answer["value"]


@pytest.mark.parametrize(
    ("path", "body"), [("/usage-events", NEW_USAGE_EVENT), ("/seat-events", NEW_SEAT_EVENT)]
)
def test_an_event_comes_back_as_it_was_sent(server, path, body):
    stored = created(server.call("POST", path, json=body))
    assert {field: stored[field] for field in body} == body
    assert stored.keys() == body.keys() | {"id", "sequenceAccountId"}
    assert server.call("GET", path).json()["items"] == [stored]


def test_a_seat_event_is_found_by_its_id(server):
    stored = created(server.call("POST", "/seat-events", json=NEW_SEAT_EVENT))
    assert server.call("GET", f"/seat-events/{stored['id']}").json() == stored


@pytest.mark.parametrize("number", ["0.10", "1E+3", "123456789012345678901234567890.123456789", "-0.0"])
def test_a_number_keeps_every_digit(server, number):
    body = json.dumps(NEW_USAGE_EVENT).replace("20.5", number)
    answer = server.call("POST", "/usage-events", data=body, headers=JSON)
    assert answer.status_code == 201
    for text in (answer.text, server.call("GET", "/usage-events").text):
        assert json.loads(text, parse_float=str, parse_int=str) is not None
        assert f'"weight": {number}' in text or f'"weight":{number}' in text


@pytest.mark.parametrize("text", ["Zoë", "日本", "\U0001f600", "a\u0000b", "e\u0301", '"\\/', "x" * 200])
def test_text_keeps_every_character(server, text):
    body = NEW_USAGE_EVENT | {"customerAlias": text, "eventProperties": {text: text}}
    stored = created(server.call("POST", "/usage-events", json=body))
    assert (stored["customerAlias"], stored["eventProperties"]) == (text, {text: text})


def test_an_id_is_made_up_where_there_is_none(server):
    server.check(check_requests=False)  # this project's client never leaves it out
    bare = {"customerAlias": "acme", "eventType": "letter-sent"}
    first, second = (created(server.call("POST", "/usage-events", json=bare)) for _ in range(2))
    assert first["customerEventId"] != second["customerEventId"]
    assert first["eventProperties"] == {}


def test_the_last_of_an_id_counts(world):
    assert value(world) == (2, 1 + 3)
    created(world.server.call("POST", "/usage-events", json=usage_event(3, eventProperties={"pages": 100})))
    assert value(world) == (2, 1 + 100)
    created(world.server.call("POST", "/usage-events", json=usage_event(3, eventProperties={"pages": 7})))
    assert value(world) == (2, 1 + 7)
    assert value(world, "Letters") == (2, 2)


@pytest.mark.parametrize("superseded", ["listed", "hidden"])
def test_superseded_events_are_stored(world, superseded):
    world.server.settings(superseded=superseded)
    created(world.server.call("POST", "/usage-events", json=usage_event(3)))
    assert world.usage().count("u3") == (2 if superseded == "listed" else 1)


def test_void_takes_an_event_back(world):
    created(world.server.call("POST", "/usage-events", json=usage_event(3, customerAlias="VOID")))
    assert value(world) == (1, 1)


def test_the_end_of_a_period_belongs_to_it(world):
    assert value(world, start="2024-03-04", end="2024-03-04") == (1, 3)
    assert value(world, start="2024-03-02", end="2024-03-03") == (1, 1)
    assert value(world, start="2024-03-05", end="2024-03-31") == (0, 0)


def test_usage_before_its_customer(world):
    assert world.usage("unmappedAliasesOnly=true") == ["u5"]
    body = {"customerId": "customer-2", "value": "new", "label": "arrived late"}
    alias = created(
        world.server.call("POST", "/customer-aliases", json=body, headers={"Idempotency-Key": "one"})
    )
    assert {field: alias[field] for field in body} == body
    assert world.usage("unmappedAliasesOnly=true") == []


def test_an_alias_is_matched_in_its_own_case(world):
    created(
        world.server.call(
            "POST", "/usage-events", json=usage_event(1, customerEventId="u9", customerAlias="ACME")
        )
    )
    assert world.usage("unmappedAliasesOnly=true") == ["u5", "u9"]


def test_the_newest_total_is_the_balance(world):
    created(world.server.call("POST", "/seat-events", json=seat_event(4, customerAlias="acme", total=99)))
    text = world.server.call("GET", "/seat-balances").text
    balances = json.loads(text)
    assert '"total":99' in text.replace(" ", "")
    assert balances
    assert '"total":13' not in text.replace(" ", "")  # s3, of the same customer and seat type, is older
