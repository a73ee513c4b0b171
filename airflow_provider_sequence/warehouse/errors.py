"""Database errors without data: SQLAlchemy's and the driver's become a WarehouseError that holds no row."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.engine import Engine
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError, SQLAlchemyError

from airflow_provider_sequence.exceptions import WarehouseError
from airflow_provider_sequence.warehouse.dialects import DatabaseDialect, dialect_of


@contextmanager
def database_errors(engine: Engine) -> Iterator[None]:
    """Turn errors of SQLAlchemy and the driver into a WarehouseError, which holds no row."""
    dialect = dialect_of(engine)
    try:
        yield
    except SQLAlchemyError as e:
        error = WarehouseError(describe(e, dialect), _is_permanent(e, dialect))
    except dialect.other_errors() as e:
        error = WarehouseError(dialect.describe(e), dialect.permanent(e))
    else:
        return
    raise error from None


def describe(error: SQLAlchemyError, dialect: DatabaseDialect) -> str:
    """The database's message: its first line, without quoted text where that may be a value."""
    if not isinstance(error, DBAPIError):
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"
    said = dialect.describe(error.orig)
    if isinstance(error, (DataError, IntegrityError)):
        # What the database could not take is data, and it likes to quote it.
        said = re.sub(r"\"[^\"]*\"|'[^']*'|=\(.*\)", "…", said)
    return said


def _is_permanent(error: SQLAlchemyError, dialect: DatabaseDialect) -> bool:
    if not isinstance(error, DBAPIError):
        return False
    return isinstance(error, ProgrammingError) or dialect.permanent(error.orig)
