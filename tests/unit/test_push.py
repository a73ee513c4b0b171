"""Push: one outcome for each row, the order of events with one id, outages, memory use and the limit of rejections."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sequence.api.events import EventFacts
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
from tests.unit.events import (
    Row,
    map_seat_row,
    map_usage_row,
    received_events,
    usage_row,
)
from tests.unit.loopback import Loopback, Reply, created
from tests.unit.strategies import few_examples_with_sandbox


def in_batches(rows: Sequence[Row], size: int = 7) -> Iterator[list[Row]]:
    for start in range(0, len(rows), size):
        yield list(rows[start : start + size])


class RecordingState:
    """Delivery state in memory that keeps all outcomes and the threads that called it."""

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


def newest(server: Server) -> dict[str, int]:
    """The ``n`` received last of each id."""
    return {
        item["customerEventId"]: json.loads(item["body"])["eventProperties"]["n"]
        for item in received_events(server)
    }


class TestOutcomes:
    @pytest.mark.parametrize("threads", [1, 8])
    def test_every_row_has_exactly_one_outcome(self, server, client, threads):
        rows = [usage_row(f"e-{n % 40}", n) if n % 7 else usage_row(None, n) for n in range(120)]
        state = RecordingState()
        summary = push(
            map_rows(in_batches(rows), map_usage_row), client, USAGE_EVENTS, threads=threads, state=state
        )
        outcomes = state.by_row()
        assert sorted(outcomes) == list(range(1, 121))
        assert summary.rows == 120
        assert summary.counts == Counter(outcome.status for outcome in outcomes.values())
        assert sum(summary.counts.values()) == 120
        for number, outcome in outcomes.items():
            n = number - 1
            assert outcome.status == (Status.DELIVERED if n % 7 else Status.REJECTED)
            assert outcome.event_id == (f"e-{n % 40}" if n % 7 else None)

    def test_outcome_of_a_delivered_row(self, server, client):
        state = RecordingState()
        summary = push(
            map_rows([[usage_row("e", 1)]], map_usage_row), client, USAGE_EVENTS, threads=2, state=state
        )
        [stored] = received_events(server)
        [outcome] = state.outcomes
        assert outcome == Outcome(
            row=1,
            status=Status.DELIVERED,
            event_id="e",
            body_hash=hash_body(map_usage_row(usage_row("e", 1)).body),
            sequence_id=stored["id"],
            http_status=outcome.http_status,
            facts=EventFacts("acme", "sent", None, "2024-01-01T00:00:00Z"),
        )
        assert stored["body"].encode() == map_usage_row(usage_row("e", 1)).body
        assert (summary.rows, summary.requests, summary.throttled) == (1, 1, 0)
        assert summary.first_rejected == []

    def test_unchanged_row_is_not_sent(self, server, client):
        rows = [usage_row("old", 1), usage_row("changed", 2), usage_row("new", 3)]
        hashes = {
            "old": hash_body(map_usage_row(usage_row("old", 1)).body),
            "changed": hash_body(map_usage_row(usage_row("changed", 1)).body),
        }
        state = RecordingState(hashes)
        summary = push(map_rows([rows], map_usage_row), client, USAGE_EVENTS, threads=2, state=state)
        assert {r: o.status for r, o in state.by_row().items()} == {
            1: Status.UNCHANGED,
            2: Status.DELIVERED,
            3: Status.DELIVERED,
        }
        assert newest(server) == {"changed": 2, "new": 3}
        assert summary.requests == server.summary()["posts_received"] == 2

    def test_row_that_cannot_be_mapped_is_rejected(self, server, client):
        state = RecordingState()
        rows = [usage_row("a"), usage_row("b", float("nan")), usage_row("c", alias=None), usage_row("d")]
        summary = push(map_rows([rows], map_usage_row), client, USAGE_EVENTS, threads=2, state=state)
        outcomes = state.by_row()
        assert set(newest(server)) == {"a", "d"}
        assert outcomes[2].status == outcomes[3].status == Status.REJECTED
        assert "eventProperties.n" in outcomes[2].reason
        assert "alias" in outcomes[3].reason.lower()
        assert outcomes[2].http_status is None
        assert [outcome.row for outcome in summary.first_rejected] == [2, 3]
        assert summary.counts == {Status.DELIVERED: 2, Status.REJECTED: 2}

    @pytest.mark.parametrize("threads", [1, 8])
    def test_row_that_the_api_rejects_does_not_stop_the_others(self, server, client, threads):
        for key in ["e-3", "e-17"]:
            server.fault(
                kind="status",
                status=400,
                body={"error": {"type": "BadRequest", "message": "eventType is not known for acme"}},
                match={"customerEventId": key},
            )
        state = RecordingState()
        rows = [usage_row(f"e-{n}", n) for n in range(30)]
        summary = push(
            map_rows(in_batches(rows), map_usage_row), client, USAGE_EVENTS, threads=threads, state=state
        )
        outcomes = state.by_row()
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
            assert rejected.body == map_usage_row(rows[n]).body
            assert rejected.sequence_id is None
        assert summary.counts == {Status.DELIVERED: 28, Status.REJECTED: 2}
        assert sorted(outcome.row for outcome in summary.first_rejected) == [4, 18]
        assert summary.requests == 30

    def test_valid_row_after_a_rejected_one_with_the_same_id_is_sent(self, server, client):
        server.fault(kind="status", status=400, match={"customerEventId": "e"}, times=1)
        state = RecordingState()
        push(
            map_rows([[usage_row("e", 1), usage_row("e", 2)]], map_usage_row),
            client,
            USAGE_EVENTS,
            threads=4,
            state=state,
        )
        assert [state.by_row()[n].status for n in (1, 2)] == [Status.REJECTED, Status.DELIVERED]
        assert newest(server) == {"e": 2}

    def test_push_without_rows_sends_nothing(self, server, client):
        state = RecordingState()
        summary = push(map_rows([], map_usage_row), client, USAGE_EVENTS, threads=4, state=state)
        assert (summary.rows, dict(summary.counts), summary.requests, state.outcomes) == (0, {}, 0, [])
        assert push(map_rows([[], []], map_usage_row), client, USAGE_EVENTS, threads=4).rows == 0
        assert server.summary()["requests"] == 0

    def test_seat_events(self, server, client):
        rows = [(f"s-{n}", "acme", "admin", "2024-01-01T00:00:00Z", n) for n in range(5)]
        summary = push(map_rows([rows], map_seat_row), client, SEAT_EVENTS, threads=2)
        assert summary.counts == {Status.DELIVERED: 5}
        assert server.summary()["seat_events"] == 5

    def test_every_run_sends_every_row_without_a_delivery_log(self, server, client):
        rows = [usage_row(f"e-{n}", n) for n in range(3)]
        for state in [None, RunState()]:
            summary = push(map_rows([rows], map_usage_row), client, USAGE_EVENTS, threads=2, state=state)
            assert summary.counts == {Status.DELIVERED: 3}
            assert summary.requests == 3
        assert len(received_events(server)) == 6

    def test_duplicate_rows_are_one_event(self, server, client):
        summary = push(map_rows([[usage_row("e", 1)] * 5], map_usage_row), client, USAGE_EVENTS, threads=4)
        assert newest(server) == {"e": 1}
        assert summary.rows == summary.counts.total() == 5
        assert set(summary.counts) <= {Status.DELIVERED, Status.UNCHANGED}

    def test_summary_is_short_and_holds_no_values(self, server, client):
        server.fault(
            kind="status",
            status=400,
            body={"error": {"message": "no customer Hunter2, value 4711"}},
            match={"customerEventId": "bad"},
        )
        rows = [
            usage_row("bad", 4711, alias="Hunter2"),
            usage_row("e", 1),
            usage_row("nan", float("nan"), alias="Hunter2"),
            *[usage_row(None)] * 30,
        ]
        summary = push(map_rows([rows], map_usage_row), client, USAGE_EVENTS, threads=2)
        shown = summary.as_dict()
        text = json.dumps(shown)
        assert {"rows", "delivered", "unchanged", "rejected", "requests", "seconds"} <= set(shown)
        assert (shown["rows"], shown["delivered"], shown["unchanged"], shown["rejected"]) == (33, 1, 0, 32)
        assert shown["requests"] == 2
        assert shown["seconds"] >= 0
        assert "Hunter2" not in text
        assert "4711" not in text
        assert len(text) < 10_000

    def test_state_is_used_only_by_the_calling_thread(self, server, client):
        """A database connection may not change threads."""
        state = RecordingState()
        push(
            map_rows(in_batches([usage_row(f"e-{n}") for n in range(50)]), map_usage_row),
            client,
            USAGE_EVENTS,
            threads=4,
            state=state,
        )
        assert state.threads == {threading.current_thread()}

    def test_progress_is_reported(self, server, client):
        seen: list[int] = []
        rows = [usage_row(f"e-{n}") for n in range(30)]
        push(
            map_rows(in_batches(rows), map_usage_row),
            client,
            USAGE_EVENTS,
            threads=2,
            on_progress=lambda s: seen.append(s.rows),
        )
        assert seen == sorted(seen)
        assert all(0 <= count <= 30 for count in seen)


KEYS = st.sampled_from(["a", "b", "c", "d"]) | st.integers(0, 30).map(str)


class TestLastRowWins:
    @few_examples_with_sandbox
    @given(st.lists(KEYS, min_size=1, max_size=60), st.sampled_from([2, 3, 8, 32]), st.integers(1, 20))
    def test_last_row_wins_with_any_number_of_threads(self, server, client, keys, threads, size):
        server.reset()
        rows = [usage_row(key, n) for n, key in enumerate(keys)]
        state = RecordingState()
        push(
            map_rows(in_batches(rows, size), map_usage_row),
            client,
            USAGE_EVENTS,
            threads=threads,
            state=state,
        )
        assert newest(server) == {key: n for n, key in enumerate(keys)}
        assert sorted(state.by_row()) == list(range(1, len(rows) + 1))

    @few_examples_with_sandbox
    @given(st.lists(KEYS, min_size=1, max_size=40), st.sampled_from([2, 8]), st.integers(0, 1000))
    def test_last_row_wins_when_requests_are_retried(self, server, connect, keys, threads, seed):
        server.reset()
        server.clear_faults()
        server.check(check_answers=False)
        for kind in ["reset_before", "reset_after", "status", "invalid_json"]:
            status = {"status": 503} if kind == "status" else {}
            server.fault(kind=kind, probability=0.08, seed=seed, **status)
        rows = [usage_row(key, n) for n, key in enumerate(keys)]
        client = connect(server, deadline=20)
        state = RecordingState()
        summary = push(
            map_rows(in_batches(rows), map_usage_row), client, USAGE_EVENTS, threads=threads, state=state
        )
        assert newest(server) == {key: n for n, key in enumerate(keys)}
        assert summary.counts == {Status.DELIVERED: len(rows)}
        ids = {item["id"] for item in received_events(server)}
        assert {outcome.sequence_id for outcome in state.outcomes} <= ids

    @few_examples_with_sandbox
    @given(
        st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2)), min_size=1, max_size=25),
        st.dictionaries(st.sampled_from("abc"), st.integers(0, 2)),
        st.sampled_from([1, 4]),
    )
    def test_last_row_wins_over_earlier_deliveries(self, server, client, versions, before, threads):
        """A row with the delivered body is sent again if another version came in between."""
        server.reset()
        for key, n in before.items():
            push(map_rows([[usage_row(key, n)]], map_usage_row), client, USAGE_EVENTS, threads=1)
        state = RecordingState({
            key: hash_body(map_usage_row(usage_row(key, n)).body) for key, n in before.items()
        })
        rows = [usage_row(key, n) for key, n in versions]
        push(map_rows(in_batches(rows, 5), map_usage_row), client, USAGE_EVENTS, threads=threads, state=state)
        assert newest(server) == before | dict(versions)
        assert sorted(state.by_row()) == list(range(1, len(rows) + 1))

    def test_version_delivered_before_is_sent_again_after_another(self, server, client):
        push(map_rows([[usage_row("e", 1)]], map_usage_row), client, USAGE_EVENTS, threads=1)
        state = RecordingState({"e": hash_body(map_usage_row(usage_row("e", 1)).body)})
        rows = [usage_row("e", 1), usage_row("e", 2), usage_row("e", 1)]
        push(map_rows([rows], map_usage_row), client, USAGE_EVENTS, threads=4, state=state)
        assert newest(server) == {"e": 1}
        assert state.by_row()[2].status == Status.DELIVERED
        assert state.by_row()[3].status == Status.DELIVERED

    def test_rejected_version_leaves_the_last_row(self, server, client):
        push(map_rows([[usage_row("e", 1)]], map_usage_row), client, USAGE_EVENTS, threads=1)
        server.fault(kind="status", status=400, method="POST", times=1)
        state = RecordingState({"e": hash_body(map_usage_row(usage_row("e", 1)).body)})
        push(
            map_rows([[usage_row("e", 2), usage_row("e", 1)]], map_usage_row),
            client,
            USAGE_EVENTS,
            threads=4,
            state=state,
        )
        assert newest(server) == {"e": 1}
        assert state.by_row()[1].status == Status.REJECTED

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

        loopback.responses = [respond]
        rows = [usage_row(f"e-{n % 5}", n) for n in range(200)]
        push(map_rows(in_batches(rows), map_usage_row), connect(loopback), USAGE_EVENTS, threads=8)
        assert overlaps == []
        assert most > 1, "nothing was sent side by side"
        order: dict[str, list[int]] = {}
        for request in loopback.requests:
            body = json.loads(request.body)
            order.setdefault(body["customerEventId"], []).append(body["eventProperties"]["n"])
        assert all(numbers == sorted(numbers) for numbers in order.values())

    def test_concurrent_requests_do_not_exceed_the_threads(self, connect, loopback: Loopback):
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

        loopback.responses = [respond]
        push(
            map_rows(in_batches([usage_row(f"e-{n}", n) for n in range(100)]), map_usage_row),
            connect(loopback),
            USAGE_EVENTS,
            threads=3,
        )
        assert most == 3


class TestOutage:
    @pytest.mark.parametrize(
        ("fault", "error", "threads"),
        [
            ({"kind": "status", "status": 401}, SequenceAuthenticationError, 8),
            ({"kind": "status", "status": 403}, SequenceAuthenticationError, 1),
            ({"kind": "status", "status": 503}, SequenceUnavailableError, 8),
            ({"kind": "reset_after"}, SequenceUnavailableError, 1),
        ],
        ids=str,
    )
    def test_outage_ends_the_push_and_rejects_nothing(self, server, connect, fault, error, threads):
        server.check(check_answers=False)
        server.fault(after_n=20, **fault)
        client = connect(server, deadline=0.3)
        state = RecordingState()
        rows = [usage_row(f"e-{n}", n) for n in range(100)]
        with pytest.raises(error):
            push(
                map_rows(in_batches(rows), map_usage_row), client, USAGE_EVENTS, threads=threads, state=state
            )
        outcomes = state.by_row()
        assert {outcome.status for outcome in outcomes.values()} == {Status.DELIVERED}
        stored = {item["id"]: item["customerEventId"] for item in received_events(server)}
        assert {o.sequence_id: o.event_id for o in outcomes.values()}.items() <= stored.items()
        assert len(outcomes) == 20, "all responses are recorded, and nothing else"
        assert client.closed

    def test_next_attempt_continues_after_an_outage(self, server, connect):
        rows = [usage_row(f"e-{n % 60}", n) for n in range(100)]
        state = RecordingState()
        server.fault(kind="status", status=401, after_n=50, times=1)
        with pytest.raises(SequenceAuthenticationError):
            push(
                map_rows(in_batches(rows), map_usage_row),
                connect(server),
                USAGE_EVENTS,
                threads=4,
                state=state,
            )
        sent_before = server.summary()["applied"]
        state.outcomes.clear()
        push(map_rows(in_batches(rows), map_usage_row), connect(server), USAGE_EVENTS, threads=4, state=state)
        assert newest(server) == {f"e-{n % 60}": n for n in range(100)}
        assert sorted(state.by_row()) == list(range(1, 101))
        assert sent_before >= 50

    def test_event_in_doubt_is_sent_again(self, server, connect):
        """The state holds the first version, Sequence perhaps the second; the first must be sent again."""
        state = RecordingState()
        push(
            map_rows([[usage_row("e", 1)]], map_usage_row),
            connect(server),
            USAGE_EVENTS,
            threads=1,
            state=state,
        )
        server.fault(kind="reset_after", method="POST")
        with pytest.raises(SequenceUnavailableError):
            push(
                map_rows([[usage_row("e", 2)]], map_usage_row),
                connect(server, deadline=0.2),
                USAGE_EVENTS,
                threads=1,
                state=state,
            )
        server.clear_faults()
        assert newest(server) == {"e": 2}
        push(
            map_rows([[usage_row("e", 1)]], map_usage_row),
            connect(server),
            USAGE_EVENTS,
            threads=1,
            state=state,
        )
        assert newest(server) == {"e": 1}

    def test_only_confirmed_events_are_recorded(self, server, client):
        """Whatever the state holds at any moment is stored in Sequence."""

        class CheckingState(RecordingState):
            def record(self, outcomes: Sequence[Outcome], pending_ids: Container[str | None]) -> None:
                stored = {item["id"]: item["customerEventId"] for item in received_events(server)}
                assert all(stored[outcome.sequence_id] == outcome.event_id for outcome in outcomes)
                super().record(outcomes, pending_ids)

        state = CheckingState()
        rows = [usage_row(f"e-{n}", n) for n in range(150)]
        push(map_rows(in_batches(rows), map_usage_row), client, USAGE_EVENTS, threads=4, state=state)
        assert len(state.outcomes) == 150

    def test_outcomes_of_one_id_are_recorded_in_order(self, server, client):
        state = RecordingState()
        rows = [usage_row(f"e-{n % 3}", n) for n in range(60)]
        push(map_rows(in_batches(rows), map_usage_row), client, USAGE_EVENTS, threads=4, state=state)
        for key in ["e-0", "e-1", "e-2"]:
            numbers = [outcome.row for outcome in state.outcomes if outcome.event_id == key]
            assert numbers == sorted(numbers)

    def test_failed_record_ends_the_push(self, server, client):
        class FullState(RecordingState):
            def record(self, outcomes: Sequence[Outcome], pending_ids: Container[str | None]) -> None:
                raise OSError("the disk is full")

        with pytest.raises(OSError, match="disk is full"):
            push(
                map_rows(in_batches([usage_row(f"e-{n}") for n in range(30)]), map_usage_row),
                client,
                USAGE_EVENTS,
                threads=4,
                state=FullState(),
            )

    def test_unreadable_state_ends_the_push_before_any_request(self, server, client):
        class UnreadableState(RecordingState):
            def known(self, event_ids: Sequence[str]) -> Mapping[str, KnownDelivery]:
                raise OSError("no connection")

        with pytest.raises(OSError, match="no connection"):
            push(
                map_rows([[usage_row("e")]], map_usage_row),
                client,
                USAGE_EVENTS,
                threads=4,
                state=UnreadableState(),
            )
        assert server.summary()["posts_received"] == 0

    def test_failed_query_ends_the_push_and_keeps_the_outcomes(self, server, client):
        def batches() -> Iterator[list[Row]]:
            yield [usage_row(f"e-{n}", n) for n in range(20)]
            raise OSError("the warehouse is away")

        state = RecordingState()
        with pytest.raises(OSError, match="warehouse is away"):
            push(map_rows(batches(), map_usage_row), client, USAGE_EVENTS, threads=4, state=state)
        stored = {item["id"] for item in received_events(server)}
        assert {outcome.sequence_id for outcome in state.outcomes} == stored
        assert all(outcome.status == Status.DELIVERED for outcome in state.outcomes)

    def test_unexpected_exception_is_not_a_rejection(self, server, client):
        def broken(values: Sequence[Any]) -> Any:
            raise ZeroDivisionError("a bug")

        state = RecordingState()
        with pytest.raises(ZeroDivisionError):
            push(map_rows([[usage_row("e")]], broken), client, USAGE_EVENTS, threads=2, state=state)
        assert state.outcomes == []

    def test_no_thread_is_left_running(self, server, connect):
        before = set(threading.enumerate())
        push(
            map_rows(in_batches([usage_row(f"e-{n}") for n in range(20)]), map_usage_row),
            connect(server),
            USAGE_EVENTS,
            threads=8,
        )
        server.fault(kind="status", status=401)
        with pytest.raises(SequenceAuthenticationError):
            push(map_rows([[usage_row("e")]], map_usage_row), connect(server), USAGE_EVENTS, threads=8)
        until = time.monotonic() + 2
        while set(threading.enumerate()) - before and time.monotonic() < until:
            time.sleep(0.01)
        assert set(threading.enumerate()) - before == set()


class FastClient:
    """Client without HTTP, for many rows."""

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


class TestMemoryUse:
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
                batch = [usage_row(str(read + n), n) for n in range(100)]
                read += 100
                yield batch
            open_gate.set()

        timer = threading.Timer(0.5, open_gate.set)  # long enough to read all rows
        timer.start()
        summary = push(map_rows(batches(), map_usage_row), FastClient(note), USAGE_EVENTS, threads=4)  # type: ignore[arg-type]
        timer.cancel()
        assert summary.rows == sent == total
        assert most < total / 3

    def test_id_seen_long_before_is_sent_again(self):
        """An id that comes again after thousands of others, when what is known of it is out of date."""
        open_gate = threading.Event()

        def batches() -> Iterator[list[Row]]:
            yield [usage_row("e", 2), *[usage_row(f"other-{n}") for n in range(1500)], usage_row("e", 1)]
            open_gate.set()

        timer = threading.Timer(0.5, open_gate.set)
        timer.start()
        client = FastClient(lambda: open_gate.wait(10))
        state = RecordingState({"e": hash_body(map_usage_row(usage_row("e", 1)).body)})
        push(map_rows(batches(), map_usage_row), client, USAGE_EVENTS, threads=1, state=state)  # type: ignore[arg-type]
        timer.cancel()
        assert client.bodies["e"] == map_usage_row(usage_row("e", 1)).body
        assert len(state.by_row()) == 1502

    def test_outcomes_are_recorded_during_the_push(self):
        """So that a killed task repeats only a few requests."""
        state = RecordingState()
        lags: list[int] = []
        sent = 0

        def note() -> None:
            nonlocal sent
            sent += 1
            lags.append(sent - len(state.outcomes))

        rows = [usage_row(str(n), n) for n in range(5000)]
        push(
            map_rows(in_batches(rows, 500), map_usage_row),
            FastClient(note),
            USAGE_EVENTS,
            threads=2,
            state=state,
        )  # type: ignore[arg-type]
        assert len(state.outcomes) == 5000
        assert max(lags) < 4000

    def test_summary_keeps_only_the_first_rejected_rows(self):
        rows = ([usage_row(None)] * 500 for _ in range(10))
        summary = push(map_rows(rows, map_usage_row), FastClient(lambda: None), USAGE_EVENTS, threads=2)  # type: ignore[arg-type]
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
    def test_limit_is_a_number_or_a_share(self, value, allowed):
        limit = RejectionLimit.parse(value)
        limit.enforce(rejected(allowed, 1000))
        with pytest.raises(RejectedRowsError):
            limit.enforce(rejected(allowed + 1, 1000))

    def test_float_of_one_is_all_rows(self):
        for value in (1.0, "1.0"):
            RejectionLimit.parse(value).enforce(rejected(1000, 1000))

    def test_integer_of_one_is_one_row(self):
        for value in (1, "1"):
            RejectionLimit.parse(value).enforce(rejected(1, 1000))
            with pytest.raises(RejectedRowsError):
                RejectionLimit.parse(value).enforce(rejected(2, 1000))

    @pytest.mark.parametrize(
        "value",
        [
            "-1",
            -0.1,
            1.5,
            "many",
            "",
            "10%",
            "nan",
            float("nan"),
            float("inf"),
            True,
            [],
            "1e400",
        ],
        ids=repr,
    )
    def test_invalid_limit_is_refused(self, value):
        with pytest.raises(SequenceConfigurationError, match="max_rejected"):
            RejectionLimit.parse(value)

    def test_default_limit_is_zero(self):
        with pytest.raises(RejectedRowsError):
            RejectionLimit().enforce(rejected(1, 1_000_000))
        RejectionLimit().enforce(rejected(0, 5))

    def test_limit_without_rows(self):
        RejectionLimit.parse(0.01).enforce(PushSummary())
        RejectionLimit.parse(0).enforce(PushSummary())

    def test_error_names_rows_and_reasons(self):
        with pytest.raises(RejectedRowsError) as caught:
            RejectionLimit.parse(2).enforce(rejected(3, 50))
        message = str(caught.value)
        assert "3" in message
        assert "50" in message
        assert "customerAlias: is missing" in message
        for number in (1, 2, 3):
            assert f"row {number}" in message

    def test_error_is_short(self):
        with pytest.raises(RejectedRowsError) as caught:
            RejectionLimit.parse(0).enforce(rejected(100_000, 100_000))
        assert len(str(caught.value)) < 3000
        assert "100000" in str(caught.value).replace(",", "")


class TestBodyHash:
    def test_hash_never_changes(self):
        """Delivery logs hold it: another hash would send every row again."""
        assert hash_body(b'{"customerEventId":"e"}') == PINNED
        assert hash_body(b"") != hash_body(b" ")


PINNED = "0340e142fc7bb0a26cdd0eeeb69bd400"


def test_few_wide_events_are_taken_at_a_time():
    """Rows of a megabyte: what is in memory is bounded by bytes, not by rows."""
    taken, sent, most = 0, 0, 0

    class Slow:
        requests_sent = requests_throttled = 0

        def create(self, *_: object) -> str:
            nonlocal sent, most
            time.sleep(0.03)
            most = max(most, taken - sent)
            sent += 1
            return "id"

        def close(self) -> None: ...

    def rows() -> Iterator[list[Row]]:
        nonlocal taken
        for n in range(60):
            taken += 1
            yield [usage_row(f"e-{n}", "x" * 1_000_000)]

    summary = push(map_rows(rows(), map_usage_row), Slow(), USAGE_EVENTS, threads=2)
    assert summary.counts[Status.DELIVERED] == 60
    assert most <= 24
