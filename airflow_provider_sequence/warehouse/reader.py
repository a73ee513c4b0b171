"""Query reader: rows go to the worker's disk at the database's speed, and from there to whoever takes longer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy.engine import Connection, Engine

from airflow_provider_sequence.column_names import find_column
from airflow_provider_sequence.exceptions import SequenceConfigurationError
from airflow_provider_sequence.temp_storage import RowSpool
from airflow_provider_sequence.warehouse.converters import Converter
from airflow_provider_sequence.warehouse.dialects import dialect_of
from airflow_provider_sequence.warehouse.errors import database_errors
from airflow_provider_sequence.warehouse.loaders import Row
from airflow_provider_sequence.warehouse.running_query import RunningQuery
from airflow_provider_sequence.warehouse.statements import require_query

#: Rows that are fetched from the database at a time, at most, and bytes of them: rows may be wide.
BATCH_ROWS, BATCH_BYTES = 250, 2_000_000
#: Rows of the first batch, when nobody knows how wide they are.
FIRST_ROWS = 50


_NOT_A_QUERY = "the statement in sql gives no rows; it must be a query"


@dataclass(frozen=True, slots=True)
class QueryRows:
    """
    Rows of a query.

    :param columns: the columns' names.
    :param batches: lists of rows, in the query's order, each row a sequence of values in the columns' order.
    :param disk_bytes: what they take of the worker's disk.
    :param count: how many there are.
    """

    columns: tuple[str, ...]
    batches: Iterator[list[Row]]
    disk_bytes: int
    count: int


@contextmanager
def read_rows(
    engine: Engine,
    sql: str,
    parameters: Mapping[str, Any] | Sequence[Any] | None = None,
    running: RunningQuery | None = None,
) -> Iterator[QueryRows]:
    """
    Run a query, read all its rows onto the worker's disk, and give them from there.

    The query is over, and its connection closed, before the first row is given: a transaction that lasted as long as
    its rows are sent would hold locks and snapshots for hours, and be ended by the database's timeouts.

    :param sql: one statement, in the database's own words; it is passed to the driver as it stands.
    :param parameters: the statement's parameters, in the driver's own style; an empty collection stands for none.
    :param running: what another thread, or a signal handler, can cancel the query by.
    :raises WarehouseError: if the database refuses the query, or breaks off.
    :raises WorkerDiskError: if the worker's disk is full.
    :raises SequenceConfigurationError: if the statement is no query, or gives no rows.
    """
    require_query(sql, parameters)
    running = running or RunningQuery()

    def read() -> tuple[str, ...]:
        with database_errors(engine), engine.connect() as connection:
            cancel = partial(dialect_of(engine).cancel, connection.connection.driver_connection)
            with running.cancelled_by(cancel), database_errors(engine, "the query in sql: "):
                return _read_all(connection, sql.strip().rstrip(";"), parameters, spool)

    with closing(RowSpool()) as spool:
        # Not in this thread: some drivers wait where no signal is handled.
        with ThreadPoolExecutor(1, "sequence-reader") as thread:
            try:
                columns = thread.submit(read).result()
            except BaseException:
                running.cancel()
                raise
        yield QueryRows(columns, spool.read(), spool.bytes, spool.rows)


def _read_all(
    connection: Connection, sql: str, parameters: Mapping[str, Any] | Sequence[Any] | None, spool: RowSpool
) -> tuple[str, ...]:
    """Spool a query's rows; return its columns' names."""
    dialect, driver_connection = dialect_of(connection), connection.connection.driver_connection
    dialect.before_reading(driver_connection)
    # Without parameters, a percent sign in the statement is a percent sign.
    options = {"stream_results": True, "max_row_buffer": BATCH_ROWS, "no_parameters": not parameters}
    given = parameters if isinstance(parameters, Mapping) else tuple(parameters or ())
    if given and connection.dialect.driver in dialect.keeps_percents:
        sql = sql.replace("%%", "%")
    try:
        result = connection.execution_options(**options).exec_driver_sql(sql, given or None)
    except (IndexError, KeyError, TypeError, ValueError):
        if not given:
            raise
        # What drivers raise that put parameters into the statement themselves.
        raise SequenceConfigurationError("the parameters don't fit the placeholders in sql") from None
    if not result.returns_rows:
        raise SequenceConfigurationError(_NOT_A_QUERY)
    with closing(result):  # MySQL's drivers take nothing else before, not even a rollback
        converters = dialect.converters(result.cursor.description, driver_connection)
        spool_rows(lambda size: [_converted(row, converters) for row in result.fetchmany(size)], spool)
        return tuple(result.keys())


def spool_rows(fetch: Callable[[int], list[Row]], spool: RowSpool) -> None:
    """
    Spool rows to the end, however wide they are.

    :param fetch: gives the next rows, at most as many as it is told; none at the end.
    """
    size = FIRST_ROWS
    while rows := fetch(size):
        row_bytes = spool.add(rows) // len(rows) + 1
        size = max(1, min(BATCH_ROWS, 4 * size, BATCH_BYTES // row_bytes))


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
            f"the query does not give {' and '.join(missing)}\nIt gives {', '.join(rows.columns)}"
        )
    return ({name: row[place] for name, place in places.items()} for batch in rows.batches for row in batch)


def _converted(row: Row, converters: Mapping[int, Converter]) -> Row:
    if not converters:
        return tuple(row)
    values = list(row)
    for place, convert in converters.items():
        if values[place] is not None:
            values[place] = convert(values[place])
    return values
