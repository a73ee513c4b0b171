"""
Everything that can be listed: a row of data each.

A further list endpoint is a further row. Filters and fields are those of Sequence's public reference; a filter that
is not here is an unknown parameter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_sequence.sandbox import events, filters, seats
from airflow_provider_sequence.sandbox.events import EventKind
from airflow_provider_sequence.sandbox.filters import Filter, json_field

_AFTER = {"inclusive": ">=", "exclusive": ">"}
_BEFORE = {"inclusive": "<=", "exclusive": "<"}

_SORTED = frozenset({"after", "before", "limit", "sortOrder", "sortBy"})


@dataclass(frozen=True)
class Resource:
    """
    One list.

    :param path: below ``/api``; a star stands for the id of the parent.
    :param filters: by the name of the parameter.
    :param table: where its records are; the path without its star if left out.
    :param parent_field: for lists below an id: the field of a record that holds this id.
    :param kind: for events: how a body is read and given back.
    :param paging: the documented parameters for order and pages.
    :param readable: whether ``GET {path}/{id}`` is documented.
    :param defaults: required fields that a record gets where it is loaded without them.
    """

    path: str
    filters: Mapping[str, Filter] = field(default_factory=dict)
    table: str = ""
    parent_field: str = ""
    kind: EventKind | None = None
    paging: frozenset[str] = _SORTED
    readable: bool = False
    defaults: Mapping[str, Any] = field(default_factory=dict)

    @property
    def source(self) -> str:
        """The table its records are in."""
        return self.table or self.path.replace("/*", "")

    @property
    def parent(self) -> str:
        """The table of the records it hangs under, or nothing."""
        return self.path.split("/")[0] if "*" in self.path else ""

    @property
    def parameters(self) -> frozenset[str]:
        """Every documented query parameter."""
        return self.paging | self.filters.keys()


def _days(prefix: str, column: str) -> dict[str, Filter]:
    return {
        f"{prefix}After": filters.day(column, _AFTER, "after_bound"),
        f"{prefix}Before": filters.day(column, _BEFORE, "before_bound"),
    }


def _same(**fields: str) -> dict[str, Filter]:
    return {name: filters.equals(json_field(column)) for name, column in fields.items()}


_EVENT_TIMES = {
    "eventTimestampAfter": filters.instant(_AFTER, "after_bound"),
    "eventTimestampBefore": filters.instant(_BEFORE, "before_bound"),
}

RESOURCES: tuple[Resource, ...] = (
    Resource(
        "usage-events",
        {
            "customerAlias": filters.any_of("alias", "customer_alias_parameter"),
            "unmappedAliasesOnly": filters.unmapped,
            "eventType": filters.equals("type"),
            "eventId": filters.event_id,
            **_EVENT_TIMES,
        },
        kind=events.USAGE,
        paging=_SORTED | {"offset"},
    ),
    Resource(
        "usage-metrics",
        {
            "name": filters.contains(json_field("name")),
            "id": filters.contains("id"),
            "eventType": filters.listed(json_field("eventType")),
            "eventProperty": filters.listed(json_field("aggregationProperty")),
            "aggregationType": filters.listed(json_field("aggregationType")),
        },
        paging=frozenset({"after", "before", "limit"}),
        readable=True,
        defaults={
            "name": "A usage metric",
            "metricType": "SIMPLE",
            "eventType": "message-sent",
            "aggregationType": "COUNT",
            "propertyFilters": {},
            "parameters": [],
        },
    ),
    Resource(
        "seat-events",
        {
            "customerAlias": filters.equals("alias"),
            "customerIds": filters.of_customers,
            "seatType": filters.equals("type"),
            "customerEventId": filters.equals("key"),
            **_EVENT_TIMES,
        },
        kind=events.SEAT,
        readable=True,
    ),
    Resource(
        "seat-balances",
        {
            "excludeZeroQuantity": seats.with_seats,
            "customerAliases": filters.customer_with_alias,
            "customerIds": filters.some_ids,
        },
        table="customers",
    ),
    Resource("seat-metrics", defaults={"name": "A seat metric", "seatType": "admin"}),
    Resource(
        "customers",
        {"alias": filters.customer_with_alias},
        defaults={"legalName": "A customer"},
    ),
    Resource("customer-aliases", {"value": filters.equals("alias")}, parent_field="customerId"),
    Resource("customers/*/aliases", table="customer-aliases", parent_field="customerId"),
    Resource(
        "invoices",
        {
            **_same(
                invoiceStatus="status",
                invoicePaymentStatus="paymentStatus",
                customerId="customerId",
                billingScheduleId="billingScheduleId",
            ),
            "invoiceCurrency": filters.any_of(json_field("currency")),
            **_days("due", json_field("dueDate")),
            **_days("sent", json_field("sentAt")),
            **_days("invoice", json_field("accountingDate")),
        },
    ),
    Resource("invoices/*/line-items", parent_field="invoiceId"),
    Resource("invoices/*/line-item-groups", parent_field="invoiceId"),
    Resource(
        "credit-notes",
        {
            **_same(creditNoteStatus="status", customerId="customerId"),
            **_days("sent", json_field("sentAt")),
        },
    ),
    Resource("credit-notes/*/line-items", parent_field="creditNoteId"),
    Resource("credit-notes/*/line-item-groups", parent_field="creditNoteId"),
    Resource(
        "billing-schedules",
        {
            **_same(customerId="customerId", billingScheduleStatus="status", label="label"),
            "autoSendInvoices": filters.flag(json_field("autoIssueInvoices")),
            **_days("starting", json_field("startDate")),
        },
    ),
    *(
        Resource(path)
        for path in (
            "products",
            "prices",
            "list-prices",
            "billing-products",
            "credits",
            "discounts",
            "quotes",
            "tax-rates",
            "tax-registrations",
            "activity-logs",
            "notifications/policies",
            "users",
            "sequence-accounts",
        )
    ),
)

BY_PATH: dict[str, Resource] = {resource.path: resource for resource in RESOURCES}

#: The resource whose rows fill each table: what the admin API loads.
BY_TABLE: dict[str, Resource] = {
    resource.source: resource for resource in reversed(RESOURCES) if resource.path != "seat-balances"
}

EVENT_TABLES: tuple[str, ...] = tuple(resource.source for resource in RESOURCES if resource.kind)
