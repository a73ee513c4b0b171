"""Connection pool to one address, set up as requests would, with a deadline for each whole response."""

from __future__ import annotations

import http.client
import io
import os
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from airflow_provider_sequence.api.answer_size import MAX_HEAD, MAX_PAGE
from airflow_provider_sequence.exceptions import SequenceConfigurationError
from airflow_provider_sequence.private_logs import filter_urllib3, private_request

#: Read timeouts that a whole response may take, however steadily its bytes drip in.
RESPONSE_TIMEOUTS = 4
#: Bytes of a response that are read at a time: more than most of them have.
_BUFFER_SIZE = 2**16

#: What a thread's request is, for the class of its response, which urllib3 makes.
_this_request = threading.local()


class ConnectionPool:
    """
    Connection pool. Thread-safe.

    What the environment says of proxies and certificates is read once, by requests; each request then goes straight to
    urllib3. That costs half of what ``Session.request`` costs, and no redirect can carry the credentials off.

    :param session: headers and credentials of every request.
    :param base_url: the address.
    :param timeout: seconds to wait for a connection, and for further bytes of a response.
    :param connections: size of the pool.
    :raises SequenceConfigurationError: if what the environment says can't be used; it names the variable.
    """

    def __init__(
        self, session: requests.Session, base_url: str, *, timeout: tuple[float, float], connections: int
    ) -> None:
        try:
            template = session.prepare_request(requests.Request("GET", base_url))
        except requests.RequestException:
            raise SequenceConfigurationError("the host is no address that can be requested") from None
        adapter = _Adapter(pool_connections=1, pool_maxsize=connections)
        session.mount(base_url, adapter)  # so that it is closed with the session
        scheme = urlsplit(base_url).scheme
        trusted = _trusted(scheme)
        try:
            self._pool, address = adapter.open_pool(
                template,
                session.merge_environment_settings(base_url, {}, None, None, None) | {"verify": trusted},
            )
        except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as e:
            # Neither its text, nor itself among this frame's variables: the URL of a proxy may hold a password.
            refused: type[Exception] | None = type(e)
        else:
            refused = None
        if refused is not None:
            names = [name for name in os.environ if name.lower() in {f"{scheme}_proxy", "all_proxy"}]
            needs = (
                ": it needs the package PySocks"
                if issubclass(refused, requests.exceptions.InvalidSchema)
                else ""
            )
            raise SequenceConfigurationError(
                f"the proxy in {' or '.join(names) or 'the environment'} can't be used{needs} ({refused.__name__})"
            )
        filter_urllib3()  # all that there is of it by now
        self._address = address.rstrip("/")
        connect, read = timeout
        self._timeout = urllib3.Timeout(connect=connect, read=read)
        self._headers = dict(template.headers)
        self._headers.pop("Connection", None)  # HTTP/1.1 keeps it open anyhow
        self._headers_of_body = {**self._headers, "Content-Type": "application/json"}

    def send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        most: int = MAX_PAGE,
    ) -> urllib3.BaseHTTPResponse:
        """
        Send one request.

        :param path: path and query below the address.
        :param body: JSON.
        :param headers: headers of this request alone.
        :param most: bytes that the response's body may have.
        :return: the response, whose body is still to be read.
        :raises urllib3.exceptions.HTTPError: if none comes.
        """
        usual = self._headers if body is None else self._headers_of_body
        _this_request.most = most
        with private_request():
            response: urllib3.BaseHTTPResponse = self._pool.urlopen(
                method,
                self._address + path,
                body=body,
                headers={**usual, **headers} if headers else usual,
                retries=False,
                redirect=False,
                assert_same_host=False,
                timeout=self._timeout,
                preload_content=False,
            )
        return response


class _BoundedReader(io.RawIOBase):
    """
    Reader of a socket that raises TimeoutError after a deadline, and HTTPException after a number of bytes.

    :param socket_file: the socket's file.
    :param until: the deadline, on the clock of :func:`time.monotonic`.
    """

    def __init__(self, socket_file: io.RawIOBase, until: float) -> None:
        self._file = socket_file
        self._until = until
        #: Bytes that may still be read.
        self.left = MAX_HEAD

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if time.monotonic() > self._until:
            raise TimeoutError
        if self.left < 0:
            raise http.client.HTTPException("more bytes than any answer has")
        size = self._file.readinto(buffer)
        self.left -= size or 0
        return size

    def close(self) -> None:
        self._file.close()
        super().close()


class _Response(http.client.HTTPResponse):
    """Response that has to be whole, headers included, a few timeouts after the request; and is not without end."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        until = time.monotonic() + RESPONSE_TIMEOUTS * (sock.gettimeout() or 0)
        self.fp.close()
        self._reader = _BoundedReader(sock.makefile("rb", buffering=0), until)
        self.fp = io.BufferedReader(self._reader, _BUFFER_SIZE)

    def begin(self) -> None:
        super().begin()
        # However small its chunks are, and whatever follows them. What is read of a body itself is up to its reader.
        self._reader.left = _this_request.most + MAX_HEAD


def _with_deadline(pools: Mapping[str, Any]) -> dict[str, Any]:
    """Classes of pools whose responses have a deadline: of connections to the address, or through a proxy of any kind."""
    # Without http.client's debuglevel, which would print requests with their credentials.
    own = {"response_class": _Response, "debuglevel": 0}

    def derive(pool: Any) -> Any:
        connection = type(pool.ConnectionCls.__name__, (pool.ConnectionCls,), own)
        return type(pool.__name__, (pool,), {"ConnectionCls": connection})

    return {scheme: derive(pool) for scheme, pool in pools.items()}


#: What tells which certificates are trusted, first to last.
_CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")


def _trusted(scheme: str) -> str | bool:
    """
    File or folder of certificates to trust, or True for those that come with requests.

    :raises SequenceConfigurationError: if it can't be used.
    """
    name = next((name for name in _CA_VARIABLES if os.environ.get(name)), None)
    if name is None or scheme != "https":
        return True
    path = os.environ[name]
    try:
        if os.path.isdir(path):
            os.listdir(path)
        else:
            ssl.create_default_context(cafile=path)
    except OSError as e:  # ssl.SSLError, too
        raise SequenceConfigurationError(
            f"{name} names no file or folder of certificates that can be read: {path} ({e.strerror or type(e).__name__})"
        ) from None
    return path


class _Adapter(HTTPAdapter):
    def open_pool(self, template: requests.PreparedRequest, settings: Mapping[str, Any]) -> tuple[Any, str]:
        """Make the pool of a request's address; return it, and the address as a request line has it."""
        verify, proxies, cert = settings["verify"], settings["proxies"], settings["cert"]
        pool: Any = self.get_connection_with_tls_context(template, verify, proxies=proxies, cert=cert)
        self.cert_verify(pool, template.url, verify, cert)  # type: ignore[no-untyped-call]
        return pool, self.request_url(template, proxies)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _with_deadline(self.poolmanager.pool_classes_by_scheme)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _with_deadline(manager.pool_classes_by_scheme)
        return manager
