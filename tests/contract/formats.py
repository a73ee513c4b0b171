"""The notations that values of the API are held against: each a predicate and the words for what it expects."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from datetime import date, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import NamedTuple


class Format(NamedTuple):
    """A notation. ``secret`` keeps the value out of messages."""

    holds: Callable[[str], bool]
    expects: str
    secret: bool = False


_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z", re.ASCII)
_ISO = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII,
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_FRACTION = re.compile(r"\.\d+")


def _is_real(text: str) -> bool:
    """Tell a time of the calendar from digits in the right places, such as a 31st of February."""
    try:
        datetime.fromisoformat(_FRACTION.sub("", text))
    except ValueError:
        return False
    return True


def is_utc_instant(text: str) -> bool:
    return _UTC.fullmatch(text) is not None and _is_real(text)


def is_iso_8601(text: str) -> bool:
    return _ISO.fullmatch(text) is not None and _is_real(text)


def is_date_or_instant(text: str) -> bool:
    if not _DATE.fullmatch(text):
        return is_iso_8601(text)
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=64)  # a client sends the same header with every request
def is_basic_credentials(text: str) -> bool:
    scheme, _, token = text.partition(" ")
    if scheme != "Basic":
        return False
    try:
        client_id, colon, secret = base64.b64decode(token, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return False
    return bool(client_id and colon and secret)


def is_json_media_type(text: str) -> bool:
    media_type, _, parameters = text.partition(";")
    charset = parameters.strip().lower()
    return media_type.strip().lower() == "application/json" and charset in {"", "charset=utf-8"}


def is_retry_after(text: str) -> bool:
    if text.isascii() and text.isdigit():
        return True
    try:
        parsedate_to_datetime(text)
    except ValueError:
        return False
    return True


def is_not_empty(text: str) -> bool:
    return bool(text.strip())


FORMATS: dict[str, Format] = {
    "utc-instant": Format(is_utc_instant, "a UTC time that ends in Z, such as 2022-10-01T00:00:00Z"),
    "iso-8601": Format(is_iso_8601, "an ISO 8601 time, such as 2022-10-01T00:00:00Z"),
    "date-or-instant": Format(is_date_or_instant, "a date such as 2022-10-01 or an ISO 8601 time"),
    "basic-credentials": Format(
        is_basic_credentials, "Basic and base64 of client id:secret, neither of them empty", secret=True
    ),
    "json-media-type": Format(is_json_media_type, "application/json"),
    "retry-after": Format(is_retry_after, "whole seconds or an HTTP date"),
    "not-empty": Format(is_not_empty, "a value that is not empty"),
}


def version_formats(known: list[str], client: str) -> dict[str, Format]:
    """The notations that depend on which versions of the API there are."""
    return {
        "known-version": Format(frozenset(known).__contains__, "one of " + ", ".join(known)),
        "client-version": Format(client.__eq__, f"{client}, the version that this client speaks"),
    }


def shown(value: object) -> str:
    """A value for a message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
