"""Redshift's driver: what it says of errors, and values read exactly."""

from __future__ import annotations

from typing import Any

import msgspec

#: Number of the type SUPER, and of the format in which the server sends text.
_SUPER, _AS_TEXT = 4000, 0


def diagnose(error: Any) -> tuple[str, str]:
    """Tell an error's message and SQLSTATE: the driver gives all that the server said, rows included."""
    name, said = type(error).__name__, error.args[0] if error.args else ""
    return (
        (f"{name}: {said['M']} ({said['C']})", said["C"])
        if isinstance(said, dict)
        else (f"{name}: {error}", "")
    )


def read_exactly(connection: Any) -> None:
    """Have a connection give SUPER as the JSON it is, and not as a text."""
    connection.redshift_types[_SUPER] = (_AS_TEXT, _raw_json)


def _raw_json(data: bytes, offset: int, length: int) -> msgspec.Raw:
    return msgspec.Raw(data[offset : offset + length])
