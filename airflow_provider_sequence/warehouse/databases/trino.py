"""Converters of Trino's values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_sequence.warehouse.converters import Converter, each_column, json_text
from airflow_provider_sequence.warehouse.dialect import DatabaseDialect


def converter(column: Sequence[Any]) -> Converter | None:
    """Converter of a column, by the driver's description: JSON comes as text, the fields of a ROW without their names."""
    if column[1] == "json":
        return json_text
    return _with_names if "row(" in column[1] else None


def _with_names(value: Any) -> Any:
    if isinstance(value, tuple):
        names = value.__annotations__["names"]
        values = [_with_names(each) for each in value]
        return values if None in names else dict(zip(names, values, strict=True))
    if isinstance(value, list):
        return [_with_names(each) for each in value]
    if isinstance(value, dict):
        return {key: _with_names(each) for key, each in value.items()}
    return value


TRINO = DatabaseDialect(
    writes=False, converters=each_column(converter), connection_types=("trino",), loggers=("trino",)
)
