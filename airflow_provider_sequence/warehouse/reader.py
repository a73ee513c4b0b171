"""Query reader: streams rows in constant memory."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy.engine import CursorResult, Engine

from airflow_provider_sequence.column_names import find_column
from airflow_provider_sequence.exceptions import SequenceConfigurationError
from airflow_provider_sequence.warehouse.dialects import dialect_of
from airflow_provider_sequence.warehouse.errors import database_errors
from airflow_provider_sequence.warehouse.loaders import Row
from airflow_provider_sequence.warehouse.statements import require_query

#: Rows that are fetched from the database at a time.
BATCH_ROWS = 1000


_NOT_A_QUERY = "the statement in sql gives no rows; it must be a query"


@dataclass(frozen=True, slots=True)
class QueryRows:
    """
    Rows of a query.

    :param columns: the columns' names.
    :param batches: lists of rows, in the query's order, each row a sequence of values in the columns' order.
    """

    columns: tuple[str, ...]
    batches: Iterator[list[Row]]


@contextmanager
def read_rows(
    engine: Engine, sql: str, parameters: Mapping[str, Any] | Sequence[Any] | None = None
) -> Iterator[QueryRows]:
    """
    Run a query and stream its rows.

    :param sql: one statement, in the database's own words; it is passed to the driver as it stands.
    :param parameters: the statement's parameters, in the driver's own style.
    :raises WarehouseError: if the database refuses the query, or breaks off.
    :raises SequenceConfigurationError: if the statement is no query, or gives no rows.
    """
    require_query(sql)
    # Without parameters, a percent sign in the statement is a percent sign.
    options = {"stream_results": True, "max_row_buffer": BATCH_ROWS, "no_parameters": parameters is None}
    with database_errors(), engine.connect() as connection, ExitStack() as stack:
        given = tuple(parameters) if isinstance(parameters, (list, tuple)) else parameters
        try:
            result = connection.execution_options(**options).exec_driver_sql(sql.strip().rstrip(";"), given)
        except (IndexError, KeyError, TypeError, ValueError):
            # What drivers raise that put parameters into the statement themselves.
            raise SequenceConfigurationError("the parameters don't fit the placeholders in sql") from None
        if not result.returns_rows:
            raise SequenceConfigurationError(_NOT_A_QUERY)
        columns = tuple(result.keys())
        json_types = dialect_of(engine).json_types
        json_places = [place for place, column in enumerate(_description(result)) if column[1] in json_types]
        stack.callback(result.close)  # MySQL's drivers take nothing else before, not even a rollback
        if dialect_of(engine).locks_readers:
            # A delivery log may be in the same database.
            with tempfile.TemporaryFile() as spool:
                for rows in _batches(result, json_places):
                    pickle.dump(rows, spool)
                connection.rollback()
                spool.seek(0)
                yield QueryRows(columns, _unspool(spool))
        else:
            yield QueryRows(columns, _batches(result, json_places))


def named_rows(
    rows: QueryRows, needed: Sequence[str], others: Sequence[str] = ()
) -> Iterator[dict[str, Any]]:
    """
    Give each row's values by the names of some columns.

    :param needed: columns that the query must give.
    :param others: columns that it may give.
    :raises SequenceConfigurationError: if it lacks one that it must give.
    """
    places = {
        name: rows.columns.index(found)
        for name in (*needed, *others)
        if (found := find_column(name, rows.columns)) is not None
    }
    missing = [name for name in needed if name not in places]
    if missing:
        raise SequenceConfigurationError(
            f"the query does not give {' and '.join(missing)}; it gives {', '.join(rows.columns)}"
        )
    return ({name: row[place] for name, place in places.items()} for batch in rows.batches for row in batch)


def _description(result: CursorResult[Any]) -> Sequence[Sequence[Any]]:
    cursor: Any = result.cursor
    return cursor.description or ()


def _batches(result: CursorResult[Any], json_places: Sequence[int]) -> Iterator[list[Row]]:
    with database_errors():
        for partition in result.partitions(BATCH_ROWS):
            yield [_with_json(row, json_places) if json_places else tuple(row) for row in partition]


def _with_json(row: Row, places: Sequence[int]) -> Row:
    values = list(row)
    for place in places:
        if isinstance(values[place], str):
            values[place] = _json_value(values[place])
    return values


def _json_value(text: str) -> msgspec.Raw:
    """JSON as it is, without line breaks and indents, which are a setting of the session."""
    try:
        return msgspec.Raw(msgspec.json.format(text.encode(), indent=-1))
    except msgspec.DecodeError:
        return msgspec.Raw(text.encode())  # for the row to be rejected


def _unspool(spool: Any) -> Iterator[list[Row]]:
    while True:
        try:
            yield pickle.load(spool)  # noqa: S301  written above, by this process
        except EOFError:
            return
