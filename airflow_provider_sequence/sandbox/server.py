"""The server process: binds, says that it is ready, serves until it is told to stop."""

from __future__ import annotations

import ipaddress
import json
import shlex
import socket

import uvicorn
from fastapi import FastAPI

from airflow_provider_sequence.sandbox.connection import protocol
from airflow_provider_sequence.sandbox.settings import SandboxSettings

# How long open requests may take to end once the server is told to stop, in seconds.
_GRACE = 1
_BACKLOG = 2048


class _Server(uvicorn.Server):
    """A server that prints some lines once it listens."""

    def __init__(self, config: uvicorn.Config, announcement: str) -> None:
        super().__init__(config)
        self._announcement = announcement

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop as uvicorn does, but not wait for clients that keep a connection, or for requests that hang."""
        for connection in list(self.server_state.connections):
            connection.transport.close()
        await super().shutdown(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as uvicorn does, then tell."""
        await super().startup(sockets)
        print(self._announcement, flush=True)


def bind(host: str, port: int) -> socket.socket:
    """
    Return a socket bound to an address; port 0 picks a free one.

    :raises OSError: the address cannot be had.
    """
    family, kind, number, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    bound = socket.socket(family, kind, number)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound


def is_loopback(bound: socket.socket) -> bool:
    """Whether a bound socket can be reached from this machine only."""
    return ipaddress.ip_address(bound.getsockname()[0].partition("%")[0]).is_loopback


def announcement(bound: socket.socket, settings: SandboxSettings) -> str:
    """Return what a user needs to use the sandbox: its address, and a connection for Airflow."""
    host, port = bound.getsockname()[:2]
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}/api"
    connection: dict[str, object] = {
        "conn_type": "sequence",
        "host": url,
        "login": settings.client_id,
        "password": settings.client_secret,
    }
    if not is_loopback(bound):
        connection["extra"] = {"allow_http": True}
    export = f"export AIRFLOW_CONN_SEQUENCE_DEFAULT={shlex.quote(json.dumps(connection))}"
    return f"Sequence sandbox is ready at {url}\n{export}"


def serve(app: FastAPI, bound: socket.socket, lines: str) -> None:
    """Serve until a signal says stop."""
    config = uvicorn.Config(
        app,
        http=protocol(),
        ws="none",
        log_level="error",
        access_log=False,
        proxy_headers=False,  # who may use the admin API is a matter of the real address
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=_GRACE,
    )
    _Server(config, lines).run(sockets=[bound])
