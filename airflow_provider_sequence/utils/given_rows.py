"""Rows that a task is given by Python code: a list, the XCom of another task, or a function that gives them."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from itertools import islice
from typing import Any

from airflow_provider_sequence.exceptions import SequenceConfigurationError
from airflow_provider_sequence.temp_storage import RowSpool
from airflow_provider_sequence.warehouse.loaders import Row
from airflow_provider_sequence.warehouse.reader import QueryRows, spool_rows

#: What rows may be; a function is called when the task runs.
Rows = Iterable[Mapping[str, Any]] | Callable[..., Iterable[Mapping[str, Any]]]


class GivenRows:
    """
    Rows of a task whose text has no values: Airflow stores the text of templated fields, and its interface shows it.

    :param rows: what the DAG or an XCom gives.
    """

    def __init__(self, rows: Any) -> None:
        self.rows = rows

    def __repr__(self) -> str:
        return f"<rows, of type {type(self.rows).__name__}>"


def call_rows(function: Callable[..., Any], context: Mapping[str, Any]) -> Any:
    """
    Call a function that gives rows, as Airflow calls a ``python_callable``: with those values of the context that it names.

    :raises SequenceConfigurationError: if it is a task, or needs what the context does not have.
    """
    if hasattr(function, "override"):  # what @task makes of a function
        raise SequenceConfigurationError("rows is a task that was not called\nGive rows=that_task()")
    parameters = inspect.signature(function).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        with warnings.catch_warnings():
            # Airflow 2 warns of each old name that is in the context.
            warnings.simplefilter("ignore", DeprecationWarning)
            values = dict(context)
        return function(**values)
    names = [p.name for p in parameters if p.kind is not p.VAR_POSITIONAL]
    missing = [
        p.name for p in parameters if p.name in names and p.default is p.empty and p.name not in context
    ]
    if missing:
        raise SequenceConfigurationError(
            f"the function in rows needs {', '.join(missing)}, which the task's context does not have\n"
            "Name values of the context, such as data_interval_start; bind others with functools.partial"
        )
    return function(**{name: context[name] for name in names if name in context})


@contextmanager
def read_given_rows(rows: Any) -> Iterator[QueryRows]:
    """
    Read rows to the end onto the worker's disk, and give them from there, with the columns of all of them.

    A row that lacks a column has None in it. If the code that gives the rows fails, no row was given before.

    :param rows: mappings of columns' names to values.
    :raises SequenceConfigurationError: if they are anything else; it names the row.
    :raises WorkerDiskError: if the worker's disk is full.
    """
    if isinstance(rows, (str, bytes, Mapping)) or not isinstance(rows, Iterable):
        raise SequenceConfigurationError(f"rows is of type {type(rows).__name__}\n{_EXPECTED}")
    columns: dict[str, None] = {}
    numbered = enumerate(rows, 1)

    def fetch(size: int) -> list[Row]:
        return [_values(number, row, columns) for number, row in islice(numbered, size)]

    with closing(RowSpool()) as spool:
        spool_rows(fetch, spool)
        batches = (_padded(batch, len(columns)) for batch in spool.read())
        yield QueryRows(tuple(columns), batches, spool.bytes, spool.rows)


_EXPECTED = (
    "Give a list of dicts, each with the columns of one row, or a function that returns or yields them; of a DataFrame, "
    "df.to_dict('records')"
)


def _values(number: int, row: Any, columns: dict[str, None]) -> tuple[Any, ...]:
    """Values of a row in the order of the columns so far, to which it may add some."""
    if not isinstance(row, Mapping):
        raise SequenceConfigurationError(f"row {number} of rows is of type {type(row).__name__}\n{_EXPECTED}")
    for name in row:
        if not isinstance(name, str):
            raise SequenceConfigurationError(
                f"row {number} of rows has a key of type {type(name).__name__}\nA key is the name of a column, a text"
            )
    columns.update(dict.fromkeys(row))
    return tuple(row.get(name) for name in columns)


def _padded(batch: Iterable[tuple[Any, ...]], length: int) -> list[Row]:
    return [row + (None,) * (length - len(row)) for row in batch]
