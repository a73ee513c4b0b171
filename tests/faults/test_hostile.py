"""Answers that cost much: how long, how much memory, and what they keep from running meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.faults.hostile_server import HOSTILE, Hostile, HostileServer, bomb
from tests.faults.runner import ROOT

#: What an answer may cost at most: seconds of a processor, megabytes, and seconds that nothing else runs in a triggerer.
MAX_SECONDS, MAX_MEGABYTES, MAX_STALL = 3, 48, 0.05
#: What a watcher keeps between two polls, in characters: a thousand short hashes, and times.
MAX_STATE = 100_000

pytestmark = pytest.mark.quick


@pytest.fixture(scope="module")
def hostile_server() -> Iterator[HostileServer]:
    bomb(1), bomb(2)
    with HostileServer() as server:
        yield server


@pytest.fixture(scope="module")
def child(hostile_server: HostileServer) -> Iterator[Callable[[str, Hostile], dict[str, Any]]]:
    connection = json.dumps({
        "conn_type": "sequence",
        "host": f"http://127.0.0.1:{hostile_server.port}/api",
        "login": "key",
        "password": "secret",
        "extra": {"timeout": 0.3, "requests_per_minute": 1e9},
    })
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.hostile_child"],
        cwd=ROOT,
        env={**os.environ, "NO_PROXY": "*", "AIRFLOW_CONN_SEQUENCE": connection.replace("127.0.0.1", "127.0.0.2")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "ready\n"

    def run(where: str, hostile: Hostile) -> dict[str, Any]:
        hostile_server.answer, hostile_server.requests = hostile.answer, 0
        job = {"where": where, "is_metric": hostile.is_metric, "connection": connection}
        process.stdin.write(json.dumps(job) + "\n")
        process.stdin.flush()
        run = json.loads(process.stdout.readline())
        assert "ended" not in run, (where, run)
        return run

    yield run
    process.kill()
    process.communicate()


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: hostile.name)
def test_answer_costs_no_more_than_it_is_worth(
    hostile: Hostile, child: Callable[[str, Hostile], dict[str, Any]]
):
    for where in ("client", "sensor", "trigger", *(() if hostile.is_metric else ("watcher",))):
        runs = [child(where, hostile)]
        while where in {"trigger", "watcher"} and runs[-1]["value"]["stall"] > MAX_STALL and len(runs) < 3:
            runs.append(child(where, hostile))  # others wanted the processor
        run = runs[-1]
        cost = f"{run['seconds']:.2f} s, {run['megabytes']:.0f} MB"
        assert run["seconds"] < MAX_SECONDS, (where, cost)
        assert run["megabytes"] < MAX_MEGABYTES, (where, cost)
        if where == "client":
            assert hostile.error is None or hostile.error in run["classes"], run
            assert hostile.error is None or "SequenceError" in run["classes"], run
            assert hostile.words in run["message"], run
            check_shown(run["message"])
        elif where == "sensor":
            assert run["classes"] == [] or "SequenceError" in run["classes"], run
            check_shown(run["message"])
        else:
            assert run["value"]["stall"] < MAX_STALL, where
            assert run["value"].get("state", 0) < MAX_STATE
            check_shown(run["value"]["payload"].get("message", ""))


def check_shown(message: str) -> None:
    """What an answer says is on one line; the others are ours."""
    lines = message.split("\n")
    assert all(line.isprintable() for line in lines)
    assert not any("forged" in line for line in lines[1:])
    assert len(message) < 600
