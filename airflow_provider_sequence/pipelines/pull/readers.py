"""Walks made by several threads; what they read comes to one."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator

from airflow_provider_sequence.api.pagination import Page
from airflow_provider_sequence.pipelines.pull.scans import Walk

#: Pages that may wait: the threads go on while those before are being loaded.
_AHEAD = 64


def read_concurrently(
    walks: Iterable[Walk], threads: int, give_up: Callable[[], object]
) -> Generator[tuple[Walk, Page]]:
    """
    Read lists, each by one thread, while their pages are worked on.

    A walk that is cut is left after its first page, and its slices are walked instead.

    :param walks: the ways through the lists; made when a thread is free for it.
    :param threads: how many are walked at a time.
    :param give_up: ends the requests under way; called when the caller goes away early, or a thread fails.
    :return: pages, with the walks they belong to; those of one walk in their order.
    :raises BaseException: what a thread raised.
    """
    readers = _Readers(walks, threads)
    try:
        yield from readers.pages()
    except BaseException:
        give_up()
        raise
    finally:
        readers.stop()


class _Readers:
    def __init__(self, walks: Iterable[Walk], threads: int) -> None:
        self._walks = iter(walks)
        self._slices: deque[Walk] = deque()
        self._busy = 0
        self._stopped = False
        self._changed = threading.Condition()
        self._read: queue.Queue[tuple[Walk, Page] | BaseException | None] = queue.Queue(_AHEAD)
        self._threads = [
            threading.Thread(target=self._run, name="sequence-reader", daemon=True) for _ in range(threads)
        ]

    def pages(self) -> Iterator[tuple[Walk, Page]]:
        for thread in self._threads:
            thread.start()
        left = len(self._threads)
        while left:
            read = self._read.get()
            if read is None:
                left -= 1
            elif isinstance(read, BaseException):
                raise read
            else:
                yield read

    def stop(self) -> None:
        """Read no further page, and wait for the requests under way."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        for thread in self._threads:
            while thread.is_alive():
                try:
                    self._read.get(timeout=0.05)  # it may be waiting for room
                except queue.Empty:
                    thread.join(0.05)

    def _run(self) -> None:
        try:
            while (walk := self._next()) is not None:
                try:
                    self._walk(walk)
                finally:
                    with self._changed:
                        self._busy -= 1
                        self._changed.notify_all()
        except BaseException as e:  # noqa: BLE001  the caller's thread raises it
            self._read.put(e)
        self._read.put(None)

    def _next(self) -> Walk | None:
        """Wait for a walk to make; None once there can be no more."""
        with self._changed:
            while not self._stopped:
                walk = self._slices.popleft() if self._slices else next(self._walks, None)
                if walk is not None:
                    self._busy += 1
                    return walk
                if not self._busy:
                    return None
                self._changed.wait()  # one that is being walked may yet be cut
        return None

    def _walk(self, walk: Walk) -> None:
        started = time.monotonic()
        for number, page in enumerate(walk.pages()):
            if number == 0 and self._cut(walk, page, time.monotonic() - started):
                return
            if self._stopped:
                return
            self._read.put((walk, page))

    def _cut(self, walk: Walk, first: Page, seconds: float) -> bool:
        with self._changed:
            slices = walk.cut(first, len(self._threads), seconds)
            if not slices:
                return False
            walk.announced = first.total
            self._slices += slices
            self._changed.notify_all()
            return True
