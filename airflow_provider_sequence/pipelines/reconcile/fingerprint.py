"""Fingerprint of an event: equal for events whose fields mean the same, in whatever notation."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from hashlib import blake2b
from typing import Any

from airflow_provider_sequence.api.events import EventKind
from airflow_provider_sequence.api.lossless_json import encode
from airflow_provider_sequence.api.timestamps import parse_timestamp, utc_text


def fingerprint(kind: EventKind, fields: Mapping[str, Any]) -> str:
    """
    Fingerprint of an event's fields.

    Times are compared to the millisecond, since the precision that Sequence keeps is not documented; numbers by their
    value, every digit; and an event without properties equals one with an empty object.

    :param fields: the event's fields by the API's names, as :func:`~airflow_provider_sequence.api.lossless_json.decode`
        gives them.
    """
    parts: list[Any] = [_time(fields.get("eventTimestamp"))]
    parts += [_plain(fields.get(each.name)) for each in kind.fields if each.name != "eventTimestamp"]
    parts.append(_plain(fields.get("eventProperties") or {}))
    return blake2b(encode(parts), digest_size=16).hexdigest()


def _time(value: Any) -> Any:
    try:
        time = parse_timestamp(value)
    except (TypeError, ValueError):
        return _plain(value)
    return utc_text(time.replace(microsecond=time.microsecond // 1000 * 1000))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {"object": sorted([name, _plain(each)] for name, each in value.items())}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        sign, digits, exponent = Decimal(value).as_tuple()
        text = "".join(map(str, digits)).lstrip("0")
        kept = text.rstrip("0")
        power = int(exponent) + len(text) - len(kept)
        return {"number": f"{'-' if sign and kept else ''}{kept or 0}e{power if kept else 0}"}
    return value
