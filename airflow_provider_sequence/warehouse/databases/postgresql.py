"""PostgreSQL, over psycopg and psycopg2: connections that need nothing of a session, values read exactly, and COPY."""

from __future__ import annotations

import importlib
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

from sqlalchemy import Table, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection
from sqlalchemy.types import UserDefinedType

from airflow_provider_sequence.unreadable import UnreadableValue
from airflow_provider_sequence.warehouse.converters import Converter, json_text
from airflow_provider_sequence.warehouse.dialect import DatabaseDialect
from airflow_provider_sequence.warehouse.loaders import Loader, Row, column_list, driver_cursor, to_csv

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


def connect(hook: Any) -> Any:
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


def diagnose(error: Any) -> tuple[str, str]:
    """Tell an error's message, with the column of a value that could not be loaded, and its SQLSTATE."""
    first = next(iter(str(error).strip().splitlines()), "")
    context = getattr(getattr(error, "diag", None), "context", None) or ""
    column = _COLUMN_OF_COPY.search(context)
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None) or ""
    if getattr(getattr(error, "diag", None), "source_function", None) in _RAISING:
        state = "P0001"  # whatever the user's code calls it
    # The column comes first: of what may be a value, the rest of the message is left out.
    return f"{type(error).__name__}{f' (column {column[1]})' if column else ''}: {first}", state


#: The server's functions that raise what the user's code says: in PL/pgSQL and in PL/Python.
_RAISING = frozenset({"exec_stmt_raise", "exec_stmt_assert", "PLy_output"})


#: Where the database tells the column of a value that a COPY could not read; the value follows.
_COLUMN_OF_COPY = re.compile(r"^COPY \S+, line \d+, column ([^:\"]+)", re.MULTILINE)


def read_exactly(connection: Any) -> None:
    """Have a connection give JSON as the text it is, and a value that Python can't hold as an UnreadableValue."""
    if _is_psycopg2(connection):
        _read_exactly_psycopg2(connection)
    else:
        _read_exactly_psycopg(connection)


def converters(columns: Sequence[Sequence[Any]], connection: Any) -> Mapping[int, Converter]:
    """
    Find what becomes of values that come as text of a form of their own.

    An array of an enum is a list. Money depends on the server's locale, and the text of composite types and multiranges
    is for PostgreSQL alone: they are refused by name.
    """
    own = {column[1] for column in columns if column[1] >= _FIRST_OF_USERS or column[1] in _WITHOUT_TEXT}
    if not own:
        return {}
    found: dict[int, Converter] = {}
    with connection.cursor() as cursor:
        cursor.execute(_KINDS, (list(own),))
        kinds = {number: (name, kind) for number, name, kind in cursor.fetchall()}
    for place, column in enumerate(columns):
        name, kind = kinds.get(column[1], ("", ""))
        if kind == "enum array":
            found[place] = partial(_text_array, connection)
        elif kind == "refused":
            found[place] = partial(
                _refuse, UnreadableValue(f"is of PostgreSQL's type {name}; cast it in the query")
            )
    return found


#: Number of the first type that is not PostgreSQL's own, and of its own types whose text is of no use elsewhere: money,
#: arrays of it, record, arrays of it, and multiranges.
_FIRST_OF_USERS = 16384
_WITHOUT_TEXT = frozenset({790, 791, 2249, 2287, 4451, 4532, 4533, 4534, 4535, 4536})
_TEXT_ARRAY = 1009
_KINDS = """
    SELECT type.oid::int8, format_type(type.oid, NULL),
        CASE WHEN element.typtype = 'e' THEN 'enum array'
            WHEN 'c' IN (type.typtype, element.typtype) OR 'm' IN (type.typtype, element.typtype)
                OR 'record'::regtype IN (type.oid, element.oid) OR 'money'::regtype IN (type.oid, element.oid)
            THEN 'refused' END
    FROM pg_type type LEFT JOIN pg_type element ON element.oid = type.typelem AND type.typlen = -1
    WHERE type.oid = ANY(%s::oid[])
"""


def _text_array(connection: Any, text: str) -> Any:
    if _is_psycopg2(connection):
        return importlib.import_module("psycopg2.extensions").UNICODEARRAY(text, connection.cursor())
    loader = connection.adapters.get_loader(_TEXT_ARRAY, importlib.import_module("psycopg").pq.Format.TEXT)
    return loader(_TEXT_ARRAY, connection).load(text.encode())


def _refuse(instead: UnreadableValue, _value: Any) -> UnreadableValue:
    return instead


def _is_psycopg2(connection: Any) -> bool:
    return type(connection).__module__.partition(".")[0] == "psycopg2"


def _set(connection: Any, name: str, value: str) -> None:
    connection.execute("SELECT set_config(%s, %s, false)", (name, value))
    connection.commit()


def _read_exactly_psycopg(connection: Any) -> None:
    psycopg = importlib.import_module("psycopg")
    importlib.import_module("psycopg.types.json").set_json_loads(json_text, connection)
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
    extras.register_default_json(connection, loads=json_text)
    extras.register_default_jsonb(connection, loads=json_text)
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


def copy_psycopg(connection: Connection, table: Table, rows: Iterable[Row]) -> None:
    with driver_cursor(connection) as cursor, cursor.copy(_copy_statement(connection, table)) as copy:
        for row in rows:
            copy.write_row(row)


def copy_psycopg2(connection: Connection, table: Table, rows: Iterable[Row]) -> None:
    csv = to_csv(list(rows))
    options = "(FORMAT csv, ENCODING 'UTF8', NULL 'null', ESCAPE E'\\\\')"
    with driver_cursor(connection) as cursor:
        cursor.copy_expert(f"{_copy_statement(connection, table)} WITH {options}", io.BytesIO(csv), len(csv))


def _copy_statement(connection: Connection, table: Table) -> str:
    quote = connection.dialect.identifier_preparer
    return f"COPY {quote.format_table(table)} ({column_list(connection, table)}) FROM STDIN"


class _Jsonb(UserDefinedType[str]):
    """JSONB column that is given JSON text, and not Python values whose numbers were floats in between."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "JSONB"


_REFUSAL = text("""
    SELECT CASE
        WHEN row_security_active(c.oid) AND NOT EXISTS (
            SELECT FROM pg_policy WHERE polrelid = c.oid AND polpermissive
                AND (0 = ANY (polroles) OR EXISTS (SELECT FROM unnest(polroles) AS r WHERE pg_has_role(r, 'MEMBER')))
            HAVING bool_or(polcmd IN ('*', 'a')) AND bool_or(polcmd IN ('*', 'w'))
        ) THEN 'its row security has no policy by which this user may insert and update rows'
        WHEN EXISTS (
            SELECT FROM pg_constraint WHERE conrelid = c.oid AND condeferrable AND contype IN ('p', 'u')
                AND ARRAY (
                    SELECT attname::text FROM pg_attribute WHERE attrelid = c.oid AND attnum = ANY (conkey) ORDER BY 1
                ) = CAST(:sorted_key AS text[])
        ) THEN 'its key is deferrable'
    END
    FROM pg_class c WHERE c.oid = to_regclass(:table)
""")

POSTGRESQL = DatabaseDialect(
    extra="postgres",
    connection_types=("postgres",),
    connect=connect,
    before_reading=read_exactly,
    converters=converters,
    cancel=lambda connection: connection.cancel(),
    loggers=("psycopg",),
    json_text=_Jsonb(),
    bind_timestamp="as_is",
    read_only=("SET TRANSACTION READ ONLY", "SET LOCAL statement_timeout = '5s'"),
    holds_nul=False,
    longest_key=(2000, "bytes"),  # an entry of an index has 2,704
    stage_in_transaction=True,
    refusal=_REFUSAL,
    diagnose=diagnose,
    utc="SET LOCAL TIME ZONE 'UTC'",
    max_name_bytes=63,
    name_parts=2,
    key_collation="C",
    insert=insert,
    indexes=True,
    partial_indexes=True,
    key_after_load=True,
    array_parameters=True,
    loaders={
        "psycopg": Loader(copy_psycopg, threaded=True),
        "psycopg2": Loader(copy_psycopg2, threaded=True),
    },
)
