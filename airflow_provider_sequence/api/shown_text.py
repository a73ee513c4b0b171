"""Text that others wrote, as it may be shown: one line of a log can't be made to look like two."""

from __future__ import annotations

#: Characters of an error's text that are kept.
MAX_MESSAGE = 300


def one_line(text: str, most: int = MAX_MESSAGE) -> str:
    """Text on one line, of printable characters, cut to a length that suits a log."""
    cut = text[:most]
    shown = cut if cut.isprintable() else "".join(c if c.isprintable() else " " for c in cut)
    return shown if len(text) <= most else shown[:-1] + "…"
