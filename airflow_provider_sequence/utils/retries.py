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

    :raises airflow.sdk.exceptions.AirflowFailException: in place of a non-retryable error.
    """
    try:
        yield
    except NON_RETRYABLE as e:
        raise AirflowFailException(str(e)) from e
    except WarehouseError as e:
        if e.permanent:
            raise AirflowFailException(str(e)) from e
        raise
