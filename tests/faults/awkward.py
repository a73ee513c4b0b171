"""Rows whose values are easily spoiled, and what is to become of each."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Awkward:
    """A row, and its outcome.

    :param why: why it can't be an event; None where it can.
    :param at: its time as text in the warehouse.
    :param time: the same as the API is to be told, in UTC.
    """

    number: int
    id: str
    alias: str
    type: str
    at: str | None
    properties: str | None
    time: str | None
    why: str | None = None


#: Where letters begin in each plane of Unicode; those in the middle have none so far, and are text all the same.
PLANES = [
    0x20,
    0xA0,
    0x370,
    0x600,
    0x4E00,
    0xAC00,
    0xE000,
    0xFB00,
    0x10000,
    0x1F300,
    0x20000,
    0x30000,
    *range(0x40000, 0xE0000, 0x10000),
    0xE0100,
    0xF0000,
    0x10FF00,
]
PIECES = [
    "'", '"', "''", "\\", "\\\\", "%s", "%(a)s", ":a", "?", "$1", "\t", "\n", "\r\n", "\x01", "\x7f", "\x85", "\u2028", "\ufeff",
    "\u200b", "\u202e", "e\u0301", "\u00e9", "👩🏽‍🚀", "\ufffd", "\uffff", "\U0010ffff", "NULL", "\\N", "\\.", "{}", "[", "</script>",
    "'; DROP TABLE usage; --", "株式会社", "مرحبا", "null", "NaN", "\\u0000", "&amp;", "%00", "+", "a,b", "{{ ds }}",
]  # fmt: skip
NUMBERS = [
    "0", "-0", "0.0", "-0.0", "0.1000", "1.10", "1e308", "1E+308", "-1e-308", "1e400", "5e-324", "9007199254740993", "12345678901234567890123",
    "1234567890123456789012345678901234567890", "0.1234567890123456789012345678901234567890", "1234567890123456789.0123456789012345678900",
    "100", "1.0", "1e2", "1E-7", "-7", "1e0", "0e5", "9223372036854775808", "-9223372036854775809", "18446744073709551616", "1e15000", "1.5e-16000",
]  # fmt: skip
TIMES = [  # as the warehouse holds it, and in UTC
    ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
    ("0001-01-02T00:30:00+05:30", "0001-01-01T19:00:00Z"),
    ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
    ("9999-12-31 18:29:59.999999-05:30", "9999-12-31T23:59:59.999999Z"),
    ("2026-03-01T12:00:00+05:45", "2026-03-01T06:15:00Z"),
    ("2026-03-01T12:00:00-09:30", "2026-03-01T21:30:00Z"),
    ("2026-03-01T12:00:00+14:00", "2026-02-28T22:00:00Z"),
    ("2026-03-01", "2026-03-01T00:00:00Z"),
    ("2026-03-01 12:00", "2026-03-01T12:00:00Z"),
    ("20260301T120000Z", "2026-03-01T12:00:00Z"),
    ("2026-W09-7", "2026-03-01T00:00:00Z"),
    ("2024-02-29T00:00:00.100Z", "2024-02-29T00:00:00.100Z"),
    ("2026-03-01T12:00:00.123456789Z", "2026-03-01T12:00:00.123456789Z"),
    ("1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z"),
]
#: No instants: a leap second is in ISO 8601, but neither in Python nor in PostgreSQL; what is before the year 1.
NO_TIMES = [
    "2016-12-31T23:59:60Z",
    "2026-02-30",
    "0001-01-01T00:00:00+01:00",
    "9999-12-31T23:59:59-01:00",
    "24 May",
    "infinity",
    "",
    None,
]
NO_JSON = [
    '{"a": NaN}',
    '{"a": Infinity}',
    '{"a": 01}',
    '{"a"',
    "[1]",
    "1",
    '"text"',
    "",
    '{"a": "\x01"}',
    "{'a': 1}",
    '{"a": 1,}',
    "null",
]


def awkward_rows(number: int, dice: random.Random) -> list[Awkward]:
    rows = []
    for i in range(number):
        at, time = dice.choice(TIMES)
        row: dict[str, Any] = {
            "number": i,
            "id": f"{i:06}{_text(dice, 3)}x",
            "alias": f"{_text(dice, 4)}y",
            "type": f"{_text(dice, 2)}z",
            "at": at,
            "time": time,
            "properties": _object(dice, i),
        }
        spoiled = dice.random()
        if spoiled < 0.02:
            row |= {"at": dice.choice(NO_TIMES), "why": "event_timestamp|eventTimestamp"}
        elif spoiled < 0.04:
            row |= {"properties": dice.choice(NO_JSON), "why": "properties|Properties"}
        elif spoiled < 0.05:
            row |= {"alias": dice.choice(["", " ", "\t\n"]), "why": "alias|Alias"}
        elif spoiled < 0.06:
            row |= {"alias": "a" * 300, "why": "255"}  # the sandbox refuses it
        elif spoiled < 0.065:
            row |= {"properties": None}
        rows.append(Awkward(**row))
    return rows


def _text(dice: random.Random, most: int) -> str:
    """Some of what text may hold; U+0000 can be in no text of PostgreSQL."""
    pieces = []
    for _ in range(dice.randint(0, most)):
        if dice.random() < 0.5:
            pieces.append(dice.choice(PIECES))
        else:
            pieces.append(
                "".join(chr(dice.choice(PLANES) + dice.randrange(0x60)) for _ in range(dice.randint(1, 8)))
            )
    return "".join(pieces).encode("utf-8", "ignore").decode()


def _object(dice: random.Random, number: int) -> str:
    if number % 1000 == 500:
        return json.dumps({"long": 'x𝄞"\\' * 200_000}, ensure_ascii=bool(number % 2000 == 500))
    if number % 500 == 250:
        return '{"deep": ' + "[" * 200 + '{"n": 1.10}' + "]" * 200 + "}"
    fields = {_text(dice, 2) + str(i): _json(dice, 3) for i in range(dice.randint(0, 4))}
    space = dice.choice(["", " ", "\n", "\t "])
    inner = f",{space}".join(f"{_quoted(dice, name)}:{space}{value}" for name, value in fields.items())
    return f"{{{space}{inner}{space}}}"


def _quoted(dice: random.Random, text: str) -> str:
    return json.dumps(text, ensure_ascii=dice.random() < 0.5)


def _json(dice: random.Random, depth: int) -> str:
    kind = dice.randrange(9 if depth else 6)
    if kind < 3:
        return dice.choice(NUMBERS)
    if kind < 5:
        return _quoted(dice, _text(dice, 3) + ("\0" if dice.random() < 0.02 else ""))
    if kind == 5:
        return dice.choice(["true", "false", "null", '""', "{}", "[]"])
    if kind < 8:
        return "[" + ", ".join(_json(dice, depth - 1) for _ in range(dice.randint(0, 3))) + "]"
    return "{" + ", ".join(f'"{i}": {_json(dice, depth - 1)}' for i in range(dice.randint(0, 3))) + "}"
