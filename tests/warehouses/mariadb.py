"""A real MariaDB, from the system's package, with its data in a folder of the tests. It also stands in for MySQL."""

from __future__ import annotations

import contextlib
import os
import pwd
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.warehouses.bigquery import free_port

#: Files of options are not read, among them the system service's.
_ALONE = "--no-defaults"


@contextlib.contextmanager
def mariadb_server(folder: Path) -> Iterator[int]:
    """Run the server; give its port. Its user ``root`` has no password."""
    data, port = folder / "data", free_port()
    user = f"--user={pwd.getpwuid(os.getuid()).pw_name}"
    with (folder / "server.log").open("wb") as log:
        install = ["mariadb-install-db", _ALONE, user, f"--datadir={data}", "--skip-test-db"]
        install.append("--auth-root-authentication-method=normal")
        subprocess.run(install, stdout=log, stderr=log, check=True, timeout=60)
        server = ["mariadbd", _ALONE, user, f"--datadir={data}", f"--port={port}", "--bind-address=127.0.0.1"]
        # Another zone than UTC, as servers may have; and nothing need survive a crash of the machine.
        server += ["--default-time-zone=+02:00", "--innodb-flush-log-at-trx-commit=0"]
        server += [f"--socket={folder}/socket", f"--pid-file={folder}/pid"]
        process = subprocess.Popen(server, stdout=log, stderr=log, cwd=folder)
        try:
            _wait(port, process, folder / "server.log")
            yield port
        finally:
            process.terminate()
            process.wait(30)


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5):
            return
        time.sleep(0.1)
    raise RuntimeError(f"the server did not start: {log.read_text()[-2000:]}")
