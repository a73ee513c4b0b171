"""Hold requests to the Sequence API, and its answers, against the description in ``sequence_api.yaml``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.contract.body_rules import BodyRules, NotJson, envelope, parse
from tests.contract.formats import FORMATS, Format, is_json_media_type, shown, version_formats
from tests.contract.query_rules import QueryRules

DESCRIPTION = Path(__file__).with_name("sequence_api.yaml")
PUBLISHED = Path(__file__).with_name("published_api.yaml")

Headers = Mapping[str, str] | Iterable[tuple[str | bytes, str | bytes]]

# One segment of a path as it stands on the wire: everything else is escaped.
_ID = r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@]|%[0-9A-Fa-f]{2})+"


@dataclass(frozen=True)
class Endpoint:
    """One call: what goes out with it and what may come back."""

    method: str
    path: str
    status: int
    other_statuses: frozenset[int]
    answer: BodyRules
    request: BodyRules | None
    query: QueryRules

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class HeaderRule:
    """When a header has to be there, when it is looked at, and how it is written."""

    name: str
    required: str
    checked: str
    notation: Format

    def check(self, headers: Mapping[str, str], holds_now: tuple[str, ...]) -> Iterator[str]:
        value = headers.get(self.name.lower())
        if value is None:
            if self.required in holds_now:
                yield f"header {self.name}: expected {self.notation.expects}, but missing"
        elif self.checked in holds_now and not self.notation.holds(value):
            got = "something else" if self.notation.secret else shown(value)
            yield f"header {self.name}: expected {self.notation.expects}, got {got}"


class Contract:
    """The description, compiled once."""

    def __init__(self, description: Mapping[str, Any]) -> None:
        self.base_path: str = description["base_path"]
        versions = description["versions"]
        formats = FORMATS | version_formats(versions["known"], versions["client"])
        self._request_headers = _header_rules(description["request_headers"], formats)
        self._answer_headers = _header_rules(description["answer_headers"], formats)
        self.endpoints = list(_endpoints(description))
        self._fixed = {(e.method, e.path): e for e in self.endpoints if "{id}" not in e.path}
        self._with_id = [
            (re.compile(re.escape(e.path).replace(r"\{id\}", _ID)), e)
            for e in self.endpoints
            if "{id}" in e.path
        ]

    def find(self, method: str, path: str) -> Endpoint | None:
        """The endpoint that a call goes to; the path as it stands on the wire, without the base path."""
        endpoint = self._fixed.get((method, path))
        if endpoint is not None:
            return endpoint
        matching = (e for pattern, e in self._with_id if e.method == method and pattern.fullmatch(path))
        return next(matching, None)

    def check_request(
        self, method: str, path: str, raw_query: str | bytes, headers: Headers, body: bytes
    ) -> list[str]:
        """What is wrong with a request, in words; empty where nothing is."""
        endpoint = self.find(method, path)
        if endpoint is None:
            return [f"{method} {path}: expected a call that the API has; {self._instead(path)}"]
        sent = _lower(headers)
        holds_now = ("always", "with-body") if body else ("always",)
        problems = [problem for rule in self._request_headers for problem in rule.check(sent, holds_now)]
        problems += endpoint.query.check(_text(raw_query))
        if endpoint.request is not None:
            problems += endpoint.request.check(body)
        elif body:
            problems.append(f"body: expected none, got {shown(body)}")
        return [f"{endpoint.name}: {problem}" for problem in problems]

    def check_answer(self, method: str, path: str, status: int, headers: Headers, body: bytes) -> list[str]:
        """What is wrong with an answer, in words; empty where nothing is."""
        endpoint = self.find(method, path)
        if endpoint is None:
            if status >= 400:
                return []
            return [f"{method} {path}: expected an error for a call that the API does not have, got {status}"]
        got = _lower(headers)
        success = status == endpoint.status
        holds_now = ("always", "success") if success else ("always",)
        problems = [problem for rule in self._answer_headers for problem in rule.check(got, holds_now)]
        if success:
            problems += endpoint.answer.check(body)
        elif status not in endpoint.other_statuses:
            expected = ", ".join(map(str, [endpoint.status, *sorted(endpoint.other_statuses)]))
            problems.append(f"status: expected one of {expected}, got {status}")
        elif is_json_media_type(got.get("content-type", "")):
            problems += _json_problem(body)
        return [f"{endpoint.name} -> {status}: {problem}" for problem in problems]

    def _instead(self, path: str) -> str:
        methods = [method for method in ("GET", "POST") if self.find(method, path)]
        return (
            f"this path takes {' and '.join(methods)}" if methods else "nothing is described under this path"
        )


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _lower(headers: Headers) -> dict[str, str]:
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return {_text(name).lower(): _text(value) for name, value in pairs}


def _json_problem(body: bytes) -> list[str]:
    try:
        parse(body)
    except NotJson as error:
        return [f"body: {error}"]
    return []


def _header_rules(rules: Mapping[str, Any], formats: Mapping[str, Format]) -> list[HeaderRule]:
    return [
        HeaderRule(name, rule["required"], rule.get("checked", "always"), formats[rule["format"]])
        for name, rule in rules.items()
    ]


def _endpoints(description: Mapping[str, Any]) -> Iterator[Endpoint]:
    schemas, groups = description["schemas"], description["parameters"]
    common = frozenset(description["error_statuses"])
    described = {entry["call"] for entry in description["endpoints"]}
    plain = (_plain(call, facts, groups) for call, facts in published().items() if call not in described)
    for entry in [*description["endpoints"], *plain]:
        method, path = entry["call"].split(" ")
        query = entry.get("query", {})
        parameters = {name: rule for group in query.get("groups", ()) for name, rule in groups[group].items()}
        answer = entry["answer"]
        yield Endpoint(
            method=method,
            path=path,
            status=answer["status"],
            other_statuses=common | set(entry.get("statuses", ())),
            answer=BodyRules(
                schemas[answer["is"]]
                if "is" in answer
                else envelope(
                    answer.get("item") or schemas[answer["list_of"]],
                    schemas["pagination"] if answer.get("pages", True) else None,
                    answer.get("most", 100),
                )
            ),
            request=(
                BodyRules(schemas[entry["request"]], tuple(entry.get("always_sent", ())))
                if "request" in entry
                else None
            ),
            query=QueryRules(parameters | query.get("own", {}), query.get("open", False)),
        )


_TYPES = {"text": "string", "flag": "boolean", "list": "array"}


def _plain(call: str, facts: Mapping[str, Any], groups: Mapping[str, Any]) -> dict[str, Any]:
    """A list of which there is no more to say than its published facts."""
    known = {name: rule for group in groups.values() for name, rule in group.items()}
    query = {name: known.get(name) or _parameter(kind) for name, kind in facts.get("query", {}).items()}
    fields = facts.get("fields", {})
    item = {
        "type": "object",
        "required": [name for name, kind in fields.items() if "!" in kind],
        "properties": {name: {"type": _json_types(kind)} for name, kind in fields.items()},
    }
    return {
        "call": call,
        "statuses": facts["statuses"][1:],
        "query": {"own": query},
        "answer": {
            "status": 200,
            "item": {"type": "string"} if facts.get("texts") else item,
            "pages": facts["answer"] == "pages",
            "most": 100 if "limit" in query else None,
        },
    }


def _json_types(kind: str) -> str | list[str]:
    """JSON Schema's name of a field's type; what may be left out may be null as well, here."""
    plain = _TYPES.get(kind.rstrip("!?"), kind.rstrip("!?"))
    return plain if kind.endswith("!") else [plain, "null"]


def _parameter(kind: str) -> dict[str, Any]:
    name, _, most = kind.rstrip("!").partition(" of ")
    plain = {"flag": "boolean", "integer": "integer", "number": "number"}.get(name, "string")
    listed = {"list": {"list": "repeated"}, "comma list": {"list": "comma"}}.get(name, {})
    limit = {"max_items": int(most)} if most.isdigit() else {"enum": most.split("|")} if most else {}
    return {"type": plain, **listed, **limit}


@cache
def published() -> dict[str, dict[str, Any]]:
    """The published facts, by calls."""
    facts: dict[str, dict[str, Any]] = yaml.safe_load(PUBLISHED.read_text(encoding="utf-8"))
    return facts


@cache
def load() -> Contract:
    """The contract of the description beside this file."""
    return Contract(yaml.safe_load(DESCRIPTION.read_text(encoding="utf-8")))


def check_request(
    method: str, path: str, raw_query: str | bytes, headers: Headers, body_bytes: bytes
) -> list[str]:
    """What is wrong with a request, in words; empty where nothing is."""
    return load().check_request(method, path, raw_query, headers, body_bytes)


def check_answer(method: str, path: str, status: int, headers: Headers, body_bytes: bytes) -> list[str]:
    """What is wrong with an answer, in words; empty where nothing is."""
    return load().check_answer(method, path, status, headers, body_bytes)
