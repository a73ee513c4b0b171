"""Database errors without data: SQLAlchemy's and the driver's become a WarehouseError that holds no row."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.engine import Engine
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError, SQLAlchemyError

from airflow_provider_sequence.exceptions import WarehouseError
from airflow_provider_sequence.warehouse.dialects import dialect_of

#: A quoted name after the word for what it names; or all between the first quotation mark and the last, in any language.
_QUOTED = re.compile(
    r"((?:column|relation|table|constraint|domain|for key) (?:\"[^\"]*\"|'[^']*'))|[\"'»„«“‘「].*[\"'«“»”’」]|=\(.*\)"
)
#: Where PostgreSQL tells the column of a value that a COPY could not read; the value follows.
_COLUMN_OF_COPY = re.compile(r"^COPY \S+, line \d+, column ([^:\"]+)", re.MULTILINE)


@contextmanager
def database_errors(engine: Engine) -> Iterator[None]:
    """Turn errors of SQLAlchemy and the driver into a WarehouseError, which holds no row."""
    try:
        yield
    except SQLAlchemyError as e:
        error = WarehouseError(describe(e), is_permanent(e, engine))
    else:
        return
    raise error from None


def describe(error: SQLAlchemyError) -> str:
    """The database's message: its first line, with its identifiers, without quoted text that may be a value."""
    if not isinstance(error, DBAPIError):
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"
    said = str(error.orig).strip().splitlines() or [""]
    first = said[0]
    diagnostics = getattr(error.orig, "diag", None)
    # What the database could not take is data, and it likes to quote it: PostgreSQL of a violated constraint in the lines
    # below, where the first has names only.
    if isinstance(error, DataError) or (isinstance(error, IntegrityError) and diagnostics is None):
        first = _QUOTED.sub(lambda found: found[1] or "…", first)
    column = _COLUMN_OF_COPY.search(getattr(diagnostics, "context", None) or "")
    return f"{type(error.orig).__name__}: {first}{f' (column {column[1]})' if column else ''}"


def is_permanent(error: SQLAlchemyError, engine: Engine) -> bool:
    """Whether the statement or its data is at fault, so that another try would fail, too."""
    if not isinstance(error, DBAPIError):
        return False
    return isinstance(error, (ProgrammingError, DataError, IntegrityError)) or dialect_of(engine).permanent(
        error.orig
    )
