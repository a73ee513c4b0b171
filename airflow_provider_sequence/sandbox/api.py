"""The ASGI application under ``/api``."""

from __future__ import annotations

import asyncio

from starlette.types import Receive, Scope, Send

from airflow_provider_sequence.sandbox.fault_responses import DELIVERIES, Exchange, normal
from airflow_provider_sequence.sandbox.faults import Fault
from airflow_provider_sequence.sandbox.http import Query, Request
from airflow_provider_sequence.sandbox.sandbox import Sandbox

_NO_FAULT = Fault()


class ApiApp:
    """
    Reads requests and sees them answered.

    Requests are read here and not by the framework: bodies are kept as they came, to the character, and a post is to
    cost a fraction of a millisecond.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Response one request."""
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000, "reason": "this is an HTTP API"})
            return
        request = await _read(scope, receive)
        if request is None:
            return
        entry = self._sandbox.request_log.arrived(request)
        if self._sandbox.settings.latency_ms:
            await asyncio.sleep(self._sandbox.settings.latency_ms / 1000)
        fault = self._sandbox.faults.choose(request)
        deliver = DELIVERIES[fault.kind] if fault else normal
        await deliver(Exchange(self._sandbox, request, entry, scope, receive, send), fault or _NO_FAULT)


async def _read(scope: Scope, receive: Receive) -> Request | None:
    """Return the request, or None if the client left before it was all there."""
    body = b""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        more = message.get("more_body", False)
    path = scope["path"].removeprefix(scope.get("root_path", "")).removeprefix("/")
    return Request(
        scope["method"],
        tuple(path.split("/")),
        Query(scope["query_string"].decode("latin-1")),
        {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]},
        body,
    )
