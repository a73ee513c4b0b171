"""Engines of connections whose database can't run here: the real hook and dialect, with the driver's connect replaced."""

from __future__ import annotations

import json
from typing import Any

import databricks.sql
import pytest

from airflow_provider_sequence.exceptions import SequenceConfigurationError
from airflow_provider_sequence.hooks.sql_engine import create_sql_engine


class DriverConnection:
    """Connection of a driver, as far as an engine needs it to connect."""

    def __init__(self) -> None:
        self.open = True

    def close(self) -> None:
        self.open = False

    def rollback(self) -> None:
        pass

    commit = rollback


def test_databricks_connections_have_the_sql_hook_and_a_driver_connection_each(monkeypatch):
    opened: list[DriverConnection] = []

    def connect(*_: Any, **options: Any) -> DriverConnection:
        opened.append(DriverConnection())
        return opened[-1]

    monkeypatch.setattr(databricks.sql, "connect", connect)
    extra = {"http_path": "/sql/1.0/warehouses/abc", "token": "t", "catalog": "main"}
    fields = {"conn_type": "databricks", "host": "dbc.example", "password": "t", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(fields))
    engine = create_sql_engine("warehouse")

    assert engine.dialect.name == "databricks"
    first, second = engine.raw_connection(), engine.raw_connection()
    first.close()
    assert [each.open for each in opened] == [False, True]
    second.close()


def test_connection_to_google_cloud_names_the_type_to_use(monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({"conn_type": "google_cloud_platform"}))
    with pytest.raises(SequenceConfigurationError, match="type gcpbigquery"):
        create_sql_engine("warehouse")
