"""What may be shown: text that others wrote, on one line; and of customers' data nothing."""

from __future__ import annotations

from typing import Any

import msgspec

#: Characters of an error's text that are kept.
MAX_MESSAGE = 300


def one_line(text: str, most: int = MAX_MESSAGE) -> str:
    """Text on one line, of printable characters, cut to a length that suits a log."""
    cut = text[:most]
    shown = cut if cut.isprintable() else "".join(c if c.isprintable() else " " for c in cut)
    return shown if len(text) <= most else shown[:-1] + "…"


class PrivateStruct(msgspec.Struct, frozen=True):
    """
    Struct that holds customers' data, none of which is part of its own text.

    Tools that report errors, and the console of some versions of Airflow, show the local variables of each frame.
    """

    def __repr__(self) -> str:
        return f"{type(self).__name__}(...)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []
