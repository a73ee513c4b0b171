"""Each fault in each kind of GET: nothing wrong in the table, the right error, and the next run completes it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults.account import METRIC, PULLS, Question, check_table, old_table
from tests.faults.figures import CAMPAIGN, measured
from tests.faults.proxy import Rule
from tests.faults.test_push_faults import FAULTS, PASSING, RESPONSE, UNAVAILABLE, Fault, check_error
from tests.faults.world import ALIAS, World

each_pull = pytest.mark.parametrize("question", PULLS, ids=lambda question: question.name)
#: Each fault with each list, or with two of them.
PAIRS = [
    pytest.param(question, fault, id=f"{question.name}-{fault.name}")
    for number, fault in enumerate(FAULTS)
    for place, question in enumerate(PULLS)
    if CAMPAIGN.full or (place - number) % 4 in ({0} if "drip" in fault.name else {0, 1})
]


@pytest.mark.parametrize(("question", "fault"), PAIRS)
def test_fault_that_lasts(question: Question, fault: Fault, old: World):
    before = old_table(old, question.name)
    fault.install(old, "GET", question.path, after_n=question.after_n)
    run = old.pull(question.name, {"deadline": 0.6} | fault.how)
    if fault.error is None:
        assert run.is_right, run.said
    else:
        check_error(run, fault)
        assert old.snapshot() == before, "the table changed"

    old.server.clear_faults()
    old.proxy.rules.clear()
    run = old.pull(question.name)
    assert run.is_right, run.said
    check_table(old, question.name)
    measured("pull, each fault", fault=fault.name, resource=question.name)


@each_pull
def test_faults_that_pass(question: Question, old: World):
    """One after the other, each in the middle of a pull of its own."""
    for fault in PASSING if CAMPAIGN.full else PASSING[PULLS.index(question) :: 4]:
        if "drip" in fault.name:
            continue  # they take their time, which the pushes have shown
        fault.install(old, "GET", question.path, after_n=question.after_n, times=1)
        run = old.pull(question.name, fault.how | {"deadline": 20})
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
