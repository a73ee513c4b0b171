"""A small account to try lists on: always the same, and every amount a decimal text."""

from __future__ import annotations

from typing import Any

from airflow_provider_sequence.sandbox import records
from airflow_provider_sequence.sandbox.identifiers import Identifiers
from airflow_provider_sequence.sandbox.store import Store


def _id(kind: int, number: int) -> str:
    return f"00000000-0000-4000-8{kind:03}-{number:012}"


_CUSTOMERS = (("Acme Corp", "acme"), ("Globex", "globex"), ("Initech", "initech"))
_TABLES: dict[str, list[dict[str, Any]]] = {
    "customers": [
        {"id": _id(1, number), "legalName": name, "aliases": [alias, f"{alias}-eu"]}
        for number, (name, alias) in enumerate(_CUSTOMERS)
    ],
    "usage-metrics": [
        {"id": _id(2, 0), "name": "Messages sent", "eventType": "message-sent", "unit": "messages"},
        {
            "id": _id(2, 1),
            "name": "Length of messages",
            "eventType": "message-sent",
            "aggregationType": "SUM",
            "aggregationProperty": "length",
            "unit": "bytes",
        },
    ],
    "seat-metrics": [{"id": _id(3, 0), "name": "Admins", "seatType": "admin"}],
    "products": [{"id": _id(4, 0), "name": "Messaging"}],
    "prices": [{"id": _id(5, 0), "productId": _id(4, 0), "currency": "GBP", "pricePerUnit": "0.0250"}],
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
            "billingScheduleId": _id(6, number % len(_CUSTOMERS)),
            "invoiceNumber": f"INV{number + 1}",
            "status": "SENT" if number < 9 else "DRAFT",
            "paymentStatus": "PAID" if number < 6 else "UNPAID",
            "currency": "GBP",
            "netTotal": f"{100 + number}.10",
            "totalTax": f"{20 + number}.02",
            "grossTotal": f"{120 + 2 * number}.12",
            "accountingDate": f"2024-{number + 1:02}-01",
            "dueDate": f"2024-{number + 1:02}-15",
            "sentAt": f"2024-{number + 1:02}-02T09:00:00Z",
        }
        for number in range(12)
    ],
    "invoices/line-items": [
        {
            "id": _id(8, number),
            "invoiceId": _id(7, number // 2),
            "title": "Messages",
            "quantity": f"{number + 1}.500",
            "rate": "0.0250",
            "netTotal": f"{50 + number}.05",
        }
        for number in range(24)
    ],
    "credit-notes": [
        {
            "id": _id(9, 0),
            "customerId": _id(1, 0),
            "invoiceId": _id(7, 0),
            "creditNoteNumber": "CN1",
            "status": "SENT",
            "currency": "GBP",
            "grossTotal": "12.50",
            "sentAt": "2024-02-10T09:00:00Z",
        }
    ],
    "tax-rates": [{"id": _id(10, 0), "name": "VAT", "amount": "0.20"}],
}


def load(store: Store, identifiers: Identifiers) -> dict[str, int]:
    """
    Load the account and return how many documents of each table it has.

    :raises HTTPError: it is loaded already.
    """
    return {table: len(records.load(table, items, store, identifiers)) for table, items in _TABLES.items()}
