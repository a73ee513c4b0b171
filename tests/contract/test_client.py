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
    "invoice_currency": ["EUR", "GBP"],
    "exclude_zero_quantity": True,
    "customer_aliases": ["acme", "Söhne & co"],
    "billing_status": "ACTIVE",
    "tax_category_id": ["t1", "t2"],
    "recognition_method": ["USAGE", "MILESTONE"],
    "include_open_ended_schedules": True,
    "recurrence_day_of_month": [1, 15],
    "search": "Söhne",
    "invoice_number": "INV1",
    "net_total": Decimal("10.10"),
    "exclude_invoice_status": "DRAFT",
    "exclude_invoice_payment_status": "PAID",
    "exclude_customer_id": "c1",
    "exclude_billing_schedule_id": "b1",
    "exclude_invoice_currency": "EUR",
    "exclude_invoice_number": "INV1",
    "exclude_net_total": "10.10",
    "exclude_search": "Söhne",
    "credit_note_status": "SENT",
    "search_credit_note_number": "CN1",
    "status": "DRAFT",
    "title": "größe",
    "created_by": ["u1", "u2"],
    "has_active_approval_workflow": False,
    "activity_log_object_id": "a1",
    "activity_log_object_entity_id": "a1",
    "notification_type": "INVOICE_ISSUED",
}


@pytest.fixture
def client(server):
    with SequenceClient(
        server.api_url, "key", "secret", requests_per_minute=10**6, usage_events_per_minute=10**6, deadline=5
    ) as client:
        yield client


@pytest.mark.parametrize("resource", RESOURCES.values(), ids=RESOURCES.keys())
def test_list_with_every_filter_fits(server, client, resource):
    names = [name for name in resource.filter_names if name != "offset"]
    # Of a list with many filters, each one with the next.
    pairs = itertools.combinations(names, 2) if len(names) < 10 else itertools.pairwise(names)
    asked = [{name: VALUES[name] for name in some} for some in [*zip(names), *pairs]]
    for parent in ("invoices", "credit-notes", "customers"):
        server.add(parent, [{"id": "p.1"}])
    server.add("tax-registrations", [{"merchantId": "m.1"}])
    before = server.findings()["checked_requests"]
    for filters in [{}, *asked]:
        list(client.items(resource, filters))
        client.count(resource, filters)
    for name in resource.time_names:
        list(client.items(resource.by_time(name), {}, WINDOW))
        client.count(resource.by_time(name), {}, WINDOW)
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
