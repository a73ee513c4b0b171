"""PostgreSQL's drivers, psycopg and psycopg2: connections that need nothing of a session, and values read exactly."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import msgspec

from airflow_provider_sequence.unreadable import UnreadableValue

_NO_TIME = UnreadableValue(
    "is a date or time that Python can't hold: infinity, BC, after the year 9999, or 24:00; cast it to text, or leave "
    "it out in the query"
)
_NO_TEXT = UnreadableValue("is text that is not UTF-8; convert it in the query")

#: Types of dates and times, with the types of their arrays, by their numbers in pg_type.
_TIMES: Mapping[str, tuple[int, int]] = MappingProxyType({
    "date": (1082, 1182),
    "time": (1083, 1183),
    "timestamp": (1114, 1115),
    "timestamptz": (1184, 1185),
    "timetz": (1266, 1270),
})
_TEXTS = ("text", "varchar", "bpchar", "name")


def connect_postgres(hook: Any) -> Any:
    """Open a connection of the hook's, without what its extra may say that SQLAlchemy does not expect."""
    connection = hook.get_conn()
    if _is_psycopg2(connection):
        # Else a cursor that gives mappings, as Airflow's extra "cursor" may say.
        connection.cursor_factory = importlib.import_module("psycopg2.extensions").cursor
        if connection.encoding == "SQLASCII":
            connection.set_client_encoding("UTF8")
        return connection
    connection.row_factory = importlib.import_module("psycopg.rows").tuple_row
    # A pooler may give each transaction another session, which does not know the statement.
    connection.prepare_threshold = None
    if connection.info.encoding == "ascii":
        _set(connection, "client_encoding", "UTF8")
    if not connection.info.parameter_status("DateStyle").startswith("ISO"):
        _set(connection, "DateStyle", "ISO")
    return connection


def read_exactly(connection: Any) -> None:
    """Have a connection give JSON as the text it is, and a value that Python can't hold as an UnreadableValue."""
    if _is_psycopg2(connection):
        _read_exactly_psycopg2(connection)
    else:
        _read_exactly_psycopg(connection)


def _is_psycopg2(connection: Any) -> bool:
    return type(connection).__module__.partition(".")[0] == "psycopg2"


def _set(connection: Any, name: str, value: str) -> None:
    connection.execute("SELECT set_config(%s, %s, false)", (name, value))
    connection.commit()


def _read_exactly_psycopg(connection: Any) -> None:
    psycopg = importlib.import_module("psycopg")
    importlib.import_module("psycopg.types.json").set_json_loads(_raw_json, connection)
    loaders: list[tuple[str, UnreadableValue, type[Exception]]]
    loaders = [(name, _NO_TIME, psycopg.DataError) for name in _TIMES]
    if connection.info.parameter_status("server_encoding") == "SQL_ASCII":
        loaders += [(name, _NO_TEXT, UnicodeDecodeError) for name in _TEXTS]
    for name, instead, error in loaders:
        number = connection.adapters.types[name].oid
        exact = connection.adapters.get_loader(number, psycopg.pq.Format.TEXT)
        connection.adapters.register_loader(name, _tolerant(psycopg.adapt.Loader, exact, instead, error))


def _tolerant(base: Any, exact: Any, instead: UnreadableValue, error: type[Exception]) -> type:
    """Make a loader of psycopg's that gives ``instead`` where the exact one fails; those in C have no subclasses."""

    class Tolerant(base):  # type: ignore[misc]
        def __init__(self, oid: int, context: Any = None) -> None:
            super().__init__(oid, context)
            self._load = exact(oid, context).load

        def load(self, data: Any) -> Any:
            try:
                return self._load(data)
            except error:
                return instead

    return Tolerant


def _read_exactly_psycopg2(connection: Any) -> None:
    extras = importlib.import_module("psycopg2.extras")
    extensions = importlib.import_module("psycopg2.extensions")
    extras.register_default_json(connection, loads=_raw_json)
    extras.register_default_jsonb(connection, loads=_raw_json)
    for name, (number, array) in _TIMES.items():
        exact = extensions.string_types[number]
        one = extensions.new_type((number,), name, partial(_read_time, exact))
        extensions.register_type(one, connection)
        extensions.register_type(extensions.new_array_type((array,), f"{name}[]", one), connection)


def _read_time(exact: Callable[[Any, Any], Any], text: str | None, cursor: Any) -> Any:
    # The driver gives its last day for infinity, and midnight for 24:00.
    if text is not None and (text.lstrip("-").startswith(("infinity", "24:"))):
        return _NO_TIME
    try:
        return exact(text, cursor)
    except (ValueError, OverflowError, importlib.import_module("psycopg2").DataError):
        return _NO_TIME


def _raw_json(value: str | bytes) -> msgspec.Raw:
    return msgspec.Raw(value.encode() if isinstance(value, str) else bytes(value))
