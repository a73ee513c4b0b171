"""A real PgBouncer in transaction mode before PostgreSQL, with other clients that take its sessions in turn."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2

#: Debian's package puts it where not every user looks.
PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")


@contextlib.contextmanager
def pgbouncer(connection: str, folder: Path) -> Iterator[str]:
    """Start it before the database of an Airflow connection; give the connection to it."""
    fields = json.loads(connection)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    name, user = fields["schema"], fields["login"]
    server = f"host={fields['host']} dbname={name} user={user}"
    server += f" port={fields['port']}" if "port" in fields else ""
    server += f" password={fields['password']}" if fields.get("password") else ""
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n{name} = {server}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n"
        "unix_socket_dir =\nauth_type = any\npool_mode = transaction\ndefault_pool_size = 4\n"
        "ignore_startup_parameters = extra_float_digits\n"
    )
    process = subprocess.Popen(
        [PGBOUNCER, "-q", str(folder / "pgbouncer.ini")],
        # It refuses to be root; a user that may not be asked for is not needed then.
        user=owner(fields["host"]) if os.getuid() == 0 else None,
        stderr=subprocess.PIPE,
        text=True,
    )
    stop = threading.Event()
    others = [threading.Thread(target=_be_another_client, args=(name, user, port, stop)) for _ in range(2)]
    try:
        _wait_for(port, process)
        for other in others:
            other.start()
        yield json.dumps(fields | {"host": "127.0.0.1", "port": port, "password": "any"})
    finally:
        stop.set()
        for other in others:
            if other.ident is not None:
                other.join(10)
        process.terminate()
        process.communicate(timeout=10)


def owner(host: str) -> int | None:
    """Find the user that a server on a socket runs as."""
    sockets = Path(host)
    return next((path.stat().st_uid for path in sockets.glob(".s.PGSQL*")), 65534)


def _wait_for(port: int, process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 10
    while process.poll() is None and time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise AssertionError(f"PgBouncer does not run: {process.poll()}")


def _be_another_client(name: str, user: str, port: int, stop: threading.Event) -> None:
    connection: Any = psycopg2.connect(host="127.0.0.1", port=port, dbname=name, user=user, password="any")
    connection.autocommit = True
    with contextlib.closing(connection), connection.cursor() as cursor:
        while not stop.is_set():
            cursor.execute("SELECT pg_sleep(0.003)")
