"""Each fault in a push: the run ends right, or fails with the right error; the next one completes it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime

import pytest

from tests.faults.catalogue import (
    ECHO,
    PASSING,
    QUICK,
    RESPONSE,
    UNAVAILABLE,
    Fault,
    check_error,
    each_fault,
    http_date,
    noticed,
)
from tests.faults.figures import CAMPAIGN, measured
from tests.faults.proxy import Listener, Rule
from tests.faults.world import World, make_rows


@pytest.mark.quick
@each_fault
def test_fault_that_lasts(fault: Fault, world: World):
    world.put(make_rows(16))
    fault.install(world, "POST", "/usage-events", after_n=5)

    run = world.push(fault.how)
    if noticed(run, fault):
        check_error(run, Fault("stale-answer", RESPONSE, "another customerEventId"))
    elif fault.error is None:
        assert run.is_right, run.said
    else:
        check_error(run, fault)
        assert len(world.ledger()) >= 5, "the fault began after five answers"
    applied = 0 if run.is_right else world.faults_applied()
    world.check_log_against_ledger(in_flight=applied)
    assert world.repeats() <= applied

    world.server.clear_faults()
    world.proxy.rules.clear()
    run = world.push()
    assert run.is_right, run.said
    world.check_summary(run)
    world.check_complete()
    assert world.repeats() <= applied
    measured("push", "faults", repeats=world.repeats(), most=world.repeats())


@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: fault.name)
def test_fault_that_passes(fault: Fault, world: World):
    world.put(make_rows(16))
    fault.install(world, "POST", "/usage-events", after_n=3, times=3)

    run = world.push(fault.how | {"deadline": 25})
    assert run.is_right, run.said
    world.check_summary(run)
    assert run.value["delivered"] == 16
    world.check_complete()
    assert world.repeats() <= world.faults_applied()


@pytest.mark.parametrize("status", [400, 409, 413, 422])
def test_rows_that_are_refused_do_not_stop_the_others(status: int, world: World):
    world.put(make_rows(16))
    refused = ["e-00003", "e-00011"]
    for event_id in refused:
        world.server.fault(status=status, body=ECHO, match={"customerEventId": event_id})

    run = world.push()
    assert run.classes[0] == "RejectedRowsError"
    assert "2" in run.message
    world.check_complete(rejected=refused)
    log = world.delivery_log()
    assert {log[event_id]["http_status"] for event_id in refused} == {status}
    run = world.push(max_rejected=2)
    assert run.is_right, run.said
    world.check_summary(run)
    assert (run.value["unchanged"], run.value["rejected"]) == (14, 2)
    assert all(event_id in json.dumps(run.value["rejected_rows"]) for event_id in refused)

    world.server.clear_faults()
    run = world.push()
    assert run.is_right, run.said
    assert set(world.check_complete().values()) == {1}


@pytest.mark.parametrize("kind", ["echo", "echo_page"])
def test_refusal_that_repeats_all_it_was_sent(kind: str, world: World):
    world.put(make_rows(6))
    world.proxy.rules.append(Rule(kind, method="POST", status=400))
    run = world.push()
    assert run.classes[0] == "RejectedRowsError"
    run = world.push(max_rejected=6)
    assert run.is_right
    assert run.value["rejected"] == 6
    assert world.ledger() == []


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [(lambda: {"Retry-After": "2"}, 2.0), (lambda: {"Retry-After": http_date(8)}, 0.2), (dict, 0.7)],
    ids=["seconds", "date", "none"],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nothing_is_asked_until_a_429_allows_it(
    method: str, retry_after: Callable[[], dict[str, str]], seconds: float, world: World
):
    """All threads wait as long as the answer says, or until the date; without a word, about a second, drawn at random."""
    world.put(make_rows(16))
    assert world.push().is_right
    world.warehouse.execute(f"UPDATE {world.usage} SET customer_event_id = customer_event_id || 'x'")
    headers = retry_after()
    world.server.fault(
        status=429, headers=headers, method=method, times=1, after_n=2 if method == "POST" else 0
    )
    before = len(world.requests())
    run = world.push({"deadline": 20}) if method == "POST" else world.pull(how={"deadline": 20})
    assert run.is_right, run.said
    seen = world.requests()[before:]
    refused = next(number for number, each in enumerate(seen) if each["status"] == 429)
    # Of four threads, three may have sent already when the answer comes.
    waited = [
        each["at"] - seen[refused]["at"]
        for each in seen[refused + 1 :]
        if each["at"] > seen[refused]["at"] + 0.2
    ]
    assert min(waited) >= seconds
    if "GMT" in headers.get("Retry-After", ""):
        until = parsedate_to_datetime(headers["Retry-After"]).timestamp()
        assert min(waited) + seen[refused]["at"] >= until


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_not_followed(status: int, method: str, world: World):
    world.put(make_rows(3))
    heard: list[bytes] = []

    class Elsewhere(Listener):
        def serve(self, client):
            heard.append(client.recv(1000))

    with Elsewhere() as elsewhere:
        location = {"Location": f"http://127.0.0.1:{elsewhere.port}/api/usage-events"}
        world.server.fault(kind="redirect", status=status, headers=location)
        run = world.push() if method == "POST" else world.pull()
    check_error(run, Fault("redirect", RESPONSE, str(status)))
    assert heard == []
    assert world.ledger() == []


def test_outage_of_a_while_is_waited_for(world: World):
    """A minute of 503 within the client's five; in the short campaign, all of it twenty times as fast."""
    haste = 1 if CAMPAIGN.full else 20
    world.put(make_rows(40))
    world.server.settings(latency_ms=20)
    world.server.fault(status=503, after_n=10)
    running = world.start("push", world.push_options(), deadline=300 / haste, as_patient_as_users=haste == 1)
    time.sleep(60 / haste)
    assert not running.is_over(), "nobody waited"
    before = len(world.ledger())
    world.server.clear_faults()
    run = running.wait(180)
    world.check_secrets(run)
    assert run.is_right, run.said
    assert before <= 10
    assert set(world.check_complete().values()) == {1}


def test_connection_refused(world: World):
    world.put(make_rows(24))
    world.proxy.on_request = lambda number: world.proxy.refuse() if number == 8 else None
    run = world.push()
    check_error(run, Fault("refused", UNAVAILABLE, "no connection: Connection refused"))
    in_flight = world.check_log_against_ledger(in_flight=4)

    world.proxy.start_over()
    run = world.push()
    assert run.is_right, run.said
    world.check_complete()
    assert world.repeats() <= in_flight


def test_connection_refused_for_a_while(world: World):
    world.put(make_rows(24))

    def away(number: int) -> None:
        if number == 8:
            world.proxy.refuse()
            threading.Timer(1, world.proxy.listen).start()

    world.proxy.on_request = away
    run = world.push({"deadline": 15})
    assert run.is_right, run.said
    world.check_complete()
    assert world.repeats() <= 4


@pytest.mark.parametrize("fault", ["reset_after", "hang_after", "truncate"])
def test_last_row_of_an_id_wins_whatever_happens(fault: str, world: World):
    world.put(make_rows(6, versions=4))
    world.server.fault(kind=fault, method="POST", probability=0.15, seed=5, seconds=2)
    run = world.push(QUICK | {"deadline": 20}, concurrency=8)
    assert run.is_right, run.said
    world.check_complete()


def test_late_twin_of_a_request(world: World):
    """A request that its client has given up arrives after its retry: the same body, so that nothing changes."""
    world.put(make_rows(12))
    world.proxy.rules.append(Rule("late", method="POST", after_n=3, times=3, seconds=2))
    run = world.push(QUICK | {"deadline": 15})
    assert run.is_right, run.said
    time.sleep(2)
    world.check_complete()
    assert world.repeats() == 3


@pytest.mark.xfail(
    strict=True,
    reason="a request that a gateway holds back for longer than the client waits, and lets go once a later body of the "
    "same event has arrived, puts the earlier body in force; a reconciliation with `resend=True` fixes it",
)
def test_late_twin_of_an_earlier_row(world: World):
    """A gateway lets go of a request, whose client gave it up, only after the next row of the same id went through."""
    world.put(make_rows(1, versions=2))
    world.proxy.rules.append(Rule("late", method="POST", times=1, seconds=3))
    run = world.push(QUICK | {"deadline": 15})
    assert run.is_right, run.said
    time.sleep(3)
    world.check_complete()
