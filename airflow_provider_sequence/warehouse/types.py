"""Column types that hold every character, digit and instant, in each database's own words."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from sqlalchemy import TIMESTAMP, DateTime, String, Text
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine, UserDefinedType

#: Dialects that speak MySQL.
MYSQL = frozenset({"mysql", "mariadb"})


def _mysql_collation(dialect: Any) -> str:
    """Name the collation that tells texts apart byte by byte, trailing spaces included."""
    return "utf8mb4_nopad_bin" if getattr(dialect, "is_mariadb", False) else "utf8mb4_0900_bin"


class KeyText(TypeDecorator[str]):
    """Text that may be part of a key: MySQL indexes no text without a length, and takes ``a`` for ``A``."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the column type of a dialect."""
        if dialect.name in MYSQL:
            return mysql.VARCHAR(255, collation=_mysql_collation(dialect))
        return _LONG.get(dialect.name, Text())


class LongText(TypeDecorator[str]):
    """Text of any length, told apart byte by byte: TEXT is 64 KB on MySQL, and 256 bytes on Redshift."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the column type of a dialect."""
        if dialect.name in MYSQL:
            return mysql.LONGTEXT(collation=_mysql_collation(dialect))
        return _LONG.get(dialect.name, Text())


_LONG: Mapping[str, TypeEngine[Any]] = MappingProxyType({"redshift": String(65535)})

KEY_TEXT = KeyText()
LONG_TEXT = LongText()


class _Jsonb(UserDefinedType[str]):
    """JSONB that is given JSON text, and not Python values whose numbers were floats in between."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "JSONB"


class JsonText(TypeDecorator[str]):
    """A JSON text as it is: JSONB on PostgreSQL, text elsewhere (a JSON column of SQLite turns 1.10 into 1.1)."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the column type of a dialect."""
        if dialect.name == "postgresql":
            return _Jsonb()
        return LONG_TEXT.load_dialect_impl(dialect)


class UtcTimestamp(TypeDecorator[Any]):
    """A time with a zone: ``TIMESTAMP WITH TIME ZONE`` where there is one, else a plain timestamp in UTC."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the column type of a dialect."""
        return _TIMES.get(dialect.name, DateTime(timezone=True))

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """Write the time in UTC and drop the zone, where the database keeps none."""
        if value is None or dialect.name == "postgresql":
            return value
        utc = value.astimezone(dt.UTC)
        return utc if dialect.name in _KEEP_ZONES else utc.replace(tzinfo=None)


_TIMES: Mapping[str, TypeEngine[Any]] = MappingProxyType({
    "mysql": mysql.DATETIME(fsp=6),
    "mariadb": mysql.DATETIME(fsp=6),
    # What DateTime stands for there has no zone.
    "bigquery": TIMESTAMP(timezone=True),
    "databricks": TIMESTAMP(timezone=True),
})
_KEEP_ZONES = frozenset({"duckdb", "redshift", "snowflake", "bigquery", "databricks"})
