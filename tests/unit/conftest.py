from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_provider_sequence.api.client import SequenceClient
from airflow_provider_sequence.api.http import transport
from tests.support.server import CREDENTIALS, Server, server
from tests.unit.loopback import Loopback

__all__ = ["server"]

UNLIMITED = 10_000_000


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loopback stays loopback, whatever the machine's environment says about proxies."""
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries without the waiting: the same backoff, fifty times as fast."""
    for name in ("INITIAL_BACKOFF", "MAX_BACKOFF"):
        monkeypatch.setattr(transport, name, getattr(transport, name) / 50)


@pytest.fixture
def connect(quick: None) -> Iterator[Callable[..., SequenceClient]]:
    """Makes clients without limits and with short patience, and closes them."""
    made: list[SequenceClient] = []

    def make(target: Server | Loopback | str, **options: Any) -> SequenceClient:
        defaults = {
            "requests_per_minute": UNLIMITED,
            "usage_events_per_minute": UNLIMITED,
            "timeout": 5,
            "deadline": 5,
        }
        client_id, secret = options.pop("credentials", CREDENTIALS)
        url = target if isinstance(target, str) else target.api_url
        made.append(SequenceClient(url, client_id, secret, **(defaults | options)))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def client(server: Server, connect: Callable[..., SequenceClient]) -> SequenceClient:
    """A client of the empty sandbox."""
    return connect(server)


@pytest.fixture
def loopback() -> Iterator[Loopback]:
    """A server that sends what a test tells it to, to the byte."""
    with Loopback() as double:
        yield double
