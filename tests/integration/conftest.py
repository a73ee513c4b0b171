from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from airflow_provider_sequence.hooks.sql_engine import create_sql_engine
from tests.integration.support.airflow import airflow_db, run_dag
from tests.integration.support.databases import (
    Warehouse,
    postgres,
    postgres_database,
    sequence_conn,
    warehouse,
)
from tests.integration.support.process import airflow_process

__all__ = [
    "airflow_db",
    "airflow_process",
    "postgres",
    "postgres_database",
    "run_dag",
    "sequence_conn",
    "warehouse",
]

#: Fixtures that are expensive to make, and that several tests share.
SHARED = ("airflow_process", "airflow_output", "wheel")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests that share a process first: ``pytest -n 2`` gives the first tests to one worker in one piece."""
    items.sort(key=lambda item: not any(name in SHARED for name in getattr(item, "fixturenames", ())))


@pytest.fixture
def engine(warehouse: Warehouse) -> Iterator[sa.Engine]:
    """The engine that the operators use for the connection ``warehouse``."""
    engine = create_sql_engine(warehouse.conn_id)
    yield engine
    engine.dispose()
