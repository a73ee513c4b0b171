"""The query that a task runs: whoever stops the task stops it, too, so that the database works for nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


def _nothing() -> None:
    pass


class RunningQuery:
    """A task's query, while it runs one."""

    def __init__(self) -> None:
        self._cancel: Callable[[], None] = _nothing

    def cancel(self) -> None:
        """Have the database end the query, where its driver can; safe in another thread and in a signal handler."""
        self._cancel()

    @contextmanager
    def cancelled_by(self, cancel: Callable[[], None]) -> Iterator[None]:
        """Run a query that ``cancel`` ends."""
        self._cancel = cancel
        try:
            yield
        finally:
            self._cancel = _nothing
