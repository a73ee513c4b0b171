"""Records that are plain JSON documents: customers, aliases, metrics, invoices and all the rest but events."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import msgspec

from airflow_provider_sequence.sandbox import events, timestamps
from airflow_provider_sequence.sandbox.http import HTTPError
from airflow_provider_sequence.sandbox.identifiers import Identifiers
from airflow_provider_sequence.sandbox.resources import BY_TABLE, Resource
from airflow_provider_sequence.sandbox.seats import newest_of
from airflow_provider_sequence.sandbox.settings import SandboxSettings
from airflow_provider_sequence.sandbox.store import Condition, Record, Store


def add(resource: Resource, fields: Mapping[str, Any], store: Store, identifiers: Identifiers) -> Record:
    """
    Keep a document and return it, completed with an id, the account and its time of creation.

    :raises HTTPError: the id or the alias is taken, or the field with the parent's id is missing.
    """
    table = resource.source
    now = timestamps.render(time.time_ns() // 1000, "utc_millis")
    document = {
        "id": identifiers.new(),
        **resource.document.required,
        **({"createdAt": now} if "createdAt" in resource.document.live else {}),
        **fields,
    }
    parent = fields.get(resource.parent_field) if resource.parent_field else None
    if resource.parent_field and not isinstance(parent, str):
        raise HTTPError(400, f"{resource.parent_field} is required")
    identifier = str(document["id"])
    if store.get(table, identifier):
        raise HTTPError(409, f"{table} has an item with the id {identifier} already")
    alias = document["value"] if table == "customer-aliases" else None
    if alias is not None and next(store.read(table, Condition("alias = ?", (alias,))), None):
        raise HTTPError(409, f"value: {alias!r} is the alias of a customer already")
    body = msgspec.json.encode(document).decode()
    return store.add(table, Record(0, identifier, parent, None, alias, None, None, 0, 0, body))


def load(
    table: str, items: list[dict[str, Any]], store: Store, identifiers: Identifiers
) -> list[dict[str, Any]]:
    """
    Keep documents of one table and return them as kept.

    A customer's ``aliases``, texts or objects with a ``value``, become customer aliases.

    :raises HTTPError: there is no such table, or an item cannot be kept.
    """
    resource = BY_TABLE.get(table)
    if resource is None or resource.kind:
        names = ", ".join(sorted(name for name, found in BY_TABLE.items() if not found.kind))
        raise HTTPError(404, f"{table!r} cannot be loaded; what can be: {names}")
    kept = []
    for item in items:
        fields = dict(item)
        aliases = fields.pop("aliases", []) if table == "customers" else []
        record = add(resource, fields, store, identifiers)
        for alias in aliases:
            labelled = alias if isinstance(alias, dict) else {"value": alias}
            add(BY_TABLE["customer-aliases"], {**labelled, "customerId": record.id}, store, identifiers)
        kept.append(msgspec.json.decode(record.body, type=dict[str, Any]))
    return kept


def alias_fields(body: bytes, settings: SandboxSettings) -> dict[str, str]:
    """
    Return the fields of a posted customer alias.

    :raises HTTPError: the body breaks a rule; the reason names the field.
    """
    _, sent = events.read_object(body)
    found = {}
    for name, required in (("customerId", True), ("value", True), ("label", False)):
        if name in sent:
            try:
                found[name] = events.text(sent[name], settings) if required or sent[name] != b'""' else ""
            except ValueError as error:
                raise HTTPError(400, f"{name} {error}") from None
        elif required:
            raise HTTPError(400, f"{name} is required")
    return found


def render(resource: Resource, record: Record, settings: SandboxSettings) -> bytes:
    """Return a document as an answer of a list gives it back."""
    if resource.texts:
        return msgspec.json.encode(record.id)
    body = record.body.encode()
    if resource.fields:
        document: dict[str, msgspec.Raw] = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        made = {"links": msgspec.Raw(b"[]"), "dueDateSource": msgspec.Raw(b'"CALCULATED"')}
        found = made | document
        body = msgspec.json.encode({name: found[name] for name in resource.fields if name in found})
    return events.with_extra(body, settings)


def balance(customer: Record, settings: SandboxSettings, store: Store) -> bytes:
    """Return the seats a customer has in use, by type and in total."""
    balances = [
        {
            "seatType": newest.type,
            "total": msgspec.json.decode(newest.body, type=dict[str, Any])["total"],
            "changeTimestamp": timestamps.render(newest.timestamp or 0, "utc_millis"),
        }
        for newest in store.read("seat-events", newest_of(customer.id, settings), "ORDER BY type")
    ]
    aliases = store.read("customer-aliases", Condition("parent = ?", (customer.id,)))
    answer = {
        "id": customer.id,
        "sequenceAccountId": events.ACCOUNT,
        "legalName": msgspec.json.decode(customer.body, type=dict[str, Any]).get("legalName"),
        "customerAliases": [alias.alias for alias in aliases],
        "total": sum(part["total"] for part in balances),
        "balances": balances,
    }
    # Of a customer without seats: nothing has changed since it was made.
    changes = [part["changeTimestamp"] for part in balances]
    answer["changeTimestamp"] = max(changes, default=msgspec.json.decode(customer.body)["createdAt"])
    return events.with_extra(msgspec.json.encode(answer), settings)
