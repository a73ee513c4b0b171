"""New events since the last poll, and the trigger that reports them: none twice, none missed."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import asdict
from typing import Any, Self

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_sequence.api.client import SequenceClient
from airflow_provider_sequence.api.resources import SEAT_EVENTS, USAGE_EVENTS, get_resource
from airflow_provider_sequence.exceptions import (
    SequenceAuthenticationError,
    SequenceConfigurationError,
)
from airflow_provider_sequence.triggers import new_events
from airflow_provider_sequence.triggers import sequence as triggers
from airflow_provider_sequence.triggers.new_events import (
    REMEMBERED,
    Arrival,
    Watermark,
    check_watchable,
    find_new_events,
)
from airflow_provider_sequence.triggers.sequence import SequenceNewEventsTrigger
from tests.integration.support.airflow import manual_dag
from tests.integration.support.databases import sequence_connection
from tests.support.server import CREDENTIALS
from tests.unit.loopback import Loopback, Reply

DAY = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
TICK = dt.timedelta(microseconds=1)
PAGE = 100
MAX_EXTRA_PAGES = 10


def stored(watermark: Watermark) -> Watermark:
    """A watermark as it comes back out of a database."""
    return Watermark(**json.loads(json.dumps(asdict(watermark))))


class Poller:
    """Polls a list again and again, and keeps the watermark."""

    def __init__(self, client: Any, resource: Any = USAGE_EVENTS, **filters: Any) -> None:
        self._client, self._resource, self._filters = client, resource, filters
        self._watermark: Watermark | None = None

    def poll(self) -> Arrival | None:
        arrival, watermark = find_new_events(self._client, self._resource, self._filters, self._watermark)
        self._watermark = stored(watermark)
        return arrival

    def counted(self) -> int:
        arrival = self.poll()
        return arrival.count if arrival else 0


def span(times: list[dt.datetime]) -> tuple[dt.datetime, dt.datetime]:
    return min(times), max(times) + TICK


def window(arrival: Arrival) -> tuple[dt.datetime, dt.datetime]:
    return dt.datetime.fromisoformat(arrival.window_start), dt.datetime.fromisoformat(arrival.window_end)


# A list that is made for the test: ids of any kind, in any order, as long as need be


class Listed:
    """Stands in for the client where no sandbox can: it gives a list of events, newest first, and counts pages."""

    def __init__(
        self, *, hides_superseded: bool = False, time_ordered_ids: bool = True, per_millisecond: int = 1
    ) -> None:
        self._hides, self._v7, self._per_millisecond = hides_superseded, time_ordered_ids, per_millisecond
        self._events: list[tuple[str, str, dt.datetime]] = []  # oldest first
        self._hidden: set[str] = set()
        self._newest: dict[str, str] = {}
        self._number = 0
        self.pages = 0

    def new_id(self) -> str:
        self._number += 1
        if not self._v7:
            return f"event {self._number:x}"
        milliseconds = 1_770_000_000_000 + self._number // self._per_millisecond
        return str(uuid.UUID(int=(milliseconds << 80) | (7 << 76) | (2 << 62) | self._number))

    def receive(self, key: str, at: dt.datetime = DAY, *, place: int = 0, event_id: str = "") -> str:
        """Take an event in, so many places below the newest."""
        event_id = event_id or self.new_id()
        if key in self._newest and self._hides:
            self._hidden.add(self._newest[key])
        self._newest[key] = event_id
        self._events.insert(len(self._events) - place, (event_id, key, at))
        return event_id

    def items(self, resource: Any, filters: Any = None) -> Iterator[dict[str, msgspec.Raw]]:
        shown = [event for event in self._events if event[0] not in self._hidden]
        self.pages += 1
        for place, (event_id, _, at) in enumerate(reversed(shown)):
            if place and place % PAGE == 0:
                self.pages += 1
            fields = {"id": event_id, "customerAlias": "acme", "eventTimestamp": at.isoformat()}
            yield {name: msgspec.Raw(json.dumps(value).encode()) for name, value in fields.items()}


#: A burst: how many events, of which keys (few: they supersede one another; none: each is new), and for which times.
BURSTS = st.lists(
    st.tuples(
        st.one_of(st.just(0), st.integers(1, 30), st.integers(1, 2500)),
        st.sampled_from([None, 1, 7, 400, 1500]),
        st.integers(-10_000, 10_000),
    ),
    min_size=1,
    max_size=6,
)


class TestAnyOrderOfArrivals:
    @pytest.mark.parametrize("hides_superseded", [False, True], ids=["listed", "hidden"])
    @settings(max_examples=10, deadline=None)
    @given(before=st.sampled_from([0, 1, 99, 100, 999, 1000, 1001, 2600]), bursts=BURSTS)
    def test_each_event_is_counted_once(self, hides_superseded, before, bursts):
        """Of copies that are hidden, those are counted that are there when somebody looks."""
        listed = Listed(hides_superseded=hides_superseded)
        for number in range(before):
            listed.receive(f"old {number}")
        poller = Poller(listed)
        assert poller.poll() is None
        for number, (size, keys, hour) in enumerate(bursts):
            ids, times = [], {}
            for place in range(size):
                at = DAY + dt.timedelta(hours=hour, seconds=place * 7919 % 1000)
                key = f"{number} {place}" if keys is None else f"old {place % keys}"
                ids.append(listed.receive(key, at))
                times[ids[-1]] = at
            there = [event_id for event_id in ids if event_id not in listed._hidden]
            listed.pages = 0
            arrival = poller.poll()
            assert (arrival.count if arrival else 0) == len(there)
            if arrival:
                assert arrival.newest_id == there[-1]
                assert window(arrival) == span([times[event_id] for event_id in there])
            assert listed.pages <= -(-len(there) // PAGE) + MAX_EXTRA_PAGES
            assert poller.poll() is None

    @pytest.mark.parametrize(
        ("time_ordered_ids", "corrected"),
        # Of ids that tell no time, nothing tells what is old once all that was remembered is gone.
        [*((True, n) for n in (1, 499, 500, 999, 1000, 1001)), *((False, n) for n in (1, 499, 500, 999))],
    )
    def test_copies_that_vanish_uncover_nothing_old(self, time_ordered_ids, corrected):
        """A second push of all that was seen: the copies that were remembered are gone from the list."""
        listed = Listed(hides_superseded=True, time_ordered_ids=time_ordered_ids)
        for number in range(3000):
            listed.receive(f"{number}")
        poller = Poller(listed)
        poller.poll()
        for number in range(3000 - corrected, 3000):
            listed.receive(f"{number}")

        assert poller.counted() == corrected

    def test_copies_that_vanish_uncover_nothing_old_of_the_same_millisecond(self):
        listed = Listed(hides_superseded=True, per_millisecond=300)
        for number in range(3000):
            listed.receive(f"{number}")
        poller = Poller(listed)
        poller.poll()
        for number in range(2000, 3000):
            listed.receive(f"{number}")

        assert poller.counted() == 1000

    def test_ids_that_tell_no_time(self):
        listed = Listed(time_ordered_ids=False)
        for number in range(5000):
            listed.receive(f"{number}")
        poller = Poller(listed)
        assert poller.poll() is None
        for burst in (1, 0, 2500, 999, 1000, 1001):
            for number in range(burst):
                listed.receive(f"new {number}")
            listed.pages = 0
            assert poller.counted() == burst
            assert listed.pages <= -(-burst // PAGE) + MAX_EXTRA_PAGES

    @pytest.mark.parametrize("place", [1, 50, 100, 450])
    @pytest.mark.parametrize("time_ordered_ids", [True, False], ids=["uuid7", "other ids"])
    def test_event_that_comes_into_sight_late(self, time_ordered_ids, place):
        """It stands below others that were seen, as it was received before them."""
        listed = Listed(time_ordered_ids=time_ordered_ids)
        for number in range(2000):
            listed.receive(f"{number}")
        late = listed.new_id()
        for number in range(place):
            listed.receive(f"since {number}")
        poller = Poller(listed)
        poller.poll()
        listed.receive("late", DAY + dt.timedelta(days=3), place=place, event_id=late)
        arrival = poller.poll()

        assert arrival is not None
        assert (arrival.count, arrival.newest_id) == (1, late)
        assert poller.poll() is None

    def test_late_events_in_a_burst(self):
        listed = Listed()
        for number in range(2000):
            listed.receive(f"{number}")
        poller = Poller(listed)
        poller.poll()
        ids = [listed.new_id() for _ in range(900)]
        for each in range(0, 900, 2):
            listed.receive(f"even {each}", event_id=ids[each])
        assert poller.counted() == 450
        for each in range(1, 900, 2):
            listed.receive(f"odd {each}", place=(900 - each) // 2, event_id=ids[each])

        assert poller.counted() == 450

    def test_id_of_a_clock_that_is_slow_hides_nothing(self):
        """The order of the list is not that of the ids: one of the newest has an id older than all that is known."""
        listed = Listed()
        slow = listed.new_id()
        for number in range(2000):
            listed.receive(f"{number}")
        poller = Poller(listed)
        poller.poll()
        for number in range(5):
            listed.receive(f"below {number}")
        listed.receive("slow", event_id=slow)
        listed.receive("above")

        assert poller.counted() + poller.counted() == 7

    def test_first_poll_of_an_empty_list(self):
        listed = Listed()
        poller = Poller(listed)
        assert poller.poll() is None
        assert poller.poll() is None
        listed.receive("first", DAY)
        arrival = poller.poll()

        assert arrival is not None
        assert arrival.count == 1
        assert window(arrival) == (DAY, DAY + TICK)

    def test_long_list_costs_no_more_than_a_short_one(self):
        listed = Listed()
        for number in range(30_000):
            listed.receive(f"{number}")
        poller = Poller(listed)
        poller.poll()
        first, listed.pages = listed.pages, 0
        poller.poll()

        assert first <= MAX_EXTRA_PAGES
        assert listed.pages <= MAX_EXTRA_PAGES

    def test_watermark_does_not_grow(self):
        listed = Listed()
        watermark = None
        sizes = []
        for burst in range(6):
            for number in range(1500):
                listed.receive(f"{burst} {number}")
            _, watermark = find_new_events(listed, USAGE_EVENTS, {}, watermark)
            sizes.append(len(json.dumps(asdict(watermark))))

        assert len(watermark.seen) == REMEMBERED
        assert max(sizes) < 50_000
        assert max(sizes) - min(sizes) < 100


class TestPagesThatShift:
    """A server whose pages are counted from the newest event: each new one pushes another onto the next page."""

    @staticmethod
    def serve(loopback: Loopback, ids: list[str], between_pages: Callable[[], None]) -> None:
        def respond(request: Any) -> Reply:
            place = int(dict(request.query).get("after", 0))
            if place:
                between_pages()
            shown = ids[::-1][place : place + PAGE]
            items = [
                {"id": each, "customerAlias": "acme", "eventTimestamp": f"2026-03-01T00:00:{place % 60:02}Z"}
                for each in shown
            ]
            more = {"after": str(place + PAGE)} if place + PAGE < len(ids) else {}
            return Reply(200, {"items": items, "pagination": more})

        loopback.responses = [respond]

    @pytest.mark.parametrize("arriving", [1, 60, 100, 250])
    def test_events_that_arrive_while_it_reads(self, arriving):
        listed = Listed()
        ids = [listed.new_id() for _ in range(1500)]
        total = 0

        def arrive() -> None:
            nonlocal total
            if total < 700 + 4 * arriving:
                ids.extend(listed.new_id() for _ in range(arriving))
                total += arriving

        with (
            Loopback() as loopback,
            SequenceClient(loopback.api_url, *CREDENTIALS, requests_per_minute=600_000) as client,
        ):
            self.serve(loopback, ids, lambda: None)
            poller = Poller(client)
            assert poller.poll() is None
            ids.extend(listed.new_id() for _ in range(700))
            total += 700
            self.serve(loopback, ids, arrive)
            counts = [poller.counted() for _ in range(6)]

        assert sum(counts) == total
        assert counts[0] >= 700
        assert counts[-1] == 0


# The sandbox


READINGS: list[dict[str, Any]] = [
    {},
    {"superseded": "hidden"},
    {"superseded": "hidden", "last_page": "cursor", "first_page": "cursor", "total": "absent"},
    {"last_page": "null", "first_page": "null", "total": "null", "cursor_style": "uuid_micros_order"},
    {"last_page": "empty", "first_page": "empty", "total": "estimate_high", "default_limit": 1},
    {"timestamp_format": "utc_millis", "total": "estimate_low", "extra_fields": True},
    {"timestamp_format": "naive", "unknown_parameters": "reject", "offset_without_cursor": "reject"},
]


@pytest.fixture
def client(sandbox: Any) -> Iterator[SequenceClient]:
    with SequenceClient(sandbox.api_url, *CREDENTIALS, requests_per_minute=600_000, deadline=2) as client:
        yield client


def post(
    sandbox: Any, event_id: str, at: dt.datetime = DAY, *, kind: str = "call", alias: str = "acme"
) -> str:
    """Send a usage event; return Sequence's id of it."""
    body = {
        "customerEventId": event_id,
        "customerAlias": alias,
        "eventType": kind,
        "eventTimestamp": at.isoformat().replace("+00:00", "Z"),
    }
    answer = sandbox.call("POST", "/usage-events", json=body)
    assert answer.ok
    return str(answer.json()["id"])


def post_seats(sandbox: Any, event_id: str, at: dt.datetime = DAY, *, alias: str = "acme") -> None:
    body = {
        "customerEventId": event_id,
        "customerAlias": alias,
        "seatType": "desk",
        "eventTimestamp": at.isoformat().replace("+00:00", "Z"),
        "total": 3,
    }
    assert sandbox.call("POST", "/seat-events", json=body).ok


def requests_so_far(sandbox: Any) -> int:
    return int(sandbox.summary()["requests"])


@pytest.mark.parametrize(
    "reading", READINGS, ids=lambda reading: "-".join(map(str, reading.values())) or "default"
)
def test_arrivals_in_each_reading_of_the_documents(reading, sandbox, client):
    sandbox.settings(**reading)
    for number in range(105):
        post(sandbox, f"old {number}")
    poller = Poller(client)
    assert poller.poll() is None
    assert poller.poll() is None
    for burst in (
        [f"new {n}" for n in range(105)],
        ["one"],
        [f"old {n}" for n in range(95, 105)],
        ["one", "two"],
    ):
        times = [DAY + dt.timedelta(minutes=n * 37 % 100, milliseconds=n) for n in range(len(burst))]
        newest = [post(sandbox, event_id, at) for event_id, at in zip(burst, times, strict=True)][-1]
        arrival = poller.poll()

        assert arrival == Arrival(
            resource="usage_events",
            count=len(burst),
            window_start=min(times).isoformat(),
            window_end=(max(times) + TICK).isoformat(),
            newest_id=newest,
        )
        assert poller.poll() is None


def test_first_poll_of_an_empty_account(sandbox, client):
    poller = Poller(client)
    assert poller.poll() is None
    post(sandbox, "first", DAY)
    arrival = poller.poll()

    assert arrival is not None
    assert (arrival.count, *window(arrival)) == (1, DAY, DAY + TICK)


def test_more_events_than_the_watermark_remembers(sandbox, client, monkeypatch):
    monkeypatch.setattr(new_events, "REMEMBERED", 120)
    post(sandbox, "old")
    poller = Poller(client)
    poller.poll()
    for number in range(270):
        post(sandbox, f"{number % 220}")
    assert poller.counted() == 270

    before = requests_so_far(sandbox)
    post(sandbox, "another")
    assert poller.counted() == 1
    assert requests_so_far(sandbox) - before - 1 <= 1 + MAX_EXTRA_PAGES


def test_seat_events(sandbox, client):
    post_seats(sandbox, "old")
    poller = Poller(client, SEAT_EVENTS)
    assert poller.poll() is None
    post(sandbox, "of usage")
    post_seats(sandbox, "old", DAY + TICK)
    post_seats(sandbox, "new", DAY - TICK)
    arrival = poller.poll()

    assert arrival is not None
    assert (arrival.resource, arrival.count) == ("seat_events", 2)
    assert window(arrival) == (DAY - TICK, DAY + 2 * TICK)


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        ({"event_type": "call"}, 2),
        ({"customer_alias": "acme"}, 3),
        ({"customer_alias": ["globex"]}, 1),
        ({"customer_alias": "a,b"}, 1),
        ({"event_type": "call", "customer_alias": "acme"}, 1),
        ({"unmapped_aliases_only": True}, 2),
        ({"event_id": "n1"}, 1),
        ({"event_type": None}, 5),
    ],
    ids=str,
)
def test_filters_say_what_counts(filters, count, sandbox, client):
    sandbox.settings(event_id_filter="customer_event_id")
    sandbox.add("customers", [{"id": "c-1", "aliases": ["acme"]}])
    post(sandbox, "old")
    poller = Poller(client, **filters)
    assert poller.poll() is None
    for number, (kind, alias) in enumerate([
        ("call", "acme"),
        ("sms", "acme"),
        ("call", "globex"),
        ("sms", "acme"),
        ("sms", "a,b"),
    ]):
        post(sandbox, f"n{number}", kind=kind, alias=alias)

    assert poller.counted() == count
    assert poller.poll() is None


@pytest.mark.parametrize(
    ("resource", "filters", "word"),
    [
        ("invoices", {}, "invoices"),
        ("usage_metrics", {}, "usage_events"),
        ("invoice_line_items", {}, "seat_events"),
        ("usage_events", {"sort_order": "ASC"}, "sort_order"),
        ("usage_events", {"sort_by": "createdAt"}, "sort_by"),
        ("usage_events", {"offset": 5}, "offset"),
        ("usage_events", {"colour": "red"}, "colour"),
        ("usage_events", {"customer_alias": ["acme", "globex"]}, "several"),
        ("seat_events", {"event_type": "call"}, "event_type"),
    ],
)
def test_what_can_not_be_watched_is_refused(resource, filters, word, sandbox, client):
    with pytest.raises(SequenceConfigurationError, match=word):
        check_watchable(get_resource(resource), filters)
    with pytest.raises(SequenceConfigurationError, match=word):
        find_new_events(client, get_resource(resource), filters, None)
    assert requests_so_far(sandbox) == 0


def test_refusal_keeps_customers_to_itself():
    with pytest.raises(SequenceConfigurationError) as caught:
        check_watchable(USAGE_EVENTS, {"customer_alias": ["ann@acme.example", "bob@acme.example"]})

    assert "acme.example" not in str(caught.value)


def test_list_that_can_not_be_read_moves_no_watermark(sandbox, client):
    post(sandbox, "old")
    poller = Poller(client)
    poller.poll()
    post(sandbox, "new")
    sandbox.fault(status=401, method="GET", times=1)
    with pytest.raises(SequenceAuthenticationError):
        poller.poll()

    assert poller.counted() == 1


def test_arrival_holds_no_customers_data(sandbox, client):
    poller = Poller(client)
    poller.poll()
    post(sandbox, "invoice of ann", alias="ann@acme.example")
    arrival = poller.poll()

    assert arrival is not None
    assert json.loads(json.dumps(arrival.as_dict())) == arrival.as_dict()
    assert set(arrival.as_dict()) == {"resource", "count", "window_start", "window_end", "newest_id"}
    assert "ann" not in json.dumps(arrival.as_dict()) + json.dumps(asdict(poller._watermark))


# The trigger


class Store:
    """The state store of an asset, in memory: what is in it went through JSON."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    async def aget(self, key: str, default: Any = None) -> Any:
        await asyncio.sleep(0)
        return json.loads(self.texts[key]) if key in self.texts else default

    async def aset(self, key: str, value: Any) -> None:
        await asyncio.sleep(0)
        self.texts[key] = json.dumps(value)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short waits, and requests that are given up after their first try."""
    monkeypatch.setattr(triggers, "SETTLED_AFTER", 0.05)
    monkeypatch.setattr(triggers, "POKE_DEADLINE", 1e-3)


def trigger(store: Any, **options: Any) -> SequenceNewEventsTrigger:
    made = SequenceNewEventsTrigger(**({"poll_interval": 0.05} | options))
    made.asset_state_store = store
    return made


class Triggerer:
    """Runs triggers as a triggerer does: it takes their events, and may be killed at any time."""

    def __init__(self, made: SequenceNewEventsTrigger) -> None:
        self._run: AsyncIterator[Any] = made.run()
        self.payloads: list[dict[str, Any]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._run.aclose()

    async def receive_event(self, within: float = 15) -> dict[str, Any]:
        """The payload of the next event. A run that ends fails the test."""
        event = await asyncio.wait_for(anext(self._run), within)
        self.payloads.append(event.payload)
        return event.payload

    async def receive_nothing(self, for_seconds: float) -> None:
        with pytest.raises(TimeoutError):
            await self.receive_event(for_seconds)


async def poll_once(store: Store, **options: Any) -> None:
    """Let a trigger take note of what there is, and end it."""
    async with Triggerer(trigger(store, **options)) as running:
        receiving = asyncio.ensure_future(running.receive_event(30))
        while not store.texts and not receiving.done():
            await asyncio.sleep(0.01)
        assert not receiving.done()
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)


def payload(count: int, newest_id: str, times: list[dt.datetime] | None = None) -> dict[str, Any]:
    start, end = span(times or [DAY])
    return {
        "resource": "usage_events",
        "count": count,
        "window_start": start.isoformat(),
        "window_end": end.isoformat(),
        "newest_id": newest_id,
    }


@pytest.mark.usefixtures("quick", "sequence_conn")
class TestTrigger:
    def test_reports_new_events_and_goes_on(self, sandbox):
        async def story() -> None:
            post(sandbox, "old")
            store = Store()
            await poll_once(store)
            async with Triggerer(trigger(store)) as running:
                one = post(sandbox, "one")
                assert await running.receive_event() == payload(1, one)
                post(sandbox, "two", DAY + TICK)
                three = post(sandbox, "three", DAY - TICK)
                assert await running.receive_event() == payload(2, three, [DAY + TICK, DAY - TICK])
                await running.receive_nothing(0.4)

        asyncio.run(story())

    def test_events_between_two_runs_are_reported(self, sandbox):
        async def story() -> None:
            store = Store()
            await poll_once(store)
            ids = [post(sandbox, f"{number}") for number in range(130)]
            async with Triggerer(trigger(store)) as running:
                assert await running.receive_event() == payload(130, ids[-1])

        asyncio.run(story())

    def test_killed_before_it_settled_it_reports_the_same_again(self, sandbox, monkeypatch):
        async def story() -> None:
            store = Store()
            await poll_once(store)
            first = payload(1, post(sandbox, "one"))
            for _ in range(2):
                async with Triggerer(trigger(store)) as running:
                    assert await running.receive_event() == first
                post(sandbox, "later", DAY + TICK)  # belongs to the next announcement, not to this one again
            monkeypatch.setattr(triggers, "SETTLED_AFTER", 30)
            async with Triggerer(trigger(store)) as running:
                assert await running.receive_event() == first
                await running.receive_nothing(0.3)
            monkeypatch.setattr(triggers, "SETTLED_AFTER", 0.05)
            async with Triggerer(trigger(store)) as running:
                assert await running.receive_event() == first
                assert (await running.receive_event())["count"] == 2
                await running.receive_nothing(0.4)

        asyncio.run(story())

    def test_killed_after_it_settled_it_reports_nothing_twice(self, sandbox):
        async def story() -> None:
            store = Store()
            await poll_once(store)
            post(sandbox, "one")
            async with Triggerer(trigger(store)) as running:
                await running.receive_event()
                await running.receive_nothing(0.5)
            async with Triggerer(trigger(store)) as running:
                await running.receive_nothing(0.5)

        asyncio.run(story())

    @pytest.mark.parametrize("await_number", range(10))
    def test_killed_at_any_moment_each_event_is_reported(self, await_number, sandbox):
        """Killed while it waits for its store for the nth time: before it is written, or right after it was."""

        class Fragile(Store):
            left = await_number

            async def aget(self, key: str, default: Any = None) -> Any:
                self.count()
                return await super().aget(key, default)

            async def aset(self, key: str, value: Any) -> None:
                self.count()
                await super().aset(key, value)
                self.count()

            def count(self) -> None:
                self.left -= 1
                if self.left == -1:
                    raise asyncio.CancelledError

        async def story() -> None:
            store = Fragile()
            store.left = -1
            await poll_once(store)
            store.left = await_number
            received: list[dict[str, Any]] = []
            posted = 0

            def different() -> dict[str, dict[str, Any]]:
                return {payload["newest_id"]: payload for payload in received}

            def reported() -> int:
                return sum(payload["count"] for payload in different().values())

            async def receive_all() -> None:
                nonlocal posted
                async with Triggerer(trigger(store)) as running:
                    running.payloads = received
                    with contextlib.suppress(TimeoutError):
                        while posted < 3 or reported() < posted:
                            if posted < 3:
                                posted += 1
                                post(sandbox, f"{posted}")
                            await running.receive_event(5)
                        await running.receive_event(0.4)  # one that is reported again

            with contextlib.suppress(asyncio.CancelledError):
                await receive_all()
            store.left = -1
            await receive_all()

            assert all(payload == different()[payload["newest_id"]] for payload in received)
            assert reported() == posted
            assert len(received) - len(different()) <= 1

        asyncio.run(story())

    @pytest.mark.parametrize(
        "fault", [{"status": 401}, {"status": 500}, {"status": 400}, {"kind": "reset_before"}], ids=str
    )
    def test_goes_on_after_failures_without_a_busy_loop(self, fault, sandbox, monkeypatch, capfd, caplog):
        async def story() -> None:
            store = Store()
            await poll_once(store, poll_interval=0.1)
            sandbox.fault(method="GET", **fault)
            before = requests_so_far(sandbox)
            async with Triggerer(trigger(store, poll_interval=0.1)) as running:
                # pauses of 0.2, 0.4, 0.8, … seconds
                receiving = asyncio.ensure_future(running.receive_event(30))
                await asyncio.sleep(1.2)
                tried = requests_so_far(sandbox) - before
                assert 1 <= tried <= 4
                sandbox.clear_faults()
                one = await asyncio.to_thread(post, sandbox, "one")
                assert await receiving == payload(1, one)

        asyncio.run(story())
        log = "".join(capfd.readouterr()) + caplog.text
        assert "Failure 1 in a row" in log
        assert CREDENTIALS[1] + '"' not in log

    def test_server_that_is_away(self, sandbox, monkeypatch):
        async def story() -> None:
            store = Store()
            await poll_once(store)
            there = sequence_connection(sandbox)
            monkeypatch.setenv(
                "AIRFLOW_CONN_SEQUENCE_DEFAULT",
                json.dumps(json.loads(there) | {"host": "http://127.0.0.1:9/api"}),
            )
            async with Triggerer(trigger(store)) as running:
                receiving = asyncio.ensure_future(running.receive_event(30))
                await asyncio.sleep(0.5)
                assert not receiving.done()
                # The connection is mended while it runs.
                monkeypatch.setenv("AIRFLOW_CONN_SEQUENCE_DEFAULT", there)
                one = await asyncio.to_thread(post, sandbox, "one")
                assert await receiving == payload(1, one)

        asyncio.run(story())

    @pytest.mark.parametrize("connection", ["none", "wrong host", "wrong extra"])
    def test_connection_that_is_wrong_does_not_end_it(self, connection, sandbox, monkeypatch, airflow_db):
        wrong = {
            "none": None,
            "wrong host": sequence_connection(sandbox, host="not a url"),
            "wrong extra": sequence_connection(sandbox, extra={"timeout": "soon"}),
        }[connection]
        there = sequence_connection(sandbox)

        async def story() -> None:
            store = Store()
            await poll_once(store)
            monkeypatch.setenv("AIRFLOW_CONN_SEQUENCE_DEFAULT", wrong) if wrong else monkeypatch.delenv(
                "AIRFLOW_CONN_SEQUENCE_DEFAULT"
            )
            async with Triggerer(trigger(store)) as running:
                receiving = asyncio.ensure_future(running.receive_event(30))
                await asyncio.sleep(0.4)
                assert not receiving.done()
                monkeypatch.setenv("AIRFLOW_CONN_SEQUENCE_DEFAULT", there)
                one = await asyncio.to_thread(post, sandbox, "one")
                assert await receiving == payload(1, one)

        asyncio.run(story())

    def test_longest_outage_does_not_end_it(self, sandbox, monkeypatch):
        """More failures in a row than a power of two of them fits into a number: some days of wrong credentials."""
        monkeypatch.setattr(triggers, "MAX_PAUSE", 0)
        failures = 0

        async def no_connection(_: str) -> Any:
            nonlocal failures
            failures += 1
            raise SequenceConfigurationError("no such connection")

        monkeypatch.setattr(triggers, "get_async_connection", no_connection)

        async def story() -> None:
            async with Triggerer(trigger(Store(), poll_interval=1e-5)) as running:
                receiving = asyncio.ensure_future(running.receive_event(60))
                while failures < 1200 and not receiving.done():
                    await asyncio.sleep(0.01)
                assert not receiving.done()
                receiving.cancel()
                await asyncio.gather(receiving, return_exceptions=True)

        asyncio.run(story())

    @pytest.mark.parametrize("method", ["aget", "aset"])
    @pytest.mark.parametrize("error", [RuntimeError, OSError], ids=lambda error: error.__name__)
    def test_store_that_fails_does_not_end_it(self, error, method, sandbox):
        """Airflow's API server is away for a moment. Its client raises errors of several kinds, none of ours."""

        class Failing(Store):
            failing = 0

        async def fail(self: Failing, *arguments: Any) -> Any:
            if self.failing:
                self.failing -= 1
                raise error("Airflow's API is away")
            return await getattr(Store, method)(self, *arguments)

        setattr(Failing, method, fail)

        async def story() -> None:
            store = Failing()
            await poll_once(store)
            store.failing = 2
            async with Triggerer(trigger(store)) as running:
                one = post(sandbox, "one")
                assert await running.receive_event() == payload(1, one)

        asyncio.run(story())

    def test_settling_that_fails_does_not_end_it(self, sandbox):
        class Failing(Store):
            failing = False

            async def aset(self, key: str, value: Any) -> None:
                if self.failing and "pending" not in value:
                    self.failing = False
                    raise RuntimeError("Airflow's API is away")
                await super().aset(key, value)

        async def story() -> None:
            store = Failing()
            await poll_once(store)
            one = post(sandbox, "one")
            store.failing = True
            async with Triggerer(trigger(store)) as running:
                assert await running.receive_event() == payload(1, one)
                two = post(sandbox, "two", DAY + TICK)
                received = await running.receive_event()
                if received == payload(1, one):  # not settled, so it may be said again
                    received = await running.receive_event()
                assert received == payload(1, two, [DAY + TICK])

        asyncio.run(story())

    def test_does_not_block_the_event_loop(self, sandbox):
        async def story() -> float:
            store = Store()
            await poll_once(store)
            post(sandbox, "one")
            sandbox.settings(latency_ms=400)
            longest, last = 0.0, time.monotonic()
            async with Triggerer(trigger(store)) as running:
                receiving = asyncio.ensure_future(running.receive_event())
                while not receiving.done():
                    await asyncio.sleep(0.01)
                    longest, last = max(longest, time.monotonic() - last), time.monotonic()
                assert receiving.result()["count"] == 1
            return longest

        assert asyncio.run(story()) < 0.3

    def test_two_triggers_do_not_share_a_memory(self, sandbox):
        async def story() -> None:
            store = Store()
            await poll_once(store)
            post(sandbox, "one", kind="sms")
            # Another one with other filters in the same store: for it this is the first look.
            async with Triggerer(trigger(store, filters={"event_type": "sms"})) as running:
                await running.receive_nothing(0.4)
            async with Triggerer(trigger(store)) as running:
                assert (await running.receive_event())["count"] == 1

        asyncio.run(story())

    def test_another_interval_forgets_nothing(self, sandbox):
        """What is watched is the same, however often somebody looks."""

        async def story() -> None:
            store = Store()
            await poll_once(store, poll_interval=0.05)
            one = post(sandbox, "one")
            async with Triggerer(trigger(store, poll_interval=0.06)) as running:
                assert await running.receive_event(3) == payload(1, one)

        asyncio.run(story())


@pytest.mark.parametrize("poll_interval", [dt.timedelta(minutes=1), "PT1M", "60", 60])
def test_poll_interval_in_each_form(poll_interval):
    made = SequenceNewEventsTrigger(
        poll_interval=poll_interval, resource="seat_events", filters={"customer_ids": {"a"}}
    )
    assert made.serialize()[1]["poll_interval"] == 60
    assert made.filters == {"customer_ids": ["a"]}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"poll_interval": dt.timedelta(0)}, "is not greater than 0"),
        ({"poll_interval": "soon"}, "is no length of time"),
        ({"filters": {"event_type": None}}, "the filter event_type is None"),
    ],
)
def test_wrong_setting_is_refused_when_the_dag_is_parsed(options, words):
    with pytest.raises(SequenceConfigurationError, match=words):
        SequenceNewEventsTrigger(**options)


def test_serialized_trigger_makes_it_again():
    made = SequenceNewEventsTrigger(
        resource="seat_events",
        sequence_conn_id="other",
        filters={"seat_type": "desk", "customer_ids": ["a", "b"]},
        poll_interval=7,
    )
    path, arguments = made.serialize()
    again = SequenceNewEventsTrigger(**json.loads(json.dumps(arguments)))

    assert path == "airflow_provider_sequence.triggers.sequence.SequenceNewEventsTrigger"
    assert again.serialize() == (path, arguments)
    assert arguments == {
        "resource": "seat_events",
        "sequence_conn_id": "other",
        "filters": {"seat_type": "desk", "customer_ids": ["a", "b"]},
        "poll_interval": 7,
    }


# Airflow's own stores


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands for the supervisor in ``dag.test()`` takes requests from one thread only."""

    def in_place(function: Callable[..., Any]) -> Callable[..., Any]:
        async def call(*arguments: Any, **options: Any) -> Any:
            return function(*arguments, **options)

        return call

    monkeypatch.setattr("airflow_provider_sequence.triggers.state.sync_to_async", in_place)


def in_airflows_database(sql: str) -> Any:
    from airflow.utils.session import create_session

    with create_session() as session:
        answer = session.execute(sa.text(sql))
        return answer.all() if answer.returns_rows else []


def empty(table: str) -> None:
    in_airflows_database(f"DELETE FROM {table}")


def names(table: str) -> list[str]:
    column = '"key"'
    return [name for (name,) in in_airflows_database(f"SELECT {column} FROM {table}")]


def received_in_a_task(run_dag: Any, sandbox: Any, make: Any, **options: Any) -> list[Any]:
    """
    Run a trigger three times within a task, in which Airflow's stores can be reached as in a triggerer.

    An event arrives before each but the first; the second is killed before its announcement settled.
    """
    from airflow.providers.common.compat.sdk import task

    received: list[Any] = []

    @task(**options)
    def listen(**context: Any) -> None:
        async def one(kill: bool) -> list[int]:
            counts = []
            async with Triggerer(make(context)) as running:
                with contextlib.suppress(TimeoutError):
                    while True:
                        counts.append((await running.receive_event(1))["count"])
                        if kill:
                            break
            return counts

        for number in range(4):
            received.append(asyncio.run(one(kill=number == 1)))
            if number == 0:
                post(sandbox, "one")
            if number == 2:
                post(sandbox, "two")
                post(sandbox, "three")

    with manual_dag() as dag:
        listen()
    result = run_dag(dag, DAY)
    assert result.states == {"listen": "success"}, result.errors
    return received


@pytest.mark.usefixtures("quick", "sequence_conn", "one_thread")
def test_memory_in_a_variable(run_dag, sandbox):
    empty("variable")
    received = received_in_a_task(run_dag, sandbox, lambda _: SequenceNewEventsTrigger(poll_interval=0.05))

    assert received == [[], [1], [1], [2]]
    (name,) = names("variable")
    assert name.startswith("sequence_new_events_")


try:
    from airflow.sdk.execution_time.context import AssetStateStoreAccessors
except ImportError:
    pass  # Airflow before 3.3 has no such store; there is nothing to test
else:

    @pytest.mark.usefixtures("quick", "sequence_conn", "one_thread")
    @pytest.mark.parametrize("assets", [1, 2])
    def test_memory_in_the_store_of_assets(assets, run_dag, sandbox):
        """The memory of a trigger for several assets can't be in the store of one of them."""
        from airflow.sdk import Asset

        empty("variable")
        empty("asset_state_store")
        watched = [Asset(f"watched-{assets}-{number}") for number in range(assets)]

        class Blocking(AssetStateStoreAccessors):
            """What a task of ``dag.test()`` has; only a triggerer has the other half."""

            async def aget(self, key: str, default: Any = None) -> Any:
                return self.get(key, default)

            async def aset(self, key: str, value: Any) -> None:
                self.set(key, value)

        def make(_: Any) -> SequenceNewEventsTrigger:
            return trigger(Blocking(inlets=watched))

        received = received_in_a_task(run_dag, sandbox, make, inlets=watched, outlets=watched)

        assert received == [[], [1], [1], [2]]
        stored = names("asset_state_store")
        (name,) = stored + names("variable")
        assert bool(stored) == (assets == 1)
        assert name.startswith("sequence_new_events_")


def test_watcher_of_a_set_of_filters_keeps_its_name():
    """The order of a set differs from process to process; the watcher's state goes by its filters."""
    trigger = SequenceNewEventsTrigger(resource="seat_events", filters={"customer_ids": {"b", "a", "c"}})
    assert json.loads(json.dumps(trigger.serialize()[1]))["filters"] == {"customer_ids": ["a", "b", "c"]}
