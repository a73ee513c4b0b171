"""TLS that fails: nothing is sent, the error says so, and the next run without it completes."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.catalogue import Fault, check_error
from tests.faults.proxy import Listener
from tests.faults.world import World, make_rows
from tests.support.certificate import self_signed

pytestmark = [pytest.mark.quick, pytest.mark.parametrize("method", ["GET", "POST"])]


def fails(world: World, method: str, host: str, words: str) -> None:
    world.put(make_rows(3))
    run = world.push({"host": host}) if method == "POST" else world.pull(how={"host": host})
    check_error(run, Fault("tls", "SequenceError", words))
    assert world.server.summary()["requests"] == 0
    assert world.delivery_log() == {}
    assert world.staged not in world.warehouse.tables() or world.snapshot() == []

    run = world.push()
    assert run.is_right, run.said
    world.check_complete()


def test_server_that_speaks_none(method: str, world: World):
    fails(world, method, world.server.api_url.replace("http:", "https:"), "TLS failed")


def test_certificate_of_nobody(method: str, world: World, tls_server: tuple[int, list[bytes]]):
    port, heard = tls_server
    fails(
        world, method, f"https://localhost:{port}/api", "TLS failed: the server's certificate is not trusted"
    )
    assert not any(heard), "something was sent to a server that nobody vouches for"


@pytest.fixture
def tls_server(tmp_path: Path) -> Iterator[tuple[int, list[bytes]]]:
    """A server with a certificate that it made itself: its port, and what it was told."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path))
    heard: list[bytes] = []

    class TlsServer(Listener):
        def serve(self, client):
            with context.wrap_socket(client, server_side=True) as wrapped:
                heard.append(wrapped.recv(1000))

    with TlsServer() as server:
        yield server.port, heard
