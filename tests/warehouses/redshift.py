"""Stand-in for Redshift: a PostgreSQL behind a proxy that drops the startup parameters that only Redshift knows.

The proxy notes the statements. What Redshift copies from S3, PostgreSQL copies from a folder; its JSON passes for SUPER.

What it can't show: how Redshift writes SUPER, its refusal of a large statement, how it reads CSV, and serialization errors.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.engine import URL

_SSL_REQUEST = 80877103
_KNOWN = {b"user", b"database", b"application_name"}
#: Number and size of a type, and its modifier.
_JSON, _SUPER = struct.pack("!ihi", 114, -1, -1), struct.pack("!ihi", 4000, -1, -1)
_COPY = re.compile(
    rb"(COPY .*) FROM 's3://([^']*)' IAM_ROLE .* FORMAT CSV NULL AS '([^']*)' TIMEFORMAT 'auto'"
)


@dataclass
class Proxy:
    """
    Proxy before a PostgreSQL.

    :param port: where it listens.
    :param objects: folder of what it takes for S3.
    :param statements: those that were executed, each with the bytes that it had with its parameters.
    """

    port: int = 0
    objects: Path | None = None
    statements: list[tuple[str, int]] = field(default_factory=list)

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward what a client says, message by message."""
        prepared: dict[bytes, bytes] = {}
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                kind = await reader.readexactly(1)
                (length,) = struct.unpack("!i", await reader.readexactly(4))
                body = await reader.readexactly(length - 4)
                if kind == b"P":
                    name, sql, types = body.split(b"\0", 2)
                    prepared[name] = sql
                    body = b"\0".join([name, self._read_here(sql), types])
                elif kind == b"B":
                    sql = prepared[body.split(b"\0", 2)[1]]
                    self.statements.append((sql.decode(), len(sql) + length))
                writer.write(kind + struct.pack("!i", len(body) + 4) + body)
                await writer.drain()
        writer.close()

    def _read_here(self, sql: bytes) -> bytes:
        copied = _COPY.fullmatch(sql)
        if copied is None:
            return sql
        what, key, null = copied.groups()
        return b"%s FROM '%s/%s' WITH (FORMAT csv, NULL '%s')" % (what, str(self.objects).encode(), key, null)


async def _back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        while True:
            head = await reader.readexactly(5)
            body = await reader.readexactly(struct.unpack("!xi", head)[0] - 4)
            # The description of a result's columns.
            writer.write(head + (body.replace(_JSON, _SUPER) if head[:1] == b"T" else body))
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
def redshift_proxy(postgres: URL) -> Iterator[Proxy]:
    """Listen on a port of 127.0.0.1 in front of a PostgreSQL on a Unix socket."""
    socket = f"{postgres.query['host']}/.s.PGSQL.{postgres.port or 5432}"
    proxy = Proxy()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        message = await _startup(reader)
        if struct.unpack("!i", message[:4]) == (_SSL_REQUEST,):
            writer.write(b"N")
            message = await _startup(reader)
        there_reader, there_writer = await asyncio.open_unix_connection(socket)
        there_writer.write(_without_redshifts(message))
        await asyncio.gather(proxy.forward(reader, there_writer), _back(there_reader, writer))

    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0))
    proxy.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
