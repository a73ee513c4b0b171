"""Refusals that are not the row's, the setting's or the account's fault: of firewalls, of expired cursors, of what is gone."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_sequence.api.answer_size import MAX_PAGE
from airflow_provider_sequence.api.pagination import MAX_READS, read_whole
from airflow_provider_sequence.api.resources import USAGE_EVENTS, USAGE_METRICS, get_resource
from airflow_provider_sequence.api.windows import Window
from airflow_provider_sequence.exceptions import (
    SequenceApiError,
    SequenceAuthenticationError,
    SequenceConfigurationError,
    SequenceGatewayError,
    SequenceGoneError,
    SequenceRejectedError,
    SequenceResponseError,
    SequenceResponseTooLargeError,
    SequenceUnavailableError,
)
from airflow_provider_sequence.pipelines.push.outcomes import Status
from airflow_provider_sequence.pipelines.push.pipeline import map_rows, push
from tests.unit.events import map_usage_row, usage_event, usage_row
from tests.unit.loopback import EMPTY_LIST, Received, Reply, created

PAGE = "<html><head><title>403 Forbidden</title></head><body>Request blocked. Ray ID 1</body></html>"


def page(status: int, body: str = PAGE, content_type: str = "text/html") -> Reply:
    """Answer of a firewall or a gateway."""
    return Reply(status, body, content_type=content_type)


def refused(status: int, **headers: str) -> Reply:
    """Answer of Sequence's own."""
    return Reply(status, {"error": {"type": "Refused", "message": "no"}}, tuple(headers.items()))


@pytest.mark.parametrize(
    "answer",
    [
        *(page(status) for status in (400, 403, 406, 409, 418, 423, 451)),
        page(403, "Access denied", "text/plain"),
        page(403, "", ""),
        page(403, "Access denied", "application/json"),
        *(refused(status) for status in (409, 423)),
    ],
    ids=lambda answer: f"{answer.status} {answer.content_type} {len(str(answer.body))}",
)
def test_refusal_that_may_pass_is_tried_again(loopback, connect, answer):
    loopback.responses = [answer, answer, created]
    assert connect(loopback).create(USAGE_EVENTS, usage_event())
    assert len(loopback.requests) == 3


@pytest.mark.parametrize(
    ("answer", "kind", "requests"),
    [
        (page(403), SequenceGatewayError, 4),
        (page(400), SequenceGatewayError, 4),
        (page(404), SequenceResponseError, 4),
        (page(401), SequenceAuthenticationError, 1),
        (refused(403), SequenceAuthenticationError, 1),
        (refused(409), SequenceRejectedError, 4),
        (refused(422), SequenceRejectedError, 1),
        (page(425), SequenceUnavailableError, 4),
    ],
    ids=lambda value: str(getattr(value, "status", value)),
)
def test_refusal_that_stays_is_final_and_names_the_event(loopback, connect, answer, kind, requests):
    loopback.responses = [answer]
    with pytest.raises(SequenceApiError) as caught:
        connect(loopback, deadline=1).create(USAGE_EVENTS, usage_event("e-7"))
    assert type(caught.value) is kind
    assert len(loopback.requests) == requests or answer.status == 425
    # The outcome of a rejected row has the id of its own.
    assert ("event e-7" in str(caught.value)) is (kind is not SequenceRejectedError)


def pushed(client: Any, rows: int = 30) -> Any:
    table = [usage_row(f"e-{n}", n) for n in range(rows)]
    return push(map_rows([table], map_usage_row), client, USAGE_EVENTS, threads=4)


def test_firewall_that_refuses_some_rows_rejects_these(loopback, connect):
    def respond(request: Received) -> Reply:
        if request.method == "GET":
            return EMPTY_LIST
        return page(403) if json.loads(request.body)["eventProperties"]["n"] % 10 == 0 else created(request)

    loopback.responses = [respond]
    summary = pushed(connect(loopback))
    assert (summary.counts[Status.DELIVERED], summary.counts[Status.REJECTED]) == (27, 3)
    assert {outcome.event_id for outcome in summary.first_rejected} == {"e-0", "e-10", "e-20"}
    assert all(
        "firewall" in (o.reason or "") and "Request blocked" in (o.reason or "")
        for o in summary.first_rejected
    )


def test_firewall_that_refuses_everything_rejects_nothing(loopback, connect):
    loopback.responses = [lambda request: created(request) if len(loopback.requests) < 9 else page(403)]
    with pytest.raises(SequenceGatewayError, match=r"event e-\d+"):
        pushed(connect(loopback))


class Pages:
    """List of 100 pages; what a page is answered depends on its number."""

    def __init__(self, answer: Callable[[int], Reply | None]) -> None:
        self._answer = answer

    def __call__(self, request: Received) -> Reply:
        number = int(dict(request.query).get("after", 0))
        listed = {
            "items": [{"id": f"i{number}"}],
            "pagination": {"after": str(number + 1) if number < 4 else None},
        }
        return self._answer(number) or Reply(200, listed)


@pytest.mark.parametrize("status", [400, 404, 409, 410, 422])
@pytest.mark.parametrize("own", [True, False], ids=["own", "foreign"])
def test_expired_cursor_is_retryable_and_the_list_read_anew(loopback, connect, status, own):
    refusals = itertools.chain(
        [refused(status) if own else page(status)] * (1 if own and status != 409 else 4),
        itertools.repeat(None),
    )
    loopback.responses = [Pages(lambda number: next(refusals) if number == 2 else None)]
    client = connect(loopback)
    with pytest.raises(SequenceGoneError, match="cursor") as caught:
        list(client.items(USAGE_EVENTS))
    assert isinstance(caught.value, SequenceUnavailableError)  # what sensors and triggers go on after
    assert len(list(client.items(USAGE_EVENTS))) == 5


def test_first_page_that_is_refused_is_the_users_fault(loopback, connect):
    loopback.responses = [refused(400)]
    with pytest.raises(SequenceRejectedError):
        list(connect(loopback).items(USAGE_EVENTS))


@pytest.mark.parametrize("status", [400, 404, 410])
def test_list_below_an_invoice_that_is_gone_is_retryable(loopback, connect, status):
    loopback.responses = [Reply(200, {"items": [{"id": "inv-1"}]}), refused(status)]
    with pytest.raises(SequenceGoneError, match="gone"):
        list(connect(loopback).items(get_resource("invoice_line_items")))


def test_list_whose_cursors_always_expire_is_read_a_few_times():
    reads = []

    def read() -> None:
        reads.append(1)
        raise SequenceGoneError("GET", "/usage-events", "gone")

    with pytest.raises(SequenceGoneError):
        read_whole(read)
    assert len(reads) == MAX_READS


@pytest.mark.parametrize("ring", [1, 3])
def test_new_cursors_over_the_same_items_end(loopback, connect, ring):
    numbers = itertools.count(1)

    def respond(_: Received) -> Reply:
        number = next(numbers)
        listed = [{"id": f"{number % ring}-{n}", "at": number} for n in range(3)]
        return Reply(
            200, {"items": listed, "pagination": {"after": f"cursor {number}", "totalResultSize": 9}}
        )

    loopback.responses = [respond]
    with pytest.raises(SequenceResponseError, match="has no end"):
        list(itertools.islice(connect(loopback).items(USAGE_METRICS), 1000))
    assert len(loopback.requests) <= 15


def test_page_that_is_too_large_is_asked_for_in_smaller_ones(loopback, connect):
    """No item is lost or comes twice, and the cursor stays the same."""
    ids = [str(number) for number in range(130)]

    def respond(request: Received) -> Reply:
        query = dict(request.query)
        start, limit = int(query.get("after", 0)), int(query["limit"])
        listed = [{"id": each, "wide": "x" * 200_000} for each in ids[start : start + limit]]
        after = {"after": str(start + limit)} if start + limit < len(ids) else {}
        return Reply(200, {"items": listed, "pagination": after})

    loopback.responses = [respond]
    assert [json.loads(bytes(item["id"])) for item in connect(loopback).items(USAGE_METRICS)] == ids
    limits = [dict(request.query)["limit"] for request in loopback.requests]
    assert limits[:6] == ["100", "25", "6", "12", "3", "6"]


def test_item_that_is_too_large_is_an_error(loopback, connect):
    loopback.responses = [Reply(200, {"items": [{"id": "1", "wide": "x" * 3_000_000}]})]
    with pytest.raises(SequenceResponseTooLargeError, match="more than 2,097,152 bytes"):
        list(connect(loopback, max_item=MAX_PAGE).items(USAGE_METRICS))
    assert [dict(request.query)["limit"] for request in loopback.requests] == ["100", "25", "6", "1"]


def test_one_large_item_slows_the_rest_of_its_list_for_a_few_pages(loopback, connect):
    def respond(request: Received) -> Reply:
        query = dict(request.query)
        start, end = int(query.get("after", 0)), int(query.get("after", 0)) + int(query["limit"])
        listed = [{"id": str(i), "wide": "x" * (3_000_000 * (i == 5))} for i in range(start, min(end, 1000))]
        return Reply(200, {"items": listed, "pagination": {"after": str(end)} if end < 1000 else {}})

    loopback.responses = [respond]
    items = list(connect(loopback).items(USAGE_METRICS))
    assert [json.loads(bytes(item["id"])) for item in items] == [str(i) for i in range(1000)]
    limits = [int(dict(request.query)["limit"]) for request in loopback.requests]
    assert limits[-1] == 100
    assert len(limits) < 30


def test_answer_to_an_event_may_have_the_event_in_it_escaped(loopback, connect):
    event = usage_event(text="é" * 1_000_000)
    loopback.responses = [lambda request: Reply(201, {"id": "1", **json.loads(request.body)})]
    assert connect(loopback).create(USAGE_EVENTS, event) == "1"


def test_wide_items_are_read_as_others_are(loopback, connect):
    """More fields than are decoded at once."""
    fields = {f"f{number}": number for number in range(900)}
    listed = [{"id": str(number), **fields} for number in range(70)]
    loopback.responses = [Reply(200, {"items": listed, "pagination": {"totalResultSize": 70}})]
    items = connect(loopback).items(USAGE_METRICS)
    assert [{name: json.loads(bytes(raw)) for name, raw in item.items()} for item in items] == listed


FORGED = "COUNT\n2026-11-25 CRITICAL forged \x1b[31m\u202e" + "x" * 5000


def is_one_line(text: str) -> bool:
    return text.isprintable() and len(text) < 1500


@pytest.mark.parametrize("aggregation", [FORGED, [FORGED], {"a": FORGED}, None, 5])
def test_aggregation_of_an_answer_is_one_line_of_an_error(loopback, connect, aggregation):
    loopback.responses = [Reply(200, {"eventCount": 1, "value": 1, "aggregationType": aggregation})]
    with pytest.raises(SequenceConfigurationError, match="does not add") as caught:
        connect(loopback).calculate_metric("m", ["a", "b"], Window.parse("2026-03-01", "2026-03-02"))
    said, advice = str(caught.value).split("\n")
    assert is_one_line(said)
    assert advice == "Ask for one alias at a time"


def test_ids_that_are_given_on_are_one_line(loopback, connect):
    loopback.responses = [Reply(201, {"id": FORGED})]
    assert is_one_line(connect(loopback).create(USAGE_EVENTS, usage_event()))

    loopback.responses = [Reply(500, {"error": {"type": FORGED, "message": FORGED}})]
    with pytest.raises(SequenceUnavailableError) as caught:
        connect(loopback, deadline=0.001).create(USAGE_EVENTS, usage_event(event_id=FORGED))
    said, ours = str(caught.value).split("\n")
    assert is_one_line(said)
    assert ours.startswith("Sequence at ")


@pytest.mark.parametrize("id_", ["..", ".", "../customers", "%2e%2e", "1?limit=0"])
def test_listed_id_leads_to_no_other_path(loopback, connect, id_):
    loopback.responses = [Reply(200, {"items": [{"id": id_}]})]
    with pytest.raises(SequenceResponseError, match="in a path"):
        list(connect(loopback).items(get_resource("invoice_line_items")))
    assert {request.path for request in loopback.requests} == {"/api/invoices"}
