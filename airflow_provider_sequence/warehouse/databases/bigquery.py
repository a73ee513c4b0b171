"""BigQuery through Google's client: connections, JSON as it is, load jobs, and what its errors mean."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping, Sequence
from typing import IO, Any

import msgspec
from sqlalchemy import TIMESTAMP, Table
from sqlalchemy.engine import Connection

from airflow_provider_sequence.warehouse.converters import json_text
from airflow_provider_sequence.warehouse.dialect import DatabaseDialect
from airflow_provider_sequence.warehouse.loaders import Loader

#: Reasons for which the same request would be refused again.
#: https://cloud.google.com/bigquery/docs/error-messages
_PERMANENT = frozenset({
    *("accessDenied", "invalid", "invalidQuery", "notFound", "notImplemented", "responseTooLarge"),
})
#: In the message of what BigQuery calls an invalid query although another task's statement is at fault.
_CONCURRENT = "due to concurrent update"
#: Reasons whose messages may quote a value.
_MAY_QUOTE = frozenset({"invalid", "invalidQuery"})
#: Messages about the text of a query, which end in a place of it; others quote values after a colon.
_ABOUT_QUERY = re.compile(
    r"(Syntax error|Unrecognized name|Function not found|No matching \w+.*): .* at \[\d+:\d+\]"
)
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")


def connect(hook: Any) -> Any:
    """Open a connection with a hook's client; the hook's own connection gives numbers as text, and times as floats."""
    dbapi = importlib.import_module("google.cloud.bigquery.dbapi")
    client = hook.get_client(project_id=hook.project_id, location=hook.location)
    return dbapi.connect(client, prefer_bqstorage_client=False)


def read_exactly(connection: Any) -> None:
    """Have a connection give JSON as the text that BigQuery gave: the client's own rows have its numbers as floats."""
    client = _client(connection)
    query = client.query_and_wait

    def query_and_wait(*args: Any, **options: Any) -> Any:
        rows = query(*args, **options)
        if any(map(_holds_json, rows.schema)):
            rows.item_to_value = _keeping_json(rows.item_to_value)
        return rows

    client.query_and_wait = query_and_wait


def _client(connection: Any) -> Any:
    return connection._client  # where the SQLAlchemy dialect finds it, too


def _holds_json(field: Any) -> bool:
    return field.field_type == "JSON" or any(map(_holds_json, field.fields))


def _keeping_json(to_row: Any) -> Any:
    def make_row(rows: Any, resource: Mapping[str, Any]) -> Any:
        row = to_row(rows, resource)
        cells = zip(row.values(), resource["f"], rows.schema, strict=True)
        return tuple(_keep_json(value, cell["v"], field) for value, cell, field in cells)

    return make_row


def _keep_json(value: Any, cell: Any, field: Any) -> Any:
    if field.mode == "REPEATED":
        return [_keep_one(each, item["v"], field) for each, item in zip(value, cell, strict=True)]
    return _keep_one(value, cell, field)


def _keep_one(value: Any, cell: Any, field: Any) -> Any:
    if cell is None:
        return None
    if field.field_type == "JSON":
        return json_text(cell)
    if field.fields:
        parts = zip(field.fields, cell["f"], strict=True)
        return {part.name: _keep_json(value[part.name], item["v"], part) for part, item in parts}
    return value


def to_json_lines(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Write rows for a load job, integers as text: BigQuery may round those that no float holds."""
    return _json.encode_lines([
        {name: str(value) if type(value) is int else value for name, value in row.items()} for row in rows
    ])


_json = msgspec.json.Encoder()


def load_file(connection: Connection, table: Table, file: IO[bytes]) -> None:
    """Append a file of JSON lines to a table by a load job; the table's own schema tells the types."""
    bigquery = importlib.import_module("google.cloud.bigquery")
    config = bigquery.LoadJobConfig(
        source_format="NEWLINE_DELIMITED_JSON",
        create_disposition="CREATE_NEVER",
        write_disposition="WRITE_APPEND",
    )
    client = _client(connection.connection.driver_connection)
    client.load_table_from_file(file, table.fullname, job_config=config).result()


def errors() -> tuple[type[Exception], ...]:
    """Errors that Google's client raises and the driver does not turn into its own."""
    return (
        importlib.import_module("google.api_core.exceptions").GoogleAPIError,
        importlib.import_module("google.auth.exceptions").GoogleAuthError,
        importlib.import_module("requests.exceptions").RequestException,
    )


def is_permanent(error: Any) -> bool:
    """Tell a request that would be refused again from a quota, an outage and a conflict with another task."""
    _, reason, message = _parts(error)
    return reason in _PERMANENT and _CONCURRENT not in message


def diagnose(error: Any) -> tuple[str, str]:
    """BigQuery's message, its first line, without what may be a value; it has no SQLSTATE."""
    name, reason, message = _parts(error)
    if reason in _MAY_QUOTE:
        message = _QUOTED.sub("…", message)
        if not _ABOUT_QUERY.fullmatch(message):
            message = re.sub(r": .*", ": …", message)
    return f"{name}: {message}", ""


def _parts(error: Any) -> tuple[str, str | None, str]:
    """Class, reason and message of Google's error, which may be inside the driver's, or inside one of retries."""
    while isinstance(inner := getattr(error, "cause", None) or next(iter(error.args), None), Exception):
        error = inner
    said: Mapping[str, str] = next(iter(getattr(error, "errors", ())), {})
    message = said.get("message") or getattr(error, "message", None) or str(error)
    return type(error).__name__, said.get("reason"), next(iter(message.strip().splitlines()), "")


BIGQUERY = DatabaseDialect(
    extra="google",
    connection_types=("gcpbigquery",),
    loggers=("google",),
    connect=connect,
    before_reading=read_exactly,
    timestamp=TIMESTAMP(timezone=True),  # what DateTime stands for there has no zone
    bind_timestamp="utc",
    transactions=False,
    savepoints=False,
    temporary_tables=False,
    temp_table_lifetime="bigquery_expiration_timestamp",
    merge=True,
    loaders={"bigquery": Loader(load_file, to_file=to_json_lines, named=True)},
    permanent=is_permanent,
    diagnose=diagnose,
    other_errors=errors,
)
