"""A server that answers with what costs its clients much: raw bytes, small on the way or without an end."""

from __future__ import annotations

import functools
import gzip
import itertools
import json
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.faults.proxy import Listener

#: An answer, or what is sent until the client has left; made of the number of the request.
Answer = Callable[[int], "bytes | Iterable[bytes]"]

AT = "2026-03-01T00:00:00Z"
FORGED = "COUNT\n2026-11-25 00:00:00 CRITICAL forged \x1b[31m\u202e"


@dataclass(frozen=True)
class Hostile:
    """
    An answer and what is to come of it.

    :param error: class of the error in the client; None where the answer can be read.
    :param words: what the error says.
    :param is_metric: whether it is an answer to the calculation of a metric, and else to the request of a list.
    """

    name: str
    answer: Answer
    error: str | None
    words: str = ""
    is_metric: bool = False


class HostileServer(Listener):
    """It reads a request and gives the one answer that it has now, over and over."""

    answer: Answer
    requests = 0

    def serve(self, client: socket.socket) -> None:
        stream = client.makefile("rb")
        while stream.readline(65537):
            while stream.readline(65537) not in (b"\r\n", b""):
                pass
            self.requests += 1
            said = self.answer(self.requests)
            for part in [said] if isinstance(said, bytes) else said:
                client.sendall(part)


def http(body: bytes, status: int = 200, *headers: str) -> bytes:
    head = [
        f"HTTP/1.1 {status} Status",
        f"Content-Length: {len(body)}",
        "Content-Type: application/json",
        *headers,
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def fixed(body: bytes, status: int = 200, *headers: str) -> Answer:
    said = http(body, status, *headers)
    return lambda number: said


@functools.cache
def bomb(codings: int) -> bytes:
    body = b'{"items": [], "pagination": {}, "x": "' + b" " * 100_000_000
    for _ in range(codings):
        body = gzip.compress(body, 6)
    return body


def packed(status: int, codings: int) -> Answer:
    return lambda number: http(bomb(codings), status, f"Content-Encoding: {', '.join(['gzip'] * codings)}")


def endless(head: bytes, part: bytes) -> Answer:
    def parts(_: int) -> Iterator[bytes]:
        yield head
        yield from itertools.repeat(part * (2**16 // len(part)))

    return parts


def page(items: list[Any], after: str | None = None, total: int | None = None) -> bytes:
    return http(
        json.dumps({"items": items, "pagination": {"after": after, "totalResultSize": total}}).encode()
    )


def event(name: Any, **fields: Any) -> dict[str, Any]:
    return {"id": name, "customerEventId": name, "customerAlias": "a", "eventTimestamp": AT, **fields}


def calculation(count: str = "1", value: str = "1", **fields: str) -> Answer:
    return fixed(f'{{"eventCount": {count}, "value": {value}, "aggregationType": "COUNT"}}'.encode())


def listed(inner: bytes) -> Answer:
    return fixed(b'{"items": [' + inner + b"]}")


UNAVAILABLE, RESPONSE = "SequenceUnavailableError", "SequenceResponseError"
LARGE, REJECTED, GATEWAY = "SequenceResponseTooLargeError", "SequenceRejectedError", "SequenceGatewayError"
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
MB, ODD = 1_000_000, 500_000

HOSTILE = [
    # size
    Hostile("gzip of 100 MB", packed(200, 1), LARGE, "more than"),
    Hostile("gzip of it in a refusal", packed(400, 1), GATEWAY, "more than 65,536 bytes"),
    Hostile("gzip in gzip", packed(200, 2), UNAVAILABLE, "could not be decoded"),
    Hostile("gzip in gzip in an error", packed(503, 2), UNAVAILABLE, "could not be decoded"),
    Hostile("a coding nobody asked for", fixed(b"x", 200, "Content-Encoding: br"), UNAVAILABLE, "decoded"),
    Hostile("many gzip members", fixed(gzip.compress(b"") * 50_000, 200, "Content-Encoding: gzip"), UNAVAILABLE),
    Hostile("endless body", endless(OK + b"\r\n", b'{"items": ['), LARGE),
    Hostile("endless refusal", endless(b"HTTP/1.1 403 No\r\n\r\n", b"<p>no"), GATEWAY, "more than 65,536"),
    Hostile("endless chunks", endless(CHUNKED, b"1\r\n \r\n"), None),
    Hostile("endless trailer", endless(CHUNKED + b"2\r\n{}\r\n0\r\n", b"X: y\r\n"), UNAVAILABLE),
    Hostile("a length of 10^5000", endless(OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", b"{"), LARGE),
    # headers
    Hostile("endless headers", endless(OK, b"X: y\r\n"), UNAVAILABLE),
    Hostile("endless header", endless(OK + b"X: ", b"y"), UNAVAILABLE),
    Hostile("endless 100s", endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), UNAVAILABLE),
    Hostile("90 long headers", lambda _: OK + (b"X-Y: " + b"z," * 30_000 + b"\r\n") * 90 + b"\r\n", UNAVAILABLE),
    *(
        Hostile(f"Retry-After: {date[-40:]}", fixed(b"{}", status, f"Retry-After: {date}", f"Date: {date}"), UNAVAILABLE)
        for status, date in [
            (503, "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"),
            (503, "Mon, 01 Jan 2026 00:00:00 +99999999999999999"),
            (503, "9" * 60_000),
        ]
    ),
    # refusals
    *(
        Hostile(f"refusal of {part!r}", fixed((part * 70_000)[:65_000], 400), GATEWAY)
        for part in [b"<script>", b"<", b"<script></style>", b"&#", b"&#9", b"<!--", b"<head", b"&amp"]
    ),
    Hostile("a character's number without end", fixed(b"&#" + b"9" * 60_000 + b";", 400), GATEWAY),
    Hostile("refusal of nested lists", fixed(b"[" * 60_000, 400), GATEWAY),
    Hostile("refusal of lists", fixed(b"[" + b"[]," * 20_000 + b"1]", 400), REJECTED),
    Hostile("refusal with an exponent", fixed(b'{"error": {"message": 1e1000000, "type": 1e99999999999999999999}}', 400), GATEWAY),
    Hostile("forged lines", fixed(json.dumps({"error": {"type": FORGED, "message": FORGED}}).encode(), 400), REJECTED, "COUNT 2026"),
    # pages
    Hostile("a million items", listed(b"{}," * (MB // 3) + b"{}"), RESPONSE, "not what the API"),
    Hostile("items of many fields", listed(b"{" + b",".join(b'"%d":1' % n for n in range(150_000)) + b"}"), RESPONSE),
    Hostile("texts without end", listed(b'"' + b'\\"' * (ODD // 2)), RESPONSE),
    Hostile("quotes", fixed(b'{"items": [' + b'"' * ODD), RESPONSE),
    Hostile("tokens", fixed(b'{"items": [{"a": "\\ud800"}, ' + b"1," * (ODD // 2) + b"1]}"), RESPONSE),
    Hostile("deep lists", listed(b"[" * MB), RESPONSE),
    Hostile("ids that are lists", listed(b'{"id": [' + b"[]," * (MB // 2) + b"1]}"), None),
    Hostile("times that are lists", listed(b'{"id": "1", "customerEventId": [' + b"1.5," * (MB // 3) + b"1]}"), None),
    Hostile("a total of 10^5000", fixed(b'{"items": [], "pagination": {"totalResultSize": ' + b"9" * 5000 + b"}}"), RESPONSE),
    Hostile("a total of 10^1000000", fixed(b'{"items": [], "pagination": {"totalResultSize": 1e1000000}}'), RESPONSE),
    Hostile("a total of 10^4000", fixed(b'{"items": [], "pagination": {"totalResultSize": ' + b"9" * 4000 + b"}}"), None),
    # lists
    Hostile("the same item for ever", lambda n: page([event("1")], f"c{n}", 1), RESPONSE, "has no end"),
    Hostile("new items for ever", lambda n: page([event(f"{n}-{m}") for m in range(100)], f"c{n}", 5), RESPONSE, "has no end"),
    Hostile("a page for ever", lambda n: page([event("1")], "c", None), RESPONSE, "has no end"),
    # numbers
    *(
        Hostile(f"count {count[:12]}, value {value[:12]}", calculation(count, value), RESPONSE, is_metric=True)
        for count, value in [
            ("1e200000", "1"),
            ("1e1000000", "1"),
            ('"1e1000000"', "1"),
            ("1e99999999999999999999", "1"),
            ("9" * 4000, "1"),
            ("1", "1e100000000"),
            ("1", "-1e-100000000"),
            ("1", '"1e100000000"'),
            ("1", "9" * 60_000 + ".5"),
            ("1", '"' + "9" * 60_000 + '"'),
            ("1", '"NaN"'),
            ("1", '"sNaN"'),
            ("1", "1e99999999999999999999"),
        ]
    ),
    Hostile("no digits, far away", calculation("0e1000000", "0e100000000"), None, is_metric=True),
]  # fmt: skip
