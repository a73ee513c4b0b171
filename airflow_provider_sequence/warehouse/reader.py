"""Query reader: streams rows in constant memory."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import CursorResult, Engine

from airflow_provider_sequence.exceptions import SequenceConfigurationError
from airflow_provider_sequence.warehouse.converters import Converter
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
    with database_errors(engine), engine.connect() as connection, ExitStack() as stack:
        given = tuple(parameters) if isinstance(parameters, (list, tuple)) else parameters
        statement = sql.strip().rstrip(";")
        if given is not None and engine.dialect.driver in dialect_of(engine).keeps_percents:
            statement = statement.replace("%%", "%")
        try:
            result = connection.execution_options(**options).exec_driver_sql(statement, given)
        except (IndexError, KeyError, TypeError, ValueError):
            # What drivers raise that put parameters into the statement themselves.
            raise SequenceConfigurationError("the parameters don't fit the placeholders in sql") from None
        if not result.returns_rows:
            raise SequenceConfigurationError(_NOT_A_QUERY)
        columns = tuple(result.keys())
        stack.callback(result.close)  # MySQL's drivers take nothing else before, not even a rollback
        if dialect_of(engine).locks_readers:
            # A delivery log may be in the same database.
            with tempfile.TemporaryFile() as spool:
                for rows in _batches(engine, result):
                    pickle.dump(rows, spool)
                connection.rollback()
                spool.seek(0)
                yield QueryRows(columns, _unspool(spool))
        else:
            yield QueryRows(columns, _batches(engine, result))


def named_rows(
    rows: QueryRows, needed: Sequence[str], others: Sequence[str] = ()
) -> Iterator[dict[str, Any]]:
    """
    Give each row's values by the names of some columns.

    :param needed: columns that the query must give.
    :param others: columns that it may give.
    :raises SequenceConfigurationError: if it lacks one that it must give.
    """
    # Snowflake and Oracle give unquoted names in capitals.
    places = {
        name: rows.columns.index(n)
        for name in (*needed, *others)
        for n in (name.upper(), name)
        if n in rows.columns
    }
    missing = [name for name in needed if name not in places]
    if missing:
        raise SequenceConfigurationError(
            f"the query does not give {' and '.join(missing)}; it gives {', '.join(rows.columns)}"
        )
    return ({name: row[place] for name, place in places.items()} for batch in rows.batches for row in batch)


def _batches(engine: Engine, result: CursorResult[Any]) -> Iterator[list[Row]]:
    with database_errors(engine):
        find = dialect_of(engine).converter
        found = {place: find(column) for place, column in enumerate(result.cursor.description)}
        converters = {place: convert for place, convert in found.items() if convert is not None}
        for partition in result.partitions(BATCH_ROWS):
            yield (
                [_converted(row, converters) for row in partition] if converters else [*map(tuple, partition)]
            )


def _converted(row: Row, converters: Mapping[int, Converter]) -> Row:
    values = list(row)
    for place, convert in converters.items():
        if values[place] is not None:
            values[place] = convert(values[place])
    return values


def _unspool(spool: Any) -> Iterator[list[Row]]:
    while True:
        try:
            yield pickle.load(spool)  # noqa: S301  written above, by this process
        except EOFError:
            return
