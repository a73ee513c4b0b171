"""Authenticated HTTP requests with retries and rate limits; the only place that sends a request."""

from __future__ import annotations

import ipaddress
import random
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode, urlsplit

import msgspec
import requests
import urllib3
from requests.auth import AuthBase

from airflow_provider_sequence.api.answer_size import MAX_ANSWER, MAX_REFUSAL, TooLargeError
from airflow_provider_sequence.api.credentials import Secret
from airflow_provider_sequence.api.defaults import CONNECT_TIMEOUT
from airflow_provider_sequence.api.http.body import CODING, read_body
from airflow_provider_sequence.api.http.error_response import (
    describe_failure,
    is_json,
    parse_retry_after,
    read_error,
    redact,
    values_in_body,
    values_in_query,
)
from airflow_provider_sequence.api.http.outage import OutageLog, failed_attempts
from airflow_provider_sequence.api.http.pool import ConnectionPool
from airflow_provider_sequence.api.http.rate_limit import RateLimiter
from airflow_provider_sequence.api.http.server_clock import ServerClock
from airflow_provider_sequence.api.resource import Query
from airflow_provider_sequence.exceptions import (
    SequenceApiError,
    SequenceAuthenticationError,
    SequenceClientClosedError,
    SequenceConfigurationError,
    SequenceGatewayError,
    SequenceRejectedError,
    SequenceResponseError,
    SequenceResponseTooLargeError,
    SequenceUnavailableError,
)

#: Seconds of backoff before the second attempt, and the most before a later one; each pause is drawn from 0 to that.
INITIAL_BACKOFF, MAX_BACKOFF = 1.0, 30.0
#: Attempts that may end in a response that can't be read, or in a refusal that may pass: a truncated response is followed
#: by a good one, and a lock is released; a wrong server's page, and what a firewall takes offence at, stay.
DOUBTFUL_ATTEMPTS = 4

_RETRYABLE_STATUSES = frozenset({408, 425, *range(500, 600)})
#: Refusals that may pass, by their meaning: conflict and locked.
_PASSING_STATUSES = frozenset({409, 423})
#: What a wrong base URL gives. It says nothing of an event, so no row may be rejected for it.
_WRONG_ADDRESS_STATUSES = frozenset({404, 405, *range(300, 400)})
_WRONG_ADDRESS_HINT = "(is the connection's host the base URL of the API?)"
_GATEWAY_HINT = "(no answer of Sequence's own: a firewall, a proxy or a gateway refused the request)"

T = TypeVar("T")


class _RetryableError(Exception):
    """
    An attempt failed in a way that another attempt may not.

    :param error: what to raise if no later attempt succeeds.
    :param retry_after: seconds that the response asked to wait.
    :param doubtful: whether there was a response that more than a few attempts won't change.
    """

    def __init__(
        self, error: SequenceApiError, *, retry_after: float | None = None, doubtful: bool = False
    ) -> None:
        self.error = error
        self.retry_after = retry_after
        self.doubtful = doubtful
        #: How many attempts were made, and in how long, once there is no other.
        self.attempts = ""


@dataclass(frozen=True, slots=True, eq=False)
class _Request(Generic[T]):
    """One request; the same for each of its attempts, and equal to no other."""

    method: str
    path: str
    query: Query | None = field(repr=False)
    body: bytes | None = field(repr=False)
    headers: Mapping[str, str] | None
    limiter: RateLimiter
    read: Callable[[bytes], T]
    most: int
    final: frozenset[int]

    @property
    def target(self) -> str:
        """Path and query, as they are sent."""
        return self.path + (f"?{urlencode(self.query, safe=',')}" if self.query else "")


class Transport:
    """
    HTTP transport of one API client: sends requests, and retries those that failed in a retryable way.

    Thread-safe. Retryable are: no connection, a timeout, a 429, a 5xx; and, for a few attempts, a response that can't be
    read, a refusal that is not Sequence's own, and one that may pass (409, 423).

    :param base_url: address of the API.
    :param client_id: the API client's id.
    :param client_secret: the API client's secret.
    :param headers: headers of every request.
    :param per_minute: limits of the account by the names of the rate budgets.
    :param timeout: seconds without a byte of the response after which an attempt has failed.
    :param deadline: seconds after which a request that keeps failing is given up.
    :param connections: size of the connection pool.
    :param clock: the clock of another client of this server.
    :param allow_http: whether credentials may be sent unencrypted to another machine.
    :param name: what people call the settings, such as ``the connection sequence_default``, for errors.
    :raises SequenceConfigurationError: if a setting is wrong.
    """

    def __init__(
        self,
        base_url: str,
        client_id: str,
        client_secret: Secret,
        *,
        headers: Mapping[str, str],
        per_minute: Mapping[str, float],
        timeout: float,
        deadline: float,
        connections: int,
        clock: ServerClock | None = None,
        allow_http: bool = False,
        name: str = "",
    ) -> None:
        self.base_url = _checked_base_url(base_url, allow_http, f"{name}: " if name else "")
        if not client_id or not client_secret:
            raise SequenceConfigurationError(
                "the client id (login) or the client secret (password) is empty\nAn API client made in "
                "Sequence's dashboard gives both"
            )
        if ":" in client_id:
            raise SequenceConfigurationError(
                "the client id (login) has a colon, which HTTP Basic can't carry"
            )
        auth = _BasicAuth(client_id, client_secret)
        self._secrets = (client_secret.value, auth.credentials.value)
        self._closed = threading.Event()
        #: By the names of the rate budgets.
        self.limiters = {name: RateLimiter(limit, wait=self._pause) for name, limit in per_minute.items()}
        self._count_lock = threading.Lock()
        self._requests = 0
        self._deadline = deadline
        self._name = name
        self._where = f"Sequence at {self.base_url}{f' ({name})' if name else ''}"
        self._outages = OutageLog(self._where, deadline)
        #: What time it is at the server.
        self.clock = clock or ServerClock()

        self._session = requests.Session()
        self._session.auth = auth
        self._session.headers.update({
            "Accept": "application/json",
            "Accept-Encoding": CODING,
            **headers,
        })
        self._pool = ConnectionPool(
            self._session,
            self.base_url,
            timeout=(min(CONNECT_TIMEOUT, timeout), timeout),
            connections=connections,
        )

    @property
    def requests_sent(self) -> int:
        """Requests sent so far, each attempt counted."""
        return self._requests

    @property
    def requests_throttled(self) -> int:
        """Requests that got a 429."""
        return sum(limiter.throttled_requests for limiter in self.limiters.values())

    def describe_outage(self) -> str:
        """What requests are failing now, since when, and until when they are retried; empty if none is."""
        return self._outages.text()

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._closed.is_set()

    def close(self) -> None:
        """Close the connection pool and end every wait for a slot or a retry."""
        self._closed.set()
        self._session.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        read: Callable[[bytes], T],
        query: Query | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        budget: str = "requests",
        retry: bool = True,
        most: int = MAX_ANSWER,
        final: frozenset[int] = frozenset(),
    ) -> T:
        """
        Send one request, retry it where that may help, and read the response.

        :param path: path below the base URL, starting with ``/``.
        :param read: makes the response's body into what is returned; raises msgspec.MsgspecError if it can't.
        :param query: names and values, not yet percent-encoded.
        :param body: JSON.
        :param headers: headers of this request alone, the same at each attempt.
        :param budget: the rate budget that the request counts in.
        :param retry: whether to make more than one attempt.
        :param most: bytes that the response may have, unless it is a refusal.
        :param final: statuses that are not retried.
        :raises SequenceAuthenticationError: on 401 and 403.
        :raises SequenceRejectedError: on any other status below 500 that a retry won't change.
        :raises SequenceResponseError: if the base URL seems wrong (404, a redirect), or the response can't be read.
        :raises SequenceResponseTooLargeError: if it is larger than that.
        :raises SequenceUnavailableError: if no response came before the deadline.
        :raises SequenceGatewayError: if something on the way refused it.
        :raises SequenceClientClosedError: if the client is closed meanwhile.
        """
        request = _Request(method, path, query, body, headers, self.limiters[budget], read, most, final)
        attempts = ""
        try:
            return self._with_retries(request, self._deadline if retry else 0.0)
        except _RetryableError as e:
            error, attempts = e.error, e.attempts
        except SequenceApiError as e:
            error = e
            self._outages.passed(request)
        finally:
            self._outages.gave_up(request)
        # Raised out here, so that no inner exception, whose text may hold a URL or a body, is chained to it.
        raise self._with_advice(self._redacted(error, request), attempts)

    def _redacted(self, error: SequenceApiError, request: _Request[T]) -> SequenceApiError:
        # In a frame of its own: some logs show the local variables of those that an error passes through.
        private = [*self._secrets, *values_in_query(request.query), *values_in_body(request.body)]
        return error.with_message(
            redact(error.message, private),
            error_type=redact(error.error_type, private) if error.error_type else None,
        )

    def _with_advice(self, error: SequenceApiError, attempts: str) -> SequenceApiError:
        """Add, on lines of their own, what the server's words don't say."""
        if error.status == 401:
            whose = f" of {self._name}" if self._name else ""
            return error.with_message(
                f"{error.message}\nCheck client id (login) and secret (password){whose}"
            )
        if attempts and type(error) is SequenceUnavailableError:
            return error.with_message(f"{error.message}\n{self._where}: {attempts}")
        return error

    def _with_retries(self, request: _Request[T], deadline: float) -> T:
        """Make attempts until one succeeds, or the request has been failing for as long as the deadline."""
        failing_since: float | None = None
        doubtful = 0
        for attempt in count():
            try:
                result = self._attempt(request)
            except _RetryableError as e:
                now = time.monotonic()
                if failing_since is None:
                    failing_since = now
                e.attempts = f"{failed_attempts(attempt + 1)} in {now - failing_since:,.0f} s"
                doubtful += e.doubtful
                asked = e.retry_after or 0.0
                # After a 429 the limiter holds all threads back until it is time.
                pause = 0.0 if e.error.status == 429 else max(asked, _backoff(attempt))
                if doubtful >= DOUBTFUL_ATTEMPTS:
                    raise
                if now - failing_since + max(asked, pause) >= deadline:
                    if asked > deadline > 0:
                        e.error = e.error.with_message(
                            f"asks to wait {asked:,.0f} s, which is more than {deadline:g} s; {e.error.message}"
                        )
                    raise
                what = str(self._redacted(e.error, request))
                self._outages.failed(request, what, throttled=e.error.status == 429)
            else:
                self._outages.passed(request)
                return result
            self._pause(pause)
        raise AssertionError("attempts end by return or raise")

    def _attempt(self, request: _Request[T]) -> T:
        slot = request.limiter.acquire()
        if self._closed.is_set():
            raise SequenceClientClosedError("the client is closed")
        with self._count_lock:
            self._requests += 1
        try:
            response = self._pool.send(
                request.method, request.target, request.body, request.headers, most=request.most
            )
        except urllib3.exceptions.HTTPError as e:
            raise _no_response(request, *describe_failure(e)) from None
        status = response.status
        is_refusal = status >= 300
        try:
            body = read_body(response, MAX_REFUSAL if is_refusal else request.most)
        except urllib3.exceptions.HTTPError as e:
            raise _no_response(request, *describe_failure(e, begun=True)) from None
        except TooLargeError as e:
            # Not even its beginning is looked at: what is cut can't be redacted.
            body = str(e).encode()
            if not is_refusal:
                raise _too_large(request, status, e) from None
        self.clock.read(response.headers)
        wait = parse_retry_after(response.headers, self.clock.now) if status >= 400 else None
        if status == 429:
            request.limiter.throttled(slot, wait)
        else:
            request.limiter.passed(slot)
        if status == 429 or status in _RETRYABLE_STATUSES:
            raise _RetryableError(_error(SequenceUnavailableError, request, status, body), retry_after=wait)
        if is_refusal:
            error = _refusal(request, status, body)
            foreign = status >= 400 and status != 401 and not is_json(body)
            if (foreign or status in _PASSING_STATUSES) and status not in request.final:
                raise _RetryableError(error, retry_after=wait, doubtful=True)
            raise error
        try:
            return request.read(body)
        except TooLargeError as e:
            raise _too_large(request, status, e) from None
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
            kind = response.headers.get("Content-Type", "no content type")
            reason = (
                f"the answer ({len(body)} bytes, {kind}) is not what the API documents: {type(e).__name__}"
            )
            raise _RetryableError(
                SequenceResponseError(request.method, request.path, reason, status=status), doubtful=True
            ) from None

    def _pause(self, seconds: float) -> None:
        if self._closed.wait(seconds):
            raise SequenceClientClosedError("the client was closed while a request waited")


def _backoff(attempt: int) -> float:
    """Seconds to wait after an attempt, counted from 0: exponential, with full jitter."""
    return random.uniform(0, min(INITIAL_BACKOFF * 2 ** min(attempt, 30), MAX_BACKOFF))  # noqa: S311


def _no_response(request: _Request[Any], reason: str, begun: bool) -> _RetryableError:
    error = SequenceUnavailableError(request.method, request.path, reason)
    return _RetryableError(error, doubtful=begun)


def _too_large(request: _Request[Any], status: int, error: TooLargeError) -> SequenceApiError:
    return SequenceResponseTooLargeError(request.method, request.path, str(error), status=status)


def _refusal(request: _Request[Any], status: int, body: bytes) -> SequenceApiError:
    """Error of a 3xx or 4xx."""
    if status == 401:
        return _error(SequenceAuthenticationError, request, status, body)
    if status in _WRONG_ADDRESS_STATUSES:
        return _error(SequenceResponseError, request, status, body, hint=_WRONG_ADDRESS_HINT)
    if not is_json(body):
        return _error(SequenceGatewayError, request, status, body, hint=_GATEWAY_HINT)
    kind = SequenceAuthenticationError if status == 403 else SequenceRejectedError
    return _error(kind, request, status, body)


def _error(
    kind: type[SequenceApiError], request: _Request[Any], status: int, body: bytes, hint: str = ""
) -> SequenceApiError:
    error_type, message = read_error(body)
    # The hint comes first: a page is cut.
    return kind(
        request.method, request.path, f"{hint} {message}".strip(), status=status, error_type=error_type
    )


class _BasicAuth(AuthBase):
    """HTTP Basic credentials in UTF-8; requests' own would write them in Latin-1."""

    def __init__(self, client_id: str, client_secret: Secret) -> None:
        self.credentials = Secret(b64encode(f"{client_id}:{client_secret.value}".encode()).decode())

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Basic {self.credentials.value}"
        return request


def _checked_base_url(url: str, allow_http: bool, whose: str) -> str:
    try:
        parts = urlsplit(url.strip())
        is_address = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address:
        raise SequenceConfigurationError(
            f"{whose}the host is no address of the form https://eu.sequencehq.com/api\nLeave it empty for production"
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise SequenceConfigurationError(
            f"{whose}the host is a base URL only: no credentials, no query\nLogin and password hold the credentials"
        )
    if parts.scheme == "http" and not allow_http and not _is_loopback(parts.hostname or ""):
        raise SequenceConfigurationError(
            f"{whose}the host is a plain http address of another machine:\nthe secret would be readable on the way there\nWrite "
            "https, or set allow_http in the connection's extra"
        )
    return url.strip().rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
