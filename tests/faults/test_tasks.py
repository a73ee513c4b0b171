"""What else writes to Sequence, under each fault, killed and told to end; and the next try after that."""

from __future__ import annotations

import random
import signal
import time
from typing import Any

import pytest

from tests.faults.catalogue import FAULTS, PASSING, Fault, check_error
from tests.faults.figures import CAMPAIGN, measured
from tests.faults.runner import Run
from tests.faults.tasks import TASKS, Task
from tests.faults.world import World

each_task = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
#: Each fault with some of the tasks.
PAIRS = [
    pytest.param(task, fault, id=f"{task.name}-{fault.name}")
    for number, fault in enumerate(FAULTS)
    for place, task in enumerate(TASKS)
    if (place - number) % len(TASKS) < (3 if CAMPAIGN.full else 1)
]


def undisturbed(world: World, task: Task) -> Run:
    run = world.run(task.kind, task.options(world))
    assert run.is_right, run.said
    return run


def check_next_try(world: World, task: Task, claimed: dict[str, tuple[Any, ...]]) -> None:
    """It completes what is left, and sends nothing again that the log had as it is in the end."""
    before = world.ledger(task.ledger)
    task.change_of_mind(world)
    run = undisturbed(world, task)
    sent = {item["customerEventId"] for item in world.ledger(task.ledger)[len(before) :]}
    wrong = task.known_to_be_wrong(world)
    task.check_end(world, run.value)
    settled = {
        event_id for event_id, said in task.check_claims(world).items() if claimed.get(event_id) == said
    }
    assert not (sent & settled) - wrong, "what was settled was sent again"


@pytest.mark.parametrize(("task", "fault"), PAIRS)
def test_fault_that_lasts(task: Task, fault: Fault, world: World):
    task.prepare(world)
    fault.install(world, "POST", task.path, after_n=5)
    run = world.run(task.kind, task.options(world), **fault.how)
    if fault.error is None:
        assert run.is_right or "SequenceError" in run.classes, run.said
    else:
        check_error(run, fault)
    claimed = task.check_claims(world)
    world.server.clear_faults()
    world.proxy.rules.clear()
    check_next_try(world, task, claimed)
    measured(task.name, "faults")


@each_task
def test_faults_that_pass(task: Task, world: World):
    """Of several kinds, one after the other in the same run."""
    task.prepare(world)
    for number, fault in enumerate(PASSING):
        if fault.proxy is None and not fault.how and "429" not in fault.name:
            fault.install(world, "POST", task.path, after_n=2 + number % 3, times=1)
    run = world.run(task.kind, task.options(world), deadline=25)
    assert run.is_right, run.said
    task.check_end(world, run.value)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["SIGKILL", "SIGTERM"])
@each_task
def test_interrupted(task: Task, number: signal.Signals, world: World, dice: random.Random):
    interrupted, took = 0, 0.0
    while interrupted < CAMPAIGN.others:
        world.drop()
        world.start_over()
        task.prepare(world)
        world.server.settings(latency_ms=15)
        record_after = dice.choice([None, 7, 20])
        running = world.start_and_wait(
            task.kind, task.options(world), record_after=record_after, host=world.proxy.api_url
        )
        if number == signal.SIGTERM:
            world.wait_for_request(running)
        began = time.monotonic()
        if not took:  # the first one shows how long it takes
            run = running.wait()
            assert run.is_right, run.said
            took = time.monotonic() - began
            world.server.settings(latency_ms=0)
            task.check_end(world, run.value)
            continue
        running.is_over(dice.uniform(0, took))
        running.signal(number)
        run = running.wait()
        if run.is_right:
            continue
        interrupted += 1
        world.check_secrets(run)
        assert run.was_killed == (number == signal.SIGKILL)
        if not run.was_killed:
            assert "SequenceClientClosedError" in run.classes, run.said
        time.sleep(0.1)  # what was under way arrives
        world.server.settings(latency_ms=0)
        claimed = task.check_claims(world)
        check_next_try(world, task, claimed)
    measured(task.name, number.name, tried=interrupted)
