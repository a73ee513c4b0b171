"""Every request of the client fits the contract."""

from __future__ import annotations

import datetime as dt
import itertools
from decimal import Decimal

import pytest

from airflow_provider_sequence.api.client import SequenceClient
from airflow_provider_sequence.api.event_mapper import make_event
from airflow_provider_sequence.api.events import SEAT_EVENT, USAGE_EVENT
from airflow_provider_sequence.api.resources import RESOURCES, SEAT_EVENTS, USAGE_EVENTS
from airflow_provider_sequence.api.windows import Window

WINDOW = Window(dt.datetime(2024, 3, 1, tzinfo=dt.UTC), dt.datetime(2024, 4, 1, 0, 0, 0, 1, tzinfo=dt.UTC))

#: Values to try for each filter; each is tried alone and with every other one. All but ``offset``, which makes
#: sense together with a cursor only, as far as one can tell, and so not from the first page on.
VALUES = {
    "customer_alias": "acme, Söhne & co",
    "unmapped_aliases_only": True,
    "event_type": "api call, v2",
    "event_id": "event-1",
    "customer_ids": ["c1", "c2"],
    "seat_type": "admin",
    "customer_event_id": "event-1",
    "name": "größe",
    "id": "0184",
    "event_property": ["length", "a,b"],
    "aggregation_type": ["COUNT", "SUM"],
    "sort_order": "ASC",
    "sort_by": "createdAt",
    "alias": "acme, Söhne & co",
    "value": "acme, Söhne & co",
    "legal_name": "Söhne",
    "email": "a+b@example.com",
    "include_archived": True,
    "include_archived_schedules": False,
    "currency": "GBP",
    "billing_frequency": "MONTHLY",
    "product_id": "p1",
    "customer_id": "c1",
    "billing_schedule_id": "b1",
    "billing_schedule_status": "ACTIVE",
    "label": "größe",
    "auto_send_invoices": True,
    "invoice_status": "SENT",
    "invoice_payment_status": "PAID",
    "invoice_currency": "EUR",
}


@pytest.fixture
def client(server):
    with SequenceClient(
        server.api_url, "key", "secret", requests_per_minute=10**6, usage_events_per_minute=10**6, deadline=5
    ) as client:
        yield client


@pytest.mark.parametrize("resource", RESOURCES.values(), ids=RESOURCES.keys())
def test_list_with_every_filter_fits(server, client, resource):
    filters_to_try = [f for f in resource.filtered.filters if not f.skips_items]
    pairs = itertools.combinations_with_replacement(filters_to_try, 2)
    asked = [{f.name: VALUES[f.name] for f in pair} for pair in pairs]
    window = WINDOW if resource.filtered.times else None
    for parent in ("invoices", "credit-notes"):
        server.add(parent, [{"id": "p 1"}])
    before = server.findings()["checked_requests"]
    for filters in [{}, *asked]:
        list(client.items(resource, filters, window))
        client.count(resource, filters, window)
    assert server.findings()["checked_requests"] - before == client.requests_sent
    assert server.violations() == []


def test_pushed_events_fit(server, client):
    fields = {"customer_alias": "Ünïcode 数据", "event_timestamp": dt.datetime(2026, 10, 1, 12, 0, 0, 5)}  # noqa: DTZ001
    usage = {"event_type": "x", "event_properties": {"n": Decimal("0.1000"), "deep": [{"a": [None, True]}]}}
    client.create(USAGE_EVENTS, make_event(USAGE_EVENT, {"customer_event_id": "u1", **fields, **usage}))
    client.create(
        USAGE_EVENTS, make_event(USAGE_EVENT, {"customer_event_id": "u2", **fields, "event_type": "x"})
    )
    seats = {"seat_type": "admin", "total": 3}
    client.create(SEAT_EVENTS, make_event(SEAT_EVENT, {"customer_event_id": "s1", **fields, **seats}))
    assert server.violations() == []
    assert server.findings()["checked_requests"] >= 3


def test_connection_check_fits(server, client):
    client.verify_credentials()
    assert server.violations() == []


def test_too_long_page_of_the_client_is_a_violation(server, client):
    server.check(check_answers=False)
    with pytest.raises(Exception, match="400"):
        list(client.pages(USAGE_EVENTS, page_size=101))
    assert any("limit" in violation for violation in server.violations())
    server.clear_violations()
