"""The TCP connection under a request, for answers that never come or break off."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import socket
import struct
from typing import Any, cast

#: Where the connection is found in the ``state`` of an ASGI scope.
STATE_KEY = "sandbox.connection"


class Connection:
    """What the sandbox does to a connection without HTTP."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def reset(self) -> None:
        """Cut the connection with a TCP reset; whatever was not sent yet is lost."""
        # lingering for 0 seconds is what makes the kernel send RST in place of an orderly FIN
        with contextlib.suppress(OSError):  # the client may have closed it already
            peer = self._transport.get_extra_info("socket")
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def close(self) -> None:
        """Close the connection once what was written is sent."""
        self._transport.close()


class _ConnectionInScope:
    """Puts the connection of a request where the application finds it: among uvicorn's lifespan state."""

    app_state: dict[str, Any]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See :class:`asyncio.Protocol`."""
        self.app_state = {**self.app_state, STATE_KEY: Connection(cast(asyncio.Transport, transport))}
        super().connection_made(transport)  # type: ignore[misc]


def protocol() -> type[asyncio.Protocol]:
    """Return uvicorn's fastest HTTP protocol that is installed, such that it shows its connections."""
    base: type[asyncio.Protocol]
    if importlib.util.find_spec("httptools"):
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as base
    else:
        from uvicorn.protocols.http.h11_impl import H11Protocol as base
    return type("SandboxProtocol", (_ConnectionInScope, base), {})
