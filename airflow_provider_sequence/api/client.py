"""SequenceClient: what there is to ask of Sequence."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Any, Self
from urllib.parse import quote

import msgspec

from airflow_provider_sequence import __version__
from airflow_provider_sequence.api import lossless_json
from airflow_provider_sequence.api.aliases import CustomerAlias
from airflow_provider_sequence.api.defaults import (
    API_VERSION,
    DEADLINE,
    READ_TIMEOUT,
    REQUESTS_PER_MINUTE,
    USAGE_EVENTS_PER_MINUTE,
)
from airflow_provider_sequence.api.events import Event
from airflow_provider_sequence.api.pagination import CursorRepeatedError, Item, Page, parse_page, walk
from airflow_provider_sequence.api.resource import PAGE_LIMIT, Query, Resource, Selection
from airflow_provider_sequence.api.resources import USAGE_METRICS
from airflow_provider_sequence.api.usage_metrics import (
    ADDITIVE,
    TooManyDigitsError,
    add_up,
    aliases_to_ask,
    period_texts,
    read_calculation,
)
from airflow_provider_sequence.api.windows import Window
from airflow_provider_sequence.exceptions import (
    SequenceConfigurationError,
    SequenceRejectedError,
    SequenceResponseError,
)


class _Created(msgspec.Struct):
    id: str
    customerEventId: str | None = None


_read_created = msgspec.json.Decoder(_Created).decode
_read_item: Callable[[bytes], Item] = msgspec.json.Decoder(Item).decode
_read_items: Callable[[bytes], list[Item]] = msgspec.json.Decoder(list[Item]).decode


def _read_page_or_array(body: bytes) -> Page:
    """Read a list that the documents don't say to be in the envelope of the others."""
    if body.lstrip().startswith(b"["):
        return Page(_read_items(body), after=None, total=None)
    return parse_page(body)


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
        # As late as this: requests takes longer to import than all else, and a DAG file that names operators needs none.
        from airflow_provider_sequence.api.http.transport import Transport

        #: Requests a minute that the account allows, by the names of the rate budgets.
        self.limits = {"requests": requests_per_minute, "usage_events": usage_events_per_minute}
        self._transport = Transport(
            base_url,
            client_id,
            client_secret,
            headers={
                "Sequence-Version": api_version,
                "User-Agent": f"airflow-provider-sequence/{__version__} {user_agent}".strip(),
            },
            per_minute=self.limits,
            timeout=timeout,
            deadline=deadline,
            connections=connections,
        )
        #: Names the API client and the address it is used at, without giving either away.
        self.account = sha256(f"{self._transport.base_url} {client_id}".encode()).hexdigest()[:32]

    def pages(
        self,
        resource: Resource,
        query: Query | None = None,
        *,
        parent_id: str | None = None,
        page_size: int = PAGE_LIMIT,
    ) -> Iterator[Page]:
        """
        List a resource page by page, newest first; one page is in memory at a time.

        :param query: what :meth:`Resource.query` wrote.
        :param parent_id: whose list it is, for a list below an id.
        :param page_size: items a page, 1 to 100.
        :raises SequenceApiError: if Sequence refuses, can't be reached, or answers something else than a list.
        """
        first = [*(query or []), ("limit", str(page_size))]
        places = {one.parameter for one in resource.filters if one.places}
        further = [
            pair for pair in first if pair[0] not in places
        ]  # else each page would leave items out anew
        path = resource.path_below(parent_id)

        def fetch(cursor: str | None) -> Page:
            asked = first if cursor is None else [*further, ("after", cursor)]
            return self._transport.request("GET", path, query=asked, read=parse_page)

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
        List a resource's items, newest first, each once; those outside the window are left out.

        A list below an id is read for each of its parents; filters and window are the parents'. Where filters
        take several walks, their items come one walk after the other.

        :raises SequenceConfigurationError: if a filter is not known, or the resource knows no windows.
        """
        if resource.parent is not None:
            # All ids before the first list below: nobody says how long the cursor to more of them can be used.
            parent_ids = [
                resource.parent.id_of(item) for item in self.items(resource.parent, filters, window)
            ]
            for parent_id in parent_ids:
                for page in self.pages(resource, parent_id=parent_id):
                    yield from (resource.with_parent(parent_id, item) for item in page.items)
            return
        selection = resource.select(filters, window)
        queries = selection.queries()
        seen: set[str] = set()
        for query in queries:
            for page in self.pages(resource, query):
                for item in page.items:
                    if item not in selection:
                        continue
                    if len(queries) > 1:
                        if (key := resource.id_of(item)) in seen:
                            continue
                        seen.add(key)
                    yield item

    def count(
        self, resource: Resource, filters: Mapping[str, Any] | None = None, window: Window | None = None
    ) -> int:
        """
        Count a resource's items by Sequence's word where it gives one that can be used, else by reading them all.

        What fits on one page is counted there. Of more, the API is asked for a little more than the window; what
        lies in the margins is read, and taken off the total.

        :raises SequenceConfigurationError: if a filter is not known or leaves items out by their place, or the
            resource knows no windows.
        """
        selection = resource.filtered.select(filters, window, whole=True)
        by_dates = window is not None and resource.times is not None and resource.times.days
        if resource.parent is not None or not selection.countable or by_dates:
            return sum(1 for _ in self.items(resource, filters, window))
        return sum(self._count_walk(selection, number) for number in range(len(selection.asked)))

    def _count_walk(self, selection: Selection, number: int) -> int:
        resource, window = selection.resource, selection.window
        query = selection.queries()[number]
        first = next(self.pages(resource, query))
        if first.after is None:
            return sum(item in selection for item in first.items)
        if first.total is None:
            return sum(item in selection for page in self.pages(resource, query) for item in page.items)
        if window is None:
            return first.total
        earlier, later = (
            [
                resource.time_of(item)
                for page in self.pages(resource, selection.queries(bounds)[number])
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

    def calculate_metric(
        self, metric_id: str, customer_aliases: str | Iterable[str], period: Window
    ) -> dict[str, Any]:
        """
        Ask what a usage metric counted for some aliases, their sum where there are several.

        Each alias is asked for alone: how several are separated is not documented. It is taken to stand for its own
        events. The API's period includes its end; ``period`` is half-open as every window, and what is asked for ends
        a microsecond before. Whole days in UTC are right whether Sequence reads times or dates. Of a part of a day,
        a Sequence that reads no more than dates would count the whole.

        :param metric_id: the metric's id.
        :param customer_aliases: one alias or several; several only of a metric that counts or sums.
        :param period: the times that count.
        :return: the answer's fields by the API's names; ``eventCount`` an int, ``value`` an int or a Decimal.
        :raises SequenceConfigurationError: if there is no such metric, or its values don't add up.
        """
        first, *others = aliases_to_ask(customer_aliases)
        answers = [self._calculate(metric_id, first, period)]
        aggregation = answers[0].get("aggregationType")
        if others and aggregation not in ADDITIVE:
            raise SequenceConfigurationError(
                f"metric {metric_id} aggregates by {aggregation}: what it counts for several aliases does not add "
                "up to what it counts for all of them. Ask for one alias at a time"
            )
        answers += [self._calculate(metric_id, alias, period) for alias in others]
        try:
            return add_up(answers)
        except TooManyDigitsError:
            raise SequenceResponseError(
                "GET", "/usage-metrics/{id}/calculate", "the values have too many digits to add"
            ) from None

    def _calculate(self, metric_id: str, alias: str, period: Window) -> dict[str, Any]:
        if not isinstance(metric_id, str) or not metric_id.strip(". "):
            raise SequenceConfigurationError("metric_id is empty; it is the id of a usage metric")
        path = f"{USAGE_METRICS.path}/{quote(metric_id, safe='')}/calculate"
        refused: SequenceRejectedError | None = None
        for start, end in period_texts(period):
            query = [("customerAliases", alias), ("periodStart", start), ("periodEnd", end)]
            try:
                return self._transport.request("GET", path, query=query, read=read_calculation)
            except SequenceRejectedError as e:
                if e.status != 400:
                    raise
                refused = refused or e
            except SequenceResponseError as e:
                if e.status != 404:
                    raise
                raise SequenceConfigurationError(
                    f"Sequence has no metric {metric_id}, or the connection's host is not the base URL of the API"
                ) from e
        raise refused or AssertionError("a period has at least one form")

    def seat_balances(self) -> Iterator[Item]:
        """List how many seats each customer has in use, one page in memory at a time."""
        return self._all("/seat-balances", [], read=_read_page_or_array)

    def customer_aliases(self, value: str | None = None) -> Iterator[Item]:
        """
        List customers' aliases, one page in memory at a time.

        :param value: this alias only, to the character.
        """
        query = [] if value is None else [("value", value)]
        for item in self._all("/customer-aliases", query, read=parse_page):
            if value is None or lossless_json.decode(item.get("value", b"null")) == value:
                yield item

    def create_customer_alias(self, alias: CustomerAlias) -> Item:
        """
        Give a customer an alias. A retry has the same ``Idempotency-Key``, so that it creates nothing twice.

        :return: the answer's fields.
        :raises SequenceRejectedError: if Sequence refuses it, because another customer has it, for example.
        """
        return self._transport.request(
            "POST",
            "/customer-aliases",
            body=alias.body,
            headers={"Idempotency-Key": alias.idempotency_key},
            read=_read_item,
        )

    def _all(self, path: str, query: Query, read: Callable[[bytes], Page]) -> Iterator[Item]:
        def fetch(cursor: str | None) -> Page:
            asked = [*query, ("limit", str(PAGE_LIMIT)), *([] if cursor is None else [("after", cursor)])]
            return self._transport.request("GET", path, query=asked, read=read)

        try:
            for page in walk(fetch):
                yield from page.items
        except CursorRepeatedError:
            raise SequenceResponseError(
                "GET", path, "a page's cursor leads back to a page that was read before"
            ) from None

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
