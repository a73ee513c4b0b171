"""SequenceClient: what there is to ask of Sequence."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any, Self

import msgspec

from airflow_provider_sequence import __version__
from airflow_provider_sequence.api.defaults import (
    API_VERSION,
    DEADLINE,
    READ_TIMEOUT,
    REQUESTS_PER_MINUTE,
    USAGE_EVENTS_PER_MINUTE,
)
from airflow_provider_sequence.api.events import Event
from airflow_provider_sequence.api.pagination import CursorRepeatedError, Item, Page, parse_page, walk
from airflow_provider_sequence.api.resources import PAGE_LIMIT, USAGE_METRICS, Query, Resource
from airflow_provider_sequence.api.transport import Transport
from airflow_provider_sequence.api.windows import Window
from airflow_provider_sequence.exceptions import SequenceConfigurationError, SequenceResponseError


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
        for name, value, most in (
            ("requests_per_minute", requests_per_minute, math.inf),
            ("usage_events_per_minute", usage_events_per_minute, math.inf),
            ("timeout", timeout, threading.TIMEOUT_MAX),
            ("deadline", deadline, math.inf),
        ):
            if not 0 < value <= most:
                raise SequenceConfigurationError(
                    f"{name} must be greater than 0 and a time one can wait, not {value}"
                )
        if not re.fullmatch(r"[\w.-]+", api_version, re.ASCII):
            raise SequenceConfigurationError("api_version is no version of the API, such as 2024-07-30")
        self._transport = Transport(
            base_url,
            client_id,
            client_secret,
            headers={
                "Sequence-Version": api_version,
                "User-Agent": f"airflow-provider-sequence/{__version__} {user_agent}".strip(),
            },
            per_minute={"requests": requests_per_minute, "usage_events": usage_events_per_minute},
            timeout=timeout,
            deadline=deadline,
            connections=connections,
        )
        #: Names the API client and the address it is used at, without giving either away.
        self.account = sha256(f"{self._transport.base_url} {client_id}".encode()).hexdigest()[:32]

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
            return self._transport.request("GET", resource.path, query=asked, read=parse_page)

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

        What fits on one page is counted there. Of more, the API is asked for a little more than the window; what
        lies in the margins is read, and taken off the total.
        """
        filters = filters or {}
        query = resource.query(filters, window.widened() if window else None)
        first = next(self.pages(resource, query))
        if first.after is None:
            return sum(resource.belongs(item, window) for item in first.items)
        if first.total is None:
            return sum(1 for _ in self.items(resource, filters, window))
        if window is None:
            return first.total
        earlier, later = (
            [
                resource.time_of(item)
                for page in self.pages(resource, resource.query(filters, bounds))
                for item in page.items
            ]
            for bounds in window.margins()
        )
        return (
            first.total
            - sum(time < window.start for time in earlier)
            - sum(time >= window.end for time in later)
        )

    def create(self, resource: Resource, event: Event) -> str:
        """
        Send one event.

        :return: the id that Sequence gave it.
        :raises SequenceRejectedError: if Sequence refuses this event.
        :raises SequenceApiError: if it can't be known whether Sequence has the event; sending it again is safe.
        """
        created = self._transport.request(
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
        self._transport.request(
            "GET", USAGE_METRICS.path, query=[("limit", "1")], read=parse_page, retry=False
        )

    @property
    def requests_sent(self) -> int:
        """Requests sent so far, each try counted."""
        return self._transport.requests_sent

    @property
    def requests_throttled(self) -> int:
        """Requests that were answered with a 429."""
        return self._transport.requests_throttled

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._transport.closed

    def close(self) -> None:
        """Close the connections and end every wait for a turn or a retry."""
        self._transport.close()

    def __enter__(self) -> Self:
        """Return the client itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()
