"""Deployments of the setting ``[sequence] deliveries``: which tables the page reads, and over which connections."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields

from airflow_provider_sequence.exceptions import SequenceConfigurationError
from airflow_provider_sequence.plugins.settings import OPTION, SECTION

_EXAMPLE = '{"acme": {"conn_id": "warehouse", "delivery_log_table": "sequence_delivery_log"}}'
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class Deployment:
    """
    Tables of one warehouse that the page reads.

    :param name: what the page calls it.
    :param conn_id: Airflow connection to the warehouse.
    :param delivery_log_table: ``table`` or ``schema.table`` of the pushes' delivery log.
    :param runs_table: likewise, of the runs; None if none is kept.
    :param differences_table: likewise, of the differences that reconciliations found; None if none is kept.
    """

    name: str
    conn_id: str
    delivery_log_table: str
    runs_table: str | None = None
    differences_table: str | None = None


_FIELDS = {field.name for field in fields(Deployment)} - {"name"}
_REQUIRED = ("conn_id", "delivery_log_table")


def parse_deployments(text: str | None) -> Mapping[str, Deployment]:
    """
    Parse the setting's JSON.

    :return: the deployments by their names, in the order of the setting; none if the setting is empty.
    :raises SequenceConfigurationError: if it is not as the guide has it.
    """
    if not text or not text.strip():
        return {}
    try:
        found = json.loads(text)
    except ValueError as e:
        raise _wrong(f"is no JSON ({e})") from None
    if not isinstance(found, dict) or not found:
        raise _wrong("is no JSON object with a name for each deployment")
    return {name: _parse(name, each) for name, each in found.items()}


def _parse(name: str, given: object) -> Deployment:
    if not _NAME.fullmatch(name):
        raise _wrong(f"has the name {name!r}; a name has letters, digits, and _ . - within, at most 64")
    if not isinstance(given, dict):
        raise _wrong(f"has no JSON object for {name!r}")
    if unknown := sorted(set(given) - _FIELDS):
        raise _wrong(f"has {', '.join(unknown)} for {name!r}; known are {', '.join(sorted(_FIELDS))}")
    if missing := [field for field in _REQUIRED if not given.get(field)]:
        raise _wrong(f"lacks {' and '.join(missing)} for {name!r}")
    if wrong := sorted(field for field, value in given.items() if not isinstance(value, str | None)):
        raise _wrong(f"has {', '.join(wrong)} for {name!r} that is no text")
    return Deployment(name, **given)


def _wrong(what: str) -> SequenceConfigurationError:
    return SequenceConfigurationError(f"[{SECTION}] {OPTION} {what}. Write it like {_EXAMPLE}")
