"""The only place that sends a request: one session, the credentials, the version, the retries and the limits."""

from __future__ import annotations

import functools
import logging
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast
from urllib.parse import urlencode, urlsplit

import msgspec
import requests
import tenacity
import urllib3
from requests.auth import AuthBase

from airflow_provider_sequence.api.defaults import CONNECT_TIMEOUT
from airflow_provider_sequence.api.http.error_response import (
    describe_failure,
    parse_retry_after,
    read_error,
    redact,
    values_in_body,
    values_in_query,
)
from airflow_provider_sequence.api.http.pool import ConnectionPool
from airflow_provider_sequence.api.http.rate_limit import RateLimiter
from airflow_provider_sequence.api.resource import Query
from airflow_provider_sequence.exceptions import (
    SequenceApiError,
    SequenceAuthenticationError,
    SequenceClientClosedError,
    SequenceConfigurationError,
    SequenceRejectedError,
    SequenceResponseError,
    SequenceUnavailableError,
)

#: Seconds to wait before a second try, and the most to wait before a later one; each is drawn between 0 and that.
INITIAL_BACKOFF, MAX_BACKOFF = 1.0, 30.0
#: How often an answer that can't be read is asked for again: a torn line mends itself, a wrong server does not.
UNREADABLE_ATTEMPTS = 4

_PASSING_STATUSES = frozenset({408, 425, *range(500, 600)})
#: What a wrong base URL gives. It says nothing of an event, so no row may be rejected for it.
_WRONG_ADDRESS_STATUSES = frozenset({404, 405, *range(300, 400)})
_WRONG_ADDRESS_HINT = " (is the connection's host the base URL of the API?)"

T = TypeVar("T")


class _TryFailedError(Exception):
    """
    A try failed in a way that may pass.

    :param error: what to raise if no later try does better.
    :param retry_after: seconds that the answer asked to wait.
    :param unreadable: whether there was an answer, but none that can be read.
    """

    def __init__(
        self, error: SequenceApiError, *, retry_after: float | None = None, unreadable: bool = False
    ) -> None:
        self.error = error
        self.retry_after = retry_after
        self.unreadable = unreadable


@dataclass(slots=True)
class _Call:
    """One request over all its tries."""

    method: str
    path: str
    query: Query | None
    body: bytes | None
    headers: Mapping[str, str] | None
    limiter: RateLimiter
    read: Callable[[bytes], Any]
    failure: _TryFailedError | None = None
    failing_since: float | None = None
    unreadable: int = 0


class _NoQueries(logging.Filter):
    """Keeps queries, which may hold customers' data, out of what urllib3 logs of our requests at level DEBUG."""

    def __init__(self) -> None:
        super().__init__()
        self.hosts: set[str | None] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        args = record.args
        # scheme, host, port, method, path and query, …
        if isinstance(args, tuple) and len(args) > 4 and args[1] in self.hosts:
            path = str(args[4]).partition("?")[0]
            record.args = (*args[:4], path, *args[5:])
        return True


_no_queries = _NoQueries()
logging.getLogger("urllib3.connectionpool").addFilter(_no_queries)


class Transport:
    """
    Sends requests, and sends them again where that may help.

    Threads may share it. What may pass is no connection, a timeout, a 429, a 5xx, and an answer that can't be read.

    :param base_url: address of the API.
    :param client_id: the API client's id.
    :param client_secret: the API client's secret.
    :param headers: headers of every request.
    :param per_minute: limits of the account by the names of the rate budgets.
    :param timeout: seconds without a byte of the answer after which a try has failed.
    :param deadline: seconds after which a request that keeps failing is given up.
    :param connections: connections that are kept open.
    :raises SequenceConfigurationError: if a setting is wrong.
    """

    def __init__(
        self,
        base_url: str,
        client_id: str,
        client_secret: str,
        *,
        headers: Mapping[str, str],
        per_minute: Mapping[str, float],
        timeout: float,
        deadline: float,
        connections: int,
    ) -> None:
        self.base_url = _checked_base_url(base_url)
        if not client_id or not client_secret:
            raise SequenceConfigurationError(
                "the client id (login) or the client secret (password) is empty; an API client made in "
                "Sequence's dashboard gives both"
            )
        if ":" in client_id:
            raise SequenceConfigurationError(
                "the client id (login) has a colon, which HTTP Basic can't carry"
            )
        authorization = b64encode(f"{client_id}:{client_secret}".encode()).decode()
        self._secrets = (client_secret, authorization)
        self._closed = threading.Event()
        self._limiters = {name: RateLimiter(limit, wait=self._pause) for name, limit in per_minute.items()}
        self._count_lock = threading.Lock()
        self._requests = 0
        self._retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_TryFailedError),
            wait=_wait,
            stop=functools.partial(_gives_up, deadline=deadline),
            sleep=self._pause,
            reraise=True,
        )

        _no_queries.hosts.add(urlsplit(self.base_url).hostname)
        self._session = requests.Session()
        self._session.auth = _BasicAuth(authorization)
        self._session.headers.update({
            "Accept": "application/json",
            **headers,
        })
        self._connections = ConnectionPool(
            self._session,
            self.base_url,
            timeout=(min(CONNECT_TIMEOUT, timeout), timeout),
            connections=connections,
        )

    @property
    def requests_sent(self) -> int:
        """Requests sent so far, each try counted."""
        return self._requests

    @property
    def requests_throttled(self) -> int:
        """Requests that were answered with a 429."""
        return sum(limiter.throttled_requests for limiter in self._limiters.values())

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._closed.is_set()

    def close(self) -> None:
        """Close the connections and end every wait for a turn or a retry."""
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
    ) -> T:
        """
        Send one request, again and again where that may help, and read its answer.

        :param path: path below the base URL, starting with ``/``.
        :param read: makes the answer's body into what is returned; raises msgspec.MsgspecError if it can't.
        :param query: names and values, not yet percent-encoded.
        :param body: JSON.
        :param headers: headers of this request alone, the same at each try.
        :param budget: the rate budget that the request counts in.
        :param retry: whether to try more than once.
        :raises SequenceAuthenticationError: on 401 and 403.
        :raises SequenceRejectedError: on any other status below 500 that a retry won't change.
        :raises SequenceResponseError: if the base URL seems wrong (404, a redirect), or the answer can't be read.
        :raises SequenceUnavailableError: if no answer came before the deadline.
        :raises SequenceClientClosedError: if the client is closed meanwhile.
        """
        call = _Call(method, path, query, body, headers, self._limiters[budget], read)
        try:
            try:
                return cast("T", self._try(call))
            except _TryFailedError:
                if not retry:
                    raise
                # Only now: tenacity costs a tenth of a request, and most need one try.
                return cast("T", self._retrying(self._try_again, call))
        except _TryFailedError as e:
            error = e.error
        except SequenceApiError as e:
            error = e
        # Raised out here, so that no inner exception, whose text may hold a URL or a body, is chained to it.
        raise self._redacted(error, query, body)

    def _redacted(self, error: SequenceApiError, query: Query | None, body: bytes | None) -> SequenceApiError:
        # In a frame of its own: some logs show the local variables of those that an error passes through.
        private = [*self._secrets, *values_in_query(query), *values_in_body(body)]
        return error.with_message(
            redact(error.message, private),
            error_type=redact(error.error_type, private) if error.error_type else None,
        )

    def _try(self, call: _Call) -> Any:
        turn = call.limiter.acquire()
        if self._closed.is_set():
            raise SequenceClientClosedError("the client is closed")
        with self._count_lock:
            self._requests += 1
        try:
            return self._send(call, turn)
        except _TryFailedError as e:
            if call.failing_since is None:
                call.failing_since = time.monotonic()
            call.unreadable += e.unreadable
            call.failure = e
            raise

    def _try_again(self, call: _Call) -> Any:
        # What failed before tenacity was asked is its first try.
        failure, call.failure = call.failure, None
        if failure is not None:
            raise failure
        return self._try(call)

    def _send(self, call: _Call, turn: float) -> Any:
        try:
            response = self._connections.send(
                call.method,
                call.path + (f"?{urlencode(call.query, safe=',')}" if call.query else ""),
                call.body,
                call.headers,
            )
        except urllib3.exceptions.HTTPError as e:
            raise _unanswered(call, *describe_failure(e)) from None
        try:
            body = response.read()
        except urllib3.exceptions.HTTPError as e:
            raise _unanswered(call, *describe_failure(e, begun=True)) from None
        status = response.status
        if status == 429:
            wait = parse_retry_after(response.headers)
            call.limiter.throttled(turn, wait)
            raise _TryFailedError(_error(SequenceUnavailableError, call, status, body), retry_after=wait)
        call.limiter.passed(turn)
        if status in _PASSING_STATUSES:
            wait = parse_retry_after(response.headers)
            raise _TryFailedError(_error(SequenceUnavailableError, call, status, body), retry_after=wait)
        if status in {401, 403}:
            raise _error(SequenceAuthenticationError, call, status, body)
        if status in _WRONG_ADDRESS_STATUSES:
            raise _error(SequenceResponseError, call, status, body, hint=_WRONG_ADDRESS_HINT)
        if status >= 400:
            raise _error(SequenceRejectedError, call, status, body)
        try:
            return call.read(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
            kind = response.headers.get("Content-Type", "no content type")
            reason = (
                f"the answer ({len(body)} bytes, {kind}) is not what the API documents: {type(e).__name__}"
            )
            raise _TryFailedError(
                SequenceResponseError(call.method, call.path, reason, status=status), unreadable=True
            ) from None

    def _pause(self, seconds: float) -> None:
        if self._closed.wait(seconds):
            raise SequenceClientClosedError("the client was closed while a request waited")


def _unanswered(call: _Call, reason: str, unreadable: bool) -> _TryFailedError:
    return _TryFailedError(SequenceUnavailableError(call.method, call.path, reason), unreadable=unreadable)


def _error(
    kind: type[SequenceApiError], call: _Call, status: int, body: bytes, hint: str = ""
) -> SequenceApiError:
    error_type, message = read_error(body)
    return kind(call.method, call.path, message + hint, status=status, error_type=error_type)


class _BasicAuth(AuthBase):
    """Basic credentials in UTF-8; requests' own would write them in Latin-1."""

    def __init__(self, credentials: str) -> None:
        self._header = f"Basic {credentials}"

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self._header
        return request


_backoff = tenacity.wait_random_exponential(multiplier=INITIAL_BACKOFF, max=MAX_BACKOFF)


def _wait(state: tenacity.RetryCallState) -> float:
    failure = _failure(state)
    if failure.error.status == 429:
        return 0.0  # the limiter holds all threads back until it is time
    return max(failure.retry_after or 0.0, _backoff(state))


def _gives_up(state: tenacity.RetryCallState, *, deadline: float) -> bool:
    call: _Call = state.args[0]
    failing = time.monotonic() - (call.failing_since or time.monotonic())
    ahead = max(_failure(state).retry_after or 0.0, state.upcoming_sleep)
    return call.unreadable >= UNREADABLE_ATTEMPTS or failing + ahead > deadline


def _failure(state: tenacity.RetryCallState) -> _TryFailedError:
    failure = state.outcome.exception() if state.outcome is not None else None
    if not isinstance(failure, _TryFailedError):
        raise TypeError("only failed tries are retried")
    return failure


def _checked_base_url(url: str) -> str:
    try:
        parts = urlsplit(url.strip())
        is_address = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address:
        raise SequenceConfigurationError(
            "the host is no address of the form https://eu.sequencehq.com/api; leave it empty for production"
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise SequenceConfigurationError(
            "the host is a base URL only: no credentials, no query; login and password hold the credentials"
        )
    return url.strip().rstrip("/")
