"""Four tasks in processes of their own push to one account at a time, whose limit the sandbox keeps: ten minutes.

Two accounts side by side: in one the tasks are configured with the account's limit, in the other with ten times as
much, so that they learn all of it from 429s. In the short campaigns the minutes of both, the sandbox's and the tasks',
go faster than the clock.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections import Counter
from dataclasses import dataclass, field

from tests.faults.figures import CAMPAIGN, measured
from tests.faults.proxy import HttpProxy
from tests.faults.runner import Run, Runner, Running
from tests.faults.world import ALIAS, SETTINGS, World
from tests.integration.support.databases import Warehouse
from tests.support.server import Server

PER_MINUTE, TASKS, MINUTES = 600, 4, 10


@dataclass
class Account:
    """An account, and the tasks that share its limit."""

    server: Server
    configured: int
    tasks: list[Running] = field(default_factory=list)
    ended: list[Run] = field(default_factory=list)

    def begin(self, world: World) -> None:
        limits = {"usage_events_per_minute": self.configured}
        for number in range(TASKS):
            sql = (
                f"SELECT 't{number}-' || n AS customer_event_id, '{ALIAS}' AS customer_alias, 'call' AS event_type,"
                f" '2026-03-01T12:00:00Z' AS event_timestamp FROM generate_series(1, {PER_MINUTE * MINUTES * 2}) n"
            )
            options = {"sql": sql, "sql_conn_id": "warehouse", "concurrency": 8}
            how = {"host": self.server.api_url, "extra": limits, "haste": CAMPAIGN.haste, "deadline": 3600}
            self.tasks.append(world.start_and_wait("push", options, **how))

    def end(self, world: World) -> tuple[float, float, float]:
        """
        End the tasks.

        :return: the part of the limit that was used; the part of all requests that got a 429; and what the least lucky
            task had, as a part of an even share.
        """
        summary = self.server.summary()
        for task in self.tasks:
            task.signal(signal.SIGTERM)
        self.ended = [task.wait() for task in self.tasks]
        for run in self.ended:
            world.check_secrets(run)
            assert "SequenceClientClosedError" in run.classes, run.said
        there = World.ledger_of(self.server)
        each = Counter(item["customerEventId"].partition("-")[0] for item in there)
        assert len({item["customerEventId"] for item in there}) == len(there), (
            "a 429 made somebody send twice"
        )
        least = min(each[f"t{number}"] for number in range(TASKS))
        return (
            summary["applied"] / (PER_MINUTE * MINUTES),
            summary["throttled"] / summary["posts_received"],
            least / (sum(each.values()) / TASKS),
        )


def test_they_use_the_limit_together_and_none_starves(runner: Runner, database: tuple[Warehouse, str]):
    settings = SETTINGS | {"usage_events_per_minute": PER_MINUTE}
    with contextlib.ExitStack() as stack:

        def account(configured: int) -> Account:
            extra = [f"--haste={CAMPAIGN.haste}"]
            server = stack.enter_context(Server(settings, module="tests.faults.hasty_server", extra=extra))
            server.check(
                check_requests=False, check_answers=False
            )  # what is checked elsewhere takes its time
            return Account(server, configured)

        # What the clock's own minutes have to show; where they are short, a process that waits for the processor is late.
        aims = {"used": 0.9, "throttled": 0.02, "least": 0.5}
        if CAMPAIGN.haste > 1:
            aims = {"used": 0.85, "throttled": 0.05, "least": 0.2}
        accounts = [account(PER_MINUTE), account(10 * PER_MINUTE)]
        proxy = stack.enter_context(HttpProxy(accounts[0].server.base_url))
        world = World(accounts[0].server, proxy, runner, *database)
        for each in accounts:
            each.begin(world)
        time.sleep(MINUTES * 60 / CAMPAIGN.haste)
        for each in accounts:
            used, throttled, least = each.end(world)
            times = each.configured // PER_MINUTE
            measured(
                "limit",
                "shared",
                times=times,
                used=used,
                throttled=throttled,
                least=least,
                haste=CAMPAIGN.haste,
            )
            assert used >= aims["used"]
            assert throttled < aims["throttled"]
            # A task that is told ten times too much has to learn nearly all of it, and luck decides who learns more.
            assert least >= aims["least"] / (1 if times == 1 else 2), (
                f"the least lucky had {least:.0%} of an even share"
            )
