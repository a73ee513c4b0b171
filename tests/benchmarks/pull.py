"""Pulls: beside other tools, in parallel slices, under the limit, and how many requests they take."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tests.benchmarks import tools
from tests.benchmarks.report import Found, interleaved, median, of_limit, ratio, spread
from tests.benchmarks.world import World

NUMBER, PAGE = 100_000, 100
PER_MINUTE = 1_500
OF_LIMIT = PER_MINUTE * PAGE // 60

OURS = "this provider"


def beside_others(world: World, repeats: int) -> Found:
    """100,000 events into PostgreSQL; the same with a server that answers after 20 ms."""
    found = Found()
    world.server(events=NUMBER, spread="even")
    one_walk = {
        OURS: lambda: tools.ours(world),
        "careful script": lambda: tools.careful_script(world),
        "HttpOperator + insert_rows": lambda: tools.http_operator(world),
        "dlt": lambda: tools.dlt(world),
        "Singer tap and target": lambda: tools.singer(world),
    }
    rates = _compare(world, found, "Pull of 100,000 events, server 0 ms", 0.0, repeats, one_walk)
    _fast_enough(found, "pull of 100,000 events into PostgreSQL, server 0 ms", rates[OURS])
    targets = {
        "careful script": 2,
        "dlt": 2.5,
        "Singer tap and target": 4,
        "HttpOperator + insert_rows": 1.4,
    }
    _faster(found, "the same", rates, targets)

    slices = {
        "this provider, 8 slices": lambda: tools.ours(world, concurrency=8),
        "dlt, 8 windows": lambda: tools.dlt(world, windows=8),
    }
    rates = _compare(world, found, "Pull of 100,000 events, server 20 ms", 0.02, repeats, one_walk | slices)
    rates[OURS] = rates["this provider, 8 slices"]
    _fast_enough(found, "pull of 100,000 events, server 20 ms, 8 slices", rates[OURS])
    targets = {
        "careful script": 5,
        "dlt": 6,
        "Singer tap and target": 6,
        "HttpOperator + insert_rows": 6,
        "dlt, 8 windows": 2.5,
    }
    _faster(found, "the same", rates, targets)
    return found


def in_slices(world: World, repeats: int) -> Found:
    """Slices where most events lie close together, and with a slow server."""
    found = Found()
    for latency, slices, spread_ in ((0.02, 8, "skewed"), (0.1, 16, "even"), (0.1, 16, "skewed")):
        world.server(events=NUMBER, spread=spread_)
        rates = []
        for _ in range(repeats):
            world.server(latency=latency)
            rates.append(NUMBER / tools.ours(world, concurrency=slices)["seconds"])
        where = "" if spread_ == "even" else ", 80 % of the events in 3 of 31 days"
        what = f"pull of 100,000 events, server {latency * 1000:.0f} ms, {slices} slices{where}"
        _fast_enough(found, what, rates)
    return found


def requests(world: World, repeats: int) -> Found:
    """No request without need."""
    found = Found()
    counts = []
    for number in (1, 100, 10_001, NUMBER):
        world.server(events=number, spread="even")
        counts.append((number, tools.ours(world)["figures"]["requests"]))
    found.line(
        "requests of a pull of n events in one walk",
        "⌈n / 100⌉",
        ", ".join(f"{made:,} for {number:,}" for number, made in counts),
        all(made == math.ceil(number / PAGE) for number, made in counts),
    )
    for slices in (8, 16):
        made = {}
        for spread_ in ("even", "skewed"):
            world.server(events=NUMBER, spread=spread_)
            made[spread_] = tools.ours(world, concurrency=slices)["figures"]["requests"]
        more = {name: each / (NUMBER / PAGE) - 1 for name, each in made.items()}
        found.line(
            f"the same of 100,000 in {slices} slices",
            "≤ 5 % more",
            ", ".join(f"{share:+.1%} ({name})" for name, share in more.items()),
            max(more.values()) <= 0.05,
        )
    return found


def limited(world: World, repeats: int) -> Found:
    """The documented limit of requests, a server that answers in 200 ms; more than a minute."""
    found = Found()
    number = 500_000
    world.limits(requests=PER_MINUTE)
    world.server(events=number, spread="even", latency=0.2, per_minute=PER_MINUTE)
    done = tools.ours(world, concurrency=8)
    world.limits()
    share = number / done["seconds"] / OF_LIMIT
    throttled = done["figures"]["throttled"]
    found.line(
        f"pull under the documented limit (1,500 requests a minute), server 200 ms, 8 slices: {number:,} events",
        f"≥ 98 % of {OF_LIMIT:,} events/s",
        f"{share:.2%} over {done['seconds']:.0f} s, {throttled} × 429; while it was asked, "
        f"{of_limit(done['figures'], PER_MINUTE):.2%} of the requests that are allowed",
        share >= 0.98,
    )
    return found


def _compare(
    world: World,
    found: Found,
    title: str,
    latency: float,
    repeats: int,
    works: dict[str, Callable[[], dict[str, Any]]],
) -> dict[str, list[float]]:
    """Run the tools in turn; give each one's events a second."""

    def after_set_up(work: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
        def do() -> dict[str, Any]:
            world.server(latency=latency)
            return work()

        return do

    results = interleaved(repeats, {name: after_set_up(work) for name, work in works.items()})
    rates = {name: [NUMBER / each["seconds"] for each in costs] for name, costs in results.items()}
    found.tables[title] = [
        [
            "tool",
            "events a second",
            "CPU, µs an event",
            "the server's",
            "requests",
            "MB read",
            "rows missing",
        ],
        *(
            [
                name,
                spread(rates[name]),
                f"{median([each['cpu'] for each in costs]) / NUMBER * 1e6:.0f}",
                f"{median([each['figures']['cpu'] for each in costs]) / NUMBER * 1e6:.1f}",
                f"{costs[0]['figures']['requests']:,}",
                f"{costs[0]['figures']['bytes_out'] / 1e6:.1f}",
                f"{NUMBER - min(each['rows'] for each in costs):,}",
            ]
            for name, costs in results.items()
        ),
    ]
    found.bars[f"{title}: events a second"] = [(name, median(each)) for name, each in rates.items()]
    return rates


def _fast_enough(found: Found, what: str, rates: list[float]) -> None:
    """A pull that needs longer than the account's limit lets it have its pages would be felt; a faster one would not."""
    target = f"≥ {OF_LIMIT:,} events/s, which the account's limit allows"
    found.line(what, target, f"{spread(rates)} events/s", median(rates) >= OF_LIMIT)


def _faster(found: Found, what: str, rates: dict[str, list[float]], least: dict[str, float]) -> None:
    for name, times in least.items():
        measured = ratio(rates[OURS], rates[name])
        found.line(f"{what}, against {name}", f"≥ {times:g} ×", f"{measured:.1f} ×", measured >= times)
