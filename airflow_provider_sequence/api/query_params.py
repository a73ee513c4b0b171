"""Encodings of filter values in a query; each function gives the values of one parameter."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import quote

#: The most values that ``customerIds`` and ``seatType`` take, by the API's documents.
MAX_LISTED = 25

_MAX_DIGITS = 100


def encode_text(value: Any) -> list[str]:
    if not isinstance(value, (str, int)) or isinstance(value, bool):
        raise TypeError(f"wants text, not {type(value).__name__}")
    text = str(value)
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("holds half of a surrogate pair, which is no character")
    return [text]


def encode_flag(value: Any) -> list[str]:
    text = str(value).lower()
    if text not in {"true", "false"}:
        raise ValueError("wants true or false")
    return [text]


def encode_order(value: Any) -> list[str]:
    if value not in {"ASC", "DESC"}:
        raise ValueError("wants ASC or DESC")
    return [value]


def encode_whole_number(value: Any) -> list[str]:
    text = str(value)
    if isinstance(value, bool) or not re.fullmatch("[0-9]{1,18}", text):
        raise ValueError("wants a whole number, 0 or more")
    return [text]


def encode_number(value: Any) -> list[str]:
    """Write a decimal number with every digit, and without an exponent."""
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
        raise TypeError(f"wants a decimal number or its text, not {type(value).__name__}")
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise ValueError("wants a decimal number") from None
    if not number.is_finite() or abs(number.adjusted()) > _MAX_DIGITS:
        raise ValueError("wants a decimal number of no more than 100 digits")
    return [f"{number:f}"]


def encode_each(value: Any) -> list[str]:
    """Repeat the parameter for each value, the OpenAPI default for an array in a query."""
    return [text for item in _as_list(value) for text in encode_text(item)]


def encode_encoded_list(value: Any) -> list[str]:
    """Join values by commas, each percent-encoded on its own, so that a comma inside a value survives."""
    return [",".join(quote(text, safe="") for text in encode_each(value))]


def encode_comma_list(value: Any) -> list[str]:
    texts = encode_each(value)
    if any("," in text for text in texts):
        raise ValueError("has a value with a comma, which the API takes for two")
    return [",".join(texts)]


def encode_short_list(value: Any) -> list[str]:
    written = encode_comma_list(value)
    if written[0].count(",") >= MAX_LISTED:
        raise ValueError(f"takes {MAX_LISTED} values at most")
    return written


def _as_list(value: Any) -> list[Any]:
    if isinstance(value, (bytes, Mapping)) or not isinstance(value, (str, int, Iterable)):
        raise TypeError(f"wants text or a list of texts, not {type(value).__name__}")
    items = [value] if isinstance(value, (str, int)) else list(value)
    if not items:
        raise ValueError("wants at least one value")
    return items


def has_comma(text: str) -> bool:
    """Whether a text is two where a list is comma-separated."""
    return "," in text


def may_be_a_list(text: str) -> bool:
    """Whether a text is another one where a list is comma-separated, and its values percent-encoded."""
    return "," in text or "%" in text


def may_be_encoded(text: str) -> bool:
    """Whether it matters how often, and when, a text is percent-decoded."""
    return quote(text, safe="") != text
