"""Engines of connections of every type: of those whose provider is installed, and of the others."""

from __future__ import annotations

import json

import pytest

from airflow_provider_sequence.exceptions import SequenceConfigurationError
from airflow_provider_sequence.hooks.sql_engine import create_sql_engine
from airflow_provider_sequence.warehouse.dialects import DIALECTS

#: Databases that this environment has no provider for; `make test-warehouses` has them.
_ELSEWHERE = {
    conn_type: row.extra
    for row in DIALECTS.values()
    for conn_type in row.connection_types
    if conn_type not in {"postgres", "sqlite", "duckdb"}
}


@pytest.mark.parametrize("conn_type", _ELSEWHERE)
def test_missing_provider_is_named_by_the_extra_that_installs_it(monkeypatch, conn_type):
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({"conn_type": conn_type, "host": "127.0.0.1"}))
    with pytest.raises(SequenceConfigurationError) as caught:
        create_sql_engine("warehouse")
    extra = _ELSEWHERE[conn_type]
    install = f"airflow-provider-sequence[{extra}]" if extra else "it"
    assert (
        str(caught.value)
        == f"the connection warehouse is of type {conn_type}, whose provider is not installed\nInstall {install}"
    )


@pytest.mark.parametrize("conn_type", ["sqlite", "duckdb"])
def test_engine_speaks_with_the_hooks_driver(monkeypatch, tmp_path, conn_type):
    fields = {"conn_type": conn_type, "host": str(tmp_path / "file")}
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(fields))
    with create_sql_engine("warehouse").connect() as connection:
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1


def test_engine_of_sqlite_warns_of_nothing(monkeypatch, tmp_path, recwarn):
    """The hook's own URL has the argument __extra__, which SQLAlchemy does not know."""
    fields = {"conn_type": "sqlite", "host": str(tmp_path / "file"), "extra": "{}"}
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(fields))
    create_sql_engine("warehouse").connect().close()
    assert [str(each.message) for each in recwarn] == []
