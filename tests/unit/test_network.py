"""What the environment says of certificates and proxies: used, or refused with the name of the variable."""

from __future__ import annotations

import contextlib
import logging
import ssl
from collections.abc import Iterator
from typing import Any

import pytest

from airflow_provider_sequence.api.client import SequenceClient
from airflow_provider_sequence.api.resources import USAGE_EVENTS
from airflow_provider_sequence.exceptions import SequenceConfigurationError, SequenceUnavailableError
from tests.support.certificate import self_signed
from tests.unit.loopback import Drip, Loopback

CA = ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"]
PROXIES = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"]


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, no_proxy: None) -> None:
    for name in [*CA, "SSL_CERT_DIR", *PROXIES, *map(str.lower, PROXIES)]:
        monkeypatch.delenv(name, raising=False)


class TlsLoopback(Loopback):
    """Byte server that speaks TLS."""

    def __init__(self, certificate: Any) -> None:
        super().__init__()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)

    @property
    def api_url(self) -> str:
        return f"https://localhost:{self.port}/api"

    def _serve(self, connection: Any, number: int) -> None:
        with contextlib.suppress(OSError):
            super()._serve(self._context.wrap_socket(connection, server_side=True), number)


@pytest.fixture
def certificate(tmp_path: Any) -> Any:
    return self_signed(tmp_path)


@pytest.fixture
def tls(certificate: Any) -> Iterator[TlsLoopback]:
    with TlsLoopback(certificate) as server:
        yield server


@pytest.mark.parametrize("name", CA)
def test_certificates_of_the_environment_are_trusted(monkeypatch, connect, tls, certificate, name):
    monkeypatch.setenv(name, str(certificate))
    assert list(connect(tls).items(USAGE_EVENTS)) == []


def test_error_names_the_variable_that_helps(connect, tls):
    with pytest.raises(SequenceUnavailableError, match=r"not trusted.*SSL_CERT_FILE"):
        list(connect(tls, deadline=0.1).items(USAGE_EVENTS))


@pytest.mark.parametrize("name", CA)
@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_certificates_that_cannot_be_read_are_refused(monkeypatch, tmp_path, name, content):
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv(name, str(path))
    with pytest.raises(SequenceConfigurationError, match=f"{name} names no file.*ca.pem"):
        SequenceClient("https://localhost/api", "key", "secret")


def test_certificates_do_not_matter_without_tls(monkeypatch, connect, loopback):
    monkeypatch.setenv("SSL_CERT_FILE", "/nosuch")
    assert list(connect(loopback).items(USAGE_EVENTS)) == []


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
@pytest.mark.parametrize(
    "url",
    [
        "socks5://u:Hunter2@127.0.0.1:1",
        "foo://u:Hunter2@127.0.0.1:1",
        "http://u:Hunter2@127.0.0.1:port",
        "http://",
    ],
)
def test_proxy_that_cannot_be_used_is_refused(monkeypatch, name, url):
    monkeypatch.setenv(name, url)
    with pytest.raises(SequenceConfigurationError, match=name) as caught:
        SequenceClient("https://localhost/api", "key", "secret")
    assert "Hunter2" not in str(caught.value)
    assert ("PySocks" in str(caught.value)) == url.startswith("socks")


PLAIN = "http://sequence.invalid/api"


def test_proxy_is_used_and_its_response_has_a_deadline(monkeypatch, loopback, connect):
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{loopback.port}")
    assert list(connect(PLAIN, allow_http=True).items(USAGE_EVENTS)) == []
    assert loopback.requests[0].target.startswith("http://sequence.invalid/api/usage-events")

    loopback.responses = [Drip(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + b" " * 500, 0.02)]
    with pytest.raises(SequenceUnavailableError, match="no answer within the timeout"):
        list(connect(PLAIN, timeout=0.15, deadline=0.1, allow_http=True).items(USAGE_EVENTS))


@pytest.mark.parametrize(
    ("host", "is_taken"),
    [
        (PLAIN, False),
        ("HTTP://10.0.0.1", False),
        ("http://localhost.example.com", False),
        ("http://localhost:8484", True),
        ("http://127.8.8.8", True),
        ("http://[::1]:80", True),
        ("https://sequence.invalid", True),
    ],
)
def test_plain_http_to_another_machine_is_refused(host, is_taken):
    SequenceClient(host, "key", "secret", allow_http=True).close()
    if is_taken:
        SequenceClient(host, "key", "secret").close()
    else:
        with pytest.raises(SequenceConfigurationError, match="allow_http"):
            SequenceClient(host, "key", "secret")


@pytest.mark.parametrize("host", ["billing.example", "bücher.example"])
def test_logs_of_a_proxy_and_of_broken_headers_hold_no_values(
    loopback, connect, host, caplog, monkeypatch, capfd
):
    """urllib3 logs the address itself of headers that it can't read, at level WARNING, and at DEBUG the proxy's host."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr("http.client.HTTPConnection.debuglevel", 1)
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{loopback.port}")
    body = b'{"items": []}'
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\nContent-Type: application/json\r\nX-Edge says al1as\r\n\r\n"
    loopback.responses = [Drip(head + body, 0)]
    client = connect(f"http://{host}/api", credentials=("key", "s3cr3t"), allow_http=True)
    list(client.items(USAGE_EVENTS, {"customer_alias": "al1as"}))
    said = caplog.text + "".join(capfd.readouterr())
    assert "Failed to parse headers" in said
    assert "/api/usage-events HTTP/1.1" in said
    assert not {piece for piece in ("al1as", "s3cr3t", "Authorization") if piece in said}


@pytest.mark.parametrize("host", ["https://*.x", "https://[::1"])
def test_host_that_is_no_address_is_refused(host):
    with pytest.raises(SequenceConfigurationError, match="host"):
        SequenceClient(host, "key", "secret")
