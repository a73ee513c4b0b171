"""Alias pipeline: a query's rows become customer aliases, each created unless it is there already."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from airflow_provider_sequence.api import lossless_json
from airflow_provider_sequence.api.aliases import CustomerAlias
from airflow_provider_sequence.api.client import SequenceClient
from airflow_provider_sequence.exceptions import (
    InvalidEventError,
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
        return _existing(client, row, alias) or _post(client, row, alias)
    except InvalidEventError as e:
        return Outcome(row, Status.REJECTED, reason=str(e))
    except SequenceRejectedError as e:
        return Outcome(row, Status.REJECTED, http_status=e.status, reason=e.reason)


def _existing(client: SequenceClient, row: int, alias: CustomerAlias) -> Outcome | None:
    """Outcome of a row whose alias exists already, whoever has it; None where it does not."""
    for item in client.customer_aliases(alias.value):
        if lossless_json.decode(item.get("customerId", b"null")) == alias.customer_id:
            return Outcome(row, Status.UNCHANGED)
        return Outcome(row, Status.REJECTED, reason="value: is the alias of another customer already")
    return None


def _post(client: SequenceClient, row: int, alias: CustomerAlias) -> Outcome:
    try:
        client.create_customer_alias(alias)
    except SequenceResponseError as e:
        # The list below the same base URL was there just now: what is missing is the customer.
        if e.status != 404:
            raise
        return Outcome(
            row, Status.REJECTED, http_status=404, reason="404 customer_id: Sequence has no such customer"
        )
    except SequenceRejectedError as e:
        # Another task may have created it since it was looked up.
        existing = _existing(client, row, alias) if e.status == 409 else None
        if existing is None:
            raise
        return existing
    return Outcome(row, Status.DELIVERED)
