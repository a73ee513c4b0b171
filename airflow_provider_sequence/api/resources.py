"""RESOURCES: each list of the API as one row of data. A new list is a new row here, and no new code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import cast

from airflow_provider_sequence.api.events import SEAT_EVENT, USAGE_EVENT
from airflow_provider_sequence.api.query_params import (
    MAX_CUSTOMER_IDS,
    encode_comma_list,
    encode_customer_ids,
    encode_each,
    encode_encoded_list,
    encode_flag,
    encode_order,
    encode_text,
    encode_whole_number,
    may_be_a_list,
    may_be_encoded,
)
from airflow_provider_sequence.api.resource import Field, FieldType, Filter, Resource, TimeFilter
from airflow_provider_sequence.exceptions import SequenceConfigurationError


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _fields(names: str) -> tuple[Field, ...]:
    """Make fields of ``name`` and ``name:type``, each with its name in snake_case for a column."""
    parts = (name.partition(":") for name in names.split())
    return tuple(Field(name, _snake(name), cast(FieldType, kind or "text")) for name, _, kind in parts)


def _texts(parameters: str) -> tuple[Filter, ...]:
    """Make filters that take one text each."""
    return tuple(Filter(_snake(parameter), parameter, encode_text) for parameter in parameters.split())


_SORT_ORDER = Filter("sort_order", "sortOrder", encode_order)
_SORTED = (_SORT_ORDER, Filter("sort_by", "sortBy", encode_text))
_EVENT_TIMES = TimeFilter("eventTimestamp", "eventTimestampAfter", "eventTimestampBefore")


USAGE_EVENTS = Resource(
    name="usage_events",
    path="/usage-events",
    fields=_fields(
        "id customerEventId customerAlias eventType sequenceAccountId eventTimestamp:timestamp eventProperties:json"
    ),
    filters=(
        Filter(
            "customer_alias",
            "customerAlias",
            encode_each,
            max_values=1,  # assumption alias-list
            match_fields=("customerAlias",),
            is_ambiguous=may_be_a_list,
        ),
        Filter("unmapped_aliases_only", "unmappedAliasesOnly", encode_flag),
        Filter("event_type", "eventType", encode_text),
        # Which of the two: assumption event-id-filter.
        Filter("event_id", "eventId", encode_text, match_fields=("id", "customerEventId")),
        *_SORTED,
        Filter("offset", "offset", encode_whole_number, skips_items=True),
    ),
    times=_EVENT_TIMES,
    event=USAGE_EVENT,
    create_budget="usage_events",
)

SEAT_EVENTS = Resource(
    name="seat_events",
    path="/seat-events",
    fields=_fields(
        "id customerEventId customerAlias seatType sequenceAccountId eventTimestamp:timestamp total:integer"
    ),
    filters=(
        Filter("customer_alias", "customerAlias", encode_text),
        Filter("customer_ids", "customerIds", encode_customer_ids, max_values=MAX_CUSTOMER_IDS),
        *_texts("seatType customerEventId"),
        *_SORTED,
    ),
    times=_EVENT_TIMES,
    event=SEAT_EVENT,
)

USAGE_METRICS = Resource(
    name="usage_metrics",
    path="/usage-metrics",
    fields=_fields(
        "id sequenceAccountId name description metricType eventType aggregationType aggregationProperty "
        "groupingProperty unit createdAt:timestamp deletedAt:timestamp propertyFilters:json caseSensitive:boolean "
        "propertiesToNegate:json parameters:json"
    ),
    filters=(
        *_texts("name id"),
        Filter(
            "event_type",
            "eventType",
            encode_encoded_list,
            match_fields=("eventType",),
            is_ambiguous=may_be_encoded,
        ),
        Filter("event_property", "eventProperty", encode_encoded_list),
        Filter("aggregation_type", "aggregationType", encode_comma_list, match_fields=("aggregationType",)),
    ),
)

INVOICES = Resource(
    name="invoices",
    path="/invoices",
    fields=_fields(
        "id sequenceAccountId status paymentStatus currency invoiceNumber dueDate purchaseOrderNumber reference "
        "customerId customerLegalCompanyName customerEmails:json customerBillingAddress:json "
        "customerShippingAddress:json memo paymentOptions:json billingPeriod:json netTotal totalTax grossTotal "
        "metadata:json creditNoteIds:json linkedServices:json merchantDetails:json createdAt:timestamp"
    ),
    filters=(
        *_texts("invoiceStatus invoicePaymentStatus invoiceCurrency customerId billingScheduleId"),
        *_SORTED,
    ),
    times=TimeFilter("dueDate", "dueAfter", "dueBefore", days=True),
)

CREDIT_NOTES = Resource(
    name="credit_notes",
    path="/credit-notes",
    fields=_fields(
        "id sequenceAccountId status currency creditNoteNumber issueDate invoiceId invoiceNumber billingScheduleId "
        "billingPeriodStart billingPeriodEnd purchaseOrderNumber customerId customerLegalCompanyName customerTaxId "
        "customerEmails:json customerBillingAddress:json customerShippingAddress:json memo netTotal totalTax "
        "grossTotal metadata:json linkedServices:json merchantDetails:json"
    ),
)

_LINE_ITEM_GROUP = "title description index:integer netTotal totalTax grossTotal taxCategory:json"

RESOURCES: Mapping[str, Resource] = {
    resource.name: resource
    for resource in (
        USAGE_EVENTS,
        SEAT_EVENTS,
        USAGE_METRICS,
        Resource("seat_metrics", "/seat-metrics", _fields("id")),
        Resource(
            "customers",
            "/customers",
            _fields(
                "id legalName contactName label email telephone url domain taxStatus address:json "
                "billingEmails:json integrationIds:json organizations:json customProperties:json "
                "createdAt:timestamp archivedAt:timestamp"
            ),
            (
                *_texts("alias legalName email"),
                Filter("include_archived", "includeArchived", encode_flag),
                *_SORTED,
            ),
        ),
        Resource(
            "customer_aliases",
            "/customer-aliases",
            _fields("id sequenceAccountId customerId value label createdAt:timestamp"),
            _texts("value"),
        ),
        Resource(
            "products",
            "/products",
            _fields("id name label createdAt:timestamp updatedAt:timestamp"),
            _texts("name"),
        ),
        Resource(
            "prices",
            "/prices",
            _fields(
                "id productId listPriceId name status currency billingFrequency billingType structure:json "
                "integrationIds:json customMetricParameters:json createdAt:timestamp updatedAt:timestamp"
            ),
            _texts("currency name billingFrequency productId"),
        ),
        Resource(
            "list_prices",
            "/list-prices",
            _fields(
                "id productId name currency billingFrequency billingType usageCalculationPeriod:json structure:json "
                "integrationIds:json customMetricParameters:json createdAt:timestamp updatedAt:timestamp"
            ),
        ),
        Resource(
            "billing_products",
            "/billing-products",
            _fields(
                "id sequenceAccountId name label taxCategoryName recognitionMethod prices:json "
                "createdAt:timestamp updatedAt:timestamp"
            ),
        ),
        Resource(
            "billing_schedules",
            "/billing-schedules",
            _fields(
                "id customerId status label reference startDate endDate firstBillingDate "
                "recurrenceDayOfMonth:integer autoIssueInvoices:boolean purchaseOrderNumber lastInvoiceId "
                "taxRates:json prices:json phases:json createdAt:timestamp updatedAt:timestamp"
            ),
            (
                *_texts("customerId billingScheduleStatus label"),
                Filter("auto_send_invoices", "autoSendInvoices", encode_flag),
                Filter("include_archived_schedules", "includeArchivedSchedules", encode_flag),
                *_SORTED,
            ),
            TimeFilter("startDate", "startingAfter", "startingBefore", days=True),
        ),
        INVOICES,
        Resource(
            "invoice_line_items",
            "/invoices/{id}/line-items",
            _fields(
                "id invoiceId groupId title description index:integer quantity rate rateDisplay netTotal totalTax "
                "grossTotal taxRate"
            ),
            parent=INVOICES,
            parent_field="invoiceId",
        ),
        Resource(
            "invoice_line_item_groups",
            "/invoices/{id}/line-item-groups",
            _fields(f"id invoiceId {_LINE_ITEM_GROUP}"),
            parent=INVOICES,
            parent_field="invoiceId",
        ),
        CREDIT_NOTES,
        Resource(
            "credit_note_line_items",
            "/credit-notes/{id}/line-items",
            _fields("id creditNoteId"),
            parent=CREDIT_NOTES,
            parent_field="creditNoteId",
        ),
        Resource(
            "credit_note_line_item_groups",
            "/credit-notes/{id}/line-item-groups",
            _fields("id creditNoteId"),
            parent=CREDIT_NOTES,
            parent_field="creditNoteId",
        ),
        Resource(
            "credits",
            "/credits",
            _fields(
                "id sequenceAccountId customerId name creditUnitType currency metricId amount:json costOfCredit:json "
                "effectiveDate expiryDate integrationIds:json createdAt:timestamp"
            ),
        ),
        Resource(
            "discounts",
            "/discounts",
            _fields(
                "id sequenceAccountId billingScheduleId phaseId discountCalculationType amount:json message "
                "seatDiscountType separateLineItem:boolean priceIds:json validFrom validTo createdAt:timestamp "
                "updatedAt:timestamp"
            ),
        ),
        Resource("quotes", "/quotes", _fields("id")),
        Resource(
            "tax_rates",
            "/tax-rates",
            _fields(
                "id versionId version:integer name description invoiceName invoiceShortName amount country region "
                "taxCategoryId isPublished:boolean isArchived:boolean updatedAt:timestamp"
            ),
        ),
        Resource("tax_registrations", "/tax-registrations", _fields("id")),
        Resource(
            "activity_logs",
            "/activity-logs",
            _fields(
                "id sequenceAccountId activityType apiVersion origin traceId activityLogItems:json "
                "createdAt:timestamp"
            ),
            (_SORT_ORDER,),
        ),
        Resource(
            "notification_policies",
            "/notifications/policies",
            _fields(
                "id sequenceAccountId name channel notificationTypes:json recipients:json createdAt:timestamp"
            ),
            secrets=("webhookSecret",),
        ),
        Resource("users", "/users", _fields("id")),
        Resource(
            "sequence_accounts",
            "/sequence-accounts",
            _fields(
                "id sequenceOrganisationId companyName companyNumber country sendCustomerNotifications:boolean "
                "alertEmailAddresses:json createdAt:timestamp"
            ),
        ),
    )
}


def get_resource(name: str) -> Resource:
    """
    Find a resource by its name.

    :raises SequenceConfigurationError: if there is none; it lists the known ones.
    """
    if name not in RESOURCES:
        raise SequenceConfigurationError(f"no resource {name!r}; there are {', '.join(sorted(RESOURCES))}")
    return RESOURCES[name]
