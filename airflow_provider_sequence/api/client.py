"""SequenceClient: the only place that sends a request."""

from __future__ import annotations

import functools
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Self, TypeVar, cast
from urllib.parse import urlencode, urlsplit

import msgspec
import requests
import tenacity
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from airflow_provider_sequence import __version__
from airflow_provider_sequence.api.answers import (
    describe_failure,
    parse_retry_after,
    read_error,
    scrub,
    values_in_body,
    values_in_query,
)
from airflow_provider_sequence.api.defaults import (
    API_VERSION,
    CONNECT_TIMEOUT,
    DEADLINE,
    READ_TIMEOUT,
    REQUESTS_PER_MINUTE,
    USAGE_EVENTS_PER_MINUTE,
)
from airflow_provider_sequence.api.events import Event
from airflow_provider_sequence.api.pagination import CursorRepeatedError, Item, Page, parse_page, walk
from airflow_provider_sequence.api.rate_limit import RateLimiter
from airflow_provider_sequence.api.resources import PAGE_LIMIT, USAGE_METRICS, Query, Resource
from airflow_provider_sequence.api.windows import Window
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
FIRST_BACKOFF, LONGEST_BACKOFF = 1.0, 30.0
#: How often an answer that can't be read is asked for again: a torn line mends itself, a wrong server does not.
UNREADABLE_TRIES = 4

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

    prepared: requests.PreparedRequest
    method: str
    path: str
    limiter: RateLimiter
    read: Callable[[bytes], Any]
    failing_since: float | None = None
    unreadable: int = 0


class _Created(msgspec.Struct):
    id: str
    customerEventId: str | None = None


_read_created = msgspec.json.Decoder(_Created).decode


class SequenceClient:
    """
    Calls Sequence: one session, the credentials, the version, the retries and the limit of one API client.

    Threads may share it. A request that fails in a way that may pass (no connection, timeout, 429, 5xx, an answer
    that can't be read) is sent again, with exponential backoff and jitter, until its deadline: every event has an
    id, and a second copy of an id supersedes the first, so that nothing is counted twice.

    :param base_url: address of the API, such as ``https://eu.sequencehq.com/api``.
    :param client_id: the API client's id.
    :param client_secret: the API client's secret.
    :param api_version: the ``Sequence-Version`` to ask for.
    :param requests_per_minute: limit of the account for all requests but those below.
    :param usage_events_per_minute: limit of the account for creating usage events.
    :param timeout: seconds without a byte of the answer after which a try has failed.
    :param deadline: seconds after which a request that keeps failing is given up.
    :param user_agent: what else the User-Agent says, such as Airflow's version.
    :param connections: connections that are kept open, the number of threads that send.
    :raises SequenceConfigurationError: if a setting is wrong.
    """

    def __init__(
        self,
        base_url: str,
        client_id: str,
        client_secret: str,
        *,
        api_version: str = API_VERSION,
        requests_per_minute: float = REQUESTS_PER_MINUTE,
        usage_events_per_minute: float = USAGE_EVENTS_PER_MINUTE,
        timeout: float = READ_TIMEOUT,
        deadline: float = DEADLINE,
        user_agent: str = "",
        connections: int = 64,
    ) -> None:
        self.base_url = _checked_base_url(base_url)
        if not client_id or not client_secret:
            raise SequenceConfigurationError(
                "the client id (login) or the client secret (password) is empty; an API client made in "
                "Sequence's dashboard gives both"
            )
        for name, value in {
            "requests_per_minute": requests_per_minute,
            "usage_events_per_minute": usage_events_per_minute,
            "timeout": timeout,
            "deadline": deadline,
        }.items():
            if not value > 0:
                raise SequenceConfigurationError(f"{name} must be greater than 0, not {value}")
        self._secrets = (client_secret,)
        self._account = sha256(f"{self.base_url} {client_id}".encode()).hexdigest()[:32]
        self._closed = threading.Event()
        self._limiters = {
            "requests": RateLimiter(requests_per_minute, wait=self._pause),
            "usage_events": RateLimiter(usage_events_per_minute, wait=self._pause),
        }
        self._count_lock = threading.Lock()
        self._requests = 0
        self._retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_TryFailedError),
            wait=_wait,
            stop=functools.partial(_gives_up, deadline=deadline),
            sleep=self._pause,
            reraise=True,
        )
        self._trying_once = self._retrying.copy(stop=tenacity.stop_after_attempt(1))

        self._session = requests.Session()
        self._session.auth = _BasicAuth(client_id, client_secret)
        self._session.headers.update({
            "Accept": "application/json",
            "Sequence-Version": api_version,
            "User-Agent": f"airflow-provider-sequence/{__version__} {user_agent}".strip(),
        })
        self._adapter = HTTPAdapter(pool_connections=1, pool_maxsize=connections)
        self._session.mount(self.base_url, self._adapter)
        # Headers, proxies and certificates are settled once. A request is a copy of this one, sent straight
        # through the adapter: half the cost of Session.request, and no redirect can carry the credentials off.
        self._template = self._session.prepare_request(requests.Request("GET", self.base_url))
        self._send_options: dict[str, Any] = {
            **self._session.merge_environment_settings(self.base_url, {}, True, None, None),
            "timeout": (min(CONNECT_TIMEOUT, timeout), timeout),
        }

    # What there is to ask

    def pages(
        self, resource: Resource, query: Query | None = None, *, page_size: int = PAGE_LIMIT
    ) -> Iterator[Page]:
        """
        List a resource page by page, newest first; one page is in memory at a time.

        :param query: what :meth:`Resource.query` wrote.
        :param page_size: items a page, 1 to 100.
        :raises SequenceApiError: if Sequence refuses, can't be reached, or answers something else than a list.
        """
        fixed = [*(query or []), ("limit", str(page_size))]

        def fetch(cursor: str | None) -> Page:
            asked = fixed if cursor is None else [*fixed, ("after", cursor)]
            return self.request("GET", resource.path, query=asked, read=parse_page)

        try:
            yield from walk(fetch)
        except CursorRepeatedError:
            raise SequenceResponseError(
                "GET", resource.path, "a page's cursor leads back to a page that was read before"
            ) from None

    def items(
        self, resource: Resource, filters: Mapping[str, Any] | None = None, window: Window | None = None
    ) -> Iterator[Item]:
        """
        List a resource's items, newest first; those outside the window are left out.

        :raises SequenceConfigurationError: if a filter is not known, or the resource knows no windows.
        """
        query = resource.query(filters or {}, window.widened() if window else None)
        for page in self.pages(resource, query):
            for item in page.items:
                if resource.belongs(item, window):
                    yield item

    def count(
        self, resource: Resource, filters: Mapping[str, Any] | None = None, window: Window | None = None
    ) -> int:
        """
        Count a resource's items by Sequence's word where it gives one, else by reading them all.

        The API is asked for a little more than a window; what lies in its margins is read, and taken off.
        """
        filters = filters or {}
        query = resource.query(filters, window.widened() if window else None)
        total = next(self.pages(resource, query, page_size=1)).total
        if total is None:
            return sum(1 for _ in self.items(resource, filters, window))
        if window is None or total == 0:
            return total
        earlier, later = (
            [
                resource.time_of(item)
                for page in self.pages(resource, resource.query(filters, bounds))
                for item in page.items
            ]
            for bounds in window.margins()
        )
        return (
            total - sum(time < window.start for time in earlier) - sum(time >= window.end for time in later)
        )

    def create(self, resource: Resource, event: Event) -> str:
        """
        Send one event.

        :return: the id that Sequence gave it.
        :raises SequenceRejectedError: if Sequence refuses this event.
        :raises SequenceApiError: if it can't be known whether Sequence has the event; sending it again is safe.
        """
        created = self.request(
            "POST", resource.path, body=event.body, budget=resource.create_budget, read=_read_created
        )
        if created.customerEventId not in {None, event.id}:
            raise SequenceResponseError(
                "POST",
                resource.path,
                f"event {event.id} was stored under another customerEventId; a retry would be counted twice",
            )
        return created.id

    def check(self) -> None:
        """
        Make the cheapest request that needs valid credentials.

        :raises SequenceApiError: if it fails; it is tried once.
        """
        self.request("GET", USAGE_METRICS.path, query=[("limit", "1")], read=parse_page, retry=False)

    @property
    def account(self) -> str:
        """Name the API client and the host it is used with, without giving either away."""
        return self._account

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

    def __enter__(self) -> Self:
        """Return the client itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    # How it is asked

    def request(
        self,
        method: str,
        path: str,
        *,
        read: Callable[[bytes], T],
        query: Query | None = None,
        body: bytes | None = None,
        budget: str = "requests",
        retry: bool = True,
    ) -> T:
        """
        Send one request, again and again where that may help, and read its answer.

        :param path: path below the base URL, starting with ``/``.
        :param read: makes the answer's body into what is returned; raises msgspec.MsgspecError if it can't.
        :param query: names and values, not yet percent-encoded.
        :param body: JSON.
        :param budget: the rate budget that the request counts in.
        :param retry: whether to try more than once.
        :raises SequenceAuthenticationError: on 401 and 403.
        :raises SequenceRejectedError: on any other status below 500 that a retry won't change.
        :raises SequenceResponseError: if the base URL seems wrong (404, a redirect), or the answer can't be read.
        :raises SequenceUnavailableError: if no answer came before the deadline.
        :raises SequenceClientClosedError: if the client is closed meanwhile.
        """
        call = _Call(self._prepare(method, path, query, body), method, path, self._limiters[budget], read)
        try:
            return cast("T", (self._retrying if retry else self._trying_once)(self._try, call))
        except _TryFailedError as e:
            error = e.error
        except SequenceApiError as e:
            error = e
        # Raised out here, so that no inner exception, whose text may hold a URL or a body, is chained to it.
        secrets = [*self._secrets, *values_in_query(query), *values_in_body(body)]
        raise error.with_message(scrub(error.message, secrets))

    def _prepare(
        self, method: str, path: str, query: Query | None, body: bytes | None
    ) -> requests.PreparedRequest:
        prepared = self._template.copy()
        prepared.method = method
        prepared.url = self.base_url + path + (f"?{urlencode(query)}" if query else "")
        if body is not None:
            prepared.body = body
            prepared.headers["Content-Type"] = "application/json"
            prepared.headers["Content-Length"] = str(len(body))
        return prepared

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
            raise

    def _send(self, call: _Call, turn: float) -> Any:
        try:
            response = self._adapter.send(call.prepared, **self._send_options)
            # Reading to the end also hands the connection back to the pool.
            body = response.content
        except requests.RequestException as e:
            reason, unreadable = describe_failure(e)
            error = SequenceUnavailableError(call.method, call.path, reason)
            raise _TryFailedError(error, unreadable=unreadable) from None
        status = response.status_code
        if status == 429:
            wait = parse_retry_after(response.headers)
            call.limiter.throttled(turn, wait)
            raise _TryFailedError(self._error(SequenceUnavailableError, call, response), retry_after=wait)
        call.limiter.passed(turn)
        if status in _PASSING_STATUSES:
            wait = parse_retry_after(response.headers)
            raise _TryFailedError(self._error(SequenceUnavailableError, call, response), retry_after=wait)
        if status in {401, 403}:
            raise self._error(SequenceAuthenticationError, call, response)
        if status in _WRONG_ADDRESS_STATUSES:
            raise self._error(SequenceResponseError, call, response, hint=_WRONG_ADDRESS_HINT)
        if status >= 400:
            raise self._error(SequenceRejectedError, call, response)
        try:
            return call.read(body)
        except (msgspec.MsgspecError, UnicodeDecodeError) as e:
            kind = response.headers.get("Content-Type", "no content type")
            reason = (
                f"the answer ({len(body)} bytes, {kind}) is not what the API documents: {type(e).__name__}"
            )
            raise _TryFailedError(
                SequenceResponseError(call.method, call.path, reason, status=status), unreadable=True
            ) from None

    @staticmethod
    def _error(
        kind: type[SequenceApiError], call: _Call, response: requests.Response, hint: str = ""
    ) -> SequenceApiError:
        error_type, message = read_error(response.content)
        return kind(
            call.method, call.path, message + hint, status=response.status_code, error_type=error_type
        )

    def _pause(self, seconds: float) -> None:
        if self._closed.wait(seconds):
            raise SequenceClientClosedError("the client was closed while a request waited")


class _BasicAuth(AuthBase):
    """Basic credentials in UTF-8; requests' own would write them in Latin-1."""

    def __init__(self, client_id: str, client_secret: str) -> None:
        self._header = "Basic " + b64encode(f"{client_id}:{client_secret}".encode()).decode()

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self._header
        return request


_backoff = tenacity.wait_random_exponential(multiplier=FIRST_BACKOFF, max=LONGEST_BACKOFF)


def _wait(state: tenacity.RetryCallState) -> float:
    failure = _failure(state)
    if failure.error.status == 429:
        return 0.0  # the limiter holds all threads back until it is time
    return max(failure.retry_after or 0.0, _backoff(state))


def _gives_up(state: tenacity.RetryCallState, *, deadline: float) -> bool:
    call: _Call = state.args[0]
    failing = time.monotonic() - (call.failing_since or time.monotonic())
    ahead = max(_failure(state).retry_after or 0.0, state.upcoming_sleep)
    return call.unreadable >= UNREADABLE_TRIES or failing + ahead > deadline


def _failure(state: tenacity.RetryCallState) -> _TryFailedError:
    failure = state.outcome.exception() if state.outcome is not None else None
    if not isinstance(failure, _TryFailedError):
        raise TypeError("only failed tries are retried")
    return failure


def _checked_base_url(url: str) -> str:
    parts = urlsplit(url.strip())
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise SequenceConfigurationError(
            "the host is no address of the form https://eu.sequencehq.com/api; leave it empty for production"
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise SequenceConfigurationError(
            "the host is a base URL only: no credentials, no query; login and password hold the credentials"
        )
    return url.strip().rstrip("/")
