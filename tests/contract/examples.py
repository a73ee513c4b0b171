"""One right example of everything that goes over the wire, for tests to spoil in one place at a time."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import HealthCheck, settings

from tests.contract.contract import published

# How long an example takes is a matter of what else the machine does.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

CREDENTIALS = "Basic a2V5OnNlY3JldA=="  # key:secret

REQUEST_HEADERS = {
    "Authorization": CREDENTIALS,
    "Sequence-Version": "2024-07-30",
    "User-Agent": "contract-tests/1",
}
BODY_HEADERS = REQUEST_HEADERS | {"Content-Type": "application/json"}
ANSWER_HEADERS = {"Content-Type": "application/json", "Sequence-Version": "2024-07-30"}

NEW_USAGE_EVENT = {
    "customerEventId": "delivery-0001",
    "customerAlias": "acme",
    "eventType": "letter-sent",
    "eventTimestamp": "2024-03-31T23:59:59Z",
    "eventProperties": {"pages": 3, "weight": 20.5, "express": True, "tags": ["a", "b"], "note": None},
}
USAGE_EVENT = NEW_USAGE_EVENT | {
    "id": "018e8c5c-5c00-7000-8000-000000000001",
    "sequenceAccountId": "018e8c5c-5c00-7000-8000-0000000000aa",
}
NEW_SEAT_EVENT = {
    "customerEventId": "seats-0001",
    "customerAlias": "acme",
    "seatType": "editor",
    "eventTimestamp": "2024-03-31T23:59:59Z",
    "total": 12,
}
SEAT_EVENT = NEW_SEAT_EVENT | {
    "id": "018e8c5c-5c00-7000-8000-000000000002",
    "sequenceAccountId": "018e8c5c-5c00-7000-8000-0000000000aa",
}
USAGE_METRIC = {
    "id": "7c0a2a38-3f2e-4a6e-9b4c-0c6f3a6c1c11",
    "sequenceAccountId": "018e8c5c-5c00-7000-8000-0000000000aa",
    "name": "Pages of letters",
    "description": "All pages of all letters",
    "metricType": "GROUPED",
    "eventType": "letter-sent",
    "aggregationType": "SUM",
    "aggregationProperty": "pages",
    "groupingProperty": "express",
    "unit": "pages",
    "createdAt": "2024-01-01T00:00:00Z",
    "deletedAt": "2024-06-01T00:00:00Z",
    "propertyFilters": {"channels": ["post"]},
    "caseSensitive": True,
    "propertiesToNegate": ["channels"],
    "parameters": [
        {
            "id": "7c0a2a38-3f2e-4a6e-9b4c-0c6f3a6c1c12",
            "usageMetricId": "7c0a2a38-3f2e-4a6e-9b4c-0c6f3a6c1c11",
            "name": "threshold",
            "type": "POSITIVE_INTEGER",
            "description": "From how many pages on",
            "defaultValue": "5",
        }
    ],
}
METRIC_VALUE = {
    "name": "Pages of letters",
    "metricType": "SIMPLE",
    "eventType": "letter-sent",
    "aggregationType": "SUM",
    "eventCount": 4,
    "value": 12.5,
    "unit": "pages",
}
NEW_CUSTOMER_ALIAS = {"customerId": "cus-1", "value": "acme", "label": "production"}
PAGINATION = {"after": "bmV4dA", "before": "bGFzdA", "totalResultSize": 3}


def page(*items: Any) -> dict[str, Any]:
    return {"items": list(items), "pagination": dict(PAGINATION)}


#: A value of each type of a published field.
_VALUES = {"text": "x", "integer": 1, "number": 1.5, "flag": True, "list": [], "object": {}}


def _plain(facts: dict[str, Any]) -> dict[str, Any]:
    fields = {name: _VALUES[kind.rstrip("!?")] for name, kind in facts.get("fields", {}).items()}
    answer = page("x" if facts.get("texts") else fields)
    return answer if facts["answer"] == "pages" else {"items": answer["items"]}


# What each call answers when all goes well.
ANSWERS: dict[str, tuple[int, Any]] = {
    "GET /usage-events": (200, page(USAGE_EVENT)),
    "POST /usage-events": (201, USAGE_EVENT),
    "GET /usage-metrics": (200, page(USAGE_METRIC)),
    "GET /usage-metrics/{id}/calculate": (200, METRIC_VALUE),
    "GET /seat-events": (200, page(SEAT_EVENT)),
    "POST /seat-events": (201, SEAT_EVENT),
    "GET /seat-events/{id}": (200, SEAT_EVENT),
    "POST /customer-aliases": (201, NEW_CUSTOMER_ALIAS),
}
ANSWERS |= {
    call: (200, _plain(facts))
    for call, facts in published().items()
    if "answer" in facts and call not in ANSWERS
}
REQUESTS: dict[str, Any] = {
    "POST /usage-events": NEW_USAGE_EVENT,
    "POST /seat-events": NEW_SEAT_EVENT,
    "POST /customer-aliases": NEW_CUSTOMER_ALIAS,
}
QUERIES: dict[str, str] = {
    "GET /usage-metrics/{id}/calculate": "customerAliases=acme&periodStart=2024-03-01&periodEnd=2024-03-31",
}

Path = tuple[str | int, ...]
ABSENT = object()


def changed(value: Any, path: Path, new: Any) -> Any:
    """A copy with one place changed, or taken out where ``new`` is ``ABSENT``."""
    value = copy.deepcopy(value)
    *way, last = path
    place = value
    for step in way:
        place = place[step]
    if new is ABSENT:
        del place[last]
    else:
        place[last] = new
    return value


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


def described(name: str) -> tuple[str, str]:
    """The method and a path of an endpoint, with an id where it has one."""
    method, _, path = name.partition(" ")
    return method, path.replace("{id}", "018e8c5c-5c00-7000-8000-000000000002")
