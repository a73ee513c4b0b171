"""A document of each list: what the API gives of one, in two parts, the first for what is loaded without, all for the demo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_sequence.sandbox.events import ACCOUNT


@dataclass(frozen=True)
class Document:
    """
    A document without its id.

    :param required: fields that the API always gives.
    :param others: fields that it may leave out.
    :param gone: fields of one that is archived or deleted.
    """

    required: Mapping[str, Any]
    others: Mapping[str, Any]
    gone: Mapping[str, Any] = field(default_factory=dict)

    @property
    def live(self) -> dict[str, Any]:
        """Every field of one that is in use."""
        return {**self.required, **self.others}


NOTHING = Document({}, {})
_ADDRESS = {"line1": "1 Harbour Street", "town": "Bristol", "postcode": "BS1 4QA", "country": "GB"}

#: By the tables of the lists.
DOCUMENTS: Mapping[str, Document] = {
    "activity-logs": Document(
        {
            "sequenceAccountId": ACCOUNT,
            "activityType": "INVOICE_SENT",
            "origin": "API",
            "createdAt": "2024-01-17T09:00:00Z",
            "activityLogItems": [],
        },
        {"apiVersion": "2024-07-30", "traceId": "trace-1"},
    ),
    "billing-products": Document(
        {
            "name": "Messaging",
            "label": "Acme",
            "sequenceAccountId": ACCOUNT,
            "createdAt": "2024-01-17T09:00:00Z",
            "updatedAt": "2024-01-17T09:00:00Z",
            "prices": [],
            "recognitionMethod": "USAGE",
        },
        {"taxCategoryName": "Software"},
    ),
    "billing-schedules": Document(
        {
            "customerId": "customer-1",
            "status": "ACTIVE",
            "startDate": "2024-01-01",
            "autoIssueInvoices": False,
            "prices": [],
            "createdAt": "2024-01-17T09:00:00Z",
            "updatedAt": "2024-01-17T09:00:00Z",
            "phases": [{"id": "phase-1", "prices": []}],
            "rollUpBilling": False,
            "integrationIds": [{"service": "Ledger", "id": "ledger-1"}],
            "attachmentAssets": [],
            "customFields": {"cost centre": "42"},
        },
        {
            "endDate": "2024-12-31",
            "taxRates": [],
            "firstBillingDate": "2024-01-01",
            "purchaseOrderNumber": "PO-7",
            "reference": "Order 7",
            "label": "Acme",
            "recurrenceDayOfMonth": 1,
            "lastInvoiceId": "last-invoice-1",
            "contractId": "contract-1",
            "defaultDueDateDays": 14,
            "memo": "Thank you",
            "paymentProvider": "STRIPE",
            "autoCharge": False,
        },
        {"archivedAt": "2024-03-01T09:00:00Z"},
    ),
    "credit-notes": Document(
        {
            "sequenceAccountId": ACCOUNT,
            "status": "SENT",
            "currency": "GBP",
            "customerId": "customer-1",
            "customerEmails": ["billing@example.com"],
            "customerLegalCompanyName": "Acme Corp",
            "customerBillingAddress": _ADDRESS,
            "customerShippingAddress": _ADDRESS,
            "totalTax": "20.02",
            "netTotal": "100.10",
            "grossTotal": "120.12",
            "metadata": [{"key": "project", "value": "letters"}],
            "linkedServices": [{"service": "Ledger", "id": "ledger-1"}],
            "applications": [],
            "settings": {"showQuantity": True},
        },
        {
            "invoiceId": "invoice-1",
            "invoiceNumber": "INV1",
            "billingScheduleId": "billing-schedule-1",
            "issueDate": "2024-01-17",
            "billingPeriodStart": "2024-01-01",
            "billingPeriodEnd": "2024-01-31",
            "creditNoteNumber": "CN1",
            "purchaseOrderNumber": "PO-7",
            "memo": "Thank you",
            "customerTaxId": "GB987654321",
            "applicationStatus": "UNAPPLIED",
            "balance": "12.50",
            "balanceVersion": 1,
            "merchantDetails": {"companyName": "Letters Ltd"},
            "accountingDate": "2024-01-17",
        },
    ),
    "credit-notes/line-item-groups": Document(
        {
            "creditNoteId": "credit-note-1",
            "title": "Messages",
            "index": 0,
            "netTotal": "100.10",
            "totalTax": "20.02",
            "grossTotal": "120.12",
        },
        {"lineItemGroupId": "line-item-group-1", "description": "Messages of January"},
    ),
    "credit-notes/line-items": Document(
        {
            "creditNoteId": "credit-note-1",
            "title": "Messages",
            "quantity": "12.500",
            "rate": "0.0250",
            "taxRate": "0.20",
            "index": 0,
            "netTotal": "100.10",
            "totalTax": "20.02",
            "grossTotal": "120.12",
            "rateDisplay": "ABSOLUTE",
            "externalIds": [{"service": "Ledger", "id": "ledger-1"}],
        },
        {
            "groupId": "group-1",
            "lineItemId": "line-item-1",
            "description": "Messages of January",
            "priceId": "price-1",
            "servicePeriod": {"start": "2024-01-01", "end": "2024-01-31"},
            "revenueRecognitionMethod": "USAGE",
            "revenueClassification": "EARNED",
            "productId": "product-1",
        },
    ),
    "credits": Document(
        {
            "sequenceAccountId": ACCOUNT,
            "customerId": "customer-1",
            "name": "Welcome credit",
            "creditUnitType": "CURRENCY",
            "currency": "GBP",
            "amount": 25.5,
            "costOfCredit": 20.25,
            "createdAt": "2024-01-17T09:00:00Z",
            "integrationIds": [{"service": "Ledger", "id": "ledger-1"}],
        },
        {
            "metricId": "metric-1",
            "taxRateId": "tax-rate-1",
            "effectiveDate": "2024-01-01",
            "expiryDate": "2024-12-31",
            "creditNoteId": "credit-note-1",
        },
    ),
    "credits/balances": Document(
        {"type": "CASH", "name": "Messaging", "balance": "12.50", "grants": [], "transactions": []}, {}
    ),
    "credits/grants": Document(
        {"name": "Messaging", "grantAmount": 100.5, "balance": 40.25, "issueDate": "2024-01-17"},
        {"expiryDate": "2024-12-31"},
    ),
    "customer-aliases": Document(
        {
            "sequenceAccountId": ACCOUNT,
            "customerId": "customer-1",
            "value": "acme",
            "createdAt": "2024-01-17T09:00:00Z",
        },
        {"label": "Acme"},
        {"deletedAt": "2024-03-01T09:00:00Z", "archivedAt": "2024-03-01T09:00:00Z"},
    ),
    "customers": Document(
        {
            "createdAt": "2024-01-17T09:00:00Z",
            "organizations": [{"id": "organization-1", "name": "Acme"}],
            "legalName": "Acme Corp",
            "address": _ADDRESS,
            "integrationIds": [{"service": "Ledger", "id": "ledger-1"}],
            "taxStatus": "TAXED",
            "customProperties": {"region": "south-west"},
        },
        {"url": "https://example.com", "domain": "example.com", "label": "Acme"},
        {"archivedAt": "2024-03-01T09:00:00Z"},
    ),
    "customers/contacts": Document(
        {
            "name": "Ada Byron",
            "email": "ada@example.com",
            "billingPreference": "PRIMARY",
            "createdAt": "2024-01-17T09:00:00Z",
            "updatedAt": "2024-01-17T09:00:00Z",
        },
        {},
        {"archivedAt": "2024-03-01T09:00:00Z"},
    ),
    "discounts": Document(
        {
            "sequenceAccountId": ACCOUNT,
            "billingScheduleId": "billing-schedule-1",
            "priceIds": [],
            "separateLineItem": False,
            "amount": 25.5,
            "discountCalculationType": "PERCENTAGE",
            "message": "10% off",
            "createdAt": "2024-01-17T09:00:00Z",
            "updatedAt": "2024-01-17T09:00:00Z",
            "seatDiscountType": "ALL_SEATS",
        },
        {"phaseId": "phase-1", "validFrom": "2024-01-01", "validTo": "2024-12-31"},
    ),
    "invoices": Document(
        {
            "sequenceAccountId": ACCOUNT,
            "status": "SENT",
            "currency": "GBP",
            "customerEmails": ["billing@example.com"],
            "customerLegalCompanyName": "Acme Corp",
            "customerBillingAddress": _ADDRESS,
            "customerShippingAddress": _ADDRESS,
            "customerId": "customer-1",
            "totalTax": "20.02",
            "netTotal": "100.10",
            "grossTotal": "120.12",
            "metadata": [{"key": "project", "value": "letters"}],
            "paymentStatus": "UNPAID",
            "createdAt": "2024-01-17T09:00:00Z",
            "creditNoteIds": [],
            "linkedServices": [{"service": "Ledger", "id": "ledger-1"}],
            "accountingDate": "2024-01-17",
            "renderSettings": {"showQuantity": True},
            "isCustomerArchived": False,
            "updatedAt": "2024-01-17T09:00:00Z",
        },
        {
            "invoiceNumber": "INV1",
            "dueDate": "2024-01-31",
            "purchaseOrderNumber": "PO-7",
            "reference": "Order 7",
            "memo": "Thank you",
            "paymentOptions": ["LINK"],
            "billingPeriod": {"start": "2024-01-01", "end": "2024-01-31"},
            "merchantDetails": {"companyName": "Letters Ltd"},
            "customerTaxStatus": "TAXED",
            "billingScheduleId": "billing-schedule-1",
            "issueDate": "2024-01-17",
            "customerTaxId": "GB987654321",
            "creditBalances": "0.00",
            "dunningStatus": "NOT_REQUIRED",
            "calculatedAt": "2024-01-17T09:00:00Z",
        },
    ),
    "invoices/currency-conversions": Document(
        {
            "invoiceId": "invoice-1",
            "currency": "GBP",
            "totalTax": "20.02",
            "netTotal": "100.10",
            "grossTotal": "120.12",
            "exchangeRate": "1.17",
            "updatedAt": "2024-01-17T09:00:00Z",
        },
        {},
    ),
    "invoices/line-item-groups": Document(
        {
            "invoiceId": "invoice-1",
            "title": "Messages",
            "index": 0,
            "netTotal": "100.10",
            "totalTax": "20.02",
            "grossTotal": "120.12",
        },
        {"description": "Messages of January", "taxCategory": {"id": "tax-category-1", "name": "Software"}},
    ),
    "invoices/line-items": Document(
        {
            "invoiceId": "invoice-1",
            "title": "Messages",
            "quantity": "12.500",
            "rate": "0.0250",
            "taxRate": "0.20",
            "index": 0,
            "netTotal": "100.10",
            "totalTax": "20.02",
            "grossTotal": "120.12",
            "rateDisplay": "ABSOLUTE",
            "externalIds": [{"service": "Ledger", "id": "ledger-1"}],
        },
        {
            "description": "Messages of January",
            "servicePeriodStart": "2024-01-01",
            "servicePeriodEnd": "2024-01-31",
            "servicePeriod": {"start": "2024-01-01", "end": "2024-01-31"},
            "groupId": "group-1",
            "priceId": "price-1",
            "revenueClassification": "EARNED",
            "creditGrantId": "credit-grant-1",
            "productId": "product-1",
            "revenueRecognitionMethod": "USAGE",
        },
    ),
    "list-prices": Document(
        {
            "productId": "product-1",
            "name": "Messaging",
            "structure": {"pricingType": "LINEAR", "pricePerUnit": "0.0250"},
            "integrationIds": [{"service": "Ledger", "id": "ledger-1"}],
            "createdAt": "2024-01-17T09:00:00Z",
            "updatedAt": "2024-01-17T09:00:00Z",
        },
        {
            "currency": "GBP",
            "billingFrequency": "MONTHLY",
            "billingType": "IN_ARREARS",
            "usageCalculationPeriod": {"type": "CALENDAR_MONTH"},
            "customMetricParameters": [],
        },
    ),
    "notifications/policies": Document(
        {
            "createdAt": "2024-01-17T09:00:00Z",
            "sequenceAccountId": ACCOUNT,
            "name": "Invoices by mail",
            "recipients": ["billing@example.com"],
            "channel": "EMAIL",
        },
        {"notificationTypes": ["INVOICE_ISSUED"], "webhookSecret": "not-a-secret"},
    ),
    "prices": Document(
        {
            "productId": "product-1",
            "name": "Messaging",
            "structure": {"pricingType": "LINEAR", "pricePerUnit": "0.0250"},
            "integrationIds": [{"service": "Ledger", "id": "ledger-1"}],
            "createdAt": "2024-01-17T09:00:00Z",
            "updatedAt": "2024-01-17T09:00:00Z",
        },
        {
            "listPriceId": "list-price-1",
            "status": "ACTIVE",
            "currency": "GBP",
            "billingFrequency": "MONTHLY",
            "billingType": "IN_ARREARS",
            "usageCalculationPeriod": {"type": "CALENDAR_MONTH"},
            "customMetricParameters": [],
        },
    ),
    "products": Document(
        {"name": "Messaging", "createdAt": "2024-01-17T09:00:00Z", "updatedAt": "2024-01-17T09:00:00Z"},
        {"label": "Acme", "taxCategoryId": "tax-category-1"},
    ),
    "quotes": Document(
        {
            "createdBy": "user-1",
            "quoteNumber": "Q1",
            "status": "PUBLISHED",
            "createdAt": "2024-01-17T09:00:00Z",
            "updatedAt": "2024-01-17T09:00:00Z",
            "isExpired": False,
        },
        {
            "customerId": "customer-1",
            "title": "Messages",
            "currency": "GBP",
            "dealType": "NEW_BUSINESS",
            "preliminaryBillingStartDate": "2024-02-01",
            "expiresAt": "2024-01-17T09:00:00Z",
            "publishedAt": "2024-01-17T09:00:00Z",
            "acceptedAt": "2024-01-17T09:00:00Z",
            "executedAt": "2024-01-17T09:00:00Z",
            "billingScheduleId": "billing-schedule-1",
            "expiryDays": 30,
        },
        {"archivedAt": "2024-03-01T09:00:00Z"},
    ),
    "seat-metrics": Document(
        {
            "seatType": "admin",
            "label": "Admins",
            "createdAt": "2024-01-17T09:00:00Z",
            "updatedAt": "2024-01-17T09:00:00Z",
        },
        {"createdBy": "user-1", "description": "Seats of admins"},
    ),
    "sequence-accounts": Document(
        {
            "createdAt": "2024-01-17T09:00:00Z",
            "sequenceOrganisationId": "organisation-1",
            "companyName": "Letters Ltd",
            "companyNumber": "01234567",
            "country": "GB",
            "sendCustomerNotifications": False,
            "alertEmailAddresses": ["alerts@example.com"],
        },
        {},
    ),
    "tax-rates": Document(
        {
            "versionId": "version-1",
            "version": 1,
            "isPublished": False,
            "name": "VAT",
            "invoiceName": "VAT 20%",
            "invoiceShortName": "VAT",
            "amount": "0.20",
            "country": "GB",
            "isArchived": False,
        },
        {
            "description": "Messages of January",
            "region": "South West",
            "taxCategoryId": "tax-category-1",
            "updatedAt": "2024-01-17T09:00:00Z",
        },
    ),
    "tax-registrations": Document(
        {"sequenceAccountId": ACCOUNT, "taxIdentifier": "GB123456789", "country": "GB"},
        {"customerId": "customer-1", "merchantId": "merchant-1", "state": None},
    ),
    "usage-metrics": Document(
        {
            "sequenceAccountId": ACCOUNT,
            "name": "Messaging",
            "metricType": "SIMPLE",
            "eventType": "message-sent",
            "aggregationType": "COUNT",
            "propertyFilters": {},
            "parameters": [],
        },
        {
            "description": "Messages of January",
            "aggregationProperty": "length",
            "groupingProperty": "type",
            "unit": "messages",
            "createdAt": "2024-01-17T09:00:00Z",
            "deletedAt": None,
            "caseSensitive": True,
            "propertiesToNegate": [],
        },
    ),
    "users": Document(
        {
            "email": "ada@example.com",
            "sequenceAccountIds": [ACCOUNT],
            "state": "ACTIVE",
            "roles": [{"roleName": "readOnlyUser", "permissions": []}],
        },
        {},
    ),
}
