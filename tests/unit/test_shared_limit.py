"""Several tasks that share an account's limit: a simulation in virtual time."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable

import pytest

from airflow_provider_sequence.api.http.rate_limit import RateLimiter
from airflow_provider_sequence.pipelines.runs import BEAT_SECONDS
from tests.unit.virtual_time import World

PER_MINUTE, TASKS, THREADS, LATENCY = 1200, 4, 8, 0.1
START = 1000.0


class FixedWindow:
    """Limit for each minute of the clock."""

    def __init__(self) -> None:
        self.minute, self.taken = -1, 0

    def allows(self, now: float) -> bool:
        if now // 60 != self.minute:
            self.minute, self.taken = int(now // 60), 0
        self.taken += 1
        return self.taken <= PER_MINUTE

    def seconds_to_wait(self, now: float) -> float:
        return 60 - now % 60


class MovingWindow:
    """Limit for any sixty seconds."""

    def __init__(self) -> None:
        self.taken: deque[float] = deque()

    def allows(self, now: float) -> bool:
        while self.taken and self.taken[0] <= now - 60:
            self.taken.popleft()
        if len(self.taken) == PER_MINUTE:
            return False
        self.taken.append(now)
        return True

    def seconds_to_wait(self, now: float) -> float:
        return max(0.0, self.taken[0] + 60 - now)


class TokenBucket:
    """Token bucket that holds the requests of a minute."""

    def __init__(self) -> None:
        self.tokens, self.filled_at = float(PER_MINUTE), START

    def allows(self, now: float) -> bool:
        self.tokens = min(PER_MINUTE, self.tokens + (now - self.filled_at) * PER_MINUTE / 60)
        self.filled_at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True

    def seconds_to_wait(self, now: float) -> float:
        return (1 - self.tokens) * 60 / PER_MINUTE


@pytest.mark.parametrize(
    ("kind", "configured", "sends_retry_after", "minutes", "told", "used", "refused"),
    [
        (FixedWindow, PER_MINUTE, True, 5, False, 0.9, 0.02),
        (MovingWindow, 10 * PER_MINUTE, False, 10, False, 0.9, 0.02),
        (TokenBucket, PER_MINUTE, False, 5, False, 0.9, 0.02),
        (FixedWindow, PER_MINUTE, False, 1, True, 0.95, 0.005),
        (MovingWindow, PER_MINUTE, True, 2, True, 0.95, 0.005),
        (TokenBucket, PER_MINUTE, False, 1, True, 0.95, 0.005),
    ],
)
def test_tasks_share_the_limit_and_none_starves(
    kind, configured, sends_retry_after, minutes, told, used, refused, monkeypatch
):
    """Those that are told of each other, every few seconds, use nearly all of it from the first minute on."""
    chance = random.Random(20261121)
    monkeypatch.setattr(random, "uniform", chance.uniform)
    account, world = kind(), World(START)
    accepted, throttled = [0] * TASKS, [0] * TASKS

    def thread_of(task: int, limiter: RateLimiter) -> Callable[[], None]:
        def requests() -> None:
            world.wait(task)
            if told and task == len(started):
                started.append(task)
                limiter.share(len(started))
            while world() < START + minutes * 60:
                turn = limiter.acquire()
                world.wait(LATENCY / 2)
                if account.allows(world()):
                    accepted[task] += 1
                    world.wait(LATENCY / 2)
                    limiter.passed(turn)
                else:
                    throttled[task] += 1
                    wait = account.seconds_to_wait(world()) if sends_retry_after else None
                    world.wait(LATENCY / 2)
                    limiter.throttled(turn, wait)

        return requests

    def tell_of_peers(limiter: RateLimiter) -> Callable[[], None]:
        def tell() -> None:
            while world() < START + minutes * 60:
                world.wait(BEAT_SECONDS)
                limiter.share(len(started))

        return tell

    started: list[int] = []
    threads = []
    for task in range(TASKS):
        limiter = RateLimiter(configured, wait=world.wait, clock=world)
        threads += [thread_of(task, limiter) for _ in range(THREADS)]
        threads += [tell_of_peers(limiter)] if told else []
    world.run(*threads, patience=200)

    assert sum(accepted) >= used * PER_MINUTE * minutes
    assert sum(throttled) < refused * (sum(accepted) + sum(throttled))
    assert min(accepted) >= 0.25 * sum(accepted) / TASKS
