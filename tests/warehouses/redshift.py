"""Stand-in for Redshift: a PostgreSQL behind a proxy that drops the startup parameters that only Redshift knows.

What it can't show: SUPER columns, the limit of a statement's size, and serialization errors.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
import threading
from collections.abc import Iterator

from sqlalchemy.engine import URL

_SSL_REQUEST = 80877103
_KNOWN = {b"user", b"database", b"application_name"}


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def _startup(reader: asyncio.StreamReader) -> bytes:
    (length,) = struct.unpack("!i", await reader.readexactly(4))
    return await reader.readexactly(length - 4)


def _without_redshifts(message: bytes) -> bytes:
    version, words = message[:4], message[4:].split(b"\0")
    pairs = zip(words[::2], words[1::2], strict=False)
    kept = b"".join(name + b"\0" + value + b"\0" for name, value in pairs if name in _KNOWN) + b"\0"
    return struct.pack("!i", len(kept) + 8) + version + kept


@contextlib.contextmanager
def redshift_proxy(postgres: URL) -> Iterator[int]:
    """Listen on a port of 127.0.0.1 in front of a PostgreSQL on a Unix socket; give the port."""
    socket = f"{postgres.query['host']}/.s.PGSQL.{postgres.port or 5432}"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        message = await _startup(reader)
        if struct.unpack("!i", message[:4]) == (_SSL_REQUEST,):
            writer.write(b"N")
            message = await _startup(reader)
        there_reader, there_writer = await asyncio.open_unix_connection(socket)
        there_writer.write(_without_redshifts(message))
        await asyncio.gather(_copy(reader, there_writer), _copy(there_reader, writer))

    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
