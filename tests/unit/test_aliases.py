"""Customer aliases and seat balances."""

from __future__ import annotations

import uuid

import pytest

from airflow_provider_sequence.api import lossless_json
from airflow_provider_sequence.api.aliases import CustomerAlias
from airflow_provider_sequence.exceptions import InvalidEventError, SequenceRejectedError


def test_idempotency_key_never_changes():
    assert CustomerAlias("c-1", "acme").idempotency_key == "238ccf6d-0405-58d7-b375-4d740e8ccb5e"
    assert uuid.UUID(CustomerAlias("c-1", "acme").idempotency_key).version == 5


def test_idempotency_keys_of_different_aliases_differ():
    aliases = [
        ("c", "ab"),
        ("ca", "b"),
        ("c", "ab", "l"),
        ("c", "ab", "m"),
        ('c","value":"ab', "x"),
        ("C", "ab"),
    ]

    assert len({CustomerAlias(*fields).idempotency_key for fields in aliases}) == len(aliases)


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
    assert caught.value.status == 409
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
