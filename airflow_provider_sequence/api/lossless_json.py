"""Lossless JSON: no number is rounded, and no character lost."""

from __future__ import annotations

import datetime as dt
import math
import uuid
from collections.abc import Mapping
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

import msgspec

from airflow_provider_sequence.api.timestamps import utc_text
from airflow_provider_sequence.exceptions import InvalidEventError
from airflow_provider_sequence.unreadable import wrong_type

_decoder = msgspec.json.Decoder(float_hook=Decimal)
_reader = msgspec.json.Decoder(msgspec.Raw)
_text_decoder = msgspec.json.Decoder(str)
_encoder = msgspec.json.Encoder()

#: Types of a database's values, beside text, that JSON has a word for as they are.
_AS_THEY_ARE = frozenset({bool, int, type(None)})

#: Types whose values have one text.
_TEXTS = (uuid.UUID, IPv4Address, IPv6Address, IPv4Network, IPv6Network)


def decode(text: bytes | str | msgspec.Raw) -> Any:
    """
    Python values of JSON text: integers of any size as int, all other numbers as Decimal.

    :raises msgspec.DecodeError: if the text is not JSON.
    """
    try:
        return _decoder.decode(text)
    except UnicodeDecodeError as e:
        raise msgspec.DecodeError(f"not UTF-8 at byte {e.start}") from None
    except RecursionError:
        raise msgspec.DecodeError("nested too deeply") from None
    except ArithmeticError:
        raise msgspec.DecodeError("a number beyond all exponents") from None


def decode_text(text: msgspec.Raw | bytes) -> str | None:
    """Text of JSON text that is one; None of any other value, however large, and of what can't be decoded."""
    try:
        return _text_decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def decode_what_can_be(text: msgspec.Raw | bytes) -> Any:
    """Python values of a field's JSON text; the text itself where it can't be decoded."""
    try:
        return decode(text)
    except msgspec.DecodeError:
        return bytes(text).decode(errors="backslashreplace")


def encode(value: Any) -> bytes:
    """JSON text, UTF-8, of what :func:`to_json_value` gives."""
    return _encoder.encode(value)


def format_decimal(number: Decimal) -> str:
    """
    A Decimal with all its digits and no exponent, as JSON wants numbers and as databases write them.

    Sequence's documents ask for plain decimal numbers; a tiny or huge Decimal prints with an exponent otherwise.
    """
    return format(number, "f")


def to_json_value(value: Any, field: str) -> Any:
    """
    JSON value of a database's value.

    Numbers stay numbers with every digit; UUIDs, dates and times become text in ISO 8601; a time with a zone is
    written in UTC.

    :param value: a value as a database driver gives it; lists and mappings may nest.
    :param field: what to call it in an error.
    :raises InvalidEventError: if JSON has nothing that means the same.
    """
    kind = type(value)
    if kind is str:
        if not value.isascii():
            check_text(value, field)
        return value
    if kind in _AS_THEY_ARE:
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidEventError(field, "is NaN or infinite; JSON has no such number")
        return msgspec.Raw(format_decimal(Decimal(repr(float(value)))).encode())
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise InvalidEventError(field, "is NaN or infinite; JSON has no such number")
        return msgspec.Raw(format_decimal(value).encode())
    if isinstance(value, msgspec.Raw):
        return _checked(value, field)
    if isinstance(value, str):
        check_text(value, field)
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, dt.datetime):
        return value.isoformat() if value.tzinfo is None else checked_utc_text(value, field)
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, _TEXTS):
        return str(value)
    if isinstance(value, Mapping):
        return _object(value, field)
    if isinstance(value, (list, tuple)):
        return [to_json_value(item, f"{field}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, (bytes, bytearray, memoryview)):
        raise InvalidEventError(
            field, "holds bytes, which JSON can't carry; turn them into text in the query (hex, base64)"
        )
    raise InvalidEventError(field, wrong_type(value, "which JSON has no word for; cast it in the query"))


def _checked(text: msgspec.Raw, field: str) -> msgspec.Raw:
    try:
        return _reader.decode(text)
    except msgspec.DecodeError:
        # Snowflake writes undefined, NaN and Infinity in its JSON.
        raise InvalidEventError(field, "is not JSON; cast it in the query") from None


def checked_utc_text(time: dt.datetime, field: str) -> str:
    """UTC text of a time that has a zone; an InvalidEventError names the field where there is none."""
    try:
        return utc_text(time)
    except OverflowError:
        raise InvalidEventError(field, "lies outside the years 1 to 9999 in UTC") from None


def _object(value: Mapping[Any, Any], field: str) -> dict[str, Any]:
    result = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise InvalidEventError(field, "has a key that is not text; keys of a JSON object are")
        check_text(key, field)
        result[key] = to_json_value(item, f"{field}.{key}")
    return result


def check_text(value: str, field: str) -> None:
    """Refuse text that has no UTF-8: an InvalidEventError names the field."""
    if value.isascii():
        return
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidEventError(
            field, "holds half of a surrogate pair, which is no character and has no UTF-8"
        ) from None
