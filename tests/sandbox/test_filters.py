"""Filters of usage events, seat events and usage metrics, and each reading of those the documents leave open."""

from __future__ import annotations

import pytest

from tests.sandbox.support import Api


def keys(api: Api, query: str) -> set[str]:
    return set(api.keys(f"/usage-events?{query}"))


def test_type_and_alias_are_case_sensitive(api: Api) -> None:
    api.event("lower", alias="acme", kind="sent")
    api.event("upper", alias="ACME", kind="SENT")
    assert keys(api, "customerAlias=acme") == {"lower"}
    assert keys(api, "eventType=SENT") == {"upper"}
    assert keys(api, "eventType=SENT&customerAlias=acme") == set()


@pytest.mark.parametrize(
    ("reading", "repeated", "comma"),
    [
        ("both", {"a", "b"}, {"a", "b"}),
        ("repeated", {"a", "b"}, {"a,b"}),
        ("comma", {"b"}, {"a", "b"}),
    ],
)
def test_reading_of_several_aliases(api: Api, reading: str, repeated: set[str], comma: set[str]) -> None:
    for alias in ("a", "b", "a,b", "c"):
        api.event(alias, alias=alias)
    api.set(customer_alias_parameter=reading)
    assert keys(api, "customerAlias=a&customerAlias=b") == repeated
    assert keys(api, "customerAlias=a,b") == comma
    assert keys(api, "customerAlias=a%2Cb") == comma


BOUNDS = {"inclusive": {"at"}, "exclusive": set[str]()}


@pytest.mark.parametrize(("after", "before"), [("inclusive", "exclusive"), ("exclusive", "inclusive")])
def test_bounds_of_timestamp_filters(api: Api, after: str, before: str) -> None:
    api.event("early", eventTimestamp="2022-10-01T01:59:59.999999+02:00")
    api.event("at", eventTimestamp="2022-10-01T02:00:00+02:00")
    api.event("late", eventTimestamp="2022-10-01T00:00:00.000001Z")
    api.set(after_bound=after, before_bound=before)
    assert keys(api, "eventTimestampAfter=2022-10-01T00:00:00Z") == {"late"} | BOUNDS[after]
    assert keys(api, "eventTimestampBefore=2022-10-01T00:00:00Z") == {"early"} | BOUNDS[before]
    assert keys(api, "eventTimestampBefore=2022-10-01T03:00:00%2B03:00") == {"early"} | BOUNDS[before]
    api.seats("seat", "acme", 1, "2022-10-01T00:00:00Z")
    for name, bound in (("After", after), ("Before", before)):
        found = api.page(f"/seat-events?eventTimestamp{name}=2022-10-01T00:00:00Z")["items"]
        assert len(found) == (bound == "inclusive")


def test_filters_are_combined(api: Api) -> None:
    for day in range(1, 5):
        at = f"2022-10-0{day}T12:00:00Z"
        api.event(f"a{day}", alias="acme", eventTimestamp=at)
        api.event(f"b{day}", alias="globex", kind="called", eventTimestamp=at)
    window = "eventTimestampAfter=2022-10-02T00:00:00Z&eventTimestampBefore=2022-10-04T00:00:00Z"
    assert keys(api, window) == {"a2", "b2", "a3", "b3"}
    assert keys(api, f"{window}&customerAlias=acme&eventType=sent") == {"a2", "a3"}
    assert keys(api, "eventType=sen") == keys(api, f"{window}&customerAlias=acme&eventType=called") == set()


def test_timestamp_filter_can_be_cut_to_seconds(api: Api) -> None:
    api.event("e", eventTimestamp="2022-10-01T00:00:00.250Z")
    query = "eventTimestampAfter=2022-10-01T00:00:00.500Z"
    assert keys(api, query) == set()
    api.set(timestamp_filter_resolution="second")
    assert keys(api, query) == {"e"}


def test_wrong_timestamp_in_filter_is_refused(api: Api) -> None:
    for wrong in ("2022-10-01", "now", "", "2022-10-01T00:00:00+02:00"):  # an unescaped plus is a space
        answer = api.get(f"/usage-events?eventTimestampAfter={wrong}")
        assert answer.status_code == 400
        assert "eventTimestampAfter" in answer.text
    assert api.get("/usage-events?eventTimestampAfter=2022-10-01T00:00:00").status_code == 200
    api.set(naive_timestamps="reject")
    assert api.get("/usage-events?eventTimestampAfter=2022-10-01T00:00:00").status_code == 400


def test_event_id_filter_compares_the_chosen_id(api: Api) -> None:
    stored = api.event("mine")
    assert keys(api, f"eventId={stored['id']}") == {"mine"}
    assert keys(api, "eventId=mine") == set()
    api.set(event_id_filter="customer_event_id")
    assert keys(api, f"eventId={stored['id']}") == set()
    assert keys(api, "eventId=mine") == {"mine"}


def test_unmapped_aliases_only(api: Api) -> None:
    api.event("mapped", alias="acme")
    api.event("by-id", alias="c1")
    api.event("unknown", alias="ACME")
    api.event("void", alias="VOID")
    assert keys(api, "unmappedAliasesOnly=true") == {"mapped", "by-id", "unknown"}
    api.admin("POST", "/customers", {"id": "c1", "aliases": ["acme"]})
    assert keys(api, "unmappedAliasesOnly=true") == {"unknown"}
    assert len(keys(api, "unmappedAliasesOnly=false")) == 4
    api.set(void_events_unmapped=True)
    assert keys(api, "unmappedAliasesOnly=true") == {"unknown", "void"}


def test_filters_of_seat_events(api: Api) -> None:
    api.admin("POST", "/customers", [{"id": "c1", "aliases": ["acme", "acme-eu"]}, {"id": "c2"}])
    for key, alias, kind in (
        ("1", "acme", "admin"),
        ("2", "acme-eu", "user"),
        ("3", "c1", "user"),
        ("4", "x", "user"),
    ):
        api.seats(key, alias, 1, "2022-10-01T00:00:00Z", kind)
    assert set(api.keys("/seat-events?customerIds=c1")) == {"1", "2", "3"}
    assert set(api.keys("/seat-events?customerIds=c1,c2,x")) == {"1", "2", "3", "4"}
    assert api.keys("/seat-events?customerIds=c2") == api.keys("/seat-events?customerAlias=Acme") == []
    assert api.keys("/seat-events?customerAlias=acme") == ["1"]
    assert api.keys("/seat-events?seatType=user&customerIds=c1") == ["3", "2"]
    assert api.keys("/seat-events?customerEventId=4") == ["4"]
    assert api.get("/seat-events?customerIds=" + ",".join(["x"] * 25)).status_code == 200
    answer = api.get("/seat-events?customerIds=" + ",".join(["x"] * 26))
    assert answer.status_code == 400
    assert "customerIds" in answer.text


@pytest.fixture
def metrics(api: Api) -> Api:
    plain = {"aggregationType": "SUM", "aggregationProperty": "length"}
    api.admin(
        "POST",
        "/usage-metrics",
        [
            {"id": "AAAA-1", "name": "Messages Sent", "eventType": "sent", **plain},
            {"id": "BBBB-2", "name": "Straße", "eventType": "sent,late", "aggregationProperty": "a%b"},
            {"id": "CCCC-3", "name": "Calls", "eventType": "late", "aggregationType": "UNIQUE"},
        ],
    )
    return api


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("name=SENT", {"AAAA-1"}),
        ("name=strasse", {"BBBB-2"}),
        ("name=parcel", set[str]()),
        ("id=bb-2", {"BBBB-2"}),
        ("eventType=sent", {"AAAA-1"}),
        ("eventType=sent,late", {"AAAA-1", "CCCC-3"}),
        ("eventType=SENT", set[str]()),
        ("aggregationType=SUM,UNIQUE", {"AAAA-1", "CCCC-3"}),
        ("aggregationType=CUSTOM", set[str]()),
        ("eventProperty=length", {"AAAA-1"}),
        ("eventProperty=a%2525b,length", {"AAAA-1", "BBBB-2"}),
        ("name=s&eventType=late", {"CCCC-3"}),
    ],
)
def test_filters_of_usage_metrics(metrics: Api, query: str, ids: set[str]) -> None:
    assert {item["id"] for item in metrics.page(f"/usage-metrics?{query}")["items"]} == ids


@pytest.mark.parametrize(
    ("reading", "once", "twice"),
    [
        ("decoded_after_split", {"AAAA-1", "CCCC-3"}, {"BBBB-2"}),
        ("split_before_decoding", {"BBBB-2"}, set[str]()),
    ],
)
def test_reading_of_values_with_a_comma(metrics: Api, reading: str, once: set[str], twice: set[str]) -> None:
    metrics.set(listed_values=reading)

    def found(query: str) -> set[str]:
        return {item["id"] for item in metrics.page(f"/usage-metrics?{query}")["items"]}

    assert found("eventType=sent%2Clate") == once
    assert found("eventType=sent%252Clate") == twice
    assert found("eventType=sent,late") == {"AAAA-1", "CCCC-3"}
