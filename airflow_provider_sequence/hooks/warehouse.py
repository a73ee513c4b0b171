"""The user's own warehouse connection becomes an engine."""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import BaseHook
from airflow.providers.common.sql.hooks.sql import DbApiHook
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from airflow_provider_sequence.exceptions import SequenceConfigurationError
from airflow_provider_sequence.warehouse.database import engine_options


def get_engine(sql_conn_id: str) -> Engine:
    """
    Make a SQLAlchemy engine of an Airflow connection to a database.

    Its connections are opened by the connection's own hook, so that whatever that hook knows of options, TLS and
    tokens holds here too.

    :raises SequenceConfigurationError: if the connection is not one to a database, or SQLAlchemy lacks its dialect.
    """
    connection: Any = BaseHook.get_connection(sql_conn_id)
    hook = connection.get_hook()
    if not isinstance(hook, DbApiHook):
        raise SequenceConfigurationError(
            f"the connection {sql_conn_id} is not one to a SQL database: its hook is {type(hook).__name__}"
        )
    try:
        backend = make_url(hook.get_uri()).get_backend_name()
        engine: Engine = hook.get_sqlalchemy_engine({**engine_options(backend), "creator": hook.get_conn})
    except (ArgumentError, NoSuchModuleError) as e:
        raise SequenceConfigurationError(
            f"SQLAlchemy can't use the connection {sql_conn_id} ({type(hook).__name__}): {type(e).__name__}. "
            "Install the database's SQLAlchemy dialect"
        ) from None
    return engine
