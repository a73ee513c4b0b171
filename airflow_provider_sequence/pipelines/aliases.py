"""Alias pipeline: a query's rows become customer aliases, each created unless it is in use already, and looked up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from airflow_provider_sequence.api.aliases import CustomerAlias, holders
from airflow_provider_sequence.api.client import SequenceClient
from airflow_provider_sequence.exceptions import (
    InvalidEventError,
    SequenceApiError,
    SequenceRejectedError,
    SequenceResponseError,
)
from airflow_provider_sequence.pipelines.push.outcomes import Outcome, Status
from airflow_provider_sequence.pipelines.push.summary import PushSummary


def create_aliases(rows: Iterable[Mapping[str, Any]], client: SequenceClient, summary: PushSummary) -> None:
    """
    Create the aliases that rows name; an alias that its customer has already is unchanged.

    :param rows: ``customer_id``, ``value`` and perhaps ``label`` of each.
    :param summary: where outcomes are counted.
    """
    for row, fields in enumerate(rows, 1):
        summary.rows = row
        summary.add(_create(client, row, fields))
    summary.requests, summary.throttled = client.requests_sent, client.requests_throttled


def _create(client: SequenceClient, row: int, fields: Mapping[str, Any]) -> Outcome:
    try:
        alias = CustomerAlias(**fields)
    except InvalidEventError as e:
        return Outcome(row, Status.REJECTED, reason=str(e))
    found = _look(client, row, alias, Status.UNCHANGED)
    if found is not None:
        return found
    refusal: SequenceApiError | None = None
    try:
        client.create_customer_alias(alias)
    except SequenceRejectedError as e:
        refusal = e
    except SequenceResponseError as e:
        # The list below the same base URL was there just now: what is missing is the customer.
        if e.status != 404:
            raise
        refusal = e.with_message("customer_id: Sequence has no such customer")
    # What counts is what is there: another task may have created it, and an answer may be the repetition of an old one.
    found = _look(client, row, alias, Status.UNCHANGED if refusal else Status.DELIVERED)
    if found is not None:
        return found
    if refusal is None:
        reason = "value: Sequence answered that it created the alias, but does not list it"
        return Outcome(row, Status.REJECTED, reason=reason)
    return Outcome(row, Status.REJECTED, http_status=refusal.status, reason=refusal.reason)


def _look(client: SequenceClient, row: int, alias: CustomerAlias, status: Status) -> Outcome | None:
    """
    Look up who has an alias.

    :param status: the row's, if it is the row's customer.
    :return: None where nobody has it.
    """
    customers = holders(client.customer_aliases(alias.value))
    if alias.customer_id in customers:
        return Outcome(row, status)
    if customers:
        return Outcome(row, Status.REJECTED, reason="value: is the alias of another customer already")
    return None
