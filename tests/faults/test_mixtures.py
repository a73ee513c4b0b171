"""Faults mixed at random, in several runs one after the other; then one without any."""

from __future__ import annotations

from typing import Any

import hypothesis
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from tests.faults.account import check_table, old_table
from tests.faults.figures import CAMPAIGN, measured
from tests.faults.proxy import Rule
from tests.faults.world import World, make_rows

STATUSES = [400, 401, 403, 404, 409, 422, 429, 500, 502, 503, 504]
HEADERS: list[dict[str, str]] = [{}, {"Retry-After": "1"}, {"Retry-After": "Wed, 01 Jan 2025 00:00:01 GMT"}]
KINDS = [
    "html", "redirect", "reset_before", "reset_after", "hang", "hang_after", "truncate", "invalid_json", "empty_body",
    "wrong_content_type", "slow_drip",
]  # fmt: skip
PROXIED = [
    "garbage", "silent", "half_request", "close_before", "close_after", "bad_chunk", "bad_gzip", "stale_answer",
    "huge_head", "echo", "echo_page", "drip_head",
]  # fmt: skip

limits = {"after_n": st.integers(0, 25), "times": st.integers(1, 6)}
served = st.one_of(
    st.fixed_dictionaries(
        {"kind": st.just("status"), "status": st.sampled_from(STATUSES), "headers": st.sampled_from(HEADERS)}
        | limits
    ),
    st.fixed_dictionaries(
        {"kind": st.sampled_from(KINDS), "seconds": st.sampled_from([0.1, 3.0]), "seed": st.integers(0, 99)}
        | limits,
        optional={"probability": st.sampled_from([0.3, 0.7])},
    ),
)
proxied = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(PROXIED),
        "status": st.sampled_from(STATUSES),
        "seconds": st.sampled_from([0.1, 3.0]),
    }
    | limits
)
faults = st.lists(st.tuples(st.booleans(), served, proxied), min_size=1, max_size=4)
mixture = st.lists(faults, min_size=1, max_size=2)

campaign = hypothesis.settings(
    max_examples=CAMPAIGN.mixtures,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
    phases=[
        hypothesis.Phase.explicit,
        hypothesis.Phase.generate,
    ],  # to shrink one takes longer than to read it
)


def install(world: World, method: str, chosen: list[tuple[bool, dict[str, Any], dict[str, Any]]]) -> None:
    for is_served, rule, proxy_rule in chosen:
        if is_served:
            location = (
                {"headers": {"Location": "https://sequence.invalid/"}} if rule["kind"] == "redirect" else {}
            )
            world.server.fault(**rule | location, method=method)
        else:
            world.proxy.rules.append(Rule(**proxy_rule, method=method))


def clear(world: World) -> None:
    world.server.clear_faults()
    world.proxy.rules.clear()


def run_is_explained(run: Any) -> None:
    """Right, or failed with an error of the provider's."""
    assert run.is_right or "SequenceError" in run.classes, run.said


@hypothesis.seed(CAMPAIGN.seed)
@campaign
@given(runs=mixture, versions=st.integers(1, 3), concurrency=st.sampled_from([1, 4, 16]))
def test_pushes(runs: Any, versions: int, concurrency: int, world: World):
    hypothesis.note(f"SEQUENCE_FAULTS_SEED={CAMPAIGN.seed}")
    world.drop()
    world.start_over()
    world.put(make_rows(20, versions=versions))
    failed = 0
    for chosen in runs:
        install(world, "POST", chosen)
        run = world.push({"deadline": 1.5, "extra": {"timeout": 1}}, concurrency=concurrency, max_rejected=20)
        run_is_explained(run)
        failed += not run.is_right
        if run.is_right:
            world.check_summary(run)
        applied = world.faults_applied()
        if versions == 1:
            world.check_log_against_ledger(in_flight=applied)
        clear(world)
    run = world.push(concurrency=concurrency)
    assert run.is_right, run.said
    world.check_summary(run)
    world.check_complete()
    run = world.push(concurrency=concurrency)
    if versions == 1:
        assert (run.value["delivered"], run.value["unchanged"]) == (0, 20), run.value
    world.check_complete()
    measured("push", "mixtures", tried=len(runs))


@hypothesis.seed(CAMPAIGN.seed)
@campaign
@given(
    runs=mixture,
    resource=st.sampled_from(["usage_events", "seat_events", "customers", "invoice_line_items"]),
    concurrency=st.sampled_from([1, 8]),
)
def test_pulls(runs: Any, resource: str, concurrency: int, old: World):
    hypothesis.note(f"SEQUENCE_FAULTS_SEED={CAMPAIGN.seed}")
    clear(old)
    old.drop()
    old.new_tables()
    before = old_table(old, resource)
    failed = 0
    for chosen in runs:
        install(
            old,
            "GET",
            [(a, b | {"after_n": b["after_n"] % 3}, c | {"after_n": c["after_n"] % 3}) for a, b, c in chosen],
        )
        run = old.pull(resource, {"deadline": 1.5, "extra": {"timeout": 1}}, concurrency=concurrency)
        run_is_explained(run)
        if run.is_right:
            check_table(old, resource)
            before = old.snapshot()
        else:
            failed += 1
            assert old.snapshot() == before, "the table changed"
        clear(old)
    run = old.pull(resource)
    assert run.is_right, run.said
    check_table(old, resource)
    measured("pull" if concurrency == 1 else "pull, 8 side by side", "mixtures", tried=len(runs))
