"""SQLAlchemy engine of the user's own warehouse connection."""

from __future__ import annotations

import importlib
from typing import Any

from airflow.providers.common.compat.sdk import AirflowException, BaseHook
from sqlalchemy.engine import Engine
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from airflow_provider_sequence.exceptions import SequenceConfigurationError
from airflow_provider_sequence.warehouse.dialects import dialect_of
from airflow_provider_sequence.warehouse.engine import ENGINE_OPTIONS, keep_json_as_text


def create_sql_engine(sql_conn_id: str) -> Engine:
    """
    Make a SQLAlchemy engine of an Airflow connection to a database.

    Its connections are opened by the connection's own hook, so that whatever that hook knows of options, TLS and
    tokens holds here too.

    :raises SequenceConfigurationError: if the connection is not one to a database, or SQLAlchemy lacks its dialect.
    """
    # As late as this: it takes long to import, and a DAG file that names operators does not need it.
    from airflow.providers.common.sql.hooks.sql import DbApiHook

    try:
        connection: Any = BaseHook.get_connection(sql_conn_id)
        hook = connection.get_hook()
    except AirflowException as e:
        raise SequenceConfigurationError(f"the connection {sql_conn_id} can't be used: {e}") from None
    if not isinstance(hook, DbApiHook):
        raise SequenceConfigurationError(
            f"the connection {sql_conn_id} is not one to a SQL database: its hook is {type(hook).__name__}"
        )
    options = {**ENGINE_OPTIONS, "creator": hook.get_conn}
    try:
        engine: Engine = hook.get_sqlalchemy_engine(options)
        wrapper = dialect_of(engine).connection_wrapper
        if wrapper is not None:
            module, name = wrapper
            options["creator"] = lambda: getattr(importlib.import_module(module), name)(hook.get_conn())
            engine = hook.get_sqlalchemy_engine(options)
    except (ArgumentError, NoSuchModuleError) as e:
        raise SequenceConfigurationError(
            f"SQLAlchemy can't use the connection {sql_conn_id} ({type(hook).__name__}): {type(e).__name__}. "
            "Install the database's SQLAlchemy dialect"
        ) from None
    keep_json_as_text(engine)
    return engine
