"""Loads of files that the database reads from a place that the user names: a bucket, or a volume."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import IO, Protocol

import msgspec
from sqlalchemy import Table
from sqlalchemy.engine import Connection

from airflow_provider_sequence.warehouse.loaders import Row, driver_cursor, to_csv

#: Execution option of connections: the place, a :class:`Bucket` or the path of a volume.
STAGING = "sequence_staging"


class Bucket(Protocol):
    """Bucket that the database can read."""

    #: Role in which it does so; None for its default one.
    role: str | None

    def hold(self, file: IO[bytes]) -> AbstractContextManager[str]:
        """Put a file into the bucket for the context; give its URL."""


def copy_from_bucket(connection: Connection, table: Table, file: IO[bytes]) -> None:
    """Load a file of :func:`to_csv_with_nulls` into Redshift."""
    bucket: Bucket = connection.get_execution_options()[STAGING]
    quote = connection.dialect.identifier_preparer
    columns = ", ".join(quote.format_column(column) for column in table.columns)
    role = "default" if bucket.role is None else f"'{bucket.role}'"
    with bucket.hold(file) as url:
        connection.exec_driver_sql(
            f"COPY {quote.format_table(table)} ({columns}) FROM '{url}' IAM_ROLE {role}"
            f" FORMAT CSV NULL AS '{_NULL}' TIMEFORMAT 'auto'",
            execution_options={"no_parameters": True},
        )


def to_csv_with_nulls(rows: Sequence[Row]) -> bytes:
    """Write rows as CSV whose quotes are doubled, with a word for NULL that no text can be."""
    # An empty text and NULL would be the same to Redshift, and its own word for NULL may be a text.
    named = [[_RAW_NULL if value is None else value for value in row] for row in rows]
    return to_csv(named, quote=b'""', backslash=b"\\")


def read_from_volume(connection: Connection, table: Table, file: IO[bytes]) -> None:
    """Load a file of :func:`to_json_lines` into Databricks, over a volume."""
    volume: str = connection.get_execution_options()[STAGING]
    path = f"'{volume.rstrip('/')}/sequence_{uuid.uuid4().hex}.json'"
    quote = connection.dialect.identifier_preparer
    columns = ", ".join(quote.format_column(column) for column in table.columns)
    # Values are read as the text that they are in the file: the types of a reader know fewer digits.
    values = ", ".join(
        f"CAST(c{place} AS {column.type.compile(connection.dialect)})"
        for place, column in enumerate(table.columns)
    )
    schema = ", ".join(f"c{place} STRING" for place in range(len(table.columns)))
    with driver_cursor(connection) as cursor:
        # From a stream: then the server can't ask for any other file of this machine.
        cursor.execute(f"PUT '__input_stream__' INTO {path} OVERWRITE", input_stream=file)
        try:
            cursor.execute(
                f"INSERT INTO {quote.format_table(table)} ({columns}) SELECT {values} FROM"  # noqa: S608
                f" read_files({path}, format => 'json', schema => '{schema}', mode => 'FAILFAST')"
            )
        finally:
            cursor.execute(f"REMOVE {path}")


def to_json_lines(rows: Sequence[Row]) -> bytes:
    """Write rows as lines of JSON, whose names are ``c`` and the number of the column."""
    names = [f"c{place}" for place in range(len(rows[0]))]
    return _json.encode_lines([dict(zip(names, row, strict=True)) for row in rows])


_json = msgspec.json.Encoder()
_NULL = uuid.uuid4().hex
_RAW_NULL = msgspec.Raw(_NULL.encode())
