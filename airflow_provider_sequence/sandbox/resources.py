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
from airflow_provider_sequence.sandbox.documents import DOCUMENTS, NOTHING, Document
from airflow_provider_sequence.sandbox.events import EventKind
from airflow_provider_sequence.sandbox.filters import Filter, json_field

_AFTER = {"inclusive": ">=", "exclusive": ">"}
_BEFORE = {"inclusive": "<=", "exclusive": "<"}

_UNPAGED: frozenset[str] = frozenset()
_PAGED = frozenset({"after", "before", "limit"})
_ORDERED = _PAGED | {"sortOrder"}
_SORTED = _ORDERED | {"sortBy"}


@dataclass(frozen=True)
class Resource:
    """
    One list.

    :param path: below ``/api``; a star stands for the id of the parent.
    :param filters: by the name of the parameter.
    :param table: where its records are; the path without its star if left out.
    :param parent: for lists below an id: the table of the records with this id; nothing where any id will do.
    :param parent_field: for lists below an id: the field of a record that holds this id.
    :param kind: for events: how a body is read and given back.
    :param paging: the documented parameters for order and pages.
    :param enveloped: whether an answer has ``pagination``.
    :param archived: the parameter that lists archived records as well, which are left out without it.
    :param fields: the fields of an answer, where a record has more; empty for all.
    :param texts: whether the items are texts, the ids of the records.
    :param missing: the documented status of an id that is not there.
    :param readable: whether ``GET {path}/{id}`` is documented.
    """

    path: str
    filters: Mapping[str, Filter] = field(default_factory=dict)
    table: str = ""
    parent: str = ""
    parent_field: str = ""
    kind: EventKind | None = None
    paging: frozenset[str] = _PAGED
    enveloped: bool = True
    archived: str = ""
    fields: tuple[str, ...] = ()
    texts: bool = False
    missing: int = 400
    readable: bool = False

    @property
    def source(self) -> str:
        """The table its records are in."""
        return self.table or self.path.replace("/*", "")

    @property
    def document(self) -> Document:
        """What the API gives of one."""
        return DOCUMENTS.get(self.source, NOTHING)

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


def _among(**fields: str) -> dict[str, Filter]:
    return {name: filters.any_of(json_field(column)) for name, column in fields.items()}


def _flags(**fields: str) -> dict[str, Filter]:
    return {name: filters.flag(json_field(column)) for name, column in fields.items()}


def _contains(**fields: str) -> dict[str, Filter]:
    return {name: filters.contains(json_field(column)) for name, column in fields.items()}


_EVENT_TIMES = {
    "eventTimestampAfter": filters.instant(_AFTER, "after_bound"),
    "eventTimestampBefore": filters.instant(_BEFORE, "before_bound"),
}
_INVOICE_FILTERS = {
    **_same(
        invoiceStatus="status",
        invoicePaymentStatus="paymentStatus",
        customerId="customerId",
        billingScheduleId="billingScheduleId",
        invoiceNumber="invoiceNumber",
    ),
    **_among(invoiceCurrency="currency"),
    "netTotal": filters.number(json_field("netTotal")),
    "search": filters.contains(json_field("customerLegalCompanyName")),
    # Nothing here tells what a quantity of an invoice is.
    "excludeZeroQuantity": filters.checked_flag,
}
INVOICE_FILTERS = {
    **_INVOICE_FILTERS,
    **{
        f"exclude{name[0].upper()}{name[1:]}": filters.negated(one)
        for name, one in _INVOICE_FILTERS.items()
        if name != "excludeZeroQuantity"
    },
    **_days("due", json_field("dueDate")),
    # The API gives no date of sending.
    **_days("sent", json_field("issueDate")),
    **_days("invoice", json_field("accountingDate")),
}
_NOTIFICATION_TYPES = """
    CUSTOMER_CREATED CUSTOMER_UPDATED CUSTOMER_ARCHIVED INVOICE_CREATED INVOICE_ISSUED INVOICE_UPDATED
    INTEGRATION_SYNC_COMPLETED INTEGRATION_WEBHOOK_HANDLED MERCHANT_UPDATED BILLING_SCHEDULE_CREATED
    BILLING_SCHEDULE_UPDATED BILLING_SCHEDULE_ARCHIVED CREDIT_NOTE_CREATED CREDIT_NOTE_UPDATED CREDIT_NOTE_ISSUED
    QUOTE_PUBLISHED QUOTE_ACCEPTED QUOTE_SIGNED INVOICE_REMINDER_SENT WATCHTOWER_TASK_ASSIGNED
"""


def _below(path: str, parent: str, parent_field: str, **options: Any) -> Resource:
    """A list below an id whose answers do not hold the id."""
    document = DOCUMENTS[path.replace("/*", "")]
    fields = ("id", *document.live, *document.gone)
    return Resource(
        path,
        parent=parent,
        parent_field=parent_field,
        paging=_UNPAGED,
        enveloped=False,
        fields=fields,
        **options,
    )


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
        readable=True,
    ),
    Resource(
        "seat-events",
        {
            "customerAlias": filters.equals("alias"),
            "customerIds": filters.of_customers,
            "seatType": filters.some_of("type"),
            "customerEventId": filters.equals("key"),
            **_EVENT_TIMES,
        },
        kind=events.SEAT,
        paging=_SORTED,
        readable=True,
    ),
    Resource(
        "seat-balances",
        {
            "excludeZeroQuantity": seats.with_seats,
            "customerAliases": filters.customer_with_alias,
            "customerIds": filters.some_of("id"),
        },
        table="customers",
        paging=_UNPAGED,
    ),
    Resource("seat-metrics"),
    Resource(
        "customers",
        {
            "alias": filters.customer_with_alias,
            **_contains(legalName="legalName", label="label"),
            # A customer has no e-mail address of its own, but contacts.
            "email": filters.customer_with_contact,
            "billingStatus": filters.choice("ACTIVE", "INACTIVE", column="'ACTIVE'"),
            "includeArchived": filters.checked_flag,
        },
        paging=_SORTED,
        archived="includeArchived",
    ),
    _below(
        "customers/*/contacts",
        "customers",
        "customerId",
        filters={"includeArchived": filters.checked_flag},
        archived="includeArchived",
    ),
    Resource("customer-aliases", {"value": filters.equals("alias")}, parent_field="customerId"),
    Resource(
        "customers/*/aliases",
        table="customer-aliases",
        parent="customers",
        parent_field="customerId",
        paging=_UNPAGED,
        enveloped=False,
        fields=("id", "sequenceAccountId", "customerId", "value", "createdAt"),
        missing=404,
    ),
    Resource("customer-custom-property-keys", paging=_UNPAGED, enveloped=False, texts=True),
    Resource("invoices", INVOICE_FILTERS, paging=_SORTED),
    Resource(
        "invoices/list-summary",
        INVOICE_FILTERS,
        table="invoices",
        paging=_SORTED,
        fields=(
            "id",
            "invoiceNumber",
            "status",
            "paymentStatus",
            "currency",
            "grossTotal",
            "customerId",
            "customerLegalCompanyName",
            "billingScheduleId",
            "billingPeriod",
            "dueDate",
            "dueDateSource",
            "accountingDate",
            "links",
        ),
    ),
    Resource("invoices/*/line-items", parent="invoices", parent_field="invoiceId", paging=_ORDERED),
    Resource("invoices/*/line-item-groups", parent="invoices", parent_field="invoiceId", paging=_ORDERED),
    Resource(
        "invoices/*/currency-conversions",
        parent="invoices",
        parent_field="invoiceId",
        paging=_UNPAGED,
        enveloped=False,
        missing=404,
    ),
    Resource(
        "credit-notes",
        {
            **_same(creditNoteStatus="status", customerId="customerId"),
            "searchCreditNoteNumber": filters.contains(json_field("creditNoteNumber")),
            **_days("sent", json_field("issueDate")),
        },
        paging=_SORTED,
    ),
    Resource(
        "credit-notes/*/line-items", parent="credit-notes", parent_field="creditNoteId", paging=_ORDERED
    ),
    Resource(
        "credit-notes/*/line-item-groups", parent="credit-notes", parent_field="creditNoteId", paging=_ORDERED
    ),
    Resource(
        "billing-schedules",
        {
            **_same(customerId="customerId", billingScheduleStatus="status", label="label"),
            "autoSendInvoices": filters.flag(json_field("autoIssueInvoices")),
            "includeArchivedSchedules": filters.checked_flag,
            "includeOpenEndedSchedules": filters.checked_flag,
            **_among(recurrenceDayOfMonth="recurrenceDayOfMonth"),
            **_days("starting", json_field("startDate")),
            **{
                name: filters.or_open_ended(one, json_field("endDate"))
                for name, one in _days("ending", json_field("endDate")).items()
            },
        },
        paging=_SORTED,
        archived="includeArchivedSchedules",
    ),
    Resource("billing-schedule-custom-field-keys", paging=_UNPAGED, enveloped=False, texts=True),
    Resource("products", _contains(name="name")),
    Resource(
        "prices",
        {
            **_same(currency="currency", billingFrequency="billingFrequency", productId="productId"),
            **_contains(name="name"),
        },
        paging=_ORDERED,
    ),
    Resource(
        "list-prices",
        {
            **_same(currency="currency", billingFrequency="billingFrequency", productId="productId"),
            "includeArchived": filters.checked_flag,
        },
        archived="includeArchived",
    ),
    Resource(
        "billing-products",
        {
            **_contains(name="name"),
            **_among(taxCategoryId="taxCategoryId", recognitionMethod="recognitionMethod"),
        },
    ),
    Resource("credits"),
    _below("credits/*/balances", "customers", "customerId"),
    _below("credits/*/grants", "customers", "customerId"),
    Resource("discounts"),
    Resource(
        "quotes",
        {
            **_same(customerId="customerId", status="status"),
            **_contains(title="title"),
            **_among(createdBy="createdBy"),
            # No quote of the sandbox waits for an approval.
            "hasActiveApprovalWorkflow": filters.flag("0"),
            "includeArchived": filters.checked_flag,
        },
        paging=_SORTED,
        archived="includeArchived",
    ),
    Resource("tax-rates"),
    Resource("tax-registrations"),
    Resource(
        "tax-registrations/for-customer/*",
        table="tax-registrations",
        parent="customers",
        parent_field="customerId",
        paging=_UNPAGED,
        fields=("id", "sequenceAccountId", "taxIdentifier", "customerId", "country", "state"),
    ),
    Resource(
        "tax-registrations/for-merchant/*",
        table="tax-registrations",
        parent_field="merchantId",
        paging=_UNPAGED,
        fields=("id", "sequenceAccountId", "taxIdentifier", "merchantId", "country", "state"),
    ),
    Resource(
        "activity-logs",
        {
            name: filters.contains(json_field("activityLogItems"))
            for name in ("activityLogObjectId", "activityLogObjectEntityId")
        },
        paging=_ORDERED,
    ),
    Resource(
        "notifications/policies",
        {
            "notificationType": filters.choice(
                *_NOTIFICATION_TYPES.split(), column=json_field("notificationTypes"), within=True
            )
        },
    ),
    Resource("users"),
    Resource("sequence-accounts"),
)

BY_PATH: dict[str, Resource] = {resource.path: resource for resource in RESOURCES}

#: The resource whose rows fill each table, the first of those that read it: what the admin API loads.
BY_TABLE: dict[str, Resource] = {
    resource.source: resource for resource in reversed(RESOURCES) if resource.path != "seat-balances"
}

EVENT_TABLES: tuple[str, ...] = tuple(resource.source for resource in RESOURCES if resource.kind)
