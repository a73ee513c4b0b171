"""Nothing that a test starts outlives it, not even when the test is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from types import TracebackType
from typing import Self


class Leash:
    """A process that knows the process groups that were started, and kills them when the one who started it is gone."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-S", __file__], stdin=subprocess.PIPE, start_new_session=True
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.stdin.close()
        self._process.wait(30)

    def tie(self, group: int) -> None:
        """Let this process group end with the leash."""
        self._say(f"+{group}")

    def release(self, group: int) -> None:
        """End what is left of a process group now."""
        self._say(f"-{group}")

    def _say(self, line: str) -> None:
        self._process.stdin.write(f"{line}\n".encode())
        self._process.stdin.flush()


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _main() -> None:
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    groups = set()
    for line in sys.stdin:
        group = int(line[1:])
        if line[0] == "+":
            groups.add(group)
        else:
            groups.discard(group)
            _kill(group)
    for group in groups:
        _kill(group)


if __name__ == "__main__":
    _main()
