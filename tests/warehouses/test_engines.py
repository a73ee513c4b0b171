"""Connections that are taken for those of a database."""

from __future__ import annotations

import json

import pytest

from airflow_provider_sequence.exceptions import SequenceConfigurationError
from airflow_provider_sequence.hooks.sql_engine import create_sql_engine


def test_connection_to_google_cloud_names_the_type_to_use(monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({"conn_type": "google_cloud_platform"}))
    with pytest.raises(SequenceConfigurationError, match="type gcpbigquery"):
        create_sql_engine("warehouse")
