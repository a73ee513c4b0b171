"""The demos' sandbox: a process that keeps what it holds, and its address, from one demo to the next."""

from __future__ import annotations

import json
import random
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dev.demo.terminal import CHECKOUT, shown


@contextmanager
def sandbox(home: Path, *, usage_events_per_minute: int, requests_per_minute: int) -> Iterator[str]:
    """
    Start the sandbox on what it held before; give its address, and stop it in the end.

    :param usage_events_per_minute: the account's limit for creating usage events.
    :param requests_per_minute: its limit for all other requests.
    """
    command = [sys.executable, "-m", "airflow_provider_sequence.sandbox", f"--port={_port(home)}"]
    command += [f"--database={home / 'sequence.db'}"]
    command += [f"--usage-events-per-minute={usage_events_per_minute}"]
    command += [f"--requests-per-minute={requests_per_minute}"]
    with (
        (home / "sandbox.log").open("wb") as log,
        # In a session of its own: Ctrl-C reaches the demo alone, which stops everything in order.
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=CHECKOUT, start_new_session=True
        ) as process,
    ):
        try:
            ready = process.stdout.readline() if process.stdout else ""
            if not ready:
                raise SystemExit(f"The sandbox did not start; see {shown(home / 'sandbox.log')}")
            yield ready.split()[-1]
        finally:
            stop(process)


def _port(home: Path) -> int:
    """
    Find the port of this home: a free one at first, and the same ever after.

    An account is known by its address and its client id; at another address the sandbox would be another account,
    to which nothing has been delivered yet.
    """
    kept = home / "port"
    if not kept.exists():
        # Below the ports that the system gives to outgoing connections, so that it is still free next time.
        for port in random.sample(range(20_000, 32_000), 100):
            with socket.socket() as candidate:
                if candidate.connect_ex(("127.0.0.1", port)) != 0:
                    kept.write_text(str(port))
                    break
    return int(kept.read_text())


def stop(process: subprocess.Popen[str]) -> None:
    """End a process, and wait until it has ended."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def ask(api: str, question: str) -> dict[str, Any]:
    """Ask the sandbox's own API: ``summary``, ``ledger?limit=1000``."""
    with urllib.request.urlopen(api.removesuffix("/api") + f"/_sandbox/{question}", timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def connection(api: str, **limits: int) -> str:
    """Write the Airflow connection to the sandbox as JSON, with the limits that each task gets."""
    fields = {"conn_type": "sequence", "host": api, "login": "key", "password": "secret", "extra": limits}
    return json.dumps(fields)
