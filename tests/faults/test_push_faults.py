"""Each fault in a push: the run ends right, or fails with the right error; the next one completes it."""

from __future__ import annotations

import datetime as dt
import json
import re
import ssl
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.faults.figures import measured
from tests.faults.proxy import Listener, Rule
from tests.faults.world import CLIENT_SECRET, World, make_rows

ECHO = {"error": {"type": "Odd", "message": f"this is odd, {CLIENT_SECRET}"}}
LATER = "Wed, 01 Jan 2025 00:00:01 GMT"


@dataclass
class Fault:
    """A fault, and what is to come of it.

    :param name: what it is called.
    :param rule: a rule of the sandbox, or ``proxy`` one of the proxy.
    :param error: class of the error if it lasts; None where it does no harm.
    :param words: what the error says.
    :param passes: whether a run mends it by itself where it happens a few times.
    """

    name: str
    error: str | None
    words: str = ""
    rule: dict[str, Any] | None = None
    proxy: dict[str, Any] | None = None
    passes: bool = True
    host: str | None = None
    how: dict[str, Any] = field(default_factory=dict)

    def install(self, world: World, method: str, path: str, **limits: Any) -> None:
        if self.rule is not None:
            world.server.fault(**self.rule, method=method, path=path, **limits)
        if self.proxy is not None:
            world.proxy.rules.append(Rule(**self.proxy, method=method, path=path, **limits))


#: Where the fault is that no answer comes.
QUICK = {"extra": {"timeout": 0.8}}
UNAVAILABLE, RESPONSE, REJECTED = "SequenceUnavailableError", "SequenceResponseError", "SequenceRejectedError"
FAULTS = [
    Fault("401", "SequenceAuthenticationError", "401", {"status": 401, "body": ECHO}, passes=False),
    Fault("403", "SequenceAuthenticationError", "403", {"status": 403, "body": ECHO}, passes=False),
    Fault("404", RESPONSE, "base URL", {"status": 404, "body": ECHO}, passes=False),
    Fault("405", RESPONSE, "base URL", {"status": 405}, passes=False),
    Fault("429-seconds", UNAVAILABLE, "429", {"status": 429, "headers": {"Retry-After": "1"}}),
    Fault("429-date", UNAVAILABLE, "429", {"status": 429, "headers": {"Retry-After": LATER}}),
    Fault("429-none", UNAVAILABLE, "429", {"status": 429, "body": ECHO}),
    Fault("500", UNAVAILABLE, "500", {"status": 500, "body": ECHO}),
    Fault("502-html", UNAVAILABLE, "502", {"kind": "html", "status": 502}),
    Fault("503", UNAVAILABLE, "503", {"status": 503, "body": "busy", "content_type": "text/plain"}),
    Fault("reset-before", UNAVAILABLE, "no connection: Connection reset", {"kind": "reset_before"}),
    Fault("reset-after", UNAVAILABLE, "no connection: Connection reset", {"kind": "reset_after"}),
    Fault("hang", UNAVAILABLE, "no answer within the timeout", {"kind": "hang", "seconds": 20}, how=QUICK),
    Fault(
        "hang-after",
        UNAVAILABLE,
        "no answer within the timeout",
        {"kind": "hang_after", "seconds": 20},
        how=QUICK,
    ),
    Fault("invalid-json", RESPONSE, "", {"kind": "invalid_json"}),
    Fault("truncated", "SequenceError", "broke off|no connection", {"kind": "truncate"}),
    Fault("empty-body", RESPONSE, "", {"kind": "empty_body"}),
    Fault("wrong-type", None, "", {"kind": "wrong_content_type"}),
    Fault("another-json", RESPONSE, "", {"status": 200, "body": {"hello": [1]}}),
    Fault("null", RESPONSE, "", {"status": 201, "body": "null"}),
    Fault(
        "redirect",
        RESPONSE,
        "302",
        {"kind": "redirect", "headers": {"Location": "https://sequence.invalid/elsewhere"}},
        passes=False,
    ),
    Fault("slow-drip", None, "", {"kind": "slow_drip", "seconds": 0.3}),
    Fault("slower-drip", UNAVAILABLE, "within the timeout", {"kind": "slow_drip", "seconds": 12}, how=QUICK),
    Fault(
        "drip-head", UNAVAILABLE, "within the timeout", proxy={"kind": "drip_head", "seconds": 5}, how=QUICK
    ),
    Fault("garbage", UNAVAILABLE, "", proxy={"kind": "garbage"}),
    Fault(
        "silent",
        UNAVAILABLE,
        "no answer within the timeout",
        proxy={"kind": "silent", "seconds": 3},
        how=QUICK,
    ),
    Fault("half-request", UNAVAILABLE, "no connection", proxy={"kind": "half_request"}),
    Fault("close-before", UNAVAILABLE, "", proxy={"kind": "close_before"}),
    Fault("close-after", UNAVAILABLE, "", proxy={"kind": "close_after"}),
    Fault("bad-chunk", "SequenceError", "broke off", proxy={"kind": "bad_chunk"}),
    Fault("bad-gzip", "SequenceError", "could not be decoded", proxy={"kind": "bad_gzip"}),
    Fault("huge-head", UNAVAILABLE, "", proxy={"kind": "huge_head"}),
    Fault(
        "echo-401", "SequenceAuthenticationError", "Odd", proxy={"kind": "echo", "status": 401}, passes=False
    ),
    Fault("echo-500", UNAVAILABLE, "Odd", proxy={"kind": "echo", "status": 500}),
    Fault("echo-404-page", RESPONSE, "404", proxy={"kind": "echo_page", "status": 404}, passes=False),
    Fault("echo-502-page", UNAVAILABLE, "502", proxy={"kind": "echo_page", "status": 502}),
    Fault("stale-answer", None, "", proxy={"kind": "stale_answer"}),
]
each_fault = pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
PASSING = [fault for fault in FAULTS if fault.passes]


def check_error(run: Any, fault: Fault) -> None:
    assert fault.error in run.classes, (run.classes, run.message)
    assert "SequenceError" in run.classes
    assert re.search(fault.words, run.message), run.message
    if fault.error == "SequenceAuthenticationError":
        assert run.classes[0] == "AirflowFailException", "Airflow would try this again"
    else:
        assert "AirflowFailException" not in run.classes, "Airflow would not try this again"


@each_fault
def test_fault_that_lasts(fault: Fault, world: World):
    world.put(make_rows(16))
    fault.install(world, "POST", "/usage-events", after_n=5)

    run = world.push(fault.how)
    if (
        fault.name == "stale-answer" and not run.is_right
    ):  # noticed, where it came in time to be taken for another
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
    measured("push, each fault", fault=fault.name, repeats=world.repeats(), applied=applied)


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


def test_outage_of_a_while_is_waited_for(world: World):
    """A minute of 503 within the client's five, both a twentieth as long."""
    world.put(make_rows(40))
    world.server.settings(latency_ms=20)
    world.server.fault(status=503, after_n=10)
    running = world.start("push", world.push_options(), deadline=15)
    time.sleep(3.5)
    assert not running.is_over(), "nobody waited"
    before = len(world.ledger())
    world.server.clear_faults()
    run = running.wait()
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


def test_tls_that_is_none(world: World):
    world.put(make_rows(3))
    run = world.push({"host": world.server.api_url.replace("http:", "https:")})
    check_error(run, Fault("tls", "SequenceError", "TLS failed"))
    assert world.ledger() == []
    assert world.delivery_log() == {}


def test_tls_with_a_certificate_of_nobody(world: World, tmp_path: Path):
    world.put(make_rows(3))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path))
    heard: list[bytes] = []

    class TlsServer(Listener):
        def serve(self, client):
            with context.wrap_socket(client, server_side=True) as wrapped:
                heard.append(wrapped.recv(1000))

    with TlsServer() as server:
        run = world.push({"host": f"https://localhost:{server.port}/api"})
    check_error(run, Fault("tls", "SequenceError", "TLS failed: the server's certificate is not trusted"))
    assert not any(heard), "something was sent to a server that nobody vouches for"


def self_signed(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509
        .CertificateBuilder(name, name, key.public_key(), 1, now, now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path


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
    reason="the late twin of an earlier body supersedes the later one, and nobody asks afterwards",
)
def test_late_twin_of_an_earlier_row(world: World):
    """A gateway lets go of a request, whose client gave it up, only after the next row of the same id went through."""
    world.put(make_rows(1, versions=2))
    world.proxy.rules.append(Rule("late", method="POST", times=1, seconds=3))
    run = world.push(QUICK | {"deadline": 15})
    assert run.is_right, run.said
    time.sleep(3)
    world.check_complete()
