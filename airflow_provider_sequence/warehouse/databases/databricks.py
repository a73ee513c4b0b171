"""Databricks: names of three parts, and files that go over a volume."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from itertools import takewhile
from typing import IO, Any

import msgspec
from sqlalchemy import TIMESTAMP, Table
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DatabaseError

from airflow_provider_sequence.exceptions import SequenceConfigurationError
from airflow_provider_sequence.warehouse.dialect import DatabaseDialect
from airflow_provider_sequence.warehouse.loaders import Loader, Row, by_statement, column_list, driver_cursor
from airflow_provider_sequence.warehouse.staging_location import STAGING


def describe_columns(connection: Connection, before: str | None, name: str) -> set[str] | None:
    """Run ``DESCRIBE``, which finds a table as all statements do: Databricks's inspector knows no other catalog."""
    dialect: Any = connection.dialect
    if not dialect.catalog and (before is None or "." not in before):
        raise SequenceConfigurationError(
            f"the table {name} needs a catalog\nName it catalog.schema.table, or give the connection's extra a catalog"
        )
    table = ".".join(f"`{part}`" for part in [*(before.split(".") if before else []), name])
    try:
        described = connection.exec_driver_sql(f"DESCRIBE TABLE {table}").scalars().all()
    except DatabaseError as e:
        if "TABLE_OR_VIEW_NOT_FOUND" in str(e.orig):
            return None
        raise
    # What follows the columns is how the table is partitioned.
    return set(takewhile(lambda column: column and not column.startswith("#"), described))


def read_from_volume(connection: Connection, table: Table, file: IO[bytes]) -> None:
    """Load a file of :func:`to_json_lines` into Databricks, over a volume."""
    volume: str = connection.get_execution_options()[STAGING]
    path = f"'{volume.rstrip('/')}/sequence_{uuid.uuid4().hex}.json'"
    quote = connection.dialect.identifier_preparer
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
                f"INSERT INTO {quote.format_table(table)} ({column_list(connection, table)}) SELECT {values} FROM"  # noqa: S608
                f" read_files({path}, format => 'json', schema => '{schema}', mode => 'FAILFAST')"
            )
        finally:
            cursor.execute(f"REMOVE {path}")


def to_json_lines(rows: Sequence[Row]) -> bytes:
    """Write rows as lines of JSON, whose names are ``c`` and the number of the column."""
    names = [f"c{place}" for place in range(len(rows[0]))]
    return _json.encode_lines([dict(zip(names, row, strict=True)) for row in rows])


_json = msgspec.json.Encoder()


def _diagnose(error: Any) -> tuple[str, str]:
    said = str(error.args[0]) if error.args else ""  # str(error) fails where there is no message
    sqlstate = re.search(r"SQLSTATE: (\w{5})", said)
    return f"{type(error).__name__}: {said}", sqlstate[1] if sqlstate else ""


DATABRICKS = DatabaseDialect(
    extra="databricks",
    connection_types=("databricks",),
    hook_class="airflow.providers.databricks.hooks.databricks_sql.DatabricksSqlHook",
    hook_arguments=("catalog", "schema"),
    loggers=("databricks",),
    columns=describe_columns,
    timestamp=TIMESTAMP(timezone=True),
    bind_timestamp="utc",
    transactions=False,
    savepoints=False,
    temporary_tables=False,
    merge=True,
    diagnose=_diagnose,
    loaders=by_statement(255, "databricks", "databricks-sql-python"),  # the latter before SQLAlchemy 2
    staging="/Volumes/",
    staging_loader=Loader(read_from_volume, to_file=to_json_lines),
)
