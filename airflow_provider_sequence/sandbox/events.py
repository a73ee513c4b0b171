"""Usage and seat events: which bodies are accepted, what is kept of them, and how they are given back."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from airflow_provider_sequence.sandbox import timestamps
from airflow_provider_sequence.sandbox.http import HTTPError
from airflow_provider_sequence.sandbox.identifiers import Identifiers
from airflow_provider_sequence.sandbox.settings import SandboxSettings
from airflow_provider_sequence.sandbox.store import Record

#: The one Sequence account the sandbox has.
ACCOUNT = "0184421e-a9cc-711b-af93-bf0511d4d833"

#: An event with this alias withdraws the earlier event of its customerEventId.
VOID = "VOID"

#: A field nobody documented; its number has a zero at the end that a float would lose.
EXTRA = b'"ingestionSource":{"channel":"api","weight":1.10}'

# Values stay raw, so that a number comes back with every digit it was sent with.
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_WHOLE_NUMBER = re.compile(rb"-?\d+")


def text(raw: bytes, settings: SandboxSettings) -> str:
    """Return a JSON text; :raises ValueError: it is none, is empty or is too long."""
    try:
        value = msgspec.json.decode(raw, type=str)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise ValueError("must be a text") from None
    if not value:
        raise ValueError("must not be empty")
    if 0 < settings.max_text_length < len(value):
        raise ValueError(f"must have {settings.max_text_length} characters at most, not {len(value)}")
    return value


def instant(raw: bytes, settings: SandboxSettings) -> int:
    """Return a JSON text with an ISO 8601 timestamp as microseconds; :raises ValueError: it is none."""
    return timestamps.parse(text(raw, settings), settings.naive_timestamps)


def whole_number(raw: bytes, settings: SandboxSettings) -> int:
    """Return a JSON integer from 0; :raises ValueError: it is none."""
    if not _WHOLE_NUMBER.fullmatch(raw):
        raise ValueError("must be an integer")
    if raw.startswith(b"-"):
        raise ValueError("must not be negative: it is the number of seats in use, not a change")
    return int(raw)


def json_object(raw: bytes, settings: SandboxSettings) -> None:
    """Check that a value is a JSON object; :raises ValueError: it is none."""
    if not raw.startswith(b"{"):
        raise ValueError("must be a JSON object")


@dataclass(frozen=True)
class Field:
    """
    One field of a body.

    :param nullable: whether it is documented that null is as if it were left out.
    """

    name: str
    check: Callable[[bytes, SandboxSettings], Any]
    required: bool = False
    nullable: bool = False

    def may_be_null(self, settings: SandboxSettings) -> bool:
        """Whether null is as if the field were left out."""
        return self.nullable or (not self.required and settings.null_fields == "absent")


@dataclass(frozen=True)
class EventKind:
    """
    What usage events and seat events differ in.

    :param type_field: the field by which metrics choose their events.
    :param fields: of the body, in the order in which answers give them back.
    """

    type_field: str
    fields: tuple[Field, ...]


USAGE = EventKind(
    "eventType",
    (
        Field("customerEventId", text, nullable=True),
        Field("customerAlias", text, required=True),
        Field("eventType", text, required=True),
        Field("eventTimestamp", instant, nullable=True),
        Field("eventProperties", json_object),
    ),
)
SEAT = EventKind(
    "seatType",
    (
        Field("customerEventId", text, nullable=True),
        Field("customerAlias", text, required=True),
        Field("seatType", text, required=True),
        Field("eventTimestamp", instant, required=True),
        Field("total", whole_number, required=True),
    ),
)


def read_object(body: bytes) -> tuple[str, dict[str, bytes]]:
    """
    Return a body as text, and its fields with their raw values.

    :raises HTTPError: the body is not a JSON object in UTF-8.
    """
    try:
        return body.decode(), {name: bytes(raw) for name, raw in _OBJECT.decode(body).items()}
    except msgspec.ValidationError:
        raise HTTPError(400, "the body must be a JSON object") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HTTPError(400, f"the body must be JSON: {error}") from None


def accept(kind: EventKind, body: bytes, settings: SandboxSettings, identifiers: Identifiers) -> Record:
    """
    Return the record to keep of a posted event.

    :raises HTTPError: the body breaks a rule; the reason names the field.
    """
    whole, sent = read_object(body)
    checked: dict[str, Any] = {}
    for field in kind.fields:
        raw = sent.pop(field.name, None)
        if raw == b"null" and field.may_be_null(settings):
            raw = None
        if raw is not None:
            try:
                checked[field.name] = field.check(raw, settings)
            except ValueError as error:
                raise HTTPError(400, f"{field.name} {error}") from None
        elif field.required:
            raise HTTPError(400, f"{field.name} is required")
    if sent and settings.unknown_fields == "reject":
        raise HTTPError(400, f"{min(sent)} is not a field of this resource")
    identifier = identifiers.new()
    return Record(
        seq=0,
        id=identifier,
        parent=None,
        key=checked.get("customerEventId") or f"event-id-{identifier}",
        alias=checked["customerAlias"],
        type=checked[kind.type_field],
        timestamp=checked.get("eventTimestamp", time.time_ns() // 1_000_000 * 1_000),
        superseded=0,
        repeated=0,
        body=whole,
    )


def render(kind: EventKind, record: Record, settings: SandboxSettings) -> bytes:
    """Return a stored event as an answer gives it back: what was sent, character for character, and the rest."""
    sent = {name: raw for name, raw in _OBJECT.decode(record.body).items() if bytes(raw) != b"null"}
    made_up: dict[str, Any] = {
        "id": record.id,
        "customerEventId": record.key,
        "sequenceAccountId": ACCOUNT,
        "eventProperties": msgspec.Raw(b"{}"),
    }
    form = settings.timestamp_format
    if form != "as_sent" or "eventTimestamp" not in sent:
        sent.pop("eventTimestamp", None)
        made_up["eventTimestamp"] = timestamps.render(
            record.timestamp or 0, "utc_millis" if form == "as_sent" else form
        )
    names = [field.name for field in kind.fields]
    names.insert(3, "sequenceAccountId")
    answer = {name: sent[name] if name in sent else made_up[name] for name in ("id", *names)}
    return with_extra(msgspec.json.encode(answer), settings)


def with_extra(item: bytes, settings: SandboxSettings) -> bytes:
    """Return a JSON object with the undocumented field at its end, if the switch says so."""
    return item[:-1] + b"," + EXTRA + b"}" if settings.extra_fields else item
