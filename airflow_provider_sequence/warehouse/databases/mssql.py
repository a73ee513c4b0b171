"""SQL Server, which rows are only read from."""

from __future__ import annotations

from airflow_provider_sequence.warehouse.dialect import DatabaseDialect

MSSQL = DatabaseDialect(
    tried=False,
    writes=False,
    connection_types=("mssql",),
    url="mssql+pymssql://",  # the hook's driver, whatever the extra sqlalchemy_scheme says
)
