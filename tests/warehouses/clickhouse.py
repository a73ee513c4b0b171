"""Stand-in for ClickHouse: its engine, out of a wheel, behind its HTTP interface, as a process of its own.

What it can't show: rows that arrive while the query runs. The engine gives all of them at its end.
"""

from __future__ import annotations

import contextlib
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.warehouses.bigquery import free_port


@contextlib.contextmanager
def clickhouse_server(python: str, folder: Path) -> Iterator[int]:
    """Run the server; give its port."""
    port = free_port()
    command = [python, str(Path(__file__).with_name("clickhouse_server.py")), str(port)]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
        try:
            _wait(port, process, folder / "server.log")
            yield port
        finally:
            process.kill()
            process.wait(30)


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5):
            return
        time.sleep(0.2)
    raise RuntimeError(f"the server did not start: {log.read_text()[-2000:]}")
