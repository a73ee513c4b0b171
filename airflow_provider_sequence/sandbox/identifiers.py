"""UUIDv7 ids: the milliseconds of their making, then a counter, so that they sort in the order they were made."""

from __future__ import annotations

import secrets
import time
import uuid


class Identifiers:
    """
    Makes UUIDv7 texts that only ever grow.

    :param last: the newest id that exists already, so that a restart or a clock set back makes no older one.
    """

    def __init__(self, last: str | None = None) -> None:
        #: milliseconds since 1970 and 12 bits of counter, as one number
        self._ticks = _ticks_of(last) if last else 0

    def new(self) -> str:
        """Return a new id."""
        now = (time.time_ns() // 1_000_000) << 12
        self._ticks = max(now, self._ticks + 1)
        milliseconds, counter = self._ticks >> 12, self._ticks & 0xFFF
        number = milliseconds << 80 | 0x7 << 76 | counter << 64 | 0b10 << 62 | secrets.randbits(62)
        text = f"{number:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def milliseconds_of(identifier: str) -> int:
    """Return the milliseconds since 1970 that a UUIDv7 carries; 0 for an id of another kind."""
    try:
        parsed = uuid.UUID(identifier)
    except ValueError:
        return 0
    return parsed.int >> 80 if parsed.version == 7 else 0


def _ticks_of(identifier: str) -> int:
    return milliseconds_of(identifier) << 12 | (uuid.UUID(identifier).int >> 64) & 0xFFF
