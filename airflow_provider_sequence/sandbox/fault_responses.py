"""How an answer reaches the client: as it should, or in one of the ways a :class:`Fault` asks for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from starlette.types import Receive, Scope, Send

from airflow_provider_sequence.sandbox import access
from airflow_provider_sequence.sandbox.connection import STATE_KEY, Connection
from airflow_provider_sequence.sandbox.faults import Fault
from airflow_provider_sequence.sandbox.http import (
    JSON,
    HTTPError,
    Request,
    Response,
    error_response,
    gateway_page,
)
from airflow_provider_sequence.sandbox.sandbox import Sandbox

_HTML = "text/html; charset=utf-8"
_ELSEWHERE = "https://login.sequence.invalid/"
#: Pieces in which ``slow_drip`` sends a body.
_DRIPS = 20


@dataclass(frozen=True)
class Exchange:
    """One request and the way back to its client."""

    sandbox: Sandbox
    request: Request
    entry: dict[str, Any]
    scope: Scope
    receive: Receive
    send: Send

    def apply(self) -> Response:
        """Let the request take effect, and return the answer it deserves."""
        return access.answer(self.sandbox, self.request)

    async def deliver(self, answer: Response) -> None:
        """Send an answer as it stands."""
        await self.start(answer)
        await self.send({"type": "http.response.body", "body": answer.body})

    async def start(self, answer: Response) -> None:
        """Send the status and the headers of an answer."""
        self.sandbox.request_log.answered(self.entry, answer.status)
        headers = {
            "Sequence-Version": access.served_version(self.request),
            "Content-Length": str(len(answer.body)),
            **({"Content-Type": answer.content_type} if answer.content_type else {}),
            **answer.headers,
        }
        raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": answer.status, "headers": raw})

    async def wait(self, seconds: float) -> bool:
        """Wait, and return whether the client is still there."""
        try:
            await asyncio.wait_for(self._gone(), seconds)
        except TimeoutError:
            return True
        return False

    async def cut(self, how: Callable[[Connection], None]) -> None:
        """End the connection, and wait until it has ended: uvicorn would send a 500 after a reset otherwise."""
        how(self.scope["state"][STATE_KEY])
        await self._gone()

    def silent(self) -> None:
        """Note that there is no answer."""
        self.sandbox.request_log.answered(self.entry, None)

    async def _gone(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass


async def normal(exchange: Exchange, fault: Fault) -> None:
    """Response as the API does."""
    await exchange.deliver(exchange.apply())


async def status(exchange: Exchange, fault: Fault) -> None:
    """Response with the status and the body of the rule."""
    if fault.applied:
        exchange.apply()
    code = fault.status or 500
    refusal = HTTPError(code, "a fault rule of the sandbox asked for this", headers=fault.headers)
    shaped = error_response(refusal, exchange.sandbox.settings.error_body)
    if fault.body is not None:
        is_text = isinstance(fault.body, str)
        body = fault.body.encode() if is_text else msgspec.json.encode(fault.body)
        shaped = replace(shaped, body=body, content_type="text/plain; charset=utf-8" if is_text else JSON)
    await exchange.deliver(replace(shaped, content_type=fault.content_type or shaped.content_type))


async def html(exchange: Exchange, fault: Fault) -> None:
    """Response with the page of a gateway."""
    if fault.applied:
        exchange.apply()
    code = fault.status or 502
    page = gateway_page(code, "The upstream server could not be reached.")
    await exchange.deliver(Response(code, page.encode(), fault.content_type or _HTML, fault.headers))


async def redirect(exchange: Exchange, fault: Fault) -> None:
    """Point the client to another address."""
    if fault.applied:
        exchange.apply()
    await exchange.deliver(Response(fault.status or 302, b"", "", {"Location": _ELSEWHERE, **fault.headers}))


async def reset_before(exchange: Exchange, fault: Fault) -> None:
    """Cut the connection before the request has taken effect."""
    exchange.silent()
    await exchange.cut(Connection.reset)


async def reset_after(exchange: Exchange, fault: Fault) -> None:
    """Let the request take effect, and cut the connection in place of an answer."""
    exchange.apply()
    exchange.silent()
    await exchange.cut(Connection.reset)


async def hang(exchange: Exchange, fault: Fault) -> None:
    """Wait, then go on; a client that has left by then leaves without effect, unless the rule says ``applied``."""
    if await exchange.wait(fault.seconds):
        await exchange.deliver(exchange.apply())
        return
    if fault.applied:
        exchange.apply()
    exchange.silent()


async def hang_after(exchange: Exchange, fault: Fault) -> None:
    """Let the request take effect, and wait before answering."""
    answer = exchange.apply()
    if await exchange.wait(fault.seconds):
        await exchange.deliver(answer)
    else:
        exchange.silent()


async def truncate(exchange: Exchange, fault: Fault) -> None:
    """Send half of the body that the headers announce, and close."""
    answer = _spoiled(exchange, fault)
    await exchange.start(answer)
    half = answer.body[: len(answer.body) // 2]
    await exchange.send({"type": "http.response.body", "body": half, "more_body": True})
    await exchange.cut(Connection.close)


async def invalid_json(exchange: Exchange, fault: Fault) -> None:
    """Send a body that breaks off, with a length that fits."""
    answer = _spoiled(exchange, fault)
    await exchange.deliver(replace(answer, body=answer.body[: len(answer.body) // 2]))


async def empty_body(exchange: Exchange, fault: Fault) -> None:
    """Send no body."""
    await exchange.deliver(replace(_spoiled(exchange, fault), body=b""))


async def wrong_content_type(exchange: Exchange, fault: Fault) -> None:
    """Send the right body under a wrong Content-Type."""
    await exchange.deliver(replace(_spoiled(exchange, fault), content_type=fault.content_type or _HTML))


async def slow_drip(exchange: Exchange, fault: Fault) -> None:
    """Send the body in small pieces."""
    answer = _spoiled(exchange, fault)
    await exchange.start(answer)
    size = max(1, -(-len(answer.body) // _DRIPS))
    for begin in range(0, len(answer.body), size):
        piece = answer.body[begin : begin + size]
        await exchange.send({"type": "http.response.body", "body": piece, "more_body": True})
        if not await exchange.wait(fault.seconds / _DRIPS):
            return
    await exchange.send({"type": "http.response.body", "body": b""})


def _spoiled(exchange: Exchange, fault: Fault) -> Response:
    """Return the answer that is to be spoiled; the request takes effect unless the rule says otherwise."""
    answer = Response(201 if exchange.request.method == "POST" else 200, b'{"items":[]}')
    if fault.applied is not False:
        answer = exchange.apply()
    return replace(answer, status=fault.status or answer.status, headers={**answer.headers, **fault.headers})


#: By the ``kind`` of a fault.
DELIVERIES: dict[str, Callable[[Exchange, Fault], Awaitable[None]]] = {
    delivery.__name__: delivery
    for delivery in (
        status,
        html,
        redirect,
        reset_before,
        reset_after,
        hang,
        hang_after,
        truncate,
        invalid_json,
        empty_body,
        wrong_content_type,
        slow_drip,
    )
}

#: Kinds that need the connection itself.
CUTS = frozenset({"reset_before", "reset_after", "truncate"})
