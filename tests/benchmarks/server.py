"""``python -m tests.benchmarks.server``: the other side of the benchmarks, as fast as Python answers HTTP.

It knows ``POST`` and ``GET /api/usage-events``, waits as long as it is told to before each answer, however many
requests wait at a time, and may hold clients to a limit a minute, by a moving window. Nothing is checked; what is posted
is not kept. ``POST /settings`` sets it up and begins its figures anew, ``GET /figures`` gives them. It prints its port.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import time
from bisect import bisect_left
from collections import deque
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from tests.benchmarks import events

_MINUTE = 60.0
_HEADS = {
    status: f"HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\n".encode()
    for status, reason in ((200, "OK"), (201, "Created"), (404, "Not Found"), (429, "Too Many Requests"))
}


@dataclass
class Figures:
    """
    What was asked for since the settings were made.

    :param requests: requests of the API.
    :param throttled: those that were answered with a 429.
    :param bytes_out: bytes of lists.
    :param first_at: when the first request came, on the machine's monotonic clock.
    :param last_at: when the last one came.
    :param cpu: seconds of the server's processor time.
    """

    requests: int = 0
    throttled: int = 0
    bytes_out: int = 0
    first_at: float | None = None
    last_at: float | None = None
    cpu: float = field(default_factory=time.process_time)


class Api:
    """The state of the server, and its answers."""

    def __init__(self) -> None:
        self.latency = 0.0
        self._limit = math.inf
        self._made: tuple[int, str] = (0, "even")
        # Of each event the negative of its time, and its JSON: newest first, as lists are.
        self._times: list[int] = []
        self._events: list[bytes] = []
        self.set_up({})

    def set_up(self, settings: dict[str, Any]) -> None:
        """
        Begin anew.

        :param settings: ``latency`` in seconds; ``per_minute``, the limit, where there is one; ``events``, how many
            there are to list, and their ``spread``.
        """
        self.latency = settings.get("latency", 0.0)
        self._limit = settings.get("per_minute") or math.inf
        wanted = settings.get("events", self._made[0]), settings.get("spread", self._made[1])
        if wanted != self._made:
            self._made = wanted
            self._times, self._events = [], []
            self._times = [-ms for ms in reversed(events.times(*wanted))]
            last = len(self._times) - 1
            self._events = [events.listed(last - place, -ms) for place, ms in enumerate(self._times)]
        self._lately: deque[float] = deque()
        self._created = 0
        self.figures = Figures()

    def report(self) -> dict[str, Any]:
        return asdict(self.figures) | {"cpu": time.process_time() - self.figures.cpu}

    def answer(self, method: bytes, target: bytes, body: bytes) -> bytes:
        now = time.monotonic()
        self.figures.requests += 1
        self.figures.first_at = self.figures.first_at or now
        self.figures.last_at = now
        if self._limit < math.inf and (wait := self._wait(now)):
            self.figures.throttled += 1
            return _rendered(
                429, b'{"message":"Too many requests"}', b"Retry-After: %d\r\n" % math.ceil(wait)
            )
        path, _, query = target.partition(b"?")
        if path != b"/api/usage-events":
            return _rendered(404, b"{}")
        if method == b"POST":
            self._created += 1
            number = self._created
            return _rendered(201, b'{"id":"019c0000-0000-7000-8000-%012x",' % number + body.lstrip()[1:])
        page = self._page(dict(parse_qsl(query.decode())))
        self.figures.bytes_out += len(page)
        return _rendered(200, page)

    def _wait(self, now: float) -> float:
        """Seconds until the limit allows another request; 0 if it does, and the request counts."""
        lately = self._lately
        while lately and lately[0] <= now - _MINUTE:
            lately.popleft()
        if len(lately) >= self._limit:
            return lately[0] + _MINUTE - now
        lately.append(now)
        return 0.0

    def _page(self, query: dict[str, str]) -> bytes:
        # The bounds themselves don't belong to the window.
        before, after = query.get("eventTimestampBefore"), query.get("eventTimestampAfter")
        first = bisect_left(self._times, 1 - _milliseconds(before)) if before else 0
        end = bisect_left(self._times, -_milliseconds(after)) if after else len(self._times)
        start = int(query["after"].removeprefix("c")) if "after" in query else first
        stop = min(start + int(query.get("limit", "20")), end)
        cursor = b',"after":"c%d"' % stop if stop < end else b""
        pagination = b'],"pagination":{"totalResultSize":%d%b}}' % (max(0, end - first), cursor)
        return b'{"items":[' + b",".join(self._events[start:stop]) + pagination


def _milliseconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def _rendered(status: int, body: bytes, headers: bytes = b"") -> bytes:
    return b"%b%bContent-Length: %d\r\n\r\n%b" % (_HEADS[status], headers, len(body), body)


class Connection(asyncio.Protocol):
    """One connection of a client, which waits for each answer before it asks again."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._buffer = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end]
        at = head.lower().find(b"\r\ncontent-length:")
        length = int(head[at + 17 :].partition(b"\r\n")[0]) if at >= 0 else 0
        if len(self._buffer) < end + 4 + length:
            return
        body, self._buffer = self._buffer[end + 4 : end + 4 + length], self._buffer[end + 4 + length :]
        method, target, _ = head.partition(b"\r\n")[0].split(b" ")
        api = self._api
        if target == b"/settings":
            api.set_up(json.loads(body))
            self._transport.write(_rendered(200, b"{}"))
        elif target == b"/figures":
            self._transport.write(_rendered(200, json.dumps(api.report()).encode()))
        else:
            answer = api.answer(method, target, body)
            if api.latency:
                asyncio.get_running_loop().call_later(api.latency, self._transport.write, answer)
            else:
                self._transport.write(answer)


async def _serve() -> None:
    api = Api()
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(api), "127.0.0.1", 0, backlog=256
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    run = asyncio.run
    with contextlib.suppress(ImportError):
        from uvloop import run  # twice as fast, where it is there
    with contextlib.suppress(KeyboardInterrupt):
        run(_serve())
