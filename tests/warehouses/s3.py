"""Stand-in for S3: objects of one part are files of a folder, which a database on this machine may read."""

from __future__ import annotations

import contextlib
import http.server
import shutil
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Bucket:
    """
    Buckets, and the requests for their objects.

    :param url: the service's address.
    :param folder: where objects are.
    """

    url: str
    folder: Path
    requests: list[str] = field(default_factory=list)


@contextlib.contextmanager
def s3_server() -> Iterator[Bucket]:
    """Run S3 on a port of 127.0.0.1."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)  # the database's server is another user
    bucket = Bucket("", folder)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self, status: int) -> None:
            bucket.requests.append(f"{self.command} {self.path}")
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_PUT(self) -> None:
            file = folder / self.path.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
            self._answer(200)

        def do_DELETE(self) -> None:
            (folder / self.path.lstrip("/")).unlink()
            self._answer(204)

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        bucket.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield bucket
        finally:
            server.shutdown()
            shutil.rmtree(folder)
