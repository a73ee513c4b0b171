"""The server of the tests: ready when it says so, gone when it should be, and no noise without a reason."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
import requests

from tests.contract.examples import NEW_USAGE_EVENT
from tests.support.contract_server import arguments, setting
from tests.support.server import ROOT, Server

SMALL = "tests.contract.small_sandbox"


def refused(address):
    try:
        requests.get(address, timeout=5)
    except requests.ConnectionError:
        return True
    return False


def gone(pid):
    """Whether a process that is nobody's child any more ends within a bounded time."""
    for _ in range(200):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_it_answers_inside_its_context_and_not_after():
    with Server(module=SMALL) as server:
        assert server.call("POST", "/usage-events", json=NEW_USAGE_EVENT).status_code == 201
        assert server.findings()["checked_requests"] == 1
        assert server.violations() == []
        address = server.base_url
        assert server.api_url == f"{address}/api"
    assert refused(address)


def test_violations_are_seen_and_cleared_from_outside():
    with Server(module=SMALL) as server:
        server.call("GET", "/usage-events", params={"limit": 0})
        assert [told.split(",")[0] for told in server.violations()] == [
            "GET /usage-events: query parameter limit: expected a whole number from 1 to 100"
        ]
        server.clear_violations()
        server.check(check_requests=False)
        server.call("GET", "/usage-events", params={"limit": 0})
        assert server.violations() == []


def test_two_servers_do_not_meet():
    with Server(module=SMALL) as one, Server(module=SMALL) as other:
        assert one.base_url != other.base_url
        one.call("GET", "/usage-events", params={"limit": 0})
        assert len(one.violations()) == 1
        assert other.violations() == []


def test_a_server_that_does_not_start_says_why():
    with (
        pytest.raises(RuntimeError, match="this sandbox does not want to start"),
        Server({"fail": True}, module=SMALL),
    ):
        raise AssertionError("it started")


@pytest.mark.parametrize("settings", [{"no_such_setting": True}, {"last_page": "somehow"}])
def test_a_setting_that_is_refused_is_told(settings):
    with pytest.raises(RuntimeError, match="the sandbox refused these settings"), Server(settings):
        raise AssertionError("it started")


def test_the_sandbox_has_the_settings_it_was_started_with():
    with Server({"default_limit": 3, "last_page": "null", "client_secret": "other"}) as server:
        assert server.settings()["default_limit"] == 3
        assert server.call("GET", "/usage-events", auth=("key", "secret")).status_code == 401
        answer = server.call("GET", "/usage-events", auth=("key", "other"))
        assert answer.json()["pagination"]["after"] is None
        server.settings(default_limit=5)
        server.start_over()
        assert server.settings()["default_limit"] == 3


def test_a_server_that_says_nothing_is_not_waited_for_without_end():
    before = time.monotonic()
    with (
        pytest.raises(RuntimeError, match="no ready line within 3 s"),
        Server({"silent": True}, module=SMALL, patience=3),
    ):
        raise AssertionError("it started")
    assert time.monotonic() - before < 20


def test_an_admin_call_that_fails_says_so():
    with Server(module=SMALL) as server, pytest.raises(RuntimeError, match="answered 400"):
        server.check(check_nothing=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_stop_it(number):
    command = [sys.executable, "-m", SMALL, "--port=0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        word, address = process.stdout.readline().decode().split()
        assert word == "ready"
        assert not refused(address)
        process.send_signal(number)
        assert process.wait(30) in {0, -number}
    assert refused(address)


def test_it_goes_when_its_parent_is_gone():
    parent = (
        "import subprocess, sys, os\n"
        f"command = [sys.executable, '-m', {SMALL!r}, '--port=0', '--with-parent']\n"
        "child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
        "os._exit(1)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", parent], cwd=ROOT, capture_output=True, timeout=60, check=False
    )
    pid = int(done.stdout)
    assert gone(pid)


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("a=true", ("a", True)),
        ("a=5", ("a", 5)),
        ("a=null", ("a", None)),
        ("a=words", ("a", "words")),
        ("a=2024-07-30", ("a", "2024-07-30")),
        ('a="5"', ("a", "5")),
        ("a=b=c", ("a", "b=c")),
        ("a=", ("a", "")),
    ],
)
def test_a_setting_is_json_or_text(text, pair):
    assert setting(text) == pair
    assert arguments(["--set", text]).settings == [pair]


@pytest.mark.parametrize("text", ["a", "=5", ""])
def test_a_setting_without_a_name_or_a_value_is_refused(text, capsys):
    with pytest.raises(SystemExit):
        arguments([f"--set={text}"])
    assert "expected name=value" in capsys.readouterr().err
