"""Converters of Oracle's values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_sequence.exceptions import SequenceConfigurationError
from airflow_provider_sequence.warehouse.converters import Converter, each_column
from airflow_provider_sequence.warehouse.dialect import DatabaseDialect


def converter(column: Sequence[Any]) -> Converter | None:
    """
    Converter of a column, by the driver's description: python-oracledb drops the zones of timestamps.

    :raises SequenceConfigurationError: if a value has lost its zone; of the converter.
    """
    if getattr(column[1], "name", None) not in {"DB_TYPE_TIMESTAMP_TZ", "DB_TYPE_TIMESTAMP_LTZ"}:
        return None

    def require_zone(value: Any) -> Any:
        if value.tzinfo is None:
            raise SequenceConfigurationError(
                f"the column {column[0]} is a timestamp with a time zone, which Oracle's driver drops\n"
                f"Select SYS_EXTRACT_UTC({column[0]}) AS {column[0]}"
            )
        return value

    return require_zone


ORACLE = DatabaseDialect(
    tried=False,
    writes=False,
    connection_types=("oracle",),
    url="oracle+oracledb://",
    converters=each_column(converter),
)
