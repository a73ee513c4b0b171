"""Stand-ins for BigQuery: an emulator as a process of its own, a server with one answer to all requests, and a token
server for a service account's key.

What the emulator can't show: NUMERIC columns keep three decimals there, BIGNUMERIC has 38 digits, JSON inside of an array
or a struct is text, and the location of a job is always the same.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

PROJECT = "usage-eu-1"


class _Token(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.answer(200, {"access_token": "t", "expires_in": 3600, "token_type": "Bearer"})

    def answer(self, status: int, content: dict[str, Any], **headers: str) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def _key(token_port: int) -> dict[str, str]:
    """A service account's key, made on the spot."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": "1",
        "private_key": private.decode(),
        "client_email": f"tests@{PROJECT}.example",
        "client_id": "1",
        "token_uri": f"http://127.0.0.1:{token_port}/token",
    }


@contextlib.contextmanager
def bigquery_emulator(python: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """Run the emulator; give its address, and the path of a key."""
    token = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Token)
    threading.Thread(target=token.serve_forever, daemon=True).start()
    key = folder / "key.json"
    key.write_text(json.dumps(_key(token.server_address[1])))
    rest, grpc = free_port(), free_port()
    script = Path(__file__).with_name("bigquery_emulator.py")
    command = [
        python,
        str(script),
        "start",
        f"--rest-port={rest}",
        f"--grpc-port={grpc}",
        f"--project={PROJECT}",
    ]
    with (folder / "emulator.log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env={**os.environ, "HOME": str(folder)}, cwd=folder
        )
        try:
            url = f"http://127.0.0.1:{rest}"
            _wait(f"{url}/bigquery/v2/projects/{PROJECT}/datasets", process, folder / "emulator.log")
            yield url, key
        finally:
            process.kill()  # it would wait for the driver's open connections
            process.wait(30)
            token.shutdown()


def make_client(url: str) -> Any:
    """A client of its own, which shares nothing with the code under test."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.bigquery import Client

    return Client(project=PROJECT, credentials=AnonymousCredentials(), client_options={"api_endpoint": url})


@contextlib.contextmanager
def answering(status: int, body: dict[str, Any]) -> Iterator[tuple[str, list[bytes]]]:
    """Run a server that answers each request so; give its address, and the bodies of the requests with one."""
    requests: list[bytes] = []

    class Answer(_Token):
        def do_GET(self) -> None:
            if length := int(self.headers.get("Content-Length", 0)):
                requests.append(self.rfile.read(length))
            self.answer(status, body, Location=url)

        do_POST = do_PUT = do_GET

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield url, requests
    server.shutdown()


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.2)
    raise RuntimeError(f"the emulator did not start: {log.read_text()[-2000:]}")
