"""RESOURCES: each list of the API as one row of data. A new list is a new row here, and no new code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import cast

from airflow_provider_sequence.api.events import SEAT_EVENT, USAGE_EVENT
from airflow_provider_sequence.api.query_params import (
    MAX_LISTED,
    encode_comma_list,
    encode_each,
    encode_encoded_list,
    encode_flag,
    encode_number,
    encode_order,
    encode_short_list,
    encode_text,
    encode_whole_number,
    has_comma,
    may_be_a_list,
    may_be_encoded,
)
from airflow_provider_sequence.api.resource import Field, FieldType, Filter, Resource, TimeFilter
from airflow_provider_sequence.exceptions import SequenceConfigurationError


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _fields(names: str, added: str = "") -> tuple[Field, ...]:
    """
    Make fields of ``name`` and ``name:type``, each with its name in snake_case for a column.

    :param added: those that tables of version 0.1 lack.
    """
    parts = [
        (each.partition(":"), new) for text, new in ((names, False), (added, True)) for each in text.split()
    ]
    return tuple(
        Field(name, _snake(name), cast(FieldType, kind or "text"), new) for (name, _, kind), new in parts
    )


def _texts(parameters: str) -> tuple[Filter, ...]:
    """Make filters that take one text each."""
    return tuple(Filter(_snake(parameter), parameter, encode_text) for parameter in parameters.split())


def _flags(parameters: str) -> tuple[Filter, ...]:
    """Make filters that are true or false."""
    return tuple(Filter(_snake(parameter), parameter, encode_flag) for parameter in parameters.split())


def _listed(parameter: str, *match_fields: str) -> Filter:
    """Make a filter that takes values separated by commas. A value with a comma is not sent, but compared."""
    if not match_fields:
        return Filter(_snake(parameter), parameter, encode_comma_list)
    return Filter(
        _snake(parameter), parameter, encode_comma_list, match_fields=match_fields, is_ambiguous=has_comma
    )


_SORT_ORDER = Filter("sort_order", "sortOrder", encode_order)
_SORTED = (_SORT_ORDER, Filter("sort_by", "sortBy", encode_text))
_CUSTOMER_IDS = Filter("customer_ids", "customerIds", encode_short_list, max_values=MAX_LISTED)
_EVENT_TIMES = TimeFilter("event_timestamp", "eventTimestamp", "eventTimestampAfter", "eventTimestampBefore")


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
        *_flags("unmappedAliasesOnly"),
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
        _CUSTOMER_IDS,
        Filter(
            "seat_type",
            "seatType",
            encode_short_list,
            max_values=MAX_LISTED,
            match_fields=("seatType",),
            is_ambiguous=has_comma,
        ),
        *_texts("customerEventId"),
        *_SORTED,
    ),
    times=_EVENT_TIMES,
    event=SEAT_EVENT,
)

SEAT_BALANCES = Resource(
    name="seat_balances",
    path="/seat-balances",
    fields=_fields(
        "id sequenceAccountId legalName customerAliases:json total:integer changeTimestamp:timestamp balances:json"
    ),
    filters=(
        *_flags("excludeZeroQuantity"),
        Filter(
            "customer_aliases",
            "customerAliases",
            encode_each,
            max_values=1,  # assumption alias-list
            # The id, too: assumption customer-id-as-alias.
            match_fields=("customerAliases", "id"),
            is_ambiguous=may_be_a_list,
            overlaps=True,
        ),
        _CUSTOMER_IDS,
    ),
    paged=False,
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
        *(
            Filter(
                _snake(parameter),
                parameter,
                encode_encoded_list,
                match_fields=(field,),
                is_ambiguous=may_be_encoded,
            )
            for parameter, field in (("eventType", "eventType"), ("eventProperty", "aggregationProperty"))
        ),
        Filter("aggregation_type", "aggregationType", encode_comma_list, match_fields=("aggregationType",)),
    ),
)

CUSTOMERS = Resource(
    name="customers",
    path="/customers",
    fields=_fields(
        "id legalName label url domain taxStatus address:json integrationIds:json organizations:json "
        "customProperties:json createdAt:timestamp archivedAt:timestamp"
    ),
    filters=(*_texts("alias legalName email label billingStatus"), *_flags("includeArchived"), *_SORTED),
)


def _invoice_filters(currencies: int | None) -> tuple[Filter, ...]:
    """
    Make the filters of the two lists of invoices.

    :param currencies: how many currencies a request may ask for, where it is not documented that they are listed.
    """
    return (
        *_texts("invoiceStatus invoicePaymentStatus customerId billingScheduleId search invoiceNumber"),
        *_flags("excludeZeroQuantity"),
        Filter("net_total", "netTotal", encode_number),
        Filter(
            "invoice_currency",
            "invoiceCurrency",
            encode_comma_list,
            max_values=currencies,
            match_fields=("currency",),
            is_ambiguous=has_comma,
        ),
        *_texts(
            "excludeInvoiceStatus excludeInvoicePaymentStatus excludeCustomerId excludeBillingScheduleId"
        ),
        *_texts("excludeInvoiceNumber excludeSearch"),
        Filter("exclude_net_total", "excludeNetTotal", encode_number),
        _listed("excludeInvoiceCurrency") if currencies is None else _texts("excludeInvoiceCurrency")[0],
        *_SORTED,
    )


_DUE_DATE = TimeFilter("due_date", "dueDate", "dueAfter", "dueBefore", days=True)
#: Neither is the date of sending a field, nor is it documented which one is the date of an invoice: assumption
#: unchecked-dates.
_SENT_DATE = TimeFilter("sent_date", "", "sentAfter", "sentBefore", days=True)
_INVOICE_DATE = TimeFilter("invoice_date", "", "invoiceAfter", "invoiceBefore", days=True)

INVOICES = Resource(
    name="invoices",
    path="/invoices",
    fields=_fields(
        "id sequenceAccountId status paymentStatus currency invoiceNumber dueDate:date purchaseOrderNumber reference "
        "customerId customerLegalCompanyName customerEmails:json customerBillingAddress:json "
        "customerShippingAddress:json memo paymentOptions:json billingPeriod:json netTotal totalTax grossTotal "
        "metadata:json creditNoteIds:json linkedServices:json merchantDetails:json createdAt:timestamp",
        "accountingDate:date issueDate:date billingScheduleId customerTaxId customerTaxStatus "
        "isCustomerArchived:boolean dunningStatus creditBalances renderSettings:json updatedAt:timestamp "
        "calculatedAt:timestamp",
    ),
    filters=_invoice_filters(None),
    times=_DUE_DATE,
    other_times=(_INVOICE_DATE, _SENT_DATE),
)

CREDIT_NOTES = Resource(
    name="credit_notes",
    path="/credit-notes",
    fields=_fields(
        "id sequenceAccountId status currency creditNoteNumber issueDate:date invoiceId invoiceNumber "
        "billingScheduleId billingPeriodStart:date billingPeriodEnd:date purchaseOrderNumber customerId "
        "customerLegalCompanyName customerTaxId customerEmails:json customerBillingAddress:json "
        "customerShippingAddress:json memo netTotal totalTax grossTotal metadata:json linkedServices:json "
        "merchantDetails:json",
        "accountingDate:date applicationStatus balance balanceVersion:integer applications:json settings:json",
    ),
    filters=(*_texts("creditNoteStatus customerId searchCreditNoteNumber"), *_SORTED),
    times=_SENT_DATE,
)

TAX_REGISTRATIONS = Resource(
    "tax_registrations",
    "/tax-registrations",
    _fields("id", "sequenceAccountId taxIdentifier customerId merchantId country state"),
)

_LINE_ITEM = (
    "groupId title description index:integer quantity rate rateDisplay netTotal totalTax grossTotal taxRate"
)
_LINE_ITEM_ADDED = (
    "priceId productId servicePeriod:json externalIds:json revenueClassification revenueRecognitionMethod"
)
_LINE_ITEM_GROUP = "title description index:integer netTotal totalTax grossTotal"
_TAX_REGISTRATION = "id sequenceAccountId taxIdentifier {} country state"

RESOURCES: Mapping[str, Resource] = {
    resource.name: resource
    for resource in (
        USAGE_EVENTS,
        SEAT_EVENTS,
        SEAT_BALANCES,
        USAGE_METRICS,
        Resource(
            "seat_metrics",
            "/seat-metrics",
            _fields("id", "seatType label description createdBy createdAt:timestamp updatedAt:timestamp"),
        ),
        CUSTOMERS,
        Resource(
            "customer_contacts",
            "/customers/{id}/contacts",
            _fields(
                "id customerId name email billingPreference createdAt:timestamp updatedAt:timestamp "
                "archivedAt:timestamp"
            ),
            _flags("includeArchived"),
            paged=False,
            parent=CUSTOMERS,
            parent_field="customerId",
        ),
        Resource(
            "customer_aliases",
            "/customer-aliases",
            _fields(
                "id sequenceAccountId customerId value label createdAt:timestamp",
                "deletedAt:timestamp archivedAt:timestamp",
            ),
            _texts("value"),
        ),
        Resource(
            "aliases_by_customer",
            "/customers/{id}/aliases",
            _fields("id sequenceAccountId customerId value createdAt:timestamp"),
            paged=False,
            parent=CUSTOMERS,
            parent_field="customerId",
        ),
        Resource(
            "customer_custom_property_keys",
            "/customer-custom-property-keys",
            _fields("id"),
            paged=False,
            texts=True,
        ),
        Resource(
            "products",
            "/products",
            _fields("id name label createdAt:timestamp updatedAt:timestamp", "taxCategoryId"),
            _texts("name"),
        ),
        Resource(
            "prices",
            "/prices",
            _fields(
                "id productId listPriceId name status currency billingFrequency billingType structure:json "
                "integrationIds:json customMetricParameters:json createdAt:timestamp updatedAt:timestamp",
                "usageCalculationPeriod:json",
            ),
            (*_texts("currency name billingFrequency productId"), _SORT_ORDER),
        ),
        Resource(
            "list_prices",
            "/list-prices",
            _fields(
                "id productId name currency billingFrequency billingType usageCalculationPeriod:json structure:json "
                "integrationIds:json customMetricParameters:json createdAt:timestamp updatedAt:timestamp"
            ),
            (*_texts("currency productId billingFrequency"), *_flags("includeArchived")),
        ),
        Resource(
            "billing_products",
            "/billing-products",
            _fields(
                "id sequenceAccountId name label taxCategoryName recognitionMethod prices:json "
                "createdAt:timestamp updatedAt:timestamp"
            ),
            (
                *_texts("name"),
                _listed("taxCategoryId"),
                _listed("recognitionMethod", "recognitionMethod"),
            ),
        ),
        Resource(
            "billing_schedules",
            "/billing-schedules",
            _fields(
                "id customerId status label reference startDate:date endDate:date firstBillingDate:date "
                "recurrenceDayOfMonth:integer autoIssueInvoices:boolean purchaseOrderNumber lastInvoiceId "
                "taxRates:json prices:json phases:json createdAt:timestamp updatedAt:timestamp",
                "archivedAt:timestamp rollUpBilling:boolean contractId defaultDueDateDays:integer memo "
                "paymentProvider autoCharge:boolean customFields:json integrationIds:json attachmentAssets:json",
            ),
            (
                *_texts("customerId billingScheduleStatus label"),
                *_flags("autoSendInvoices includeArchivedSchedules includeOpenEndedSchedules"),
                _listed("recurrenceDayOfMonth", "recurrenceDayOfMonth"),
                *_SORTED,
            ),
            TimeFilter("start_date", "startDate", "startingAfter", "startingBefore", days=True),
            (
                # One without an end is listed if it is asked for.
                TimeFilter("end_date", "endDate", "endingAfter", "endingBefore", days=True, keeps_null=True),
            ),
        ),
        Resource(
            "billing_schedule_custom_field_keys",
            "/billing-schedule-custom-field-keys",
            _fields("id"),
            paged=False,
            texts=True,
        ),
        INVOICES,
        Resource(
            "invoice_summaries",
            "/invoices/list-summary",
            _fields(
                "id invoiceNumber status paymentStatus currency grossTotal customerId customerLegalCompanyName "
                "billingScheduleId billingPeriod:json dueDate:date dueDateSource accountingDate:date links:json"
            ),
            _invoice_filters(1),  # assumption currency-list
            _DUE_DATE,
            (_INVOICE_DATE, _SENT_DATE),
        ),
        Resource(
            "invoice_line_items",
            "/invoices/{id}/line-items",
            _fields(
                f"id invoiceId {_LINE_ITEM}",
                f"{_LINE_ITEM_ADDED} servicePeriodStart:date servicePeriodEnd:date creditGrantId",
            ),
            (_SORT_ORDER,),
            parent=INVOICES,
            parent_field="invoiceId",
        ),
        Resource(
            "invoice_line_item_groups",
            "/invoices/{id}/line-item-groups",
            _fields(f"id invoiceId {_LINE_ITEM_GROUP} taxCategory:json"),
            (_SORT_ORDER,),
            parent=INVOICES,
            parent_field="invoiceId",
        ),
        Resource(
            "invoice_currency_conversions",
            "/invoices/{id}/currency-conversions",
            _fields("id invoiceId currency netTotal totalTax grossTotal exchangeRate updatedAt:timestamp"),
            paged=False,
            parent=INVOICES,
            parent_field="invoiceId",
        ),
        CREDIT_NOTES,
        Resource(
            "credit_note_line_items",
            "/credit-notes/{id}/line-items",
            _fields("id creditNoteId", f"lineItemId {_LINE_ITEM} {_LINE_ITEM_ADDED}"),
            (_SORT_ORDER,),
            parent=CREDIT_NOTES,
            parent_field="creditNoteId",
        ),
        Resource(
            "credit_note_line_item_groups",
            "/credit-notes/{id}/line-item-groups",
            _fields("id creditNoteId", f"lineItemGroupId {_LINE_ITEM_GROUP}"),
            (_SORT_ORDER,),
            parent=CREDIT_NOTES,
            parent_field="creditNoteId",
        ),
        Resource(
            "credits",
            "/credits",
            _fields(
                "id sequenceAccountId customerId name creditUnitType currency metricId amount:number "
                "costOfCredit:number effectiveDate:date expiryDate:date integrationIds:json createdAt:timestamp",
                "taxRateId creditNoteId",
            ),
        ),
        Resource(
            "credit_balances",
            "/credits/{id}/balances",
            _fields("id customerId type name balance grants:json transactions:json"),
            paged=False,
            parent=CUSTOMERS,
            parent_field="customerId",
        ),
        Resource(
            "credit_grants",
            "/credits/{id}/grants",
            _fields("id customerId name grantAmount:number balance:number issueDate:date expiryDate:date"),
            paged=False,
            parent=CUSTOMERS,
            parent_field="customerId",
        ),
        Resource(
            "discounts",
            "/discounts",
            _fields(
                "id sequenceAccountId billingScheduleId phaseId discountCalculationType amount:number message "
                "seatDiscountType separateLineItem:boolean priceIds:json validFrom:date validTo:date "
                "createdAt:timestamp updatedAt:timestamp"
            ),
        ),
        Resource(
            "quotes",
            "/quotes",
            _fields(
                "id",
                "quoteNumber title status currency dealType customerId billingScheduleId createdBy "
                "preliminaryBillingStartDate:date expiryDays:integer isExpired:boolean expiresAt:timestamp "
                "publishedAt:timestamp acceptedAt:timestamp executedAt:timestamp createdAt:timestamp "
                "updatedAt:timestamp archivedAt:timestamp",
            ),
            (
                *_texts("customerId status title"),
                *_flags("includeArchived hasActiveApprovalWorkflow"),
                _listed("createdBy", "createdBy"),
                *_SORTED,
            ),
        ),
        Resource(
            "tax_rates",
            "/tax-rates",
            _fields(
                "id versionId version:integer name description invoiceName invoiceShortName amount country region "
                "taxCategoryId isPublished:boolean isArchived:boolean updatedAt:timestamp"
            ),
        ),
        TAX_REGISTRATIONS,
        Resource(
            "customer_tax_registrations",
            "/tax-registrations/for-customer/{id}",
            _fields(_TAX_REGISTRATION.format("customerId")),
            paged=False,
            parent=CUSTOMERS,
            parent_field="customerId",
        ),
        Resource(
            "merchant_tax_registrations",
            "/tax-registrations/for-merchant/{id}",
            _fields(_TAX_REGISTRATION.format("merchantId")),
            paged=False,
            # Merchants have no list of their own: assumption merchants.
            parent=TAX_REGISTRATIONS,
            parent_key="merchantId",
            parent_field="merchantId",
        ),
        Resource(
            "activity_logs",
            "/activity-logs",
            _fields(
                "id sequenceAccountId activityType apiVersion origin traceId activityLogItems:json "
                "createdAt:timestamp"
            ),
            (*_texts("activityLogObjectId activityLogObjectEntityId"), _SORT_ORDER),
        ),
        Resource(
            "notification_policies",
            "/notifications/policies",
            _fields(
                "id sequenceAccountId name channel notificationTypes:json recipients:json createdAt:timestamp"
            ),
            _texts("notificationType"),
            secrets=("webhookSecret",),
        ),
        Resource("users", "/users", _fields("id", "email state roles:json sequenceAccountIds:json")),
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
