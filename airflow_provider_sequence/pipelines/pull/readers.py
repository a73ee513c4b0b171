"""Reader threads: scan lists concurrently, and hand their pages to one consumer."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from airflow_provider_sequence.api.pagination import Page
from airflow_provider_sequence.pipelines.pull.scans import ListScan

#: Pages that may wait for the consumer, so that the threads go on while it loads.
_BUFFERED_PAGES = 64


class ReaderPool:
    """
    Threads that scan lists, each list in one thread, while the consumer works on the pages.

    A scan that is split is left after its first page, and the scans of its slices replace it. As a context manager it
    gives an iterator over scans and their pages, those of one scan in their order; the iterator raises what a thread
    raised. Leaving the context waits for the requests in flight.

    :param scans: made when a thread is free for the next one.
    :param threads: how many run at a time.
    :param cancel: ends the requests in flight; called when the context is left by an exception.
    """

    def __init__(self, scans: Iterable[ListScan], threads: int, cancel: Callable[[], object]) -> None:
        self._scans = iter(scans)
        self._slices: deque[ListScan] = deque()
        self._busy = 0
        self._stopped = False
        self._cancel = cancel
        self._changed = threading.Condition()
        self._read: queue.Queue[tuple[ListScan, Page] | BaseException | None] = queue.Queue(_BUFFERED_PAGES)
        self._threads = [
            threading.Thread(target=self._run, name="sequence-reader", daemon=True) for _ in range(threads)
        ]

    def __enter__(self) -> Iterator[tuple[ListScan, Page]]:
        """Start the threads; return the pages."""
        for thread in self._threads:
            thread.start()
        return self._pages()

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        """Read no further page, and wait for the requests in flight."""
        if error is not None:
            self._cancel()
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        for thread in self._threads:
            while thread.is_alive():
                try:
                    self._read.get(timeout=0.05)  # the thread may wait for room in the buffer
                except queue.Empty:
                    thread.join(0.05)

    def _pages(self) -> Iterator[tuple[ListScan, Page]]:
        running = len(self._threads)
        while running:
            read = self._read.get()
            if read is None:
                running -= 1
            elif isinstance(read, BaseException):
                raise read
            else:
                yield read

    def _run(self) -> None:
        try:
            while (scan := self._next_scan()) is not None:
                try:
                    self._read_scan(scan)
                finally:
                    with self._changed:
                        self._busy -= 1
                        self._changed.notify_all()
        except BaseException as e:  # noqa: BLE001  the consumer's thread raises it
            self._read.put(e)
        self._read.put(None)

    def _next_scan(self) -> ListScan | None:
        """Wait for a scan; None once there can be no more."""
        with self._changed:
            while not self._stopped:
                scan = self._slices.popleft() if self._slices else next(self._scans, None)
                if scan is not None:
                    self._busy += 1
                    return scan
                if not self._busy:
                    return None
                self._changed.wait()  # a scan that is running may yet be split
        return None

    def _read_scan(self, scan: ListScan) -> None:
        started = time.monotonic()
        for number, page in enumerate(scan.pages()):
            if number == 0 and self._split(scan, page, time.monotonic() - started):
                return
            if self._stopped:
                return
            self._read.put((scan, page))

    def _split(self, scan: ListScan, first: Page, seconds: float) -> bool:
        with self._changed:
            slices = scan.split(first, len(self._threads), seconds)
            self._slices += slices
            self._changed.notify_all()
            return bool(slices)
