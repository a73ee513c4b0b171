"""Rows to events, through lanes, to outcomes: each row has one, and the last row of an id is the one that counts."""

from __future__ import annotations

import datetime as dt
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_sequence.api.event_mapper import EventMapper
from airflow_provider_sequence.api.events import SEAT_EVENT, USAGE_EVENT
from airflow_provider_sequence.api.resources import SEAT_EVENTS, USAGE_EVENTS
from airflow_provider_sequence.exceptions import (
    RejectedRowsError,
    SequenceAuthenticationError,
    SequenceConfigurationError,
    SequenceUnavailableError,
)
from airflow_provider_sequence.pipelines.delivery_log import KnownDelivery, hash_body
from airflow_provider_sequence.pipelines.push.delivery_state import RunState
from airflow_provider_sequence.pipelines.push.outcomes import Outcome, Status
from airflow_provider_sequence.pipelines.push.pipeline import map_rows, push
from airflow_provider_sequence.pipelines.push.summary import PushSummary, RejectionLimit
from tests.support.server import Server
from tests.unit.loopback import Loopback, Reply, created

Row = tuple[Any, ...]

COLUMNS = ["customer_event_id", "customer_alias", "event_type", "event_timestamp", "n"]
MAKE_EVENT = EventMapper(USAGE_EVENT, COLUMNS)
AT = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
#: The function-scoped sandbox is emptied by hand before each example.
EXAMPLES = settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def row(key: str | None, n: Any = 0, alias: str | None = "acme") -> Row:
    return (key, alias, "sent", AT, n)


def in_batches(rows: Sequence[Row], size: int = 7) -> Iterator[list[Row]]:
    for start in range(0, len(rows), size):
        yield list(rows[start : start + size])


class Memory:
    """Remembers as a delivery log does, and keeps all that it was told."""

    def __init__(self, delivered: Mapping[str, str] | None = None) -> None:
        self.hashes = dict(delivered or {})
        self.outcomes: list[Outcome] = []
        self.threads: set[threading.Thread] = set()

    def known(self, event_ids: Sequence[str]) -> Mapping[str, KnownDelivery]:
        self.threads.add(threading.current_thread())
        return {
            key: KnownDelivery(self.hashes[key], is_current=True) for key in event_ids if key in self.hashes
        }

    def record(self, outcomes: Sequence[Outcome], pending_ids: Container[str | None]) -> None:
        self.threads.add(threading.current_thread())
        self.outcomes += outcomes
        for outcome in outcomes:
            if outcome.status is Status.DELIVERED:
                self.hashes[outcome.event_id] = outcome.body_hash

    def was_unchanged(self, event_id: str) -> bool:
        return False

    def mark_in_doubt(self, event_ids: Sequence[str]) -> None:
        self.threads.add(threading.current_thread())
        for key in event_ids:
            self.hashes.pop(key, None)

    def by_row(self) -> dict[int, Outcome]:
        assert len({outcome.row for outcome in self.outcomes}) == len(self.outcomes), "a row has two outcomes"
        return {outcome.row: outcome for outcome in self.outcomes}


def received(server: Server) -> list[dict[str, Any]]:
    """All stored events, in the order received."""
    items: list[dict[str, Any]] = []
    while page := server._admin(
        "GET", f"/_sandbox/ledger?limit=1000&after_seq={items[-1]['seq'] if items else 0}"
    )["items"]:
        items += page
    return items


def newest(server: Server) -> dict[str, int]:
    """What counts in the end: the ``n`` received last of each id."""
    return {
        item["customerEventId"]: json.loads(item["body"])["eventProperties"]["n"] for item in received(server)
    }


class TestOutcomes:
    @pytest.mark.parametrize("lanes", [1, 4, 16])
    def test_every_row_has_exactly_one(self, server, client, lanes):
        rows = [row(f"e-{n % 40}", n) if n % 7 else row(None, n) for n in range(120)]
        memory = Memory()
        summary = push(
            map_rows(in_batches(rows), MAKE_EVENT), client, USAGE_EVENTS, threads=lanes, state=memory
        )
        outcomes = memory.by_row()
        assert sorted(outcomes) == list(range(1, 121))
        assert summary.rows == 120
        assert summary.counts == Counter(outcome.status for outcome in outcomes.values())
        assert sum(summary.counts.values()) == 120
        for number, outcome in outcomes.items():
            n = number - 1
            assert outcome.status == (Status.DELIVERED if n % 7 else Status.REJECTED)
            assert outcome.event_id == (f"e-{n % 40}" if n % 7 else None)

    def test_a_delivered_row(self, server, client):
        memory = Memory()
        summary = push(map_rows([[row("e", 1)]], MAKE_EVENT), client, USAGE_EVENTS, threads=2, state=memory)
        [stored] = received(server)
        [outcome] = memory.outcomes
        assert outcome == Outcome(
            row=1,
            status=Status.DELIVERED,
            event_id="e",
            body_hash=hash_body(MAKE_EVENT(row("e", 1)).body),
            sequence_id=stored["id"],
            http_status=outcome.http_status,
        )
        assert stored["body"].encode() == MAKE_EVENT(row("e", 1)).body
        assert (summary.rows, summary.requests, summary.throttled) == (1, 1, 0)
        assert summary.first_rejected == []

    def test_an_unchanged_row_costs_no_request(self, server, client):
        rows = [row("old", 1), row("changed", 2), row("new", 3)]
        hashes = {
            "old": hash_body(MAKE_EVENT(row("old", 1)).body),
            "changed": hash_body(MAKE_EVENT(row("changed", 1)).body),
        }
        memory = Memory(hashes)
        summary = push(map_rows([rows], MAKE_EVENT), client, USAGE_EVENTS, threads=2, state=memory)
        assert {r: o.status for r, o in memory.by_row().items()} == {
            1: Status.UNCHANGED,
            2: Status.DELIVERED,
            3: Status.DELIVERED,
        }
        assert newest(server) == {"changed": 2, "new": 3}
        assert summary.requests == server.summary()["posts_received"] == 2

    def test_a_row_that_can_not_become_an_event(self, server, client):
        memory = Memory()
        rows = [row("a"), row("b", float("nan")), row("c", alias=None), row("d")]
        summary = push(map_rows([rows], MAKE_EVENT), client, USAGE_EVENTS, threads=2, state=memory)
        outcomes = memory.by_row()
        assert set(newest(server)) == {"a", "d"}
        assert outcomes[2].status == outcomes[3].status == Status.REJECTED
        assert "eventProperties.n" in outcomes[2].reason
        assert "alias" in outcomes[3].reason.lower()
        assert outcomes[2].http_status is None
        assert [outcome.row for outcome in summary.first_rejected] == [2, 3]
        assert summary.counts == {Status.DELIVERED: 2, Status.REJECTED: 2}

    @pytest.mark.parametrize("lanes", [1, 8])
    def test_a_row_that_sequence_refuses_does_not_stop_the_others(self, server, client, lanes):
        for key in ["e-3", "e-17"]:
            server.fault(
                kind="status",
                status=400,
                body={"error": {"type": "BadRequest", "message": "eventType is not known for acme"}},
                match={"customerEventId": key},
            )
        memory = Memory()
        rows = [row(f"e-{n}", n) for n in range(30)]
        summary = push(
            map_rows(in_batches(rows), MAKE_EVENT), client, USAGE_EVENTS, threads=lanes, state=memory
        )
        outcomes = memory.by_row()
        assert newest(server) == {f"e-{n}": n for n in range(30) if n not in {3, 17}}
        for n in (3, 17):
            rejected = outcomes[n + 1]
            assert (rejected.status, rejected.http_status, rejected.event_id) == (
                Status.REJECTED,
                400,
                f"e-{n}",
            )
            assert "eventType is not known" in rejected.reason
            assert "acme" not in rejected.reason
            assert rejected.body == MAKE_EVENT(rows[n]).body
            assert rejected.sequence_id is None
        assert summary.counts == {Status.DELIVERED: 28, Status.REJECTED: 2}
        assert sorted(outcome.row for outcome in summary.first_rejected) == [4, 18]
        assert summary.requests == 30

    def test_a_rejected_row_is_followed_by_a_good_one_of_the_same_id(self, server, client):
        server.fault(kind="status", status=400, match={"customerEventId": "e"}, times=1)
        memory = Memory()
        push(
            map_rows([[row("e", 1), row("e", 2)]], MAKE_EVENT),
            client,
            USAGE_EVENTS,
            threads=4,
            state=memory,
        )
        assert [memory.by_row()[n].status for n in (1, 2)] == [Status.REJECTED, Status.DELIVERED]
        assert newest(server) == {"e": 2}

    def test_no_rows(self, server, client):
        memory = Memory()
        summary = push(map_rows([], MAKE_EVENT), client, USAGE_EVENTS, threads=4, state=memory)
        assert (summary.rows, dict(summary.counts), summary.requests, memory.outcomes) == (0, {}, 0, [])
        assert push(map_rows([[], []], MAKE_EVENT), client, USAGE_EVENTS, threads=4).rows == 0
        assert server.summary()["requests"] == 0

    def test_seat_events(self, server, client):
        columns = ["customer_event_id", "customer_alias", "seat_type", "event_timestamp", "total"]
        mapper = EventMapper(SEAT_EVENT, columns)
        rows = [(f"s-{n}", "acme", "admin", AT, n) for n in range(5)]
        summary = push(map_rows([rows], mapper), client, SEAT_EVENTS, threads=2)
        assert summary.counts == {Status.DELIVERED: 5}
        assert server.summary()["seat_events"] == 5

    def test_without_a_memory_every_run_sends_every_row(self, server, client):
        rows = [row(f"e-{n}", n) for n in range(3)]
        for memory in [{}, {"state": RunState()}]:
            summary = push(map_rows([rows], MAKE_EVENT), client, USAGE_EVENTS, threads=2, **memory)
            assert summary.counts == {Status.DELIVERED: 3}
            assert summary.requests == 3
        assert len(received(server)) == 6

    def test_a_row_that_is_there_twice_is_one_event(self, server, client):
        summary = push(map_rows([[row("e", 1)] * 5], MAKE_EVENT), client, USAGE_EVENTS, threads=4)
        assert newest(server) == {"e": 1}
        assert summary.rows == summary.counts.total() == 5
        assert set(summary.counts) <= {Status.DELIVERED, Status.UNCHANGED}

    def test_what_goes_into_xcom(self, server, client):
        server.fault(
            kind="status",
            status=400,
            body={"error": {"message": "no customer Hunter2, value 4711"}},
            match={"customerEventId": "bad"},
        )
        rows = [
            row("bad", 4711, alias="Hunter2"),
            row("e", 1),
            row("nan", float("nan"), alias="Hunter2"),
            *[row(None)] * 30,
        ]
        summary = push(map_rows([rows], MAKE_EVENT), client, USAGE_EVENTS, threads=2)
        shown = summary.as_dict()
        text = json.dumps(shown)
        assert {"rows", "delivered", "unchanged", "rejected", "requests", "seconds"} <= set(shown)
        assert (shown["rows"], shown["delivered"], shown["unchanged"], shown["rejected"]) == (33, 1, 0, 32)
        assert shown["requests"] == 2
        assert shown["seconds"] >= 0
        assert "Hunter2" not in text
        assert "4711" not in text
        assert len(text) < 10_000

    def test_memory_is_used_by_the_thread_that_called(self, server, client):
        """Database connections do not like to change threads."""
        memory = Memory()
        push(
            map_rows(in_batches([row(f"e-{n}") for n in range(50)]), MAKE_EVENT),
            client,
            USAGE_EVENTS,
            threads=4,
            state=memory,
        )
        assert memory.threads == {threading.current_thread()}

    def test_progress_is_told(self, server, client):
        seen: list[int] = []
        rows = [row(f"e-{n}") for n in range(30)]
        push(
            map_rows(in_batches(rows), MAKE_EVENT),
            client,
            USAGE_EVENTS,
            threads=2,
            on_progress=lambda s: seen.append(s.rows),
        )
        assert seen == sorted(seen)
        assert all(0 <= count <= 30 for count in seen)


KEYS = st.sampled_from(["a", "b", "c", "d"]) | st.integers(0, 30).map(str)


class TestLastRowWins:
    @EXAMPLES
    @given(st.lists(KEYS, min_size=1, max_size=60), st.sampled_from([2, 3, 8, 32]), st.integers(1, 20))
    def test_on_any_number_of_lanes(self, server, client, keys, lanes, size):
        server.reset()
        rows = [row(key, n) for n, key in enumerate(keys)]
        memory = Memory()
        push(map_rows(in_batches(rows, size), MAKE_EVENT), client, USAGE_EVENTS, threads=lanes, state=memory)
        assert newest(server) == {key: n for n, key in enumerate(keys)}
        assert sorted(memory.by_row()) == list(range(1, len(rows) + 1))

    @EXAMPLES
    @given(st.lists(KEYS, min_size=1, max_size=40), st.sampled_from([2, 8]), st.integers(0, 1000))
    def test_also_where_requests_fail_and_are_repeated(self, server, connect, keys, lanes, seed):
        server.reset()
        server.clear_faults()
        server.check(check_answers=False)
        for kind in ["reset_before", "reset_after", "status", "invalid_json"]:
            status = {"status": 503} if kind == "status" else {}
            server.fault(kind=kind, probability=0.08, seed=seed, **status)
        rows = [row(key, n) for n, key in enumerate(keys)]
        client = connect(server, deadline=20)
        memory = Memory()
        summary = push(
            map_rows(in_batches(rows), MAKE_EVENT), client, USAGE_EVENTS, threads=lanes, state=memory
        )
        assert newest(server) == {key: n for n, key in enumerate(keys)}
        assert summary.counts == {Status.DELIVERED: len(rows)}
        ids = {item["id"] for item in received(server)}
        assert {outcome.sequence_id for outcome in memory.outcomes} <= ids

    @EXAMPLES
    @given(
        st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2)), min_size=1, max_size=25),
        st.dictionaries(st.sampled_from("abc"), st.integers(0, 2)),
        st.sampled_from([1, 4]),
    )
    def test_also_where_some_were_delivered_before(self, server, client, versions, before, lanes):
        """There and back again: a row that says what the log says still counts, if another came in between."""
        server.reset()
        for key, n in before.items():
            push(map_rows([[row(key, n)]], MAKE_EVENT), client, USAGE_EVENTS, threads=1)
        memory = Memory({key: hash_body(MAKE_EVENT(row(key, n)).body) for key, n in before.items()})
        rows = [row(key, n) for key, n in versions]
        push(map_rows(in_batches(rows, 5), MAKE_EVENT), client, USAGE_EVENTS, threads=lanes, state=memory)
        assert newest(server) == before | dict(versions)
        assert sorted(memory.by_row()) == list(range(1, len(rows) + 1))

    def test_there_and_back_again(self, server, client):
        push(map_rows([[row("e", 1)]], MAKE_EVENT), client, USAGE_EVENTS, threads=1)
        memory = Memory({"e": hash_body(MAKE_EVENT(row("e", 1)).body)})
        rows = [row("e", 1), row("e", 2), row("e", 1)]
        push(map_rows([rows], MAKE_EVENT), client, USAGE_EVENTS, threads=4, state=memory)
        assert newest(server) == {"e": 1}
        assert memory.by_row()[2].status == Status.DELIVERED
        assert memory.by_row()[3].status == Status.DELIVERED

    def test_a_refused_version_in_between_changes_nothing(self, server, client):
        push(map_rows([[row("e", 1)]], MAKE_EVENT), client, USAGE_EVENTS, threads=1)
        server.fault(kind="status", status=400, method="POST", times=1)
        memory = Memory({"e": hash_body(MAKE_EVENT(row("e", 1)).body)})
        push(
            map_rows([[row("e", 2), row("e", 1)]], MAKE_EVENT),
            client,
            USAGE_EVENTS,
            threads=4,
            state=memory,
        )
        assert newest(server) == {"e": 1}
        assert memory.by_row()[1].status == Status.REJECTED

    def test_requests_of_one_id_do_not_overlap(self, connect, loopback: Loopback):
        in_flight: Counter[str] = Counter()
        overlaps: list[str] = []
        most = 0
        lock = threading.Lock()

        def respond(request: Any) -> Reply:
            nonlocal most
            key = json.loads(request.body)["customerEventId"]
            with lock:
                in_flight[key] += 1
                most = max(most, in_flight.total())
                if in_flight[key] > 1:
                    overlaps.append(key)
            time.sleep(0.002)
            with lock:
                in_flight[key] -= 1
            return created(request)

        loopback.answers = [respond]
        rows = [row(f"e-{n % 5}", n) for n in range(200)]
        push(map_rows(in_batches(rows), MAKE_EVENT), connect(loopback), USAGE_EVENTS, threads=8)
        assert overlaps == []
        assert most > 1, "nothing was sent side by side"
        order: dict[str, list[int]] = {}
        for request in loopback.requests:
            body = json.loads(request.body)
            order.setdefault(body["customerEventId"], []).append(body["eventProperties"]["n"])
        assert all(numbers == sorted(numbers) for numbers in order.values())

    def test_lanes_are_no_more_than_asked(self, connect, loopback: Loopback):
        lock = threading.Lock()
        now, most = 0, 0

        def respond(request: Any) -> Reply:
            nonlocal now, most
            with lock:
                now += 1
                most = max(most, now)
            time.sleep(0.005)
            with lock:
                now -= 1
            return created(request)

        loopback.answers = [respond]
        push(
            map_rows(in_batches([row(f"e-{n}", n) for n in range(100)]), MAKE_EVENT),
            connect(loopback),
            USAGE_EVENTS,
            threads=3,
        )
        assert most == 3


class TestOutage:
    @pytest.mark.parametrize(
        ("fault", "error"),
        [
            ({"kind": "status", "status": 401}, SequenceAuthenticationError),
            ({"kind": "status", "status": 403}, SequenceAuthenticationError),
            ({"kind": "status", "status": 503}, SequenceUnavailableError),
            ({"kind": "reset_before"}, SequenceUnavailableError),
            ({"kind": "reset_after"}, SequenceUnavailableError),
        ],
        ids=lambda value: str(value)[:40] if isinstance(value, dict) else "",
    )
    @pytest.mark.parametrize("lanes", [1, 8])
    def test_it_ends_the_task_and_rejects_nothing(self, server, connect, fault, error, lanes):
        server.check(check_answers=False)
        server.fault(after_n=20, **fault)
        client = connect(server, deadline=0.3)
        memory = Memory()
        rows = [row(f"e-{n}", n) for n in range(100)]
        with pytest.raises(error):
            push(map_rows(in_batches(rows), MAKE_EVENT), client, USAGE_EVENTS, threads=lanes, state=memory)
        outcomes = memory.by_row()
        assert {outcome.status for outcome in outcomes.values()} == {Status.DELIVERED}
        stored = {item["id"]: item["customerEventId"] for item in received(server)}
        assert {o.sequence_id: o.event_id for o in outcomes.values()}.items() <= stored.items()
        assert len(outcomes) == 20, "what was answered is remembered, and nothing else"
        assert client.closed

    def test_the_next_try_goes_on_where_it_stopped(self, server, connect):
        rows = [row(f"e-{n % 60}", n) for n in range(100)]
        memory = Memory()
        server.fault(kind="status", status=401, after_n=50, times=1)
        with pytest.raises(SequenceAuthenticationError):
            push(
                map_rows(in_batches(rows), MAKE_EVENT),
                connect(server),
                USAGE_EVENTS,
                threads=4,
                state=memory,
            )
        sent_before = server.summary()["applied"]
        memory.outcomes.clear()
        push(map_rows(in_batches(rows), MAKE_EVENT), connect(server), USAGE_EVENTS, threads=4, state=memory)
        assert newest(server) == {f"e-{n % 60}": n for n in range(100)}
        assert sorted(memory.by_row()) == list(range(1, 101))
        assert sent_before >= 50

    def test_a_body_whose_answer_was_lost_does_not_count_as_the_old_one(self, server, connect):
        """The log holds the first version, Sequence perhaps the second: a row that is the first again must be sent."""
        memory = Memory()
        push(map_rows([[row("e", 1)]], MAKE_EVENT), connect(server), USAGE_EVENTS, threads=1, state=memory)
        server.fault(kind="reset_after", method="POST")
        with pytest.raises(SequenceUnavailableError):
            push(
                map_rows([[row("e", 2)]], MAKE_EVENT),
                connect(server, deadline=0.2),
                USAGE_EVENTS,
                threads=1,
                state=memory,
            )
        server.clear_faults()
        assert newest(server) == {"e": 2}
        push(map_rows([[row("e", 1)]], MAKE_EVENT), connect(server), USAGE_EVENTS, threads=1, state=memory)
        assert newest(server) == {"e": 1}

    def test_what_was_answered_is_remembered_and_only_that(self, server, client):
        """The log is written after the answer: at every moment, what it holds is stored in Sequence."""

        class Suspicious(Memory):
            def record(self, outcomes: Sequence[Outcome], pending_ids: Container[str | None]) -> None:
                stored = {item["id"]: item["customerEventId"] for item in received(server)}
                assert all(stored[outcome.sequence_id] == outcome.event_id for outcome in outcomes)
                super().record(outcomes, pending_ids)

        memory = Suspicious()
        rows = [row(f"e-{n}", n) for n in range(150)]
        push(map_rows(in_batches(rows), MAKE_EVENT), client, USAGE_EVENTS, threads=4, state=memory)
        assert len(memory.outcomes) == 150

    def test_the_order_of_outcomes_of_one_id_is_that_of_the_answers(self, server, client):
        memory = Memory()
        rows = [row(f"e-{n % 3}", n) for n in range(60)]
        push(map_rows(in_batches(rows), MAKE_EVENT), client, USAGE_EVENTS, threads=4, state=memory)
        for key in ["e-0", "e-1", "e-2"]:
            numbers = [outcome.row for outcome in memory.outcomes if outcome.event_id == key]
            assert numbers == sorted(numbers)

    def test_a_log_that_fails_ends_the_task(self, server, client):
        class Full(Memory):
            def record(self, outcomes: Sequence[Outcome], pending_ids: Container[str | None]) -> None:
                raise OSError("the disk is full")

        with pytest.raises(OSError, match="disk is full"):
            push(
                map_rows(in_batches([row(f"e-{n}") for n in range(30)]), MAKE_EVENT),
                client,
                USAGE_EVENTS,
                threads=4,
                state=Full(),
            )

    def test_a_log_that_can_not_be_read_ends_the_task_before_anything_is_sent(self, server, client):
        class Away(Memory):
            def known(self, event_ids: Sequence[str]) -> Mapping[str, KnownDelivery]:
                raise OSError("no connection")

        with pytest.raises(OSError, match="no connection"):
            push(map_rows([[row("e")]], MAKE_EVENT), client, USAGE_EVENTS, threads=4, state=Away())
        assert server.summary()["posts_received"] == 0

    def test_a_query_that_fails_half_way_ends_the_task(self, server, client):
        def batches() -> Iterator[list[Row]]:
            yield [row(f"e-{n}", n) for n in range(20)]
            raise OSError("the warehouse is away")

        memory = Memory()
        with pytest.raises(OSError, match="warehouse is away"):
            push(map_rows(batches(), MAKE_EVENT), client, USAGE_EVENTS, threads=4, state=memory)
        stored = {item["id"] for item in received(server)}
        assert {outcome.sequence_id for outcome in memory.outcomes} == stored
        assert all(outcome.status == Status.DELIVERED for outcome in memory.outcomes)

    def test_a_fault_of_the_code_is_no_rejected_row(self, server, client):
        def broken(values: Sequence[Any]) -> Any:
            raise ZeroDivisionError("a bug")

        memory = Memory()
        with pytest.raises(ZeroDivisionError):
            push(map_rows([[row("e")]], broken), client, USAGE_EVENTS, threads=2, state=memory)
        assert memory.outcomes == []

    def test_no_thread_is_left_behind(self, server, connect):
        before = set(threading.enumerate())
        push(
            map_rows(in_batches([row(f"e-{n}") for n in range(20)]), MAKE_EVENT),
            connect(server),
            USAGE_EVENTS,
            threads=8,
        )
        server.fault(kind="status", status=401)
        with pytest.raises(SequenceAuthenticationError):
            push(map_rows([[row("e")]], MAKE_EVENT), connect(server), USAGE_EVENTS, threads=8)
        until = time.monotonic() + 2
        while set(threading.enumerate()) - before and time.monotonic() < until:
            time.sleep(0.01)
        assert set(threading.enumerate()) - before == set()


class FastClient:
    """Stands in where there are too many rows for a server, and nothing depends on HTTP."""

    requests_throttled = 0

    def __init__(self, on_create: Callable[[], None] = lambda: None) -> None:
        self.requests_sent = 0
        self.bodies: dict[str, bytes] = {}
        self._on_create = on_create

    def create(self, resource: Any, event: Any) -> str:
        self._on_create()
        self.requests_sent += 1
        self.bodies[event.id] = event.body
        return "id"

    def close(self) -> None:
        pass


class TestConstantMemory:
    def test_rows_are_read_no_faster_than_they_are_sent(self):
        total, read, sent, most = 12_000, 0, 0, 0
        lock, open_gate = threading.Lock(), threading.Event()

        def note() -> None:
            nonlocal sent, most
            assert open_gate.wait(10)
            with lock:
                most = max(most, read - sent)
                sent += 1

        def batches() -> Iterator[list[Row]]:
            nonlocal read
            while read < total:
                batch = [row(str(read + n), n) for n in range(100)]
                read += 100
                yield batch
            open_gate.set()

        timer = threading.Timer(0.7, open_gate.set)  # by then, whoever does not hold back has read everything
        timer.start()
        summary = push(map_rows(batches(), MAKE_EVENT), FastClient(note), USAGE_EVENTS, threads=4)  # type: ignore[arg-type]
        timer.cancel()
        assert summary.rows == sent == total
        assert most < total / 3

    def test_what_is_forgotten_on_the_way_is_sent_again_and_not_taken_for_delivered(self):
        """An id comes back after thousands of others; what the log said of it before is out of date by then."""
        open_gate = threading.Event()

        def batches() -> Iterator[list[Row]]:
            yield [row("e", 2), *[row(f"other-{n}") for n in range(1500)], row("e", 1)]
            open_gate.set()

        timer = threading.Timer(0.5, open_gate.set)
        timer.start()
        client = FastClient(lambda: open_gate.wait(10))
        memory = Memory({"e": hash_body(MAKE_EVENT(row("e", 1)).body)})
        push(map_rows(batches(), MAKE_EVENT), client, USAGE_EVENTS, threads=1, state=memory)  # type: ignore[arg-type]
        timer.cancel()
        assert client.bodies["e"] == MAKE_EVENT(row("e", 1)).body
        assert len(memory.by_row()) == 1502

    def test_outcomes_are_recorded_on_the_way(self):
        """A kill costs a few repeats, and not the whole run."""
        memory = Memory()
        lags: list[int] = []
        sent = 0

        def note() -> None:
            nonlocal sent
            sent += 1
            lags.append(sent - len(memory.outcomes))

        rows = [row(str(n), n) for n in range(8000)]
        push(
            map_rows(in_batches(rows, 500), MAKE_EVENT),
            FastClient(note),
            USAGE_EVENTS,
            threads=2,
            state=memory,
        )  # type: ignore[arg-type]
        assert len(memory.outcomes) == 8000
        assert max(lags) < 4000

    def test_rejected_rows_are_not_all_kept(self):
        rows = ([row(None)] * 500 for _ in range(10))
        summary = push(map_rows(rows, MAKE_EVENT), FastClient(lambda: None), USAGE_EVENTS, threads=2)  # type: ignore[arg-type]
        assert summary.counts == {Status.REJECTED: 5000}
        assert 1 <= len(summary.first_rejected) <= 100
        assert [outcome.row for outcome in summary.first_rejected] == list(
            range(1, len(summary.first_rejected) + 1)
        )


def rejected(number: int, rows: int) -> PushSummary:
    outcomes = [
        Outcome(n + 1, Status.REJECTED, event_id=f"e-{n}", reason="customerAlias: is missing")
        for n in range(min(number, 10))
    ]
    counts = Counter({Status.REJECTED: number, Status.DELIVERED: rows - number})
    return PushSummary(rows=rows, counts=counts, first_rejected=outcomes)


class TestRejectionLimit:
    @pytest.mark.parametrize(
        ("value", "allowed"),
        [
            (0, 0),
            ("0", 0),
            (10, 10),
            ("10", 10),
            (" 10 ", 10),
            (0.01, 10),
            ("0.01", 10),
            (0.5, 500),
            (0.0, 0),
            ("0.0", 0),
            (0.0155, 15),
        ],
        ids=repr,
    )
    def test_a_number_or_a_share(self, value, allowed):
        limit = RejectionLimit.parse(value)
        limit.check(rejected(allowed, 1000))
        with pytest.raises(RejectedRowsError):
            limit.check(rejected(allowed + 1, 1000))

    @pytest.mark.parametrize("value", [1.0, "1.0"], ids=repr)
    def test_all_of_them(self, value):
        RejectionLimit.parse(value).check(rejected(1000, 1000))

    @pytest.mark.parametrize("value", [1, "1"], ids=repr)
    def test_one_is_one_row(self, value):
        RejectionLimit.parse(value).check(rejected(1, 1000))
        with pytest.raises(RejectedRowsError):
            RejectionLimit.parse(value).check(rejected(2, 1000))

    @pytest.mark.parametrize(
        "value",
        [
            -1,
            "-1",
            -0.1,
            1.5,
            "1.5",
            10.0,
            "many",
            "",
            "10%",
            "nan",
            "inf",
            float("nan"),
            float("inf"),
            True,
            False,
            [],
            {},
            "1e400",
        ],
        ids=repr,
    )
    def test_what_is_neither(self, value):
        with pytest.raises(SequenceConfigurationError, match="max_rejected"):
            RejectionLimit.parse(value)

    def test_nothing_is_allowed_unless_it_is_said(self):
        with pytest.raises(RejectedRowsError):
            RejectionLimit().check(rejected(1, 1_000_000))
        RejectionLimit().check(rejected(0, 5))

    def test_no_rows_at_all(self):
        RejectionLimit.parse(0.01).check(PushSummary())
        RejectionLimit.parse(0).check(PushSummary())

    def test_the_error_names_rows_and_reasons(self):
        with pytest.raises(RejectedRowsError) as caught:
            RejectionLimit.parse(2).check(rejected(3, 50))
        message = str(caught.value)
        assert "3" in message
        assert "50" in message
        assert "customerAlias: is missing" in message
        for number in (1, 2, 3):
            assert f"row {number}" in message

    def test_the_error_stays_short(self):
        with pytest.raises(RejectedRowsError) as caught:
            RejectionLimit.parse(0).check(rejected(100_000, 100_000))
        assert len(str(caught.value)) < 3000
        assert "100000" in str(caught.value).replace(",", "")


class TestBodyHash:
    def test_may_never_change(self):
        """Delivery logs hold it: another hash would send every row again."""
        assert hash_body(b'{"customerEventId":"e"}') == PINNED
        assert hash_body(b"") != hash_body(b" ")


PINNED = "0340e142fc7bb0a26cdd0eeeb69bd400"
