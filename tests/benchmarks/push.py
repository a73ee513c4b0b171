"""Pushes: how much of the documented limit is used, and what an event costs where nothing limits it."""

from __future__ import annotations

import json
import sys
from typing import Any

from tests.benchmarks import events
from tests.benchmarks.report import Found, interleaved, median, of_limit, ratio, spread
from tests.benchmarks.world import World

PER_MINUTE, LANES = 12_000, 32
#: Seconds of waiting of the server, and events to push.
UNLIMITED = {0.0: 10_000, 0.02: 10_000, 0.1: 9_600}


def rows(world: World, number: int) -> str:
    """Make a table of so many rows, unless it is there; give the query of all of them."""
    table = f"usage_{number}"
    world.sql(f"DROP TABLE IF EXISTS {table}")
    world.sql(events.MAKE_ROWS.format(table=table, number=number))
    return f"SELECT * FROM {table}"


def limited(world: World, repeats: int) -> Found:
    """One task, the account's limit as documented, a server that answers in 100 ms; two minutes."""
    found = Found()
    number = PER_MINUTE * 2
    world.sql("DROP TABLE IF EXISTS delivery_log")
    world.limits(usage_events=PER_MINUTE)
    world.server(latency=0.1, per_minute=PER_MINUTE)
    done = world.run("push", sql=rows(world, number), concurrency=LANES, delivery_log_table="delivery_log")
    world.limits()
    share = number / done["seconds"] / (PER_MINUTE / 60)
    throttled = done["figures"]["throttled"]
    found.line(
        f"push under the documented limit (12,000 a minute), server 100 ms: {number:,} events",
        "≥ 98.5 % of the limit, no 429",
        f"{share:.2%} over {done['seconds']:.0f} s, {throttled} × 429; while it was asked, "
        f"{of_limit(done['figures'], PER_MINUTE):.2%} of the requests that are allowed",
        share >= 0.985 and not throttled and done["value"]["delivered"] == number,
    )
    return found


def unlimited(world: World, repeats: int) -> Found:
    """No limit but what the machine can do; beside it what most would write first: requests in threads."""
    found = Found()
    table = [["server", "tool", "events a second", "CPU, ms an event", "the server's"]]
    for latency, number in UNLIMITED.items():
        sql = rows(world, number)
        results = interleaved(
            repeats,
            {
                "this provider": lambda sql=sql, latency=latency: _ours(world, sql, latency),
                "requests": lambda sql=sql, latency=latency: _requests(world, sql, latency),
            },
        )
        rates = {name: [number / each["seconds"] for each in costs] for name, costs in results.items()}
        cpu = {
            name: median([each["cpu"] / number * 1000 for each in costs]) for name, costs in results.items()
        }
        for name, costs in results.items():
            server = median([each["figures"]["cpu"] / number * 1000 for each in costs])
            table.append([
                f"{latency * 1000:.0f} ms",
                name,
                spread(rates[name]),
                f"{cpu[name]:.2f}",
                f"{server:.2f}",
            ])
        found.bars[f"Push, server {latency * 1000:.0f} ms: events a second"] = [
            (name, median(each)) for name, each in rates.items()
        ]
        cost = ratio(*([each["cpu"] for each in results[name]] for name in ("this provider", "requests")))
        beside = f"{ratio(rates['this provider'], rates['requests']):.1f} × `requests`"
        what = f"push without a limit, server {latency * 1000:.0f} ms"
        found.line(
            f"{what}: CPU an event, delivery log included",
            "≤ 0.5 × that of `requests`",
            f"{cost:.2f} × ({cpu['this provider']:.2f} ms); {median(rates['this provider']):,.0f} events/s, {beside}",
            cost <= 0.5,
        )
        if latency >= 0.1:
            share = median(rates["this provider"]) / (LANES / latency)
            found.line(f"{what}: events/s", f"≥ 90 % of {LANES} / {latency} s", f"{share:.0%}", share >= 0.9)
    found.tables["Push without a limit"] = table
    return found


def _ours(world: World, sql: str, latency: float) -> dict[str, Any]:
    world.sql("DROP TABLE IF EXISTS delivery_log")
    world.server(latency=latency)
    return world.run("push", sql=sql, concurrency=LANES, delivery_log_table="delivery_log")


def _requests(world: World, sql: str, latency: float) -> dict[str, Any]:
    world.server(latency=latency)
    return world.process(
        [sys.executable, "-m", "tests.benchmarks.peers.plain_requests"],
        json.dumps({"url": f"{world.base_url}/usage-events", "sql": sql, "threads": LANES}),
    )
