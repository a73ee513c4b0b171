"""
Temporary storage on the worker's disk, for what must not grow memory: rows in a file, and tables in SQLite.

Both have no name, and small ones never reach the disk: they are gone when they are closed, or when the process is killed.
"""

from __future__ import annotations

import copyreg
import errno
import io
import os
import pickle
import sqlite3
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from airflow_provider_sequence.exceptions import WorkerDiskError
from airflow_provider_sequence.unreadable import UnreadableValue

#: Bytes of a file that are kept in memory.
_IN_MEMORY = 1 << 20
#: zlib's fastest level: a warehouse's rows take a fifth of their size by it.
_COMPRESSION = 1


class RowSpool:
    """
    Rows on disk, in the order in which they were added.

    :raises WorkerDiskError: in each method, if the temporary folder is full or can't be used.
    """

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115  closed by close()
        #: Bytes that the rows take, compressed.
        self.bytes = 0
        #: How many there are.
        self.rows = 0

    def add(self, rows: Sequence[Any]) -> int:
        """Add rows; return about how many bytes they take in memory."""
        try:
            pickled = _pickle(rows)
        except (TypeError, pickle.PicklingError):
            pickled = _pickle([[_picklable(value) for value in row] for row in rows])
        block = zlib.compress(pickled, _COMPRESSION)
        with disk_errors():
            self._file.write(len(block).to_bytes(8, "big"))
            self._file.write(block)
        self.bytes += 8 + len(block)
        self.rows += len(rows)
        return len(pickled)

    def read(self, start: int = 0) -> Iterator[Any]:
        """
        Give the rows, in lists as they were added.

        :param start: what :attr:`bytes` was before the first of them was added.
        """
        with disk_errors():
            self._file.seek(start)
        while size := self._file.read(8):
            block = zlib.decompress(self._file.read(int.from_bytes(size, "big")))
            yield pickle.loads(block)  # noqa: S301  written above, by this process

    def close(self) -> None:
        """Delete the rows."""
        with disk_errors():  # the last bytes may be written only now
            self._file.close()


def _pickle(value: Any) -> bytes:
    file = io.BytesIO()
    pickler = pickle.Pickler(file, pickle.HIGHEST_PROTOCOL)
    pickler.dispatch_table = copyreg.dispatch_table | {memoryview: lambda view: (bytes, (bytes(view),))}
    pickler.dump(value)
    return file.getvalue()


def _picklable(value: Any) -> Any:
    """Value, or what stands for one of a driver's own type that can't leave its connection."""
    try:
        _pickle(value)
    except (TypeError, pickle.PicklingError):
        return UnreadableValue(f"is of type {type(value).__name__}; cast it in the query")
    return value


class _TempDb(sqlite3.Connection):
    def execute(self, *args: Any) -> sqlite3.Cursor:
        with disk_errors():
            return super().execute(*args)

    def executemany(self, *args: Any) -> sqlite3.Cursor:
        with disk_errors():
            return super().executemany(*args)


def open_temp_db(tables: str) -> sqlite3.Connection:
    """
    Open a temporary database, whose statements raise WorkerDiskError if the temporary folder is full.

    :param tables: the statements that create its tables.
    """
    database = sqlite3.connect("", isolation_level=None, factory=_TempDb)
    # One transaction that never ends, without a journal: nobody reads the file after a crash.
    database.execute("PRAGMA journal_mode = OFF")
    database.executescript(f"{tables}; BEGIN")
    return database


@contextmanager
def disk_errors() -> Iterator[None]:
    """
    Turn an error of the temporary folder into one that names it.

    :raises WorkerDiskError: in its place.
    """
    try:
        yield
    except OSError as e:
        full = e.errno in {errno.ENOSPC, errno.EDQUOT}
        raise WorkerDiskError(_disk_message(tempfile.gettempdir(), full, e.strerror)) from None
    except sqlite3.OperationalError as e:
        # SQLite looks for a folder in another order.
        folder = os.environ.get("SQLITE_TMPDIR") or os.environ.get("TMPDIR") or "/var/tmp"  # noqa: S108
        full = e.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL
        raise WorkerDiskError(_disk_message(folder, full, e.sqlite_errorname)) from None


def _disk_message(folder: str, full: bool, error: str | None) -> str:
    what = "is full" if full else f"can't be used ({error})"
    return (
        f"the worker's temporary folder {folder} {what}. Make room there, or set TMPDIR to a folder with more"
    )
