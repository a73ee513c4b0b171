"""Seat balances: of each customer and seat type the newest total."""

# ruff: noqa: S608 - names of tables and columns are constants of this package; values are always bound

from __future__ import annotations

from airflow_provider_sequence.sandbox.events import VOID
from airflow_provider_sequence.sandbox.filters import truth
from airflow_provider_sequence.sandbox.http import Query
from airflow_provider_sequence.sandbox.settings import SandboxSettings
from airflow_provider_sequence.sandbox.store import Condition

# The newest seat event of a customer and type, over all of the customer's aliases.
_NEWEST = """
    SELECT seq, customer, total FROM (
        SELECT e.seq, c.id AS customer, json_extract(e.body, '$.total') AS total,
               row_number() OVER (PARTITION BY c.id, e.type ORDER BY {newest}) AS place
        FROM (SELECT id, id AS alias FROM customers
              UNION SELECT parent, alias FROM "customer-aliases") AS c
        JOIN "seat-events" AS e ON e.alias = c.alias
        WHERE NOT e.superseded AND e.alias <> '{void}' {only})
    WHERE place = 1"""
_ORDER = {"event_timestamp": "e.timestamp DESC, e.seq DESC", "received": "e.seq DESC"}


def newest_of(customer: str, settings: SandboxSettings) -> Condition:
    """Return the condition for the seat events that make up the balance of one customer."""
    newest = _NEWEST.format(newest=_ORDER[settings.newest_seat_event], void=VOID, only="AND c.id = ?")
    return Condition(f"seq IN (SELECT seq FROM ({newest}))", (customer,), lasting=False)


def with_seats(name: str, query: Query, settings: SandboxSettings) -> Condition:
    """The filter for customers that have a seat in use."""
    if not truth(name, query):
        return Condition()
    newest = _NEWEST.format(newest=_ORDER[settings.newest_seat_event], void=VOID, only="")
    return Condition(f"id IN (SELECT customer FROM ({newest}) WHERE total > 0)", lasting=False)
