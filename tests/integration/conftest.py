from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from airflow_provider_sequence.hooks.sql_engine import create_sql_engine
from tests.integration.support.airflow import airflow_db, run_dag
from tests.integration.support.databases import Warehouse, postgres, sequence_conn, warehouse

__all__ = ["airflow_db", "postgres", "run_dag", "sequence_conn", "warehouse"]


@pytest.fixture
def engine(warehouse: Warehouse) -> Iterator[sa.Engine]:
    """The engine that the operators use for the connection ``warehouse``."""
    engine = create_sql_engine(warehouse.conn_id)
    yield engine
    engine.dispose()
