"""The client and the limits of an account, however the account counts them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_provider_sequence.api.resources import SEAT_EVENTS, USAGE_EVENTS
from airflow_provider_sequence.exceptions import SequenceRejectedError
from tests.unit.events import seat_event, usage_event


@pytest.mark.parametrize("algorithm", ["moving_window", "fixed_window", "token_bucket"])
def test_paced_requests_get_no_429_however_the_limit_is_counted(algorithm, server, connect):
    server.settings(rate_algorithm=algorithm, burst=8, usage_events_per_minute=1800)
    client = connect(server, usage_events_per_minute=1800)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: client.create(USAGE_EVENTS, usage_event(f"e-{number}")), range(40)))

    assert server.summary()["throttled"] == 0
    assert client.requests_sent == 40


def test_posts_that_count_in_the_general_budget_are_throttled_and_all_delivered(server, connect):
    server.settings(
        usage_posts_in_general_budget=True, requests_per_minute=20, rate_algorithm="token_bucket", burst=20
    )
    client = connect(server, deadline=60)
    ids = {client.create(USAGE_EVENTS, usage_event(f"e-{number}")) for number in range(21)}

    assert len(ids) == 21
    assert server.summary()["throttled"] >= 1


def test_event_longer_than_the_account_allows_is_rejected_alone(server, connect):
    server.settings(max_text_length=25)
    client = connect(server)
    with pytest.raises(SequenceRejectedError) as caught:
        client.create(USAGE_EVENTS, usage_event(customer_alias="a" * 26))

    assert caught.value.status == 400
    assert client.create(USAGE_EVENTS, usage_event("e-2", customer_alias="a" * 25))


@pytest.mark.parametrize(("newest", "total"), [("event_timestamp", 9), ("received", 5)])
def test_seat_balances_are_sequences_own(newest, total, server, connect):
    server.settings(newest_seat_event=newest)
    client = connect(server)
    for number, (day, seats) in enumerate([(2, 9), (1, 5)]):
        event = seat_event(f"s-{number}", event_timestamp=f"2026-03-0{day}T00:00:00Z", total=seats)
        client.create(SEAT_EVENTS, event)
    server.add("customers", [{"id": "c-1", "aliases": []}])
    server.add("customer-aliases", [{"customerId": "c-1", "value": "acme"}])
    (balance,) = client.seat_balances()

    assert str(total) in b"".join(bytes(value) for value in balance.values()).decode()
