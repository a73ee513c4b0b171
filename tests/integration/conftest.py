from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from airflow_provider_sequence.hooks.sql_engine import create_sql_engine
from tests.integration.support.databases import Warehouse, postgres_database

__all__ = ["postgres_database"]


@pytest.fixture
def engine(warehouse: Warehouse) -> Iterator[sa.Engine]:
    """The engine that the operators use for the connection ``warehouse``."""
    engine = create_sql_engine(warehouse.conn_id)
    yield engine
    engine.dispose()
