"""RateLimiter: turns within the limit, for all threads together, and a lower rate after a 429."""

from __future__ import annotations

import random
from bisect import bisect_left
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_sequence.api.http.rate_limit import RateLimiter
from tests.unit.strategies import few_examples
from tests.unit.virtual_time import Clock, World

MINUTE = 60.0
EPSILON = 1e-6


def rate_of(limiter: RateLimiter) -> float:
    """The rate in use at this moment, in requests a second."""
    limiter._grow_back()
    return limiter._rate


def busiest_minute(turns: list[float]) -> int:
    """The most turns within any 60 seconds, the first one included."""
    turns = sorted(turns)
    return max((bisect_left(turns, turn + MINUTE - EPSILON) - i for i, turn in enumerate(turns)), default=0)


def busiest_minute_of_the_clock(turns: list[float], offset: float) -> int:
    minutes = [int((turn - offset) // MINUTE) for turn in turns]
    return max((minutes.count(minute) for minute in set(minutes)), default=0)


def take(limiter: RateLimiter, clock: Clock | World, count: int, turns: list[float]) -> None:
    """Take turns one after another, and note when each came."""
    for _ in range(count):
        turn = limiter.acquire()
        assert turn <= clock() + EPSILON, "the turn was given before its time"
        turns.append(clock())


class TestLimit:
    @pytest.mark.parametrize("per_minute", [1, 5, 60, 1500])
    def test_single_thread_keeps_the_limit(self, per_minute):
        clock = Clock()
        limiter = RateLimiter(per_minute, wait=clock.wait, clock=clock)
        turns: list[float] = []
        take(limiter, clock, per_minute * 3 + 5, turns)
        assert busiest_minute(turns) <= per_minute

    @settings(max_examples=20, deadline=None)
    @given(
        st.sampled_from([1, 3, 20, 100, 600]),
        st.lists(
            st.tuples(st.floats(0, 200) | st.sampled_from([0.0, 59.9, 60.0, 120.0]), st.integers(1, 150)),
            min_size=1,
            max_size=8,
        ),
    )
    def test_limit_is_kept_for_any_pattern_of_arrivals(self, per_minute, bursts):
        """Bursts after pauses: unused turns are not saved up."""
        clock = Clock()
        limiter = RateLimiter(per_minute, wait=clock.wait, clock=clock)
        turns: list[float] = []
        for rest, count in bursts:
            clock.now += rest
            take(limiter, clock, min(count, per_minute * 3), turns)
        assert busiest_minute(turns) <= per_minute
        assert all(
            busiest_minute_of_the_clock(turns, offset) <= per_minute for offset in (0, 13.7, 30, 59.99)
        )

    @settings(max_examples=8, deadline=None)
    @given(st.sampled_from([1, 5, 60, 300]), st.integers(2, 12), st.integers(0, 2**32))
    def test_all_threads_together_keep_the_limit(self, per_minute, threads, seed):
        world = World()
        limiter = RateLimiter(per_minute, wait=world.wait, clock=world)
        turns: list[float] = []

        def send(dice: random.Random) -> None:
            for _ in range(max(2, per_minute * 3 // threads)):
                if dice.random() < 0.1:
                    world.wait(dice.uniform(0, 100 / per_minute))
                take(limiter, world, 1, turns)

        world.run(*[partial(send, random.Random(seed + n)) for n in range(threads)])
        assert busiest_minute(turns) <= per_minute
        assert all(busiest_minute_of_the_clock(turns, offset) <= per_minute for offset in (0, 30))

    @pytest.mark.parametrize(("per_minute", "threads"), [(60, 1), (60, 16), (1500, 16), (12_000, 1)])
    def test_nearly_all_of_the_limit_is_used(self, per_minute, threads):
        world = World()
        limiter = RateLimiter(per_minute, wait=world.wait, clock=world)
        turns: list[float] = []
        count = per_minute * 3 // threads
        world.run(*[lambda: take(limiter, world, count, turns) for _ in range(threads)])
        minutes = (max(turns) - min(turns)) / MINUTE
        assert len(turns) / minutes >= 0.97 * per_minute

    def test_nearly_all_of_the_limit_is_used_when_requests_take_time(self):
        """The threads together could send twice as fast as they may."""
        threads = 16
        world = World()
        limiter = RateLimiter(1500, wait=world.wait, clock=world)
        turns: list[float] = []

        def send() -> None:
            for _ in range(4500 // threads):
                take(limiter, world, 1, turns)
                world.wait(threads / 50)

        world.run(*[send] * threads)
        turns.sort()
        assert len(turns) / ((turns[-1] - turns[0]) / MINUTE) >= 0.97 * 1500
        assert busiest_minute(turns) <= 1500

    def test_turns_are_spread_over_the_minute(self):
        """So that neither a small token bucket nor a limit for each second is exceeded."""
        clock = Clock()
        limiter = RateLimiter(600, wait=clock.wait, clock=clock)
        clock.now += 3600
        turns: list[float] = []
        take(limiter, clock, 600, turns)
        seconds = [bisect_left(turns, turn + 1 - EPSILON) - i for i, turn in enumerate(turns)]
        assert max(seconds) <= 20

    def test_single_request_does_not_wait(self):
        clock = Clock()
        limiter = RateLimiter(1500, wait=clock.wait, clock=clock)
        before = clock.now
        limiter.acquire()
        assert clock.now - before <= MINUTE / 1500

    def test_exception_of_wait_is_raised(self):
        class StopError(Exception):
            pass

        def wait(seconds: float) -> None:
            raise StopError

        clock = Clock()
        limiter = RateLimiter(1, wait=wait, clock=clock)
        limiter.acquire()
        with pytest.raises(StopError):
            limiter.acquire()


class TestThrottled:
    @staticmethod
    def saturate(limiter: RateLimiter, count: int = 50) -> float:
        for _ in range(count):
            turn = limiter.acquire()
            limiter.passed(turn)
        return turn

    @few_examples
    @given(st.floats(0, 300), st.sampled_from([60, 1500, 12_000]))
    def test_next_turn_comes_after_retry_after(self, retry_after, per_minute):
        clock = Clock()
        limiter = RateLimiter(per_minute, wait=clock.wait, clock=clock)
        turn = self.saturate(limiter)
        limiter.throttled(turn, retry_after)
        until = clock.now + retry_after
        limiter.acquire()
        assert clock.now >= until - EPSILON

    def test_retry_after_delays_waiting_threads(self):
        """Threads whose turns were given before the 429 wait too."""
        world = World()
        limiter = RateLimiter(60, wait=world.wait, clock=world)
        turns: list[float] = []
        throttled: list[float] = []

        def culprit() -> None:
            turn = limiter.acquire()
            world.wait(0.3)
            throttled.append(world.now)
            limiter.throttled(turn, 20)
            take(limiter, world, 3, turns)

        world.run(culprit, *[lambda: take(limiter, world, 3, turns)] * 8)
        after = [turn for turn in turns if turn > throttled[0]]
        assert len(after) >= 20
        assert min(after) >= throttled[0] + 20 - EPSILON
        assert busiest_minute(after) <= 60

    def test_shorter_retry_after_does_not_shorten_a_longer_one(self):
        clock = Clock()
        limiter = RateLimiter(1500, wait=clock.wait, clock=clock)
        one, other = limiter.acquire(), limiter.acquire()
        limiter.throttled(one, 30)
        limiter.throttled(other, 1)
        until = clock.now + 30
        limiter.acquire()
        assert clock.now >= until - EPSILON

    def test_429_without_retry_after_pauses_too(self):
        clock = Clock()
        limiter = RateLimiter(1500, wait=clock.wait, clock=clock)
        turn = self.saturate(limiter)
        limiter.throttled(turn)
        before = clock.now
        limiter.acquire()
        assert clock.now - before >= 0.5

    def test_pauses_grow_up_to_a_bound(self):
        clock = Clock()
        limiter = RateLimiter(1500, wait=clock.wait, clock=clock)
        pauses = []
        for _ in range(12):
            turn = limiter.acquire()
            limiter.throttled(turn)
            before = clock.now
            limiter.acquire()
            pauses.append(clock.now - before)
        assert pauses[3] > pauses[0]
        assert max(pauses) <= 60

    def test_rate_falls_and_recovers(self):
        clock = Clock()
        limiter = RateLimiter(1500, wait=clock.wait, clock=clock)
        full = rate_of(limiter)
        assert 0.97 * 25 <= full <= 25
        turn = self.saturate(limiter)
        limiter.throttled(turn, 1)
        limiter.passed(limiter.acquire())
        fallen = rate_of(limiter)
        assert fallen < 0.9 * full
        self.saturate(limiter, 100)
        assert fallen < rate_of(limiter) <= full
        self.saturate(limiter, 20_000)
        assert rate_of(limiter) == pytest.approx(full)

    @settings(max_examples=20, deadline=None)
    @given(st.lists(st.tuples(st.booleans(), st.none() | st.floats(0, 5)), max_size=300))
    def test_rate_stays_within_its_bounds(self, responses):
        clock = Clock()
        limiter = RateLimiter(600, wait=clock.wait, clock=clock)
        full = rate_of(limiter)
        for is_throttled, retry_after in responses:
            turn = limiter.acquire()
            if is_throttled:
                limiter.throttled(turn, retry_after)
            else:
                limiter.passed(turn)
            assert 0 < rate_of(limiter) <= full + EPSILON
        before = clock.now
        limiter.acquire()
        assert clock.now - before < 120, "it comes to a standstill"
        assert limiter.throttled_requests == sum(is_throttled for is_throttled, _ in responses)

    def test_concurrent_429s_lower_the_rate_once(self):
        """Requests sent before the rate was lowered don't lower it again."""
        rates = []
        for late in (1, 40):
            clock = Clock()
            limiter = RateLimiter(1500, wait=clock.wait, clock=clock)
            turns = [limiter.acquire() for _ in range(40)]
            clock.now += 0.1  # the responses take a while
            for turn in turns[:late]:
                limiter.throttled(turn, 1)
            rates.append(rate_of(limiter))
        assert rates[0] == rates[1]

    def test_429_at_the_lower_rate_lowers_it_further(self):
        clock = Clock()
        limiter = RateLimiter(1500, wait=clock.wait, clock=clock)
        limiter.throttled(self.saturate(limiter), 1)
        once = rate_of(limiter)
        limiter.passed(limiter.acquire())  # something gets through again, so the rate is in use
        limiter.throttled(limiter.acquire(), 1)
        assert rate_of(limiter) < once

    def test_429_of_a_probe_does_not_lower_the_rate(self):
        clock = Clock()
        limiter = RateLimiter(1500, wait=clock.wait, clock=clock)
        limiter.throttled(self.saturate(limiter), 1)
        once = rate_of(limiter)
        for _ in range(5):
            limiter.throttled(limiter.acquire(), 1)
        assert rate_of(limiter) == once

    def test_only_one_thread_probes_after_a_429(self):
        world = World()
        limiter = RateLimiter(12_000, wait=world.wait, clock=world)
        refused_until = world.now + 30
        turns: list[float] = []

        def send() -> None:
            while world.now < refused_until + 1:
                turn = limiter.acquire()
                turns.append(turn)
                world.wait(0.05)
                if world.now < refused_until:
                    limiter.throttled(turn, None)
                else:
                    limiter.passed(turn)

        world.run(*[send] * 16)
        alone = [turn for turn in turns if 1001 <= turn < refused_until]
        assert 1 <= len(alone) <= 12
        assert sum(turn >= refused_until for turn in turns) > 3

    def test_rate_adapts_to_a_limit_below_the_configured_one(self):
        """The account allows 100 a minute where 12,000 are configured."""
        clock = Clock()
        limiter = RateLimiter(12_000, wait=clock.wait, clock=clock)
        accepted: list[float] = []
        refused = 0
        while clock.now < 1000 + 20 * MINUTE:
            turn = limiter.acquire()
            recent = [at for at in accepted[-100:] if at > clock.now - MINUTE]
            if len(recent) < 100:
                accepted.append(clock.now)
                limiter.passed(turn)
            else:
                refused += 1
                limiter.throttled(turn, None)
        assert len(accepted) >= 0.5 * 20 * 100
        assert refused <= len(accepted)

    def test_rate_after_a_429_is_that_of_the_requests_that_passed(self):
        clock = Clock()
        limiter = RateLimiter(6000, wait=clock.wait, clock=clock)
        for _ in range(120):  # one a second, where 100 are configured
            clock.now += 1
            limiter.passed(limiter.acquire())
        limiter.throttled(limiter.acquire(), 1)
        limiter.passed(limiter.acquire())
        assert rate_of(limiter) <= 1.1

    def test_429s_are_counted(self):
        clock = Clock()
        limiter = RateLimiter(1500, wait=clock.wait, clock=clock)
        assert limiter.throttled_requests == 0
        turns = [limiter.acquire() for _ in range(3)]
        for turn in turns:
            limiter.throttled(turn, 1)
        assert limiter.throttled_requests == 3


@pytest.mark.parametrize(
    ("clients", "retry_after", "least", "most"),
    [(1, 40, 5, 25), (4, 1, 21, 23)],  # of a fourth of 100 a second, nearly all of it
)
def test_rate_after_a_429_at_the_first_request(clients, retry_after, least, most):
    clock = Clock()
    limiter = RateLimiter(6000, wait=clock.wait, clock=clock)
    limiter.share(clients)
    limiter.throttled(limiter.acquire(), retry_after)
    limiter.passed(limiter.acquire())
    assert least < rate_of(limiter) < most
