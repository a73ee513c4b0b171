"""A small account in a sandbox: a few of everything, put there over the wire."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.support.server import Server

DAYS = ("2024-03-01", "2024-03-02", "2024-03-03", "2024-03-04", "2024-03-05")


@dataclass
class World:
    """What the sandbox answered to each thing that was put in; events in the order in which they went in."""

    server: Server
    usage_events: list[dict[str, Any]]
    seat_events: list[dict[str, Any]]
    metrics: dict[str, dict[str, Any]]

    def get(self, path: str, query: Any = "") -> Any:
        response = self.server.call("GET", path, params=query)
        assert response.status_code == 200, response.text
        return response.json()

    def items(self, path: str, query: Any = "") -> list[dict[str, Any]]:
        return self.get(path, query)["items"]

    def usage(self, query: Any = "") -> list[str]:
        return sorted(item["customerEventId"] for item in self.items("/usage-events", query))

    def seats(self, query: Any = "") -> list[str]:
        return sorted(item["customerEventId"] for item in self.items("/seat-events", query))

    def named(self, query: Any = "") -> list[str]:
        return sorted(item["name"] for item in self.items("/usage-metrics", query))


def usage_event(number: int, **other: Any) -> dict[str, Any]:
    return {
        "customerEventId": f"u{number}",
        "customerAlias": "acme" if number % 2 else "globex, inc.",
        "eventType": "letter-sent" if number < 4 else "parcel-sent",
        "eventTimestamp": f"{DAYS[number]}T12:00:00Z",
        "eventProperties": {"pages": number, "channel": "post"},
    } | other


def seat_event(number: int, **other: Any) -> dict[str, Any]:
    return {
        "customerEventId": f"s{number}",
        "customerAlias": "acme" if number % 2 else "nobody",
        "seatType": "editor" if number < 3 else "admin",
        "eventTimestamp": f"{DAYS[number]}T12:00:00Z",
        "total": 10 + number,
    } | other


def created(response: Any) -> dict[str, Any]:
    assert response.status_code == 201, response.text
    return response.json()


def populate(server: Server) -> World:
    server.add("customers", [{"id": "customer-1"}, {"id": "customer-2"}])
    for customer, alias in (
        ("customer-1", "acme"),
        ("customer-1", "acme-eu"),
        ("customer-2", "globex, inc."),
    ):
        created(server.call("POST", "/customer-aliases", json={"customerId": customer, "value": alias}))
    metrics = server.add(
        "usage-metrics",
        [
            {"name": "Letters", "eventType": "letter-sent", "aggregationType": "COUNT"},
            {
                "name": "Pages of letters",
                "eventType": "letter-sent",
                "aggregationType": "SUM",
                "aggregationProperty": "pages",
            },
            {
                "name": "Odd one",
                "eventType": "a,b c",
                "aggregationType": "UNIQUE",
                "aggregationProperty": "x,y%",
            },
        ],
    )["items"]
    usage = [created(server.call("POST", "/usage-events", json=usage_event(number))) for number in range(5)]
    usage.append(
        created(
            server.call(
                "POST", "/usage-events", json=usage_event(0, customerEventId="u5", customerAlias="new")
            )
        )
    )
    seats = [created(server.call("POST", "/seat-events", json=seat_event(number))) for number in range(5)]
    return World(server, usage, seats, {metric["name"]: metric for metric in metrics})
