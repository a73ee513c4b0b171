"""Log filters: what libraries log of our requests and statements holds customers' data, at some level."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_in_request: ContextVar[bool] = ContextVar("sequence_in_request", default=False)


@contextmanager
def private_request() -> Iterator[None]:
    """
    Keep queries and headers of this thread's requests out of what urllib3 logs.

    They are ours by what is under way, and not by their host: urllib3 names that of a proxy, or spells it in another way.
    """
    token = _in_request.set(True)
    try:
        yield
    finally:
        _in_request.reset(token)


def filter_urllib3() -> None:
    """Filter what every logger of urllib3 that there is logs of our requests."""
    _add_filter("urllib3", _without_queries)


def silence(*names: str) -> None:
    """
    Let loggers, and those below them, log nothing below WARNING, and of errors only the class, in the whole process.

    Drivers log statements, parameters and rows, some of them in threads of their own.
    """
    for name in names:
        logging.getLogger(name).setLevel(logging.WARNING)  # of loggers below it that are still to come
        _add_filter(name, _without_data)


def _add_filter(name: str, keep: Any) -> None:
    # A logger's filter is not asked for what loggers below it log.
    below = [each for each in list(logging.root.manager.loggerDict) if each.startswith(f"{name}.")]
    for each in (name, *below):
        logging.getLogger(each).addFilter(keep)  # once: the same filter is not added again


def _without_data(record: logging.LogRecord) -> bool:
    _change_args(record, lambda text: text)
    return record.levelno >= logging.WARNING


def _without_queries(record: logging.LogRecord) -> bool:
    if _in_request.get():
        _change_args(record, lambda text: text.partition("?")[0])
    return True


def _change_args(record: logging.LogRecord, change: Callable[[str], str]) -> None:
    """Change a record's texts, and let nothing but classes stand for errors, whose messages may hold data."""
    args = record.args if isinstance(record.args, tuple) else ()
    record.args = tuple(
        change(arg) if isinstance(arg, str) else type(arg).__name__ if isinstance(arg, Exception) else arg
        for arg in args
    )
    record.exc_info = None
