"""Redshift's driver: what it says of errors, and values read exactly."""

from __future__ import annotations

import uuid
from functools import partial
from typing import IO, Any

import msgspec
from sqlalchemy import String, Table, text
from sqlalchemy.engine import Connection

from airflow_provider_sequence.warehouse.columns import query_columns
from airflow_provider_sequence.warehouse.dialect import DatabaseDialect
from airflow_provider_sequence.warehouse.loaders import Loader, by_statement, column_list, to_plain_csv
from airflow_provider_sequence.warehouse.staging_location import STAGING, Bucket

#: Number of the type SUPER, and of the format in which the server sends text.
_SUPER, _AS_TEXT = 4000, 0


def diagnose(error: Any) -> tuple[str, str]:
    """Tell an error's message and SQLSTATE: the driver gives all that the server said, rows included."""
    name, said = type(error).__name__, error.args[0] if error.args else ""
    return (
        (f"{name} ({said['C']}): {said['M']}", said["C"])
        if isinstance(said, dict)
        else (f"{name}: {error}", "")
    )


def read_exactly(connection: Any) -> None:
    """Have a connection give SUPER as the JSON it is, and not as a text."""
    connection.redshift_types[_SUPER] = (_AS_TEXT, _raw_json)


def _raw_json(data: bytes, offset: int, length: int) -> msgspec.Raw:
    return msgspec.Raw(data[offset : offset + length])


def copy_from_bucket(connection: Connection, table: Table, file: IO[bytes]) -> None:
    """Load a file of CSV with :data:`_NULL` into Redshift."""
    bucket: Bucket = connection.get_execution_options()[STAGING]
    quote = connection.dialect.identifier_preparer
    role = "default" if bucket.role is None else f"'{bucket.role}'"
    with bucket.hold(file) as url:
        connection.exec_driver_sql(
            f"COPY {quote.format_table(table)} ({column_list(connection, table)}) FROM '{url}' IAM_ROLE {role}"
            f" FORMAT CSV NULL AS '{_NULL}' TIMEFORMAT 'auto'",
            execution_options={"no_parameters": True},
        )


#: A word for NULL that no text can be: an empty text and NULL would be the same to Redshift, and its own word may be a text.
_NULL = uuid.uuid4().hex
_COLUMNS = text("""
    SELECT column_name FROM information_schema.columns
    WHERE table_name = lower(:name) AND table_schema = COALESCE(lower(:before), current_schema())
""")

REDSHIFT = DatabaseDialect(
    extra="amazon",
    connection_types=("redshift",),
    loggers=("redshift_connector", "boto3", "botocore", "s3transfer"),
    url="redshift+redshift_connector://",  # the hook's own is one to PostgreSQL
    columns=query_columns(_COLUMNS),
    max_name_bytes=127,
    name_parts=2,
    key_text=String(65535),  # TEXT is 256 bytes there
    long_text=String(65535),
    bind_timestamp="utc",
    holds_nul=False,
    savepoints=False,
    stage_upserts=True,
    diagnose=diagnose,
    before_reading=read_exactly,
    loaders=by_statement(32_000, "psycopg2", "redshift_connector"),
    staging="s3://",
    staging_loader=Loader(copy_from_bucket, to_file=partial(to_plain_csv, null=_NULL)),
)
