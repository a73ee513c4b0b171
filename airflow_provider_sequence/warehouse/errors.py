"""Database errors without data: SQLAlchemy's and the driver's become a WarehouseError that holds no row."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    OperationalError,
    ProgrammingError,
    SQLAlchemyError,
)

from airflow_provider_sequence.exceptions import WarehouseError


@contextmanager
def database_errors() -> Iterator[None]:
    """Turn errors of SQLAlchemy and the driver into a WarehouseError, which holds no row."""
    try:
        yield
    except SQLAlchemyError as e:
        error = WarehouseError(describe(e), _is_permanent(e))
    else:
        return
    raise error from None


def describe(error: SQLAlchemyError) -> str:
    """The database's message: its first line, without quoted text where that may be a value."""
    if not isinstance(error, DBAPIError):
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"
    said = str(error.orig).strip().splitlines() or [""]
    first = said[0]
    state = str(getattr(error.orig, "sqlstate", None) or "")
    # Snowflake's driver has one class of errors for all that a statement can do; its codes are the standard's.
    if isinstance(error, (DataError, IntegrityError)) or state.startswith(("22", "23")):
        # What the database could not take is data, and it likes to quote it.
        first = re.sub(r"\"[^\"]*\"|'[^']*'|=\(.*\)", "…", first)
    return f"{type(error.orig).__name__}: {first}"


def _is_permanent(error: SQLAlchemyError) -> bool:
    if isinstance(error, ProgrammingError):
        return True
    # SQLite says OperationalError of a missing table as well as of a locked file; SQLITE_ERROR (1) is the former.
    # So do MySQL's drivers of an unknown column (1054), no query (1065), and an unknown function (1305).
    orig: Any = getattr(error, "orig", None)
    if getattr(orig, "sqlite_errorcode", None) == 1:
        return True
    return isinstance(error, OperationalError) and orig.args[:1] in [(1054,), (1065,), (1305,)]
