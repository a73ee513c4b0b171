"""ASGI app that is imported at its first request, so that no other process pays for it."""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_log = logging.getLogger(__name__)

_CLOSED = b"""Sequence deliveries: this page is closed.
Why: it could not be loaded with this release of Airflow, so nothing of it is shown. The API server's log has the error.
What to do: update airflow-provider-sequence, or empty the setting [sequence] deliveries.
"""


class LazyApp:
    """
    ASGI app that is made when it is first asked for.

    It fails closed: an app that can't be made, as where Airflow's security module has moved, is an answer 503.

    :param module: the module with the app's factory.
    :param factory: the factory's name.
    """

    def __init__(self, module: str, factory: str) -> None:
        self._module, self._factory = module, factory
        self._app: App | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            raise RuntimeError(f"no {scope['type']} here")
        if self._app is None:
            self._app = await asyncio.to_thread(self._load)
        await self._app(scope, receive, send)

    def _load(self) -> App:
        try:
            app: App = getattr(importlib.import_module(self._module), self._factory)()
        except (ImportError, AttributeError, TypeError):
            _log.exception("The page Sequence deliveries is closed: it can't be loaded")
            return _closed
        return app


async def _closed(_scope: Scope, _receive: Receive, send: Send) -> None:
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"x-content-type-options", b"nosniff"),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": _CLOSED})
