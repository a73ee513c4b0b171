"""SQLAlchemy engine of the user's own warehouse connection."""

from __future__ import annotations

import importlib
from typing import Any

import sqlalchemy
from sqlalchemy.engine import Engine, create_engine
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from airflow_provider_sequence.compat import AirflowException, BaseHook
from airflow_provider_sequence.exceptions import SequenceConfigurationError
from airflow_provider_sequence.hooks.staging import open_staging
from airflow_provider_sequence.private_logs import silence
from airflow_provider_sequence.warehouse.dialect import DatabaseDialect
from airflow_provider_sequence.warehouse.dialects import dialect_of_connection
from airflow_provider_sequence.warehouse.engine import ENGINE_OPTIONS, stream_rows
from airflow_provider_sequence.warehouse.staging_location import STAGING

#: Connection types that users take for those of a database, and the right ones.
_MISTAKEN_TYPES = {"google_cloud_platform": "gcpbigquery"}


def create_sql_engine(sql_conn_id: str, staging_location: str | None = None) -> Engine:
    """
    Make a SQLAlchemy engine of an Airflow connection to a database.

    Its connections are opened by the connection's own hook, so that whatever that hook knows of options, TLS and
    tokens holds here too. Each connection has a hook of its own, since some hooks keep one connection for all uses.

    :param staging_location: where files of rows may be put for the database to read.
    :raises SequenceConfigurationError: if the connection is not one to a database, or its provider, driver or SQLAlchemy
        dialect is not installed.
    """
    try:
        connection: Any = BaseHook.get_connection(sql_conn_id)
    except AirflowException as e:
        raise SequenceConfigurationError(
            f"the connection {sql_conn_id} can't be used: {e}\n"
            "Make it, or name another one: sql_conn_id is for the query and for tables, delivery_log_conn_id for the log"
        ) from None
    row = dialect_of_connection(connection.conn_type)
    hook = _make_hook(sql_conn_id, connection, row)

    silence("sqlalchemy", *row.loggers)

    def connect() -> Any:
        driver_connection = row.connect(_make_hook(sql_conn_id, connection, row))
        silence("sqlalchemy", *row.loggers)  # drivers make some of their loggers as late as this
        if row.url is None:  # else the connection does not choose the engine's
            _require_driver(sql_conn_id, engine, driver_connection)
        return driver_connection

    options = {**ENGINE_OPTIONS, "creator": connect}
    if staging_location:
        options["execution_options"] = {STAGING: open_staging(staging_location, row)}
    try:
        engine: Engine = create_engine(row.url, **options) if row.url else hook.get_sqlalchemy_engine(options)
    except (ArgumentError, NoSuchModuleError) as e:
        raise SequenceConfigurationError(
            f"SQLAlchemy can't use the connection {sql_conn_id} ({type(hook).__name__}): {type(e).__name__}\n"
            f"Install {_package(row, 'its SQLAlchemy dialect')}"
        ) from None
    except ModuleNotFoundError as e:
        raise SequenceConfigurationError(
            f"the connection {sql_conn_id} is of type {connection.conn_type}, which needs the module {e.name}\n"
            f"Install {_package(row, 'it')}"
        ) from None
    except (AttributeError, ImportError) as e:
        raise SequenceConfigurationError(
            f"SQLAlchemy {sqlalchemy.__version__} and its dialect for connections of type {connection.conn_type} "
            f"don't fit together: {type(e).__name__}. Install {_package(row, 'versions that do')}"
        ) from e
    stream_rows(engine)
    return engine


def _require_driver(sql_conn_id: str, engine: Engine, connection: Any) -> None:
    """Refuse a connection of another driver than the engine's dialect speaks."""
    dbapi: Any = engine.dialect.dbapi
    speaks, given = (
        name.partition(".")[0]
        for name in (
            dbapi.__module__ if isinstance(dbapi, type) else dbapi.__name__,
            type(connection).__module__,
        )
    )
    if speaks != given:
        raise SequenceConfigurationError(
            f"the connection {sql_conn_id} has the driver {given}, and SQLAlchemy would speak with {speaks}\n"
            "Change sqlalchemy_scheme in its extra"
        )


def _package(row: DatabaseDialect, other: str) -> str:
    return f"airflow-provider-sequence[{row.extra}]" if row.extra else other


def _make_hook(sql_conn_id: str, connection: Any, row: DatabaseDialect) -> Any:
    # As late as this: it takes long to import, and a DAG file that names operators does not need it.
    from airflow.providers.common.sql.hooks.sql import DbApiHook

    try:
        if row.hook_class is None:
            hook = connection.get_hook()
        else:
            module, _, name = row.hook_class.rpartition(".")
            extra = connection.extra_dejson
            arguments = {argument: extra[argument] for argument in row.hook_arguments if argument in extra}
            hook = getattr(importlib.import_module(module), name)(sql_conn_id, **arguments)
    except (AirflowException, ImportError):
        raise SequenceConfigurationError(
            f"the connection {sql_conn_id} is of type {connection.conn_type}, whose provider is not installed\n"
            f"Install {_package(row, 'it')}"
        ) from None
    if not isinstance(hook, DbApiHook):
        right = _MISTAKEN_TYPES.get(connection.conn_type)
        advice = f"\nA connection of the type {right} is" if right else ""
        raise SequenceConfigurationError(
            f"the connection {sql_conn_id} is not one to a SQL database: its hook is {type(hook).__name__}{advice}"
        )
    # Looked up once for all: a thread opens connections as well, and Airflow may answer a look-up in one thread only.
    look_up = hook.get_connection
    hook.get_connection = lambda conn_id: connection if conn_id == sql_conn_id else look_up(conn_id)
    return hook
