"""What metrics calculate, seat balances, customers and their aliases."""

from __future__ import annotations

import pytest

from tests.sandbox.support import Api

DAY = "customerAliases=acme&periodStart=2022-10-01&periodEnd=2022-10-01"


def metric(api: Api, **fields: object) -> str:
    return api.admin("POST", "/usage-metrics", {"name": "m", "eventType": "sent", **fields})["items"][0]["id"]


def value(api: Api, identifier: str, query: str = DAY) -> str:
    """Return the number as it was written."""
    text = api.get(f"/usage-metrics/{identifier}/calculate?{query}").text
    return text.partition('"value":')[2].rstrip("}").partition(",")[0]


def test_count_and_the_fields_of_its_answer(api: Api) -> None:
    identifier = metric(api, name="Messages", unit="messages")
    api.event(eventTimestamp="2022-10-01T12:00:00Z")
    assert api.page(f"/usage-metrics/{identifier}/calculate?{DAY}") == {
        "name": "Messages",
        "metricType": "SIMPLE",
        "eventType": "sent",
        "aggregationType": "COUNT",
        "eventCount": 1,
        "value": 1,
        "unit": "messages",
    }
    assert api.page(f"/usage-metrics/{identifier}")["name"] == "Messages"
    api.set(calculated_value="text")
    assert value(api, identifier) == '"1"'


def test_period_includes_its_end(api: Api) -> None:
    identifier = metric(api)
    for number, at in enumerate((
        "2022-10-01T00:00:00Z",
        "2022-10-01T23:59:59.999999Z",
        "2022-10-02T00:00:00Z",
    )):
        api.event(f"e{number}", eventTimestamp=at)
    assert value(api, identifier) == "2"
    exact = "customerAliases=acme&periodStart=2022-10-01T00:00:00Z&periodEnd={}"
    assert value(api, identifier, exact.format("2022-10-02T00:00:00Z")) == "3"
    assert value(api, identifier, exact.format("2022-10-01T23:59:59.999998Z")) == "1"


def test_superseded_and_void_events_do_not_count(api: Api) -> None:
    identifier = metric(api, aggregationType="SUM", aggregationProperty="n")
    at = "2022-10-01T12:00:00Z"
    api.event("a", eventTimestamp=at, eventProperties={"n": 1})
    api.event("b", eventTimestamp=at, eventProperties={"n": 10})
    assert value(api, identifier) == "11"
    api.event("a", eventTimestamp=at, eventProperties={"n": 5})
    assert value(api, identifier) == "15"
    api.event("b", alias="VOID", eventTimestamp=at, eventProperties={"n": 10})
    assert value(api, identifier) == "5"
    assert value(api, identifier, DAY.replace("acme", "VOID")) == "0"
    assert len(api.keys("/usage-events")) == 4


def test_sum_is_exact(api: Api) -> None:
    identifier = metric(api, aggregationType="SUM", aggregationProperty="n")
    for number, digits in enumerate(("0.1", "0.20", "123456789012345678901234567890.000000000000000000001")):
        body = (
            f'{{"customerEventId": "{number}", "customerAlias": "acme", "eventType": "sent",'
            f' "eventTimestamp": "2022-10-01T00:00:00Z", "eventProperties": {{"n": {digits}}}}}'
        )
        assert api.post("/usage-events", body).status_code == 201
    api.event("text", eventTimestamp="2022-10-01T00:00:00Z", eventProperties={"n": "7"})
    assert value(api, identifier) == "123456789012345678901234567890.300000000000000000001"


@pytest.mark.parametrize("aggregate", ["SUM", "UNIQUE"])
@pytest.mark.parametrize("digits", ["1e1000000", "1e-1000000", "1e99999999999999999999"])
def test_number_that_cannot_be_written_out_is_refused(api: Api, digits: str, aggregate: str) -> None:
    identifier = metric(api, aggregationType=aggregate, aggregationProperty="n")
    body = (
        '{"customerAlias": "acme", "eventType": "sent", "eventTimestamp": "2022-10-01T00:00:00Z",'
        f' "eventProperties": {{"n": {digits}}}}}'
    )
    assert api.post("/usage-events", body).status_code == 201
    assert api.get(f"/usage-metrics/{identifier}/calculate?{DAY}").status_code == 400


def test_unique_counts_distinct_values(api: Api) -> None:
    identifier = metric(api, aggregationType="UNIQUE", aggregationProperty="user")
    for number, user in enumerate(("ann", "bob", "ann", "Ann")):
        api.event(f"e{number}", eventTimestamp="2022-10-01T00:00:00Z", eventProperties={"user": user})
    assert value(api, identifier) == "3"


@pytest.mark.parametrize(
    ("fields", "counted"),
    [
        ({"propertyFilters": {"channel": ["text", "email"]}}, "2"),
        ({"propertyFilters": {"channel": ["TEXT"]}}, "0"),
        ({"propertyFilters": {"channel": ["TEXT"]}, "caseSensitive": False}, "1"),
        ({"propertyFilters": {"channel": ["text"]}, "propertiesToNegate": ["channel"]}, "3"),
    ],
)
def test_property_filters(api: Api, fields: dict[str, object], counted: str) -> None:
    identifier = metric(api, **fields)
    for number, properties in enumerate(({"channel": "text"}, {"channel": "email"}, {"channel": "fax"}, {})):
        api.event(f"e{number}", eventTimestamp="2022-10-01T00:00:00Z", eventProperties=properties)
    assert value(api, identifier) == counted


@pytest.mark.parametrize(
    ("reading", "comma", "repeated"), [("comma", "2", "1"), ("repeated", "0", "2"), ("both", "2", "2")]
)
def test_reading_of_several_aliases(api: Api, reading: str, comma: str, repeated: str) -> None:
    api.set(aliases_separator=reading)
    identifier = metric(api)
    for alias in ("a", "b"):
        api.event(alias, alias=alias, eventTimestamp="2022-10-01T00:00:00Z")
    period = "&periodStart=2022-10-01&periodEnd=2022-10-01"
    assert value(api, identifier, "customerAliases=a,b" + period) == comma
    assert value(api, identifier, "customerAliases=a&customerAliases=b" + period) == repeated


@pytest.mark.parametrize("query", ["", DAY.replace("periodEnd", "end"), DAY.replace("2022-10-01", "October")])
def test_calculation_without_or_with_a_wrong_period_is_refused(api: Api, query: str) -> None:
    assert api.get(f"/usage-metrics/{metric(api)}/calculate?{query}").status_code == 400
    assert api.get(f"/usage-metrics/none/calculate?{DAY}").status_code == 400


def test_custom_metric_cannot_be_calculated(api: Api) -> None:
    answer = api.get(f"/usage-metrics/{metric(api, aggregationType='CUSTOM')}/calculate?{DAY}")
    assert (answer.status_code, "CUSTOM" in answer.text) == (400, True)


def test_seat_event_is_found_by_its_id(api: Api) -> None:
    stored = api.seats("s1", "acme", 7, "2022-10-01T00:00:00Z")
    assert stored | {"customerAlias": "acme", "seatType": "admin", "total": 7} == stored
    assert api.page("/seat-events")["items"] == [stored]
    assert set(stored) == {
        *("id", "customerEventId", "customerAlias", "seatType"),
        *("sequenceAccountId", "eventTimestamp", "total"),
    }
    assert api.page(f"/seat-events/{stored['id']}") == stored
    assert api.get("/seat-events/none").status_code == 400


SEATS = {"customerAlias": "a", "seatType": "t", "eventTimestamp": "2022-10-01T00:00:00Z", "total": 0}


@pytest.mark.parametrize(
    ("field", "new"),
    [
        *(("total", total) for total in (None, "7", 7.0, 1.5, -1, True)),
        ("seatType", 5),
        *((field, ...) for field in SEATS),
    ],
)
def test_wrong_or_missing_field_of_a_seat_event_is_refused_by_its_name(
    api: Api, field: str, new: object
) -> None:
    assert api.post("/seat-events", SEATS).status_code == 201
    body = {name: value for name, value in (SEATS | {field: new}).items() if value is not ...}
    answer = api.post("/seat-events", body)
    assert answer.status_code == 400
    message = answer.json()["error"]["message"]
    assert message.startswith(f"{field} is required" if new is ... else field)


def test_seat_balances(api: Api) -> None:
    api.admin(
        "POST", "/customers", [{"id": "c1", "aliases": ["acme", "eu"], "legalName": "Acme"}, {"id": "c2"}]
    )
    api.seats("1", "acme", 5, "2022-10-01T00:00:00Z")
    api.seats("2", "eu", 9, "2022-10-03T00:00:00Z")
    api.seats("3", "acme", 7, "2022-10-02T00:00:00Z")
    api.seats("4", "c1", 2, "2022-10-02T00:00:00Z", "user")
    api.seats("5", "c1", 99, "2022-10-05T00:00:00Z", "user")
    api.seats("5", "VOID", 99, "2022-10-05T00:00:00Z", "user")

    def balance(query: str = "") -> list[tuple[str, int, dict[str, int]]]:
        items = api.page(f"/seat-balances?{query}")["items"]
        return [(i["id"], i["total"], {b["seatType"]: b["total"] for b in i["balances"]}) for i in items]

    acme = ("c1", 11, {"admin": 9, "user": 2})
    assert balance() == [("c2", 0, {}), acme]
    api.seats("6", "c2", 3, "2022-10-01T00:00:00Z")
    api.seats("7", "c2", 0, "2022-10-02T00:00:00Z")
    assert balance() == [("c2", 0, {"admin": 0}), acme]
    assert balance("excludeZeroQuantity=true") == [acme]
    assert balance("customerAliases=eu") == balance("customerAliases=x,acme") == [acme]
    assert balance("customerIds=c1") == balance("customerIds=x,c1") == [acme]
    api.set(newest_seat_event="received")
    assert balance("customerIds=c1") == [("c1", 9, {"admin": 7, "user": 2})]


def test_customers_and_their_aliases(api: Api) -> None:
    api.admin("POST", "/customers", [{"id": "c1", "legalName": "Acme"}, {"id": "c2", "aliases": ["globex"]}])
    new = {"customerId": "c1", "value": "acme", "label": "main"}
    answer = api.post("/customer-aliases", new)
    assert answer.status_code == 201
    stored = answer.json()
    assert new.items() <= stored.items()
    assert api.page("/customer-aliases?value=acme")["items"] == [stored]
    assert api.page("/customer-aliases?value=acm")["items"] == []
    del stored["label"]  # which this list has not
    assert api.page("/customers/c1/aliases")["items"] == [stored]
    assert [customer["id"] for customer in api.page("/customers?alias=acme")["items"]] == ["c1"]
    assert [customer["id"] for customer in api.page("/customers?alias=c2")["items"]] == ["c2"]
    assert api.page("/customers?alias=ACME")["items"] == []
    assert api.page("/customers?alias=acme,globex")["items"] == []
    assert len(api.page("/customers?alias=acme&alias=globex")["items"]) == 2
    unlabelled = {"customerId": "c1", "value": "acme-eu", "label": ""}
    assert api.post("/customer-aliases", unlabelled).json()["label"] == ""
    assert api.get("/customers/none/aliases").status_code == 404
    for reading, taken, missing in (("documented", 400, 400), ("customary", 409, 404)):
        api.set(missing_status=reading)
        assert api.post("/customer-aliases", new).status_code == taken
        assert api.post("/customer-aliases", {"customerId": "c9", "value": "x"}).status_code == missing
    assert "value" in api.post("/customer-aliases", {"customerId": "c1"}).text
    assert api.post("/customer-aliases", b"[]").status_code == 400


def test_idempotency_key_repeats_the_answer(api: Api) -> None:
    api.admin("POST", "/customers", {"id": "c1"})
    new = {"customerId": "c1", "value": "acme"}
    answers = [api.post("/customer-aliases", new, **{"Idempotency-Key": "k"}) for _ in "12"]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert len(api.page("/customer-aliases")["items"]) == 1
