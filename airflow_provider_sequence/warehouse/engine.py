"""Engine options, connections and transactions, the same for every use of the user's database."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, TypeVar

from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from airflow_provider_sequence.exceptions import SequenceConfigurationError
from airflow_provider_sequence.warehouse.dialects import DIALECTS, dialect_of
from airflow_provider_sequence.warehouse.errors import database_errors
from airflow_provider_sequence.warehouse.temp_tables import drop_temp_tables

#: Options of ``create_engine``: connections are not kept, values stay out of errors, and SQLAlchemy 1.4, of Airflow
#: 2.11, behaves like 2.0.
ENGINE_OPTIONS: Mapping[str, Any] = MappingProxyType({
    "poolclass": NullPool,
    "hide_parameters": True,
    "future": True,
})


T = TypeVar("T")


def stream_rows(engine: Engine) -> None:
    """Let SQLAlchemy use the driver's cursors that stream, where it does not by itself."""
    if engine.dialect.driver in dialect_of(engine).streams:
        engine.dialect.supports_server_side_cursors = True


@contextmanager
def connect(engine: Engine) -> Iterator[Connection]:
    """
    Open a connection, and close it at the end.

    :raises WarehouseError: if the database can't be reached, or refuses a statement meanwhile.
    """
    with database_errors(engine), engine.connect() as connection:
        for statement in dialect_of(connection).on_connect:
            connection.exec_driver_sql(statement)
            connection.rollback()
        try:
            yield connection
        finally:
            drop_temp_tables(connection)


def reconnect_once(work: Callable[[], T]) -> T:
    """
    Do idempotent work in transactions of its own; once more, over a new connection, if the connection is lost.

    A server ends sessions that it takes for idle, and a log may wait for minutes until it is needed again.
    """
    try:
        return work()
    except DBAPIError as e:
        if not e.connection_invalidated:
            raise
    return work()


def require_writable(connection: Connection, what: str, instead: str) -> None:
    """
    Refuse a database that rows are only read from.

    :param what: what is refused.
    :param instead: how to have it elsewhere.
    :raises SequenceConfigurationError: if it is such a database.
    """
    if not dialect_of(connection).writes:
        able = [name for name, dialect in DIALECTS.items() if dialect.writes]
        raise SequenceConfigurationError(
            f"{what} can't be kept in {connection.dialect.name}: rows are only read from it\n{instead}\n"
            f"These can have it: {', '.join(able)}"
        )


def require_transactions(connection: Connection, what: str, instead: str) -> None:
    """
    Refuse a database without transactions of several statements, in which a change would not be atomic.

    :param what: what is refused.
    :param instead: how to have it elsewhere.
    :raises SequenceConfigurationError: if it is such a database, or one that rows are only read from.
    """
    require_writable(connection, what, instead)
    if not dialect_of(connection).transactions:
        able = [name for name, dialect in DIALECTS.items() if dialect.writes and dialect.transactions]
        raise SequenceConfigurationError(
            f"{what} can't be kept in {connection.dialect.name}, which has no transactions of several statements "
            f"over its driver\n{instead}\nThese have them: {', '.join(able)}"
        )


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """Atomic block: a transaction that is committed at the end, or rolled back as a whole, DDL included."""
    with connection.begin():
        begin = dialect_of(connection).begin
        if begin is not None:
            connection.exec_driver_sql(begin)
        yield
