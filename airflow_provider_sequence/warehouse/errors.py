"""Database errors without data: SQLAlchemy's and the driver's become a WarehouseError that holds no row."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.engine import Engine
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError, SQLAlchemyError

from airflow_provider_sequence.exceptions import WarehouseError
from airflow_provider_sequence.warehouse.dialect import DatabaseDialect
from airflow_provider_sequence.warehouse.dialects import dialect_of

#: Classes of SQLSTATE that another attempt can't change: what the statement asks for is not there, not allowed, or wrong.
_PERMANENT = frozenset({"02", "0A", "22", "23", "3D", "3F", "42", "45"})
#: Classes of what the database could not take: data, which it likes to quote. XX is Redshift's for much of it.
_DATA = frozenset({"22", "23", "XX"})
#: Classes of what a trigger or a function of the user's raised: its words are the user's own.
_RAISED = frozenset({"38", "45", "P0"})

#: A quoted name after the word for what it names; or all from the first quotation mark on, in any language, but for the
#: column that MySQL tells at the end. A value may hold quotation marks, and the second one may be on another line.
_QUOTED = re.compile(
    r"((?:column|relation|table|constraint|domain|for key) (?:\"[^\"]*\"|'[^']*'))"
    r"|(?:[\"'»„«“‘「]|=\(|(?<=The value )).*?(?=(?: for column '[^']*' at row \d+\W*)?$)",
    re.DOTALL,
)
#: The part of a statement that is said to be wrong, unless it is one word: it may hold a literal.
_SNIPPET = re.compile(r"(?:(?<= near )|(?<= token: )|(?<=^near ))[\"'](?![^\W\d]\w*[\"']).*")


@contextmanager
def database_errors(engine: Engine, what: str = "") -> Iterator[None]:
    """
    Turn errors of SQLAlchemy and the driver into a WarehouseError, which holds no row.

    :param what: what the message begins with, where a setting is at fault.
    """
    dialect = dialect_of(engine)
    try:
        yield
    except SQLAlchemyError as e:
        error = WarehouseError(what + describe(e, dialect), is_permanent(e, dialect))
    except dialect.other_errors() as e:
        error = WarehouseError(what + _first_line(dialect.diagnose(e)[0]), dialect.permanent(e))
    else:
        return
    raise error from None


def describe(error: SQLAlchemyError, dialect: DatabaseDialect) -> str:
    """The database's message: its first line, with its identifiers, without quoted text that may be a value."""
    if not isinstance(error, DBAPIError):
        return f"{type(error).__name__}: {_without_values(_first_line(str(error)))}"
    message, sqlstate = dialect.diagnose(error.orig)
    if sqlstate[:2] in _RAISED:
        return f"{type(error.orig).__name__}: a trigger or a function refuses it (SQLSTATE {sqlstate})"
    first = _first_line(message)
    if isinstance(error, (DataError, IntegrityError)) or sqlstate[:2] in _DATA:
        return _without_values(first)
    return _SNIPPET.sub("…", first)


def _without_values(message: str) -> str:
    return _QUOTED.sub(lambda found: found[1] or ("…" if found[0] else ""), message)


def is_permanent(error: SQLAlchemyError, dialect: DatabaseDialect) -> bool:
    """Whether the statement or its data is at fault, so that another try would fail, too."""
    if not isinstance(error, DBAPIError):
        return False
    _, sqlstate = dialect.diagnose(error.orig)
    by_class = isinstance(error, (ProgrammingError, DataError, IntegrityError))
    return (sqlstate[:2] in _PERMANENT if sqlstate else by_class) or dialect.permanent(error.orig)


def _first_line(message: str) -> str:
    return next(iter(message.strip().splitlines()), "")
