"""A sandbox, a byte server and clients of them. Unit tests import no Airflow and need no database."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_sequence.api.client import SequenceClient
from airflow_provider_sequence.api.http import transport
from tests.support.server import CREDENTIALS, Server, server
from tests.unit.loopback import Loopback

__all__ = ["server"]

UNLIMITED = 10_000_000


@pytest.fixture(scope="session", autouse=True)
def no_airflow(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a run of nothing but unit tests if one of them, or the code under test, imports Airflow."""
    yield
    folder = Path(__file__).parent
    if all(item.path.is_relative_to(folder) for item in request.session.items):
        assert "airflow" not in sys.modules, "Airflow was imported by the unit tests"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy of the environment for requests to this machine."""
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def short_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Backoff of retries, fifty times as short."""
    for name in ("INITIAL_BACKOFF", "MAX_BACKOFF"):
        monkeypatch.setattr(transport, name, getattr(transport, name) / 50)


@pytest.fixture
def connect(short_backoff: None) -> Iterator[Callable[..., SequenceClient]]:
    """Factory of clients without rate limits and with short timeouts."""
    clients: list[SequenceClient] = []

    def make(target: Server | Loopback | str, **options: Any) -> SequenceClient:
        defaults = {
            "requests_per_minute": UNLIMITED,
            "usage_events_per_minute": UNLIMITED,
            "timeout": 5,
            "deadline": 5,
        }
        client_id, secret = options.pop("credentials", CREDENTIALS)
        url = target if isinstance(target, str) else target.api_url
        clients.append(SequenceClient(url, client_id, secret, **(defaults | options)))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def client(server: Server, connect: Callable[..., SequenceClient]) -> SequenceClient:
    """A client of the empty sandbox."""
    return connect(server)


@pytest.fixture
def loopback() -> Iterator[Loopback]:
    """HTTP server that sends the bytes that a test gives it."""
    with Loopback() as server:
        yield server
