"""HTTP server that sends exactly the bytes that a test gives it, for faults that the sandbox can't produce."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import parse_qsl


@dataclass(frozen=True)
class Received:
    """One received request."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int
    at: float

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> list[tuple[str, str]]:
        return parse_qsl(self.target.partition("?")[2], keep_blank_values=True)

    @property
    def raw(self) -> str:
        """Everything that was sent, as text."""
        head = "\n".join(f"{name}: {value}" for name, value in self.headers.items())
        return f"{self.method} {self.target}\n{head}\n\n{self.body.decode('utf-8', 'replace')}"


@dataclass(frozen=True)
class Reply:
    """Response with a status and a body."""

    status: int = 200
    body: bytes | str | Any = b""
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = "application/json"

    def encoded(self) -> bytes:
        body = self.body
        if isinstance(body, str):
            body = body.encode()
        elif not isinstance(body, bytes):
            body = json.dumps(body).encode()
        lines = [f"HTTP/1.1 {self.status} Status", f"Content-Length: {len(body)}"]
        if self.content_type:
            lines.append(f"Content-Type: {self.content_type}")
        lines += [f"{name}: {value}" for name, value in self.headers]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Reset:
    """Reset the connection without a response."""


class Close:
    """Close the connection without a response."""


@dataclass(frozen=True)
class Wait:
    """Send nothing for a while, then close."""

    seconds: float = 0.5


@dataclass(frozen=True)
class Partial:
    """Send these bytes as they are, then close."""

    data: bytes


@dataclass(frozen=True)
class Drip:
    """Send these bytes one by one, each after a while, until the client disconnects."""

    data: bytes
    seconds: float


Response = Reply | Reset | Close | Wait | Partial | Drip
Responder = Callable[[Received], Response]

EMPTY_LIST = Reply(200, {"items": [], "pagination": {}})


def created(request: Received) -> Reply:
    """The API's response to a valid event."""
    sent = json.loads(request.body)
    return Reply(201, {"id": "0184421a-8202-70ea-a729-30308a40bbf7", "sequenceAccountId": "acc", **sent})


class Loopback:
    """
    Listens on 127.0.0.1.

    ``responses`` are given one after the other, the last of them for ever; or set ``respond`` for more.
    """

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.requests: list[Received] = []
        self.connections = 0
        self.responses: list[Response | Responder] = [EMPTY_LIST]
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._ended = threading.Event()

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def gaps(self) -> list[float]:
        """Seconds between one request and the next."""
        times = [request.at for request in self.requests]
        return [later - earlier for earlier, later in itertools.pairwise(times)]

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self.connections += 1
                self._open.add(connection)
                number = self.connections
            threading.Thread(target=self._serve, args=(connection, number), daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        try:
            with connection, connection.makefile("rb") as stream, contextlib.suppress(OSError, ValueError):
                while (request := self._read(stream, number)) and self._respond(connection, request):
                    pass
        finally:
            with self._lock:
                self._open.discard(connection)

    def _read(self, stream: Any, number: int) -> Received | None:
        line = stream.readline()
        if not line.strip():
            return None
        method, target, _ = line.decode("latin-1").split(" ", 2)
        headers = {}
        while (line := stream.readline()).strip():
            name, _, value = line.decode("utf-8").partition(":")
            headers[name.strip().lower()] = value.strip()
        body = stream.read(int(headers.get("content-length", 0)))
        return Received(method, target, headers, body, number, time.monotonic())

    def _respond(self, connection: socket.socket, request: Received) -> bool:
        with self._lock:
            self.requests.append(request)
            response = self.responses[min(len(self.requests), len(self.responses)) - 1]
        if callable(response) and not isinstance(response, type):
            response = response(request)
        match response:
            case Reply():
                connection.sendall(response.encoded())
                return True
            case Partial():
                connection.sendall(response.data)
            case Drip():
                with contextlib.suppress(OSError):
                    for byte in response.data:
                        connection.sendall(bytes([byte]))
                        if self._ended.wait(response.seconds):
                            break
            case Wait():
                self._ended.wait(response.seconds)
            case Reset():
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RD) if not isinstance(response, Reset) else connection.close()
        return False


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]
