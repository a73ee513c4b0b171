"""What may stand between a client and a server: a proxy that knows HTTP, and one that only knows bytes."""

from __future__ import annotations

import contextlib
import fnmatch
import html
import http.client
import json
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote, urlsplit


@dataclass
class Rule:
    """Which requests go wrong, and how.

    :param kind: see :meth:`HttpProxy._go_wrong`.
    :param after_n: how many that fit are left alone first.
    :param times: how many go wrong; None is all.
    :param seconds: how long the slow ones take.
    """

    kind: str
    method: str | None = None
    path: str = "*"
    after_n: int = 0
    times: int | None = None
    seconds: float = 0.5
    status: int = 500
    seen: int = 0
    used: int = 0


#: What takes effect at the server before it goes wrong.
APPLIED = frozenset({
    "drip_head",
    "close_after",
    "bad_chunk",
    "bad_gzip",
    "stale_answer",
    "huge_head",
    "late",
})


class Listener:
    """A port on 127.0.0.1 with a thread for each connection; it may be closed and opened again."""

    def __init__(self) -> None:
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self.port = 0

    def __enter__(self) -> Self:
        self.listen()
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()

    def listen(self) -> None:
        """Take connections, on the same port as before."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(128)
        self.port = listener.getsockname()[1]
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def refuse(self) -> None:
        """Let nobody in, and cut those who are."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.cut()

    def cut(self) -> int:
        """Cut every connection; how many there were."""
        with self._lock:
            there, self._sockets = self._sockets, set()
        for each in there:
            reset(each)
        return len(there)

    def keep(self, each: socket.socket) -> socket.socket:
        with self._lock:
            self._sockets.add(each)
        return each

    def forget(self, each: socket.socket) -> None:
        with self._lock:
            self._sockets.discard(each)
        with contextlib.suppress(OSError):
            each.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._listener is not listener:
                reset(client)
                return
            threading.Thread(target=self._guarded, args=(self.keep(client),), daemon=True).start()

    def _guarded(self, client: socket.socket) -> None:
        try:
            self.serve(client)
        except (OSError, http.client.HTTPException, ValueError):
            reset(client)
        finally:
            self.forget(client)

    def serve(self, client: socket.socket) -> None:
        raise NotImplementedError


def reset(each: socket.socket) -> None:
    """Close a connection with a RST, now, even if another thread reads from it."""
    with contextlib.suppress(OSError):
        each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RD)
    with contextlib.suppress(OSError):
        each.close()


class HttpProxy(Listener):
    """Between the client and the sandbox. What no rule is about goes through unchanged."""

    def __init__(self, upstream: str) -> None:
        super().__init__()
        self._upstream = urlsplit(upstream)
        self.rules: list[Rule] = []
        #: Called with the number of requests so far, before each goes on; for what has to happen in the middle.
        self.on_request: Callable[[int], object] = lambda number: None
        self.requests = 0

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    def start_over(self) -> None:
        self.rules = []
        self.on_request = lambda number: None
        self.requests = 0
        self.cut()  # nothing of one test arrives in the next
        if self._listener is None:
            self.listen()

    def applied(self) -> int:
        """How many requests went wrong after they took effect."""
        return sum(rule.used for rule in self.rules if rule.kind in APPLIED)

    def serve(self, client: socket.socket) -> None:
        server: http.client.HTTPConnection | None = None
        stream = client.makefile("rb")
        try:
            while line := stream.readline(65537):
                head = [line]
                while (line := stream.readline(65537)) not in (b"\r\n", b""):
                    head.append(line)
                method, target, _ = head[0].decode("latin-1").split(" ", 2)
                headers = [tuple(each.decode("latin-1").rstrip("\r\n").split(": ", 1)) for each in head[1:]]
                length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
                with self._lock:
                    self.requests += 1
                    number = self.requests
                self.on_request(number)
                rule = self._choose(method, urlsplit(target).path.removeprefix("/api"))
                if rule is not None and rule.kind == "half_request":
                    reset(client)
                    return
                body = stream.read(length)
                if rule is not None and rule.kind == "late":  # as a gateway with a queue may do
                    time.sleep(rule.seconds)
                    late = http.client.HTTPConnection(
                        self._upstream.hostname, self._upstream.port, timeout=60
                    )
                    late.request(method, target, body, dict(headers))
                    late.getresponse().read()
                    late.close()
                    return
                if rule is not None and rule.kind not in APPLIED:
                    said = b"".join(head) + body
                    self._go_wrong(rule, client, b"", said)
                    return
                if server is None:
                    server = http.client.HTTPConnection(
                        self._upstream.hostname, self._upstream.port, timeout=60
                    )
                server.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
                for name, value in headers:
                    server.putheader(name, value)
                server.endheaders(body or None)
                self.keep(server.sock)
                if not _answers(server.sock, client):
                    return  # the client has left, and so do we
                answer = server.getresponse()
                content = answer.read()
                fields = [
                    f"{name}: {value}\r\n"
                    for name, value in answer.getheaders()
                    if name.lower() not in {"content-length", "transfer-encoding", "connection"}
                ]
                top = f"HTTP/1.1 {answer.status} {answer.reason}\r\n{''.join(fields)}".encode("latin-1")
                if rule is not None and rule.kind != "stale_answer":
                    self._go_wrong(rule, client, top, content)
                    return
                if rule is not None:  # and a second time, to be taken for the answer to the next request
                    client.sendall(top + f"Content-Length: {len(content)}\r\n\r\n".encode() + content)
                client.sendall(top + f"Content-Length: {len(content)}\r\n\r\n".encode() + content)
                if answer.will_close:
                    server.close()
                    server = None
        finally:
            stream.close()
            if server is not None:
                if server.sock is not None:
                    self.forget(server.sock)
                server.close()

    def _choose(self, method: str, path: str) -> Rule | None:
        with self._lock:
            for rule in self.rules:
                if rule.times is not None and rule.used >= rule.times:
                    continue
                if rule.method not in {None, method} or not fnmatch.fnmatchcase(path, rule.path):
                    continue
                rule.seen += 1
                if rule.seen > rule.after_n:
                    rule.used += 1
                    return rule
        return None

    def _go_wrong(self, rule: Rule, client: socket.socket, top: bytes, content: bytes) -> None:
        whole = top + f"Content-Length: {len(content)}\r\n\r\n".encode() + content
        match rule.kind:
            case "echo" | "echo_page":  # an error that repeats all that it was sent, credentials and all
                said = content.decode()
                text = html.escape(said) if rule.kind == "echo_page" else said
                message = json.dumps({"error": {"type": "Odd", "message": text}})
                page = f"<html><body><h1>Error</h1><pre>{text}\n{quote(said)}</pre></body></html>"
                answer = (page if rule.kind == "echo_page" else message).encode()
                kind = "text/html" if rule.kind == "echo_page" else "application/json"
                client.sendall(
                    f"HTTP/1.1 {rule.status} Odd\r\nContent-Type: {kind}\r\nContent-Length: {len(answer)}\r\n\r\n".encode()
                    + answer
                )
            case "garbage":
                client.sendall(b"\x16\x03\x01 SSH-2.0 what is this\r\n\r\n")
            case "silent":
                time.sleep(rule.seconds)
            case "close_before" | "close_after":
                pass
            case "drip_head":
                _drip(client, whole, rule.seconds)
            case "bad_chunk":
                client.sendall(top + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + content)
            case "bad_gzip":
                client.sendall(
                    top
                    + f"Content-Encoding: gzip\r\nContent-Length: {len(content)}\r\n\r\n".encode()
                    + content
                )
            case "huge_head":
                client.sendall(top + b"X-Much: " + b"x" * 200_000 + b"\r\n\r\n" + content)
            case other:
                raise AssertionError(other)
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_WR)


def _answers(server: socket.socket, client: socket.socket) -> bool:
    """Wait for the server; whether it says something before the client leaves."""
    while True:
        ready, _, _ = select.select([server, client], [], [])
        if server in ready:
            return True
        if not client.recv(1, socket.MSG_PEEK):
            return False


def _drip(client: socket.socket, data: bytes, seconds: float) -> None:
    pieces = 40
    size = max(1, -(-len(data) // pieces))
    for start in range(0, len(data), size):
        client.sendall(data[start : start + size])
        time.sleep(seconds / pieces)


class ByteProxy(Listener):
    """Between a client and PostgreSQL. It passes bytes on until it is told to cut.

    :param connect: makes a connection to the server.
    """

    def __init__(self, connect: Callable[[], socket.socket]) -> None:
        super().__init__()
        self._connect = connect
        self._trap: tuple[bytes, int, bool] | None = None
        self._mute = False
        self.trapped = threading.Event()

    def cut_at(self, words: bytes, nth: int = 1, *, after: bool = False) -> None:
        """
        Cut all connections when a client says these words for the nth time.

        :param after: once the server has heard them, whose answer is lost; else before it does.
        """
        self.trapped.clear()
        self._trap = (words, nth, after)

    def serve(self, client: socket.socket) -> None:
        server = self.keep(self._connect())
        back = threading.Thread(target=self._pass, args=(server, client, False), daemon=True)
        back.start()
        self._pass(client, server, True)
        back.join()
        self.forget(server)

    def _pass(self, source: socket.socket, target: socket.socket, watched: bool) -> None:
        try:
            while data := source.recv(65536):
                if watched and self._is_trap(data):
                    self.trapped.set()
                    if self._after:
                        self._mute = True
                        target.sendall(data)
                        time.sleep(0.2)
                    self.cut()
                    self._mute = False
                    return
                if watched or not self._mute:
                    target.sendall(data)
        except OSError:
            pass
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _is_trap(self, data: bytes) -> bool:
        with self._lock:
            if self._trap is None or self._trap[0] not in data:
                return False
            words, nth, self._after = self._trap
            self._trap = (words, nth - 1, self._after) if nth > 1 else None
            return self._trap is None


def unix_or_tcp(host: str, port: int | None) -> Callable[[], socket.socket]:
    """How to reach a PostgreSQL, given as libpq takes it."""

    def connect() -> socket.socket:
        if host.startswith("/"):
            made: Any = socket.socket(socket.AF_UNIX)
            made.connect(f"{host}/.s.PGSQL.{port or 5432}")
            return made
        return socket.create_connection((host, port or 5432))

    return connect
