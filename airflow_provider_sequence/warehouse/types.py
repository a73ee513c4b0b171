"""Column types that hold every character, digit and instant, as each database's row of DIALECTS has them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlalchemy import DateTime, Numeric, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

from airflow_provider_sequence.warehouse.dialects import bind_timestamp, dialect_of


class KeyText(TypeDecorator[str]):
    """Text that may be part of a key."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Column type of a dialect."""
        return dialect_of(dialect).key_text


class LongText(TypeDecorator[str]):
    """Text of any length, compared byte by byte."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Column type of a dialect."""
        return dialect_of(dialect).long_text


class JsonText(TypeDecorator[str]):
    """JSON text as it is: JSONB on PostgreSQL, text elsewhere (a JSON column of SQLite turns 1.10 into 1.1)."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Column type of a dialect."""
        row = dialect_of(dialect)
        return row.json_text or row.long_text


class ExactNumber(TypeDecorator[Decimal]):
    """Decimal number, to the digit: text on SQLite."""

    impl = Numeric
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Column type of a dialect."""
        return dialect_of(dialect).number

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        """Convert the number to what the column holds."""
        as_text = value is not None and isinstance(dialect_of(dialect).number, Text)
        return f"{value:f}" if as_text else value


class UtcTimestamp(TypeDecorator[Any]):
    """Instant: ``TIMESTAMP WITH TIME ZONE`` where there is one, else a plain timestamp in UTC."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Column type of a dialect."""
        return dialect_of(dialect).timestamp

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """Convert the instant to what the driver takes."""
        return None if value is None else bind_timestamp(value, dialect_of(dialect))


KEY_TEXT = KeyText()
LONG_TEXT = LongText()
