"""Error responses: parse them, and redact credentials and customers' data."""

from __future__ import annotations

import datetime as dt
import html
import re
import unicodedata
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any
from urllib.parse import unquote

import msgspec
import urllib3

from airflow_provider_sequence.api import lossless_json
from airflow_provider_sequence.api.shown_text import one_line

#: Fields of an event that say nothing about a customer, and help to find the row.
_PUBLIC_FIELDS = frozenset({"customerEventId", "eventType", "seatType", "eventTimestamp"})
_PUBLIC_PARAMETERS = frozenset({
    "limit",
    "eventTimestampAfter",
    "eventTimestampBefore",
    "eventType",
    "seatType",
})


def is_json(body: bytes) -> bool:
    """Whether a body is a JSON object or list, as Sequence's own errors are; of a firewall or a gateway it is a page or text."""
    try:
        return isinstance(lossless_json.decode(body), (dict, list))
    except msgspec.DecodeError:
        return False


def read_error(body: bytes) -> tuple[str | None, str]:
    """
    Parse the error's type and message out of a body.

    The documents give error answers no schema. Read are ``{"error": {"type", "message"}}``, ``{"errors": […]}``
    and plain text; of a gateway's HTML page, its text.

    :return: the type, where there is one, and the message.
    """
    try:
        content = lossless_json.decode(body)
    except msgspec.DecodeError:
        return None, _plain_text(body)
    if isinstance(content, dict):
        content = content.get("error", content.get("errors", content))
    errors = content if isinstance(content, list) else [content]
    read = [_type_and_message(error) for error in errors] or [(None, "")]
    return read[0][0], "; ".join(message for _, message in read if message) or "no message"


def _type_and_message(error: Any) -> tuple[str | None, str]:
    if not isinstance(error, dict):
        return None, str(error) if error is not None else ""
    kind = error.get("type", error.get("code"))
    message = error.get("message", error.get("detail", error.get("title")))
    if message is None:
        message = lossless_json.encode(error).decode()
    return (kind if isinstance(kind, str) else None), str(message)


def _plain_text(body: bytes) -> str:
    text = " ".join(_without_tags(body.decode(errors="replace")))
    # Python refuses to read a number of thousands of digits, and no character has such a one.
    text = re.sub(r"&#[xX]?[0-9a-fA-F]{8,};?", " ", text)
    return " ".join(html.unescape(text).split()) or "an empty answer"


#: Elements whose text nobody sees, and where each ends.
_HIDDEN = {name: re.compile(rf"</{name}\b", re.IGNORECASE) for name in ("script", "style", "head")}
_TAG_NAME = re.compile(r"[a-zA-Z]*")


def _without_tags(text: str) -> Iterator[str]:
    """Parts of a page's text, in time that is linear in its length: what has no end ends the page."""
    end = 0
    while (start := text.find("<", end)) >= 0:
        yield text[end:start]
        hidden = _HIDDEN.get(_TAG_NAME.match(text, start + 1)[0].lower())  # type: ignore[index]
        closing = hidden.search(text, start) if hidden else None
        if hidden and closing is None:
            return
        tag_end = text.find(">", closing.start() if closing else start)
        if tag_end < 0:
            yield text[start:]
            return
        end = tag_end + 1
    yield text[end:]


def redact(message: str, values: Iterable[str]) -> str:
    """
    Redact values in an error's message: a server may repeat what it was sent, in another spelling, or only a part of it.

    Message and values are brought into one spelling. Then go the values, and each word that holds some characters of one.

    :param values: credentials, aliases, names and values of properties, and values of filters.
    :return: the message without them, on one line, cut to a length that suits a log.
    """
    forms = {form for value in values for form in (_one_spelling(value), _base64(value)) if form}
    known = "\0".join(forms).lower()
    names = "|".join(name for name in _NAMES if name.lower() not in known)
    between_names = partial(_between, re.compile(rf"\b({names})\b" if names else "((?!))"))
    text = one_line(between_names(_one_spelling(message), partial(_without_values, forms=forms)))
    return between_names(text, partial(_without_parts, values=known))


#: Names that the API's own words hold, which stay, though a customer's are often like them: but for those that a value holds.
_NAMES = ("customerEventId", "customerAlias", "eventType", "eventTimestamp", "eventProperties", "seatType")


def _between(names: re.Pattern[str], text: str, change: Callable[[str], str]) -> str:
    """Text with a change to what stands between the names."""
    return "".join(part if number % 2 else change(part) for number, part in enumerate(names.split(text)))


def _without_values(text: str, forms: Iterable[str]) -> str:
    for form in sorted(forms, key=len, reverse=True):
        if len(form) > 3:
            text = re.sub(re.escape(form), "***", text, flags=re.IGNORECASE)
        elif form in text:
            text = re.sub(rf"(?<!\w){re.escape(form)}(?!\w)", "***", text)
    return text


#: Characters in a row that tell a part of a value from a word that happens to be like it.
_PART = 6
_ESCAPED = re.compile(r"\\(?:u([0-9a-fA-F]{4})|([\"\\/bfnrt]))")


def _one_spelling(text: str) -> str:
    """Text without the escapes of JSON, URLs and pages, whichever of them stand in each other, and with single blanks."""
    for _ in range(3):
        text = html.unescape(unquote(_ESCAPED.sub(_unescape, text)))
    return " ".join(unicodedata.normalize("NFC", text).split())


def _unescape(escape: re.Match[str]) -> str:
    if escape[1]:
        return chr(int(escape[1], 16))
    return escape[2] if escape[2] in '"\\/' else " "


def _base64(text: str) -> str:
    return b64encode(text.encode(errors="replace")).decode().rstrip("=") if len(text) > 3 else ""


def _without_parts(text: str, values: str) -> str:
    """Text without the words that share some characters in a row with a value."""
    lower = text.lower()
    if len(lower) != len(text):  # a few letters become two
        lower = text
    known = [False] * len(text)
    for start in range(len(text) - _PART + 1):
        if lower[start : start + _PART] in values:
            known[start : start + _PART] = [True] * _PART
    return re.sub(r"\S+", lambda word: "***" if any(known[slice(*word.span())]) else word[0], text)


def values_in_query(query: Iterable[tuple[str, str]] | None) -> Iterator[str]:
    """Values of a query that may be customers' data."""
    return (value for name, value in query or () if name not in _PUBLIC_PARAMETERS)


def values_in_body(body: bytes | None) -> Iterator[str]:
    """Names of properties, and values, of a body that may be customers' data; each number as it is written, and as others write it."""
    if body is None:
        return
    try:
        fields = _read_fields(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        fields = {"": msgspec.Raw(body)}
    for name, value in fields.items():
        if name not in _PUBLIC_FIELDS:
            for word in _WORD.findall(bytes(value).decode(errors="replace")):
                yield from _texts(word)


_read_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
#: A text or a number in JSON.
_WORD = re.compile(r'"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d{1,18})?', re.DOTALL)


def _texts(word: str) -> Iterator[str]:
    if word.startswith('"'):
        yield word[1:-1]
        return
    yield word
    number = Decimal(word)
    if abs(number.adjusted()) < 40:  # else its digits are many
        yield from {str(number), f"{number:f}", f"{number.normalize():f}", repr(float(number))}


def parse_retry_after(
    headers: Mapping[str, str], clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)
) -> float | None:
    """
    Read ``Retry-After``, which is a number of seconds or a date (RFC 9110, 10.2.3).

    :param clock: what time it is, for a date in a response that does not tell its own.
    :return: seconds from now, or None where the header is missing or is neither.
    """
    value = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", value):
        return float(value)
    until = parse_date(value)
    if until is None:
        return None
    # By the server's clock, where it tells it: ours may be off by more than the wait.
    now = parse_date(headers.get("Date", "")) or clock()
    return max(0.0, (until - now).total_seconds())


def parse_date(value: str) -> dt.datetime | None:
    """Read a date of a header, UTC where it has no zone; None where it is none."""
    try:
        date = parsedate_to_datetime(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=dt.UTC)


def describe_failure(error: urllib3.exceptions.HTTPError, *, begun: bool = False) -> tuple[str, bool]:
    """
    Describe why there is no response, without the URL that is part of the error's own text.

    :param begun: whether there was the beginning of one.
    :return: the reason, and whether a response had begun, or TLS failed: further attempts are of little use then.
    """
    if isinstance(error, urllib3.exceptions.SSLError):
        reason = "TLS failed: the server's certificate is not trusted, or it doesn't speak TLS"
        return f"{reason} (SSL_CERT_FILE names the file of a CA of your own)", True
    refused = isinstance(error, urllib3.exceptions.NewConnectionError)  # to urllib3 it is a timeout, too
    if isinstance(error, urllib3.exceptions.ConnectTimeoutError) and not refused:
        return "no connection within the timeout", False
    if isinstance(error, urllib3.exceptions.TimeoutError) and not refused:
        return "no answer within the timeout", False
    if isinstance(error, urllib3.exceptions.ProxyError):
        return "the proxy refused or could not be reached", False
    if begun:
        return "the answer broke off or could not be decoded", True
    return _system_error(error) or "the connection broke before an answer came", False


def _system_error(error: BaseException) -> str | None:
    """The operating system's error, from wherever in the chain of causes it is."""
    seen: set[int] = set()
    pending: list[object] = [error]
    while pending:
        cause = pending.pop()
        if not isinstance(cause, BaseException) or id(cause) in seen:
            continue
        seen.add(id(cause))
        if isinstance(cause, OSError) and cause.strerror:
            return f"no connection: {cause.strerror}"
        pending += [cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args]
    return None
