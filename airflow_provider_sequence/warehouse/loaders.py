"""Loaders: how the rows of a bulk load go into a table, one for each way that a driver has."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Table
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

Row = Sequence[Any]


@dataclass(frozen=True, slots=True)
class Loader:
    """
    Way to load rows, by database and driver.

    :param load: loads rows, or a file of them where there is ``to_file``.
    :param threaded: whether another thread may use the connection.
    :param to_file: writes rows for a file. Rows are gathered in one then, because each load costs seconds, or as much as
        thousands of rows.
    :param named: whether ``to_file`` takes each row as a mapping by the columns' names.
    :param file_bytes: bytes after which such a file is loaded.
    """

    load: Callable[[Connection, Table, Any], None]
    threaded: bool = False
    to_file: Callable[[Sequence[Any]], bytes] | None = None
    named: bool = False
    file_bytes: int = 32_000_000


def insert(connection: Connection, table: Table, rows: Iterable[Row]) -> None:
    names = [column.name for column in table.columns]
    connection.execute(table.insert(), [dict(zip(names, row, strict=True)) for row in rows])


def insert_many(parameters: int) -> Callable[[Connection, Table, Sequence[Row]], None]:
    """Put many rows into each statement, as far as the parameters that one may have."""

    def insert(connection: Connection, table: Table, rows: Iterable[Row]) -> None:
        names = [column.name for column in table.columns]
        rows = list(rows)
        step = parameters // len(names)
        for start in range(0, len(rows), step):
            values = [dict(zip(names, row, strict=True)) for row in rows[start : start + step]]
            connection.execute(table.insert().values(values))

    return insert


def by_statement(driver_parameters: int, *drivers: str) -> Mapping[str, Loader]:
    """Loaders that put many rows into each statement, for some drivers."""
    return {driver: Loader(insert_many(driver_parameters)) for driver in drivers}


def to_csv(rows: Sequence[Row], *, quote: bytes = rb"\"", backslash: bytes = rb"\\") -> bytes:
    """
    Write rows as CSV: text in quotes, with a backslash before its quotes and backslashes, and ``null`` without.

    That is JSON without the lines' brackets, and with the characters themselves that JSON spells. Each step takes all
    rows at once: a step for each row, or each escape, would take twenty times as long.

    :param quote: what stands for a quote in text.
    :param backslash: what stands for a backslash in text.
    """
    csv = _json.encode_lines(rows)[1:-2].replace(b"]\n[", b"\n") + b"\n"
    if b"\\" in csv:
        csv = csv.replace(rb"\\", _BACKSLASH).replace(rb"\"", quote)
        for spelled, character in _SPELLED.items():
            csv = csv.replace(spelled, character)
        csv = _CONTROL.sub(lambda match: bytes([int(match[1], 16)]), csv).replace(_BACKSLASH, backslash)
    return csv


def to_plain_csv(rows: Sequence[Row], null: str = "") -> bytes:
    """
    Write rows as CSV of RFC 4180: quotes are doubled, and nothing else is special.

    :param null: what stands for NULL, without quotes.
    """
    raw = msgspec.Raw(null.encode())
    named = [[raw if value is None else value for value in row] for row in rows]
    return to_csv(named, quote=b'""', backslash=b"\\")


def column_list(connection: Connection, table: Table) -> str:
    """Names of a table's columns, for a statement that fills them."""
    quote = connection.dialect.identifier_preparer
    return ", ".join(quote.format_column(column) for column in table.columns)


_json = msgspec.json.Encoder()
_SPELLED = {rb"\b": b"\b", rb"\f": b"\f", rb"\n": b"\n", rb"\r": b"\r", rb"\t": b"\t"}
_CONTROL = re.compile(rb"\\u00([0-9a-f]{2})")
#: Stands for an escaped backslash meanwhile: no UTF-8 holds this byte.
_BACKSLASH = b"\xff"


@contextmanager
def driver_cursor(connection: Connection) -> Iterator[Any]:
    """A cursor of the driver's own, whose errors are SQLAlchemy's."""
    driver_connection: Any = connection.connection.driver_connection
    dialect: Any = connection.dialect
    try:
        with driver_connection.cursor() as cursor:
            yield cursor
    except dialect.dbapi.Error as e:
        raise DBAPIError.instance(
            "COPY", None, e, dialect.dbapi.Error, hide_parameters=True, dialect=dialect
        ) from None
