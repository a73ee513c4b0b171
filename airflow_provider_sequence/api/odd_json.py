"""Odd JSON, which no decoder takes: text that is no UTF-8, half a surrogate pair, nested without end."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

#: A text, a bracket, a colon or comma, or a number or word. A text without an end is one token: no byte is in two.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[][{}:,]|[^\s][^][{}:,"\s]*+', re.DOTALL)
_MAX_DEPTH = 100
_read_text = msgspec.json.Decoder(str).decode


def readable(text: bytes) -> bytes:
    """JSON with empty texts in place of those that can't be read, and 0 in place of what is nested too deeply."""
    # Not a list of tokens: to join it would take a hundred bytes for each.
    tokens = bytearray()
    depth = 0
    for found in _TOKEN.finditer(text):
        token = found[0]
        if token in {b"[", b"{"}:
            depth += 1
            if depth == _MAX_DEPTH:
                tokens += b"0 "
        if depth < _MAX_DEPTH:
            tokens += b'""' if token[:1] == b'"' and _text(token) is None else token
            tokens += b" "
        if token in {b"]", b"}"}:
            depth -= 1
    return bytes(tokens)


def members(text: bytes) -> Iterator[tuple[str, bytes]]:
    """Give names and values of a JSON object, or the values of an array without names; each value as it came."""
    depth = start = 0
    name = ""
    for found in _TOKEN.finditer(text):
        token = found[0]
        if token in {b"]", b"}"}:
            depth -= 1
        if (depth == 1 and token == b",") or (depth == 0 and token in {b"]", b"}"}):
            if value := text[start : found.start()].strip():
                yield name, value
            start = found.end()
        elif depth == 1 and token == b":":
            name = spell(text[start : found.start()].strip())
            start = found.end()
        if token in {b"[", b"{"}:
            depth += 1
            if depth == 1:
                start = found.end()


def spell(text: bytes) -> str:
    """Text of a JSON text; with its escapes, where it can't be read."""
    read = _text(text)
    return text[1:-1].decode(errors="backslashreplace") if read is None else read


def _text(token: bytes) -> str | None:
    try:
        return _read_text(token)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
