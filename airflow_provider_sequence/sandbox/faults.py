"""Rules by which requests go wrong on purpose."""

from __future__ import annotations

import fnmatch
import random
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from airflow_provider_sequence.sandbox.events import read_object
from airflow_provider_sequence.sandbox.http import HTTPError, Request

Kind = Literal[
    "status",
    "html",
    "redirect",
    "reset_before",
    "reset_after",
    "hang",
    "hang_after",
    "truncate",
    "invalid_json",
    "empty_body",
    "wrong_content_type",
    "slow_drip",
]


class Fault(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """
    One rule.

    :param kind: what goes wrong.
    :param method: only requests with this method.
    :param path: only requests with this path below ``/api``, such as ``/usage-events``; ``*`` stands for anything.
    :param match: only requests whose JSON body has these fields with these values.
    :param after_n: how many requests that fit are left alone first.
    :param times: how many requests go wrong; null = all.
    :param probability: share of the requests that fit which go wrong, from 0 to 1.
    :param seed: of the dice, so that a run can be repeated.
    :param applied: whether the request takes effect all the same; by default as the kind says.
    :param status: of the answer.
    :param body: of the answer: a text as it stands, anything else as JSON.
    :param content_type: of the answer.
    :param headers: further headers of the answer.
    :param seconds: how long ``hang``, ``hang_after`` and ``slow_drip`` take.
    """

    kind: Kind = "status"
    method: str | None = None
    path: str | None = None
    match: dict[str, Any] = {}
    after_n: int = 0
    times: int | None = None
    probability: float = 1.0
    seed: int = 0
    applied: bool | None = None
    status: int | None = None
    body: Any = None
    content_type: str | None = None
    headers: dict[str, str] = {}
    seconds: float = 30.0

    def fits(self, request: Request) -> bool:
        """Tell whether the rule is about this request."""
        if self.method and self.method.upper() != request.method:
            return False
        path = "/" + "/".join(request.path)
        if self.path and not fnmatch.fnmatchcase(path, "/" + self.path.strip("/")):
            return False
        return not self.match or self.match.items() <= _fields(request.body).items()


class Faults:
    """The rules in force, in the order they were added. The first that fits decides."""

    def __init__(self) -> None:
        self._rules: list[tuple[Fault, random.Random]] = []
        self._seen: dict[int, int] = {}
        self._used: dict[int, int] = {}

    def add(self, fault: Mapping[str, Any]) -> Fault:
        """Add a rule; :raises ValueError: it is not one."""
        rule = msgspec.convert(fault, Fault)
        if rule.status is not None and not 200 <= rule.status <= 599:
            raise ValueError(f"status must be from 200 to 599, not {rule.status}")
        if not 0 <= rule.probability <= 1:
            raise ValueError(f"probability must be from 0 to 1, not {rule.probability}")
        self._rules.append((rule, random.Random(rule.seed)))  # noqa: S311 - dice, not secrets
        return rule

    def choose(self, request: Request) -> Fault | None:
        """Return the rule by which this request goes wrong, if any."""
        for number, (rule, dice) in enumerate(self._rules):
            if (rule.times is not None and self._used.get(number, 0) >= rule.times) or not rule.fits(request):
                continue
            self._seen[number] = self._seen.get(number, 0) + 1
            if self._seen[number] > rule.after_n and dice.random() < rule.probability:
                self._used[number] = self._used.get(number, 0) + 1
                return rule
        return None

    def shown(self) -> list[dict[str, Any]]:
        """Return the rules and how often each was used."""
        return [
            {**msgspec.structs.asdict(rule), "used": self._used.get(number, 0)}
            for number, (rule, _) in enumerate(self._rules)
        ]

    def clear(self) -> None:
        """Remove all rules."""
        self.__init__()  # type: ignore[misc]


def _fields(body: bytes) -> dict[str, Any]:
    try:
        return {name: msgspec.json.decode(raw) for name, raw in read_object(body)[1].items()}
    except (HTTPError, msgspec.DecodeError):
        return {}  # a body that is no JSON object has no fields to match
