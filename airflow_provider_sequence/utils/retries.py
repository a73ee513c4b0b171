"""Retry policy of a task: non-retryable errors fail it at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow_provider_sequence.compat import AirflowFailException
from airflow_provider_sequence.exceptions import NON_RETRYABLE, WarehouseError


@contextmanager
def fail_without_retry() -> Iterator[None]:
    """
    Fail the task without Airflow's retries where only a change of the DAG, the connection or the account can help.

    :raises airflow.sdk.exceptions.AirflowFailException: in place of a non-retryable error, which is its ``__cause__``; it
        has the error's ``result``.
    """
    try:
        yield
    except (*NON_RETRYABLE, WarehouseError) as e:
        if isinstance(e, WarehouseError) and not e.permanent:
            raise
        failure = AirflowFailException(str(e))
        failure.result = e.result  # type: ignore[attr-defined]
        raise failure from e
