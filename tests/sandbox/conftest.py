from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

import pytest

from tests.sandbox.support import Api, Process


@pytest.fixture(scope="session")
def running() -> Iterator[Api]:
    process = Process("--port", "0", "--requests-per-minute", "0", "--usage-events-per-minute", "0")
    try:
        yield process.ready()
    finally:
        code, out, err = process.end(signal.SIGINT)
    assert (code, out, err) == (130, "", ""), "the sandbox had something to say that no test expects"


@pytest.fixture
def api(running: Api) -> Api:
    """A sandbox as new: reset and with the switches of the start."""
    running.admin("POST", "/reset")
    return running


@pytest.fixture
def start() -> Iterator[Callable[..., Process]]:
    """Starts processes of their own, and ends those a test leaves behind."""
    started: list[Process] = []

    def begin(*options: str) -> Process:
        started.append(Process("--port", "0", *options))
        return started[-1]

    yield begin
    for process in started:
        if process.popen.poll() is None:
            process.popen.kill()
        process.popen.communicate(timeout=10)
