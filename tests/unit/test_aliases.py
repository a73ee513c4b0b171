"""Customer aliases and seat balances."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from airflow_provider_sequence.api import lossless_json
from airflow_provider_sequence.api.aliases import CustomerAlias
from airflow_provider_sequence.api.client import SequenceClient
from airflow_provider_sequence.exceptions import InvalidEventError, SequenceRejectedError
from airflow_provider_sequence.pipelines.aliases import create_aliases
from airflow_provider_sequence.pipelines.push.outcomes import Status
from airflow_provider_sequence.pipelines.push.summary import PushSummary
from tests.unit.loopback import Received, Reply


def test_integers_and_uuids_become_text():
    ident = uuid.uuid4()
    assert CustomerAlias(ident, 17).fields == {"customerId": str(ident), "value": "17"}


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ((None, "a"), "customer_id"),
        (("c", None), "value"),
        (("c", ""), "value"),
        (("c", "\t"), "value"),
        (("c", True), "value"),
        (("c", 1.5), "value"),
        (("c", b"a"), "value"),
        (("c", "\ud800"), "value"),
        (("c", "a", ""), "label"),
    ],
)
def test_invalid_value_is_refused_with_its_field(fields, name):
    with pytest.raises(InvalidEventError, match=name):
        CustomerAlias(*fields)


def test_alias_is_created_once_and_found_by_exact_match(server, client):
    server.add("customers", [{"id": "c-1"}])
    created = client.create_customer_alias(CustomerAlias("c-1", "Zoë, Inc."))

    assert lossless_json.decode(created["value"]) == "Zoë, Inc."
    assert [lossless_json.decode(item["customerId"]) for item in client.customer_aliases("Zoë, Inc.")] == [
        "c-1"
    ]
    assert list(client.customer_aliases("zoë, inc.")) == []
    with pytest.raises(SequenceRejectedError) as caught:
        client.create_customer_alias(CustomerAlias("c-1", "Zoë, Inc.", "another key"))
    assert caught.value.status == 400
    assert "Zoë" not in str(caught.value)


@pytest.mark.parametrize("last_page", ["omit", "null", "empty", "cursor"])
def test_all_aliases_and_balances_are_listed(server, client, last_page):
    server.settings(last_page=last_page)
    server.add("customers", [{"id": f"c-{n}", "aliases": [f"a-{n}"]} for n in range(130)])
    event = {"customerEventId": "s1", "customerAlias": "a-7", "seatType": "editor", "eventTimestamp": "2026-03-01T00:00:00Z"}  # fmt: skip
    assert server.call("POST", "/seat-events", json=event | {"total": 4}).ok

    assert {lossless_json.decode(item["value"]) for item in client.customer_aliases()} == {
        f"a-{n}" for n in range(130)
    }
    balances = {lossless_json.decode(item["id"]): lossless_json.decode(item["total"]) for item in client.seat_balances()}  # fmt: skip
    assert len(balances) == 130
    assert {customer: total for customer, total in balances.items() if total} == {"c-7": 4}


class Aliases:
    """Sequence's list of aliases; it keeps the answer to an ``Idempotency-Key``, whatever happened since."""

    def __init__(self, *listed: dict[str, Any]) -> None:
        self.listed = list(listed)
        self.answers: dict[str, Reply] = {}
        self.stores = True

    def __call__(self, request: Received) -> Reply:
        if request.method == "GET":
            return Reply(
                200,
                {"items": [item for item in self.listed if item["value"] == dict(request.query)["value"]]},
            )
        sent = json.loads(request.body)
        if sent["customerId"] == "nobody":
            return Reply(404, {"error": {"message": "no such customer"}})
        key = request.headers["idempotency-key"]
        if key not in self.answers:
            if self.stores:
                self.listed.append(sent)
            self.answers[key] = Reply(201, sent)
        return self.answers[key]


def outcomes(client: SequenceClient, *rows: tuple[str, str]) -> tuple[int, int, int]:
    summary = PushSummary()
    create_aliases([{"customer_id": customer, "value": value} for customer, value in rows], client, summary)
    return tuple(summary.counts[status] for status in (Status.DELIVERED, Status.UNCHANGED, Status.REJECTED))  # type: ignore[return-value]


@pytest.mark.parametrize("gone", ["deletedAt", "archivedAt"])
def test_alias_that_is_deleted_or_archived_is_created_anew(loopback, connect, gone):
    sequence = Aliases({"customerId": "c-1", "value": "a", gone: "2026-01-01T00:00:00Z"}, {"customerId": "c-2", "value": "b", gone: "2026-01-01T00:00:00Z"}, {"customerId": "c-1", "value": "c", "deletedAt": None})  # fmt: skip
    loopback.responses = [sequence]
    assert outcomes(connect(loopback), ("c-1", "a"), ("c-1", "b"), ("c-1", "c"), ("c-2", "c")) == (2, 1, 1)


def test_alias_that_was_deleted_since_it_was_created_is_created_again(loopback, connect):
    sequence = Aliases()
    loopback.responses = [sequence]
    client = connect(loopback)
    assert outcomes(client, ("c-1", "a")) == (1, 0, 0)
    sequence.listed.clear()
    assert outcomes(client, ("c-1", "a")) == (1, 0, 0)
    assert [item["value"] for item in sequence.listed] == ["a"]


def test_alias_that_is_not_there_afterwards_is_rejected(loopback, connect):
    sequence = Aliases()
    sequence.stores = False
    loopback.responses = [sequence]
    assert outcomes(connect(loopback), ("c-1", "a"), ("nobody", "b")) == (0, 0, 2)
