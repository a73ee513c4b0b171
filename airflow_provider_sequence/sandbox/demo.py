"""A small account to try lists on: always the same, with every field that the API documents."""

from __future__ import annotations

from typing import Any

from airflow_provider_sequence.sandbox import records
from airflow_provider_sequence.sandbox.events import ACCOUNT
from airflow_provider_sequence.sandbox.identifiers import Identifiers
from airflow_provider_sequence.sandbox.resources import BY_TABLE
from airflow_provider_sequence.sandbox.store import Store


def _id(kind: int, number: int) -> str:
    return f"00000000-0000-4000-8{kind:03}-{number:012}"


_CUSTOMERS = (("Acme Corp", "acme"), ("Globex", "globex"), ("Initech", "initech"))

#: What stands in place of the sample documents' own values, by the tables.
_OWN: dict[str, list[dict[str, Any]]] = {
    "customers": [
        {"id": _id(1, number), "legalName": name, "label": name, "aliases": [alias, f"{alias}-eu"]}
        for number, (name, alias) in enumerate(_CUSTOMERS)
    ],
    "customers/contacts": [
        {"id": _id(20, number), "customerId": _id(1, number), "email": f"billing@{alias}.example.com"}
        for number, (_, alias) in enumerate(_CUSTOMERS)
    ],
    "customer-aliases": [{"id": _id(27, 0), "customerId": _id(1, 0), "value": "acme-us"}],
    "usage-metrics": [
        {"id": _id(2, 0), "name": "Messages sent", "aggregationType": "COUNT", "aggregationProperty": None},
        {
            "id": _id(2, 1),
            "name": "Length of messages",
            "aggregationType": "SUM",
            "aggregationProperty": "length",
            "unit": "bytes",
        },
    ],
    "seat-metrics": [{"id": _id(3, 0), "label": "Admins", "seatType": "admin"}],
    "products": [{"id": _id(4, 0), "name": "Messaging"}],
    "prices": [{"id": _id(5, 0), "productId": _id(4, 0), "listPriceId": _id(21, 0)}],
    "list-prices": [{"id": _id(21, 0), "productId": _id(4, 0)}],
    "billing-products": [{"id": _id(22, 0)}],
    "billing-schedules": [
        {
            "id": _id(6, number),
            "customerId": _id(1, number),
            "status": "ACTIVE",
            "startDate": f"2024-0{number + 1}-01",
            "autoIssueInvoices": number == 0,
        }
        for number in range(len(_CUSTOMERS))
    ],
    "invoices": [
        {
            "id": _id(7, number),
            "customerId": _id(1, number % len(_CUSTOMERS)),
            "customerLegalCompanyName": _CUSTOMERS[number % len(_CUSTOMERS)][0],
            "billingScheduleId": _id(6, number % len(_CUSTOMERS)),
            "invoiceNumber": f"INV{number + 1}",
            "status": "SENT" if number < 9 else "DRAFT",
            "paymentStatus": "PAID" if number < 6 else "UNPAID",
            "netTotal": f"{100 + number}.10",
            "totalTax": f"{20 + number}.02",
            "grossTotal": f"{120 + 2 * number}.12",
            "accountingDate": f"2024-{number + 1:02}-01",
            "issueDate": f"2024-{number + 1:02}-02",
            "dueDate": f"2024-{number + 1:02}-15",
        }
        for number in range(12)
    ],
    "invoices/line-items": [
        {
            "id": _id(8, number),
            "invoiceId": _id(7, number // 2),
            "groupId": _id(23, number // 2),
            "productId": _id(4, 0),
            "priceId": _id(5, 0),
            "quantity": f"{number + 1}.500",
            "netTotal": f"{50 + number}.05",
        }
        for number in range(24)
    ],
    "invoices/line-item-groups": [
        {"id": _id(23, number), "invoiceId": _id(7, number)} for number in range(12)
    ],
    "invoices/currency-conversions": [{"id": _id(24, 0), "invoiceId": _id(7, 0), "currency": "EUR"}],
    "credit-notes": [
        {
            "id": _id(9, 0),
            "customerId": _id(1, 0),
            "invoiceId": _id(7, 0),
            "grossTotal": "12.50",
            "issueDate": "2024-02-10",
        }
    ],
    "credit-notes/line-items": [{"id": _id(25, 0), "creditNoteId": _id(9, 0)}],
    "credit-notes/line-item-groups": [{"id": _id(26, 0), "creditNoteId": _id(9, 0)}],
    "credits": [{"id": _id(11, 0), "customerId": _id(1, 0)}],
    "credits/balances": [{"id": _id(12, 0), "customerId": _id(1, 0)}],
    "credits/grants": [{"id": _id(13, 0), "customerId": _id(1, 0)}],
    "discounts": [{"id": _id(14, 0), "billingScheduleId": _id(6, 0), "priceIds": [_id(5, 0)]}],
    "quotes": [{"id": _id(15, 0), "customerId": _id(1, 0)}],
    # The second has null wherever the API's schema allows it.
    "tax-rates": [
        {"id": _id(10, 0)},
        {"id": _id(10, 1), **dict.fromkeys(("description", "region", "taxCategoryId", "updatedAt"))},
    ],
    "tax-registrations": [
        {"id": _id(16, 0), "customerId": _id(1, 0), "merchantId": None},
        {"id": _id(16, 1), "customerId": None, "merchantId": ACCOUNT, "country": "US", "state": "NY"},
    ],
    "activity-logs": [{"id": _id(17, 0)}],
    "notifications/policies": [{"id": _id(18, 0)}],
    "users": [{"id": _id(19, 0)}],
    "sequence-accounts": [{"id": ACCOUNT}],
    "customer-custom-property-keys": [{"id": "region"}],
    "billing-schedule-custom-field-keys": [{"id": "cost centre"}],
}


#: What the archived or deleted one of a table has of its own.
_GONE: dict[str, dict[str, Any]] = {"customers": {"aliases": []}, "customer-aliases": {"value": "acme-once"}}


def load(store: Store, identifiers: Identifiers) -> dict[str, int]:
    """
    Load the account and return how many documents of each table it has.

    :raises HTTPError: it is loaded already.
    """
    loaded: dict[str, int] = {}
    for table, items in _OWN.items():
        sample = BY_TABLE[table].document
        documents = [sample.live | item for item in items]
        if sample.gone:
            documents.append(
                documents[-1] | {**sample.gone, **_GONE.get(table, {}), "id": _id(30, len(loaded))}
            )
        loaded[table] = len(records.load(table, documents, store, identifiers))
    return loaded
