"""Cursors: opaque to the client, the id of an item to the sandbox."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable

from airflow_provider_sequence.sandbox.http import HTTPError
from airflow_provider_sequence.sandbox.identifiers import milliseconds_of
from airflow_provider_sequence.sandbox.settings import SandboxSettings

#: Cursors remembered when they have a lifetime; beyond that the oldest are forgotten, and so have expired.
_REMEMBERED = 100_000


class Cursors:
    """
    Makes and reads cursors.

    :param clock: seconds, for the lifetime of cursors.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._issued: dict[str, float] = {}

    def make(self, identifier: str, order: str, settings: SandboxSettings) -> str:
        """Return a cursor to the item with this id, in a list of this order."""
        content = identifier
        if settings.cursor_style == "uuid_micros_order":
            content = f"{identifier}#{milliseconds_of(identifier) * 1000}#{order}"
        cursor = base64.b64encode(content.encode()).decode()
        if settings.cursor_lifetime_seconds:
            self._issued.pop(cursor, None)
            self._issued[cursor] = self._clock()
            if len(self._issued) > _REMEMBERED:
                del self._issued[next(iter(self._issued))]
        return cursor

    def read(self, name: str, cursor: str, order: str, settings: SandboxSettings) -> str:
        """
        Return the id a cursor points to.

        :param name: of the parameter, for the reason of a refusal.
        :raises HTTPError: the sandbox never made such a cursor, made it for another order, or too long ago.
        """
        try:
            content = base64.b64decode(cursor, validate=True).decode()
        except (binascii.Error, ValueError):
            raise HTTPError(400, f"{name} is not a cursor") from None
        identifier, *rest = content.split("#")
        if len(rest) != (2 if settings.cursor_style == "uuid_micros_order" else 0):
            raise HTTPError(400, f"{name} is not a cursor")
        if rest and rest[1] != order:
            raise HTTPError(400, f"{name} is a cursor of a list in the order {rest[1]}, not {order}")
        lifetime = settings.cursor_lifetime_seconds
        if lifetime and self._clock() - self._issued.get(cursor, -lifetime) >= lifetime:
            raise HTTPError(400, f"{name} is a cursor that has expired")
        return identifier

    def clear(self) -> None:
        """Forget when cursors were made."""
        self._issued.clear()
