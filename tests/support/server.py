"""The sandbox behind the contract check, as a process of its own."""

from __future__ import annotations

import json
import os
import re
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
import requests

ROOT = Path(__file__).resolve().parents[2]
CREDENTIALS = ("key", "secret")
VERSION = "2024-07-30"

_READY = re.compile(rb"^ready (http://127\.0\.0\.1:[0-9]+)\n", re.MULTILINE)


class Server:
    """Start a sandbox on a free port; leaving the context stops it.

    :param settings: switches of the sandbox, as at its start.
    :param database: where the sandbox keeps its state.
    :param module: the module to run, which takes the same arguments.
    :param patience: seconds to wait for it to listen, and again for it to stop.
    """

    base_url: str

    def __init__(
        self,
        settings: dict[str, Any] | None = None,
        database: str = ":memory:",
        module: str = "tests.support.contract_server",
        extra: Sequence[str] = (),
        patience: float = 60,
    ) -> None:
        chosen = [f"--set={name}={json.dumps(value)}" for name, value in (settings or {}).items()]
        self._command = [sys.executable, "-m", module, "--port=0", "--with-parent", f"--database={database}"]
        self._command += [*chosen, *extra]
        self._patience = patience
        self._session = requests.Session()
        self._session.trust_env = False

    @property
    def api_url(self) -> str:
        """What a connection to this sandbox has as its host."""
        return f"{self.base_url}/api"

    def __enter__(self) -> Self:
        self._errors = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            self._command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors
        )
        try:
            self.base_url = self._address()
            self._initial = self.settings()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    @property
    def pid(self) -> int:
        return self._process.pid

    def _address(self) -> str:
        """The address on the ready line, waited for no longer than there is patience."""
        output = self._process.stdout
        until = time.monotonic() + self._patience
        text = b""
        with selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            while (ready := _READY.search(text)) is None:
                left = until - time.monotonic()
                if left <= 0 or not selector.select(left):
                    raise RuntimeError(f"no ready line within {self._patience} s: {text!r}\n{self.errors()}")
                piece = os.read(output.fileno(), 4096)
                if not piece:
                    raise RuntimeError(f"the server ended before it was ready: {text!r}\n{self.errors()}")
                text += piece
        return ready[1].decode()

    def errors(self) -> str:
        """What the server has written to standard error."""
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")

    def _stop(self) -> None:
        self._session.close()
        self._process.stdin.close()
        self._process.terminate()
        try:
            self._process.wait(self._patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(self._patience)
        self._process.stdout.close()
        self._errors.close()

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        """A request to the API as this project's client would send it; ``path`` goes without the base path."""
        headers = {"Sequence-Version": VERSION} | options.pop("headers", {})
        options.setdefault("auth", CREDENTIALS)
        return self._session.request(method, f"{self.api_url}{path}", headers=headers, timeout=30, **options)

    def settings(self, **changes: Any) -> dict[str, Any]:
        """Change switches of the sandbox; all of them come back."""
        return self._admin("PATCH", "/_sandbox/settings", changes)

    def reset(self) -> None:
        """Empty the sandbox."""
        self._admin("POST", "/_sandbox/reset")

    def start_over(self) -> None:
        """Everything as it was right after the start: no data, no faults, settings, checks and findings."""
        self.reset()
        self.clear_faults()
        self.settings(**self._initial)
        self.check(check_requests=True, check_answers=True)
        self.clear_violations()

    def summary(self) -> dict[str, Any]:
        """What the sandbox holds, in numbers."""
        return self._admin("GET", "/_sandbox/summary")

    def ledger(self) -> Any:
        """What the sandbox has received."""
        return self._admin("GET", "/_sandbox/ledger")

    def fault(self, **rule: Any) -> Any:
        """Have the sandbox fail on purpose."""
        return self._admin("POST", "/_sandbox/faults", rule)

    def clear_faults(self) -> None:
        self._admin("DELETE", "/_sandbox/faults")

    def add(self, resource: str, items: list[dict[str, Any]]) -> Any:
        """Put items into a resource that the API only lists."""
        return self._admin("POST", f"/_sandbox/resources/{resource}", items)

    def findings(self) -> dict[str, Any]:
        """How much was checked against the contract, and what did not fit."""
        return self._admin("GET", "/_contract/violations")

    def violations(self) -> list[str]:
        """What did not fit the contract so far."""
        return self.findings()["violations"]

    def clear_violations(self) -> None:
        self._admin("DELETE", "/_contract/violations")

    def check(self, **switches: bool) -> None:
        """Turn ``check_requests`` and ``check_answers`` on or off."""
        self._admin("PATCH", "/_contract/settings", switches)

    def _admin(self, method: str, path: str, content: Any = None) -> Any:
        response = self._session.request(method, self.base_url + path, json=content, timeout=30)
        if not response.ok:
            raise RuntimeError(f"{method} {path} was answered {response.status_code}: {response.text[:2000]}")
        return response.json() if response.content else None


@pytest.fixture(scope="session")
def sequence_server() -> Iterator[Server]:
    """One sandbox without rate limits for the whole session. Tests take ``server``, which hands it over clean."""
    with Server({"usage_events_per_minute": 0, "requests_per_minute": 0}) as server:
        yield server


@pytest.fixture
def server(sequence_server: Server) -> Iterator[Server]:
    """An empty sandbox with its settings as at the start. The test fails where something broke the contract."""
    sequence_server.start_over()
    yield sequence_server
    findings = sequence_server.findings()
    assert findings["violations"] == []
