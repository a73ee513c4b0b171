"""The test server: how it starts, reports errors, restores its settings and stops."""

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

COMMAND = [sys.executable, "-m", "tests.support.contract_server", "--port=0"]


def refuses_connections(address):
    try:
        requests.get(address, timeout=5)
    except requests.ConnectionError:
        return True
    return False


def ends(pid):
    """Return whether a process that is no child of this one ends within 10 seconds."""
    for _ in range(200):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_server_answers_with_its_settings_until_its_context_ends():
    with Server({"default_limit": 3, "last_page": "null", "client_secret": "other"}) as server:
        address = server.base_url
        assert server.api_url == f"{address}/api"
        assert server.call("GET", "/usage-events", auth=("key", "secret")).status_code == 401
        answer = server.call("POST", "/usage-events", json=NEW_USAGE_EVENT, auth=("key", "other"))
        assert answer.status_code == 201
        answer = server.call("GET", "/usage-events", auth=("key", "other"))
        assert answer.json()["pagination"]["after"] is None
        assert (server.findings()["checked_requests"], server.violations()) == (3, [])

        server.call("GET", "/usage-events", params={"limit": 0})
        assert len(server.violations()) == 1
        assert "limit: expected a whole number from 1 to 100" in server.violations()[0]
        with pytest.raises(RuntimeError, match="answered 400"):
            server.check(check_nothing=True)
        server.check(check_requests=False)
        server.settings(default_limit=5)
        server.start_over()
        assert server.settings()["default_limit"] == 3
        assert (server.findings()["checked_requests"], server.violations()) == (0, [])
        server.call("GET", "/usage-events", params={"limit": 0})
        assert len(server.violations()) == 1
    assert refuses_connections(address)


@pytest.mark.parametrize("settings", [{"no_such_setting": True}, {"last_page": "somehow"}])
def test_refused_setting_is_reported(settings):
    with pytest.raises(RuntimeError, match="the sandbox refused these settings"), Server(settings):
        raise AssertionError("it started")


def test_server_that_is_not_ready_in_time_is_an_error():
    with pytest.raises(RuntimeError, match=r"no ready line within 0.01 s"), Server(patience=0.01):
        raise AssertionError("it started")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_stops_the_server(number):
    with subprocess.Popen(COMMAND, cwd=ROOT, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        word, address = process.stdout.readline().decode().split()
        assert word == "ready"
        assert not refuses_connections(address)
        process.send_signal(number)
        assert process.wait(30) in {0, -number}
    assert refuses_connections(address)


def test_server_ends_with_its_parent():
    parent = (
        "import subprocess, os\n"
        f"command = {[*COMMAND, '--with-parent']!r}\n"
        "child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
        "os._exit(1)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", parent], cwd=ROOT, capture_output=True, timeout=60, check=False
    )
    assert ends(int(done.stdout))


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("a=true", ("a", True)),
        ("a=5", ("a", 5)),
        ("a=2024-07-30", ("a", "2024-07-30")),
        ('a="5"', ("a", "5")),
        ("a=b=c", ("a", "b=c")),
        ("a=", ("a", "")),
    ],
)
def test_setting_is_json_or_text(text, pair):
    assert setting(text) == pair
    assert arguments(["--set", text]).settings == [pair]


@pytest.mark.parametrize("text", ["a", "=5"])
def test_setting_without_a_name_or_a_value_is_refused(text, capsys):
    with pytest.raises(SystemExit):
        arguments([f"--set={text}"])
    assert "expected name=value" in capsys.readouterr().err
