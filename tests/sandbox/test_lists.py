"""Envelope, order, limits, cursors and offsets: the same for every list."""

from __future__ import annotations

import base64
import time

import pytest

from airflow_provider_sequence.sandbox.resources import BY_PATH
from tests.sandbox.support import Api

TEN = [f"e{number}" for number in range(10)]


@pytest.fixture
def ten(api: Api) -> Api:
    for key in TEN:
        api.event(key)
    return api


@pytest.fixture
def four(ten: Api) -> Api:
    """Ten usage events, four seat events and four metrics."""
    for number in range(4):
        ten.seats(f"s{number}", "acme", 1, "2022-10-01T00:00:00Z")
        ten.admin("POST", "/usage-metrics", {"id": f"m{number}"})
    return ten


def test_order_is_newest_first_by_default(ten: Api) -> None:
    assert ten.keys("/usage-events") == TEN[::-1]
    assert ten.keys("/usage-events?sortOrder=DESC") == TEN[::-1]
    assert ten.keys("/usage-events?sortOrder=ASC") == TEN


@pytest.mark.parametrize(
    ("path", "style", "forward"),
    [
        ("/usage-events?limit=3&sortOrder=ASC", "uuid", [TEN[:3], TEN[3:6], TEN[6:9], TEN[9:]]),
        ("/usage-events?limit=5", "uuid_micros_order", [TEN[:4:-1], TEN[4::-1]]),
        ("/usage-events?limit=1", "uuid", [[key] for key in TEN[::-1]]),
        ("/seat-events?limit=3", "uuid", [["s3", "s2", "s1"], ["s0"]]),
        ("/seat-events?limit=2&sortOrder=ASC", "uuid_micros_order", [["s0", "s1"], ["s2", "s3"]]),
        ("/usage-metrics?limit=3", "uuid", [["m3", "m2", "m1"], ["m0"]]),
    ],
)
def test_cursors_lead_through_a_list_and_back(
    four: Api, path: str, style: str, forward: list[list[str]]
) -> None:
    four.set(cursor_style=style)
    assert four.walk(path) == forward
    last = four.page(path)
    while last["pagination"].get("after"):
        last = four.page(path, params={"after": last["pagination"]["after"]})
    assert last["pagination"]["totalResultSize"] == sum(map(len, forward))
    assert four.walk(path, "before", last["pagination"]["before"]) == forward[-2::-1]


def test_cursor_style(ten: Api) -> None:
    page = ten.page("/usage-events?limit=3")
    last = page["items"][-1]["id"]
    assert base64.b64decode(page["pagination"]["after"]).decode() == last
    ten.set(cursor_style="uuid_micros_order")
    parts = base64.b64decode(ten.page("/usage-events?limit=3")["pagination"]["after"]).decode().split("#")
    assert parts == [last, str((int(last.replace("-", ""), 16) >> 80) * 1000), "DESC"]


def test_events_that_arrive_do_not_shift_the_next_page(ten: Api) -> None:
    first = ten.page("/usage-events?limit=4")
    ten.event("new")
    second = ten.page("/usage-events?limit=4", params={"after": first["pagination"]["after"]})
    assert [item["customerEventId"] for item in second["items"]] == TEN[5:1:-1]
    assert second["pagination"]["totalResultSize"] == 11


@pytest.mark.parametrize(
    ("style", "first", "last"),
    [
        ("omit", {}, {}),
        ("null", {"before": None}, {"after": None}),
        ("empty", {"before": ""}, {"after": ""}),
    ],
)
def test_cursor_fields_of_the_first_and_last_page(
    ten: Api, style: str, first: dict[str, str], last: dict[str, str]
) -> None:
    ten.set(first_page=style, last_page=style)
    page = ten.page("/usage-events?limit=6")
    assert {"before": ...} | page["pagination"] | {"after": "", "totalResultSize": 0} == (
        {"before": ...} | first | {"after": "", "totalResultSize": 0}
    )
    rest = ten.page("/usage-events?limit=6", params={"after": page["pagination"]["after"]})["pagination"]
    assert rest.pop("before")
    assert rest == last | {"totalResultSize": 10}
    nothing = ten.page("/usage-events?eventType=none")["pagination"]
    assert nothing == first | last | {"totalResultSize": 0}


def test_last_cursor_can_lead_to_an_empty_page(ten: Api) -> None:
    ten.set(first_page="cursor", last_page="cursor")
    page = ten.page("/usage-events?limit=100")
    for name in ("after", "before"):
        empty = ten.page("/usage-events", params={name: page["pagination"][name]})
        assert empty == {"items": [], "pagination": {"totalResultSize": 10}}
    assert ten.walk("/usage-events?limit=5") == [TEN[:4:-1], TEN[4::-1], []]


@pytest.mark.parametrize(
    ("total", "said"),
    [
        ("exact", {"totalResultSize": 10}),
        ("absent", {}),
        ("null", {"totalResultSize": None}),
        ("estimate_low", {"totalResultSize": 9}),
        ("estimate_high", {"totalResultSize": 11}),
    ],
)
def test_total_result_size(ten: Api, total: str, said: dict[str, int | None]) -> None:
    ten.set(total=total)
    assert ten.page("/usage-events?limit=100")["pagination"] == said


def test_default_limit(api: Api) -> None:
    for number in range(25):
        api.event(f"e{number}")
    assert len(api.keys("/usage-events")) == 20
    api.set(default_limit=3)
    assert len(api.keys("/usage-events")) == 3


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=ten",
        "limit=-1",
        "limit=",
        "limit=1.0",
        "limit=٣",
        "sortOrder=asc",
        "sortOrder=UP",
        "sortBy=eventTimestamp",
        "offset=-1",
        "offset=x",
        "after=",
        "after=%25",
        "after=bm90LWEtdXVpZA==",
        "before=not-base-64!",
        "after=MDE4NDUyNjYtNmQ2NC03N2M4LTlhZGYtNDQ4N2Q5NGQxNDU3",
        "unmappedAliasesOnly=yes",
    ],
)
def test_wrong_parameter_is_refused_by_its_name(ten: Api, query: str) -> None:
    answer = ten.get(f"/usage-events?{query}")
    assert answer.status_code == 400
    assert query.partition("=")[0] in answer.json()["error"]["message"]


def test_every_list_checks_its_parameters(api: Api) -> None:
    for query in (
        "/seat-events?limit=0",
        "/usage-metrics?limit=101",
        "/seat-events?eventTimestampBefore=yesterday",
        "/customers?after=nonsense",
    ):
        assert api.get(query).status_code == 400, query


def test_smallest_and_largest_limit_are_accepted(ten: Api) -> None:
    assert len(ten.keys("/usage-events?limit=1")) == 1
    assert len(ten.keys("/usage-events?limit=100")) == 10


def test_offset_counts_from_the_cursor(ten: Api) -> None:
    pages = ten.page("/usage-events?limit=2&sortOrder=ASC")["pagination"]
    assert ten.keys(f"/usage-events?limit=2&sortOrder=ASC&offset=0&after={pages['after']}") == ["e2", "e3"]
    after = f"/usage-events?limit=2&sortOrder=ASC&offset=3&after={pages['after']}"
    assert ten.keys(after) == ["e5", "e6"]
    middle = ten.page(after)["pagination"]["before"]
    assert ten.keys(f"/usage-events?limit=2&sortOrder=ASC&offset=1&before={middle}") == ["e2", "e3"]
    assert ten.keys(f"/usage-events?sortOrder=ASC&offset=99&after={pages['after']}") == []


def test_offset_without_a_cursor(ten: Api) -> None:
    assert ten.keys("/usage-events?offset=8") == ["e1", "e0"]
    ten.set(offset_without_cursor="reject")
    assert ten.get("/usage-events?offset=8").status_code == 400


def test_after_and_before_together_are_refused(ten: Api) -> None:
    page = ten.page(
        "/usage-events?limit=2", params={"after": ten.page("/usage-events?limit=2")["pagination"]["after"]}
    )
    both = {name: page["pagination"][name] for name in ("after", "before")}
    assert ten.get("/usage-events", params=both).status_code == 400


def test_cursor_of_another_order_or_style_is_refused(ten: Api) -> None:
    plain = ten.page("/usage-events?limit=2")["pagination"]["after"]
    ten.set(cursor_style="uuid_micros_order")
    assert ten.get("/usage-events", params={"after": plain}).status_code == 400
    cursor = ten.page("/usage-events?limit=2")["pagination"]["after"]
    assert ten.get("/usage-events", params={"after": cursor}).status_code == 200
    assert ten.get("/usage-events?sortOrder=ASC", params={"after": cursor}).status_code == 400


def test_cursor_expires_after_its_lifetime(ten: Api) -> None:
    ten.set(cursor_lifetime_seconds=0.2)
    cursor = ten.page("/usage-events?limit=2")["pagination"]["after"]
    assert ten.get("/usage-events", params={"after": cursor}).status_code == 200
    time.sleep(0.25)
    expired = ten.get("/usage-events", params={"after": cursor})
    assert (expired.status_code, "expired" in expired.text) == (400, True)
    ten.set(cursor_lifetime_seconds=0)
    assert ten.get("/usage-events", params={"after": cursor}).status_code == 200


def test_unknown_parameters_are_ignored_or_refused(ten: Api) -> None:
    assert len(ten.keys("/usage-events?colour=red")) == 10
    assert len(ten.page("/seat-events?offset=5")["items"]) == 0
    ten.set(unknown_parameters="reject")
    assert "colour" in ten.get("/usage-events?colour=red").text
    assert ten.get("/usage-events?offset=1&sortBy=createdAt&limit=1").status_code == 200
    assert ten.get("/seat-events?offset=5").status_code == 400  # documented for usage events only
    assert ten.get("/usage-metrics?sortOrder=ASC").status_code == 400


def test_every_list_has_the_envelope(api: Api) -> None:
    for path, resource in BY_PATH.items():
        if "*" in path:
            continue
        pagination = {"pagination": {"totalResultSize": 0}} if resource.enveloped else {}
        assert api.page(f"/{path}") == {"items": []} | pagination, path
        assert api.call("DELETE", f"/{path}").status_code == 405, path


def test_lists_below_an_id_and_filters_of_invoices(api: Api) -> None:
    api.admin("POST", "/demo")
    invoices = api.page("/invoices?sortOrder=ASC")["items"]
    assert len(invoices) == 12
    lines = api.page(f"/invoices/{invoices[3]['id']}/line-items")["items"]
    assert [line["invoiceId"] for line in lines] == [invoices[3]["id"]] * 2
    assert all(isinstance(line["netTotal"], str) for line in lines)
    assert len(api.page(f"/invoices/{invoices[3]['id']}/line-item-groups")["items"]) == 1
    note = api.page("/credit-notes")["items"][0]["id"]
    assert len(api.page(f"/credit-notes/{note}/line-items")["items"]) == 1
    assert len(api.page("/invoices?dueAfter=2024-03-15&dueBefore=2024-06-15")["items"]) == 3
    api.set(after_bound="exclusive", before_bound="inclusive")
    assert [invoice["dueDate"] for invoice in api.page("/invoices?dueAfter=2024-11-15")["items"]] == [
        "2024-12-15"
    ]
    assert api.get("/invoices?dueAfter=15/03/2024").status_code == 400
    assert api.get("/invoices?dueAfter=2024-02-30").status_code == 400
    assert len(api.page("/invoices?invoiceStatus=DRAFT")["items"]) == 3
