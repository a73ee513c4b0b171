"""Each fault in each kind of GET: nothing wrong in the table, the right error, and the next run completes it."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_sequence.api.resource import Resource
from airflow_provider_sequence.api.resources import RESOURCES
from tests.faults.account import METRIC, PULLS, Question, check_table, old_table
from tests.faults.catalogue import FAULTS, PASSING, RESPONSE, UNAVAILABLE, Fault, check_error, noticed
from tests.faults.figures import CAMPAIGN, SIZE, measured
from tests.faults.proxy import Rule
from tests.faults.world import ALIAS, World

each_pull = pytest.mark.parametrize("question", PULLS, ids=str)
#: How many lists each fault is tried with, where not with all: the slow ones with one.
FEW = {"quick": 1, "usual": 2, "long": len(PULLS)}[SIZE]
PAIRS = [
    pytest.param(question, fault, id=f"{question}-{fault.name}")
    for number, fault in enumerate(FAULTS)
    for place, question in enumerate(PULLS)
    if (place - number) % len(PULLS) < (min(FEW, 1) if "drip" in fault.name and not CAMPAIGN.full else FEW)
]


@pytest.mark.quick
@pytest.mark.parametrize(("question", "fault"), PAIRS)
def test_fault_that_lasts(question: Question, fault: Fault, old: World):
    before = old_table(old, question.name)
    fault.install(old, "GET", question.path, after_n=question.after_n)
    run = question.ask(old, {"deadline": 0.6} | fault.how)
    if noticed(run, fault):
        check_error(run, replace(fault, error=RESPONSE))
    elif fault.error is None:
        assert run.is_right, run.said
    else:
        check_error(run, fault)
    if not run.is_right:
        assert old.snapshot() == before, "the table changed"

    old.server.clear_faults()
    old.proxy.rules.clear()
    run = question.ask(old)
    assert run.is_right, run.said
    check_table(old, question.name)
    measured("pull" if question.concurrency == 1 else "pull, 8 side by side", "faults")


@pytest.mark.parametrize("resource", RESOURCES.values(), ids=lambda resource: resource.name)
def test_every_list(resource: Resource, old: World, dice: random.Random):
    """Each with one fault of those that last, drawn at random."""
    fault = dice.choice([fault for fault in FAULTS if fault.error is not None and not fault.how])
    path = (resource.parent or resource).path.replace("{id}", "*")
    fault.install(old, "GET", path)
    run = old.pull(resource.name, {"deadline": 0.6}, concurrency=dice.choice([1, 8]))
    check_error(run, fault)
    assert old.staged not in old.warehouse.tables() or old.snapshot() == []

    old.server.clear_faults()
    old.proxy.rules.clear()
    run = old.pull(resource.name)
    assert run.is_right, run.said
    if resource.parent is None and resource.times is None:
        listed = old.list_all(resource.path)
        ids = set(listed) if resource.texts else {item["id"] for item in listed}
        assert {row_id for (row_id,) in old.warehouse.rows(f"SELECT id FROM {old.staged}")} == ids


@each_pull
@pytest.mark.parametrize("request_number", [1, 2])
def test_connection_refused(question: Question, request_number: int, old: World):
    before = old_table(old, question.name)
    old.proxy.on_request = lambda number: old.proxy.refuse() if number == request_number else None
    run = question.ask(old)
    check_error(run, Fault("refused", UNAVAILABLE, "no connection: Connection refused"))
    assert old.snapshot() == before

    old.proxy.start_over()
    run = question.ask(old)
    assert run.is_right, run.said
    check_table(old, question.name)


@each_pull
def test_faults_that_pass(question: Question, old: World):
    """One after the other, each in the middle of a pull of its own."""
    for fault in PASSING if CAMPAIGN.full else PASSING[PULLS.index(question) :: len(PULLS)]:
        if "drip" in fault.name:
            continue  # they take their time, which the pushes have shown
        fault.install(old, "GET", question.path, after_n=question.after_n, times=1)
        run = question.ask(old, fault.how | {"deadline": 20})
        if noticed(run, fault):
            check_error(run, replace(fault, error="SequenceError"))
        else:
            assert run.is_right, (fault.name, run.said)
            check_table(old, question.name)
            old.warehouse.execute(f"DELETE FROM {old.staged}")
        old.server.clear_faults()
        old.proxy.rules.clear()


@pytest.mark.parametrize("status", [400, 409, 422])
def test_refused_question(status: int, old: World):
    before = old_table(old, "usage_events")
    old.proxy.rules.append(Rule("echo", method="GET", path="/usage-events", after_n=1, status=status))
    run = old.pull(filters={"customer_alias": "acme"})
    assert "SequenceRejectedError" in run.classes
    assert str(status) in run.message
    assert old.snapshot() == before


CALCULATION = {
    "metric_id": METRIC,
    "customer_aliases": ["acme", f"{ALIAS}-1"],
    "period_start": "2026-03-01",
    "period_end": "2026-03-02",
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_calculation(fault: Fault, old: World):
    """Of two aliases: the first is answered. No number may be returned that is not the sum of both."""
    fault.install(old, "GET", "/usage-metrics/*/calculate", after_n=1)
    run = old.run("calculate", CALCULATION, **({"deadline": 0.6} | fault.how))
    if fault.error is None:
        assert run.is_right, run.said
        assert_sum(run.value)
    else:
        check_api_error(run, fault)
    old.server.clear_faults()
    old.proxy.rules.clear()
    run = old.run("calculate", CALCULATION)
    assert run.is_right, run.said
    assert_sum(run.value)


def check_api_error(run: Any, fault: Fault) -> None:
    assert fault.error in run.classes, (run.classes, run.message)


def assert_sum(value: dict[str, str]) -> None:
    assert (value["eventCount"], value["value"]) == ("120", "7152.00"), value


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_check_of_the_connection(fault: Fault, old: World):
    """It returns, whatever happens, and says what is wrong."""
    fault.install(old, "GET", "/usage-metrics")
    run = old.run("check", {}, **({"deadline": 0.6} | fault.how))
    assert run.is_right, run.said
    good, words = run.value
    assert good == (fault.error is None), words
    if fault.error in {UNAVAILABLE, RESPONSE}:
        import re

        assert re.search(fault.words, words), words
    if fault.error == "SequenceAuthenticationError":
        assert "credentials" in words
