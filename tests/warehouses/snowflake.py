"""Stand-in for Snowflake: fakesnow's server over TLS, as a process of its own.

What it can't show: NUMBER(38,0) is an int64 there, text has no limits, and a result of a type that it does not know is answered
500, which the connector repeats.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import os
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.warehouses.bigquery import free_port


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Make a self-signed certificate for this machine; give its path and its key's."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509
        .CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "certificate.pem", folder / "key.pem"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return certificate_file, key_file


@contextlib.contextmanager
def snowflake_server(python: str, folder: Path) -> Iterator[tuple[int, Path]]:
    """Run the server; give its port, and the certificate to trust."""
    certificate, key = make_certificate(folder)
    port = free_port()
    script = Path(__file__).with_name("snowflake_emulator.py")
    command = [python, "-P", str(script), "fakesnow.server:app", f"--port={port}"]
    command += [f"--ssl-keyfile={key}", f"--ssl-certfile={certificate}"]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env={**os.environ, "HOME": str(folder)}, cwd=folder
        )
        try:
            _wait(port, certificate, process, folder / "server.log")
            yield port, certificate
        finally:
            process.kill()  # it would wait for the driver's open connections
            process.wait(30)


def _wait(port: int, certificate: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    context = ssl.create_default_context(cafile=str(certificate))
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", port), 5) as plain,
            context.wrap_socket(plain, server_hostname="localhost"),
        ):
            return
        time.sleep(0.2)
    raise RuntimeError(f"the server did not start: {log.read_text()[-2000:]}")
