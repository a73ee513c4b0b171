"""Database errors without data: SQLAlchemy's and the driver's become a WarehouseError that holds no row."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.engine import Engine
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError, SQLAlchemyError

from airflow_provider_sequence.exceptions import WarehouseError
from airflow_provider_sequence.warehouse.dialects import DatabaseDialect, dialect_of

#: Classes of SQLSTATE that another attempt can't change: what the statement asks for is not there, not allowed, or wrong.
_PERMANENT = frozenset({"02", "0A", "22", "3D", "3F", "42"})
#: Classes of what the database could not take: data, which it likes to quote. XX is Redshift's for much of it.
_DATA = frozenset({"22", "23", "XX"})
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'|=\(.*\)|(?<=The value )\S+")


@contextmanager
def database_errors(engine: Engine) -> Iterator[None]:
    """Turn errors of SQLAlchemy and the driver into a WarehouseError, which holds no row."""
    dialect = dialect_of(engine)
    try:
        yield
    except SQLAlchemyError as e:
        error = _warehouse_error(e, dialect)
    except dialect.other_errors() as e:
        error = WarehouseError(_first_line(dialect.diagnose(e)[0]), dialect.permanent(e))
    else:
        return
    raise error from None


def _warehouse_error(error: SQLAlchemyError, dialect: DatabaseDialect) -> WarehouseError:
    """Error with the database's message: its first line, without quoted text where that may be a value."""
    if not isinstance(error, DBAPIError):
        return WarehouseError(f"{type(error).__name__}: {str(error).splitlines()[0]}")
    message, sqlstate = dialect.diagnose(error.orig)
    first = _first_line(message)
    if isinstance(error, (DataError, IntegrityError)) or sqlstate[:2] in _DATA:
        first = _QUOTED.sub("…", first)
    permanent = (
        sqlstate[:2] in _PERMANENT
        if sqlstate
        else isinstance(error, ProgrammingError) or dialect.permanent(error.orig)
    )
    return WarehouseError(first, permanent)


def _first_line(message: str) -> str:
    return next(iter(message.strip().splitlines()), "")
