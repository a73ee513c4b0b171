"""Snowflake: files that go over a stage, and JSON that comes as text."""

from __future__ import annotations

import gzip
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from sqlalchemy import Table
from sqlalchemy.engine import Connection

from airflow_provider_sequence.warehouse.converters import compact_json, each_column
from airflow_provider_sequence.warehouse.dialect import DatabaseDialect, say
from airflow_provider_sequence.warehouse.loaders import Loader, to_plain_csv


def put_snowflake(connection: Connection, table: Table, file: IO[bytes]) -> None:
    """
    Load a file of :func:`~airflow_provider_sequence.warehouse.loaders.to_plain_csv` over the table's own stage, which goes with the table.

    The file has no name here, but a link to it has: one of its own, since Snowflake loads no file of a name twice. It
    reads a file that it can't find as an empty one, unless FILES names it. It is compressed here: the connector would
    write a compressed copy into the temporary folder, which stays there if the process is killed.
    """
    quote = connection.dialect.identifier_preparer
    name = quote.format_table(table)
    stage = f"@{name.removesuffix(table.name)}%{table.name}"
    link = f"sequence_{uuid.uuid4().hex}.gz"
    with tempfile.TemporaryDirectory(prefix="sequence_") as folder, _compressed(file) as compressed:
        os.symlink(f"/dev/fd/{compressed.fileno()}", f"{folder}/{link}")
        connection.exec_driver_sql(
            f"PUT 'file://{folder}/{link}' {stage} SOURCE_COMPRESSION = GZIP AUTO_COMPRESS = FALSE"
        )
    connection.exec_driver_sql(
        f"COPY INTO {name} FROM {stage} FILES = ('{link}') PURGE = TRUE FILE_FORMAT ="
        " (TYPE = CSV FIELD_OPTIONALLY_ENCLOSED_BY = '\"' ESCAPE_UNENCLOSED_FIELD = NONE NULL_IF = ())"
    )


@contextmanager
def _compressed(file: IO[bytes]) -> Iterator[IO[bytes]]:
    """A compressed copy of a file, without a name, too."""
    with tempfile.TemporaryFile() as target:
        with gzip.GzipFile(filename="", mode="wb", compresslevel=1, fileobj=target, mtime=0) as packed:
            shutil.copyfileobj(file, packed)
        target.flush()
        yield target


#: The driver's codes of VARIANT, OBJECT, ARRAY and MAP.
_JSON_TYPES = frozenset({5, 9, 10, 17})

SNOWFLAKE = DatabaseDialect(
    extra="snowflake",
    connection_types=("snowflake",),
    loggers=("snowflake", "boto3", "botocore"),
    temp_tables_in_schema=True,
    bind_timestamp="utc",
    savepoints=False,
    merge=True,
    stage_upserts=True,
    converters=each_column(lambda column: compact_json if column[1] in _JSON_TYPES else None),
    diagnose=lambda error: (say(error), error.sqlstate or ""),
    loaders={"snowflake": Loader(put_snowflake, to_file=to_plain_csv)},
)
