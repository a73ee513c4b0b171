"""
Pytest plugin: the fixture ``sequence_sandbox``, a sandbox in a thread of the test process.

Enable it in a ``conftest.py``: ``pytest_plugins = ["airflow_provider_sequence.sandbox.pytest_plugin"]``.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import requests
import uvicorn

from airflow_provider_sequence.sandbox.app import create_app
from airflow_provider_sequence.sandbox.connection import protocol
from airflow_provider_sequence.sandbox.server import bind
from airflow_provider_sequence.sandbox.settings import SandboxSettings


class SequenceSandbox:
    """
    A running sandbox, as a test sees it.

    :param root: address of the server, without ``/api``.
    :param settings: the settings it was started with.
    """

    def __init__(self, root: str, settings: SandboxSettings) -> None:
        self._root = root
        self._session = requests.Session()
        self._session.trust_env = False
        #: what a connection has as its host
        self.base_url = f"{root}/api"
        self.client_id = settings.client_id
        self.client_secret = settings.client_secret

    @property
    def connection(self) -> str:
        """The value of ``AIRFLOW_CONN_SEQUENCE_DEFAULT``: a connection to this sandbox, as JSON."""
        fields = {"host": self.base_url, "login": self.client_id, "password": self.client_secret}
        return json.dumps({"conn_type": "sequence", **fields})

    def events(self, resource: str = "usage_events") -> list[dict[str, Any]]:
        """Return the stored bodies of ``usage_events`` or ``seat_events``, in the order received."""
        query = f"resource={_table(resource)}&limit={10**9}"
        return [json.loads(item["body"]) for item in self.admin("GET", f"ledger?{query}")["items"]]

    def load(self, resource: str, items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Put items into a resource other than the events, such as ``customers``; return them as stored."""
        return list(self.admin("POST", f"resources/{_table(resource)}", items)["items"])

    def settings(self, **changes: Any) -> dict[str, Any]:
        """Change settings until the end of the test; return all of them but the secret."""
        return dict(self.admin("PATCH", "settings", changes))

    def fault(self, **rule: Any) -> None:
        """Add a fault rule, such as ``status=503, times=2``."""
        self.admin("POST", "faults", rule)

    def admin(self, method: str, path: str, content: Any = None) -> Any:
        """Call the admin API: the paths below ``/_sandbox``; return its answer."""
        response = self._session.request(method, f"{self._root}/_sandbox/{path}", json=content, timeout=30)
        if not response.ok:
            raise ValueError(f"{method} {path} was answered {response.status_code}: {response.text}")
        return response.json()


def _table(resource: str) -> str:
    return resource.replace("_", "-")


@pytest.fixture(scope="session")
def _sequence_sandbox_server() -> Iterator[SequenceSandbox]:
    settings = SandboxSettings(usage_events_per_minute=0, requests_per_minute=0)
    bound = bind("127.0.0.1", 0)
    root = f"http://127.0.0.1:{bound.getsockname()[1]}"
    options: dict[str, Any] = {"log_config": None, "access_log": False, "timeout_graceful_shutdown": 1}
    server = uvicorn.Server(uvicorn.Config(create_app(settings), http=protocol(), **options))
    thread = threading.Thread(target=server.run, args=([bound],), name="sequence-sandbox", daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            raise RuntimeError("the sandbox did not start")
        time.sleep(0.01)
    yield SequenceSandbox(root, settings)
    server.should_exit = True
    thread.join()


@pytest.fixture
def sequence_sandbox(_sequence_sandbox_server: SequenceSandbox) -> SequenceSandbox:
    """Return an empty sandbox without rate limits and without faults."""
    _sequence_sandbox_server.admin("POST", "reset")
    return _sequence_sandbox_server
