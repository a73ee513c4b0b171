"""SequenceClient: the API's operations as plain Python."""

from __future__ import annotations

import datetime as dt
import math
import re
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

import msgspec

from airflow_provider_sequence import __version__
from airflow_provider_sequence.api import lossless_json
from airflow_provider_sequence.api.aliases import CustomerAlias
from airflow_provider_sequence.api.answer_size import LONGER_ESCAPED, MAX_ID, MAX_ITEM, MAX_PAGE, PAGE_LIMIT
from airflow_provider_sequence.api.credentials import Secret
from airflow_provider_sequence.api.defaults import (
    API_VERSION,
    DEADLINE,
    READ_TIMEOUT,
    REQUESTS_PER_MINUTE,
    USAGE_EVENTS_PER_MINUTE,
)
from airflow_provider_sequence.api.events import Event
from airflow_provider_sequence.api.pagination import (
    EndlessListError,
    Item,
    Page,
    iterate_pages,
    parse_page,
    parse_texts,
)
from airflow_provider_sequence.api.resource import Query, Resource, Selection, text_field
from airflow_provider_sequence.api.resources import SEAT_BALANCES, USAGE_METRICS
from airflow_provider_sequence.api.shown_text import one_line
from airflow_provider_sequence.api.timestamps import TICK
from airflow_provider_sequence.api.usage_metrics import (
    ADDITIVE,
    TooManyDigitsError,
    add_up,
    aliases_to_ask,
    custom_parameters_text,
    period_texts,
    read_calculation,
)
from airflow_provider_sequence.api.windows import Window
from airflow_provider_sequence.exceptions import (
    SequenceApiError,
    SequenceConfigurationError,
    SequenceGatewayError,
    SequenceGoneError,
    SequenceRejectedError,
    SequenceResponseError,
    SequenceResponseTooLargeError,
)

if TYPE_CHECKING:
    from airflow_provider_sequence.api.http.server_clock import ServerClock


class _Created(msgspec.Struct):
    id: str
    customerEventId: str | None = None


_read_created = msgspec.json.Decoder(_Created).decode
_read_item: Callable[[bytes], Item] = msgspec.json.Decoder(Item).decode


#: A limit or a time below this is a mistake; of a limit much smaller, no pause can be made.
_LEAST = 1e-3


class SequenceClient:
    """
    Client of Sequence's API: the credentials, version, connection pool, retries and rate limits of one API client.

    Thread-safe. A request that fails in a retryable way (no connection, timeout, 429, 5xx, a response that can't be
    read) is sent again, with exponential backoff and jitter, until its deadline. That is idempotent: every event has an
    id, and a second copy of an id supersedes the first.

    :param base_url: address of the API, such as ``https://eu.sequencehq.com/api``.
    :param client_id: the API client's id.
    :param client_secret: the API client's secret.
    :param api_version: the ``Sequence-Version`` to ask for.
    :param requests_per_minute: limit of the account for all requests but those below.
    :param usage_events_per_minute: limit of the account for creating usage events.
    :param timeout: seconds without a byte of the response after which an attempt has failed.
    :param deadline: seconds after which a request that keeps failing is given up.
    :param user_agent: what else the User-Agent says, such as Airflow's version.
    :param connections: size of the connection pool: the number of threads that send.
    :param clock: the ``clock`` of an earlier client, so that a wrong one is warned of once.
    :param allow_http: whether the base URL may be a plain ``http`` one of another machine: the credentials can be read on
        the way there.
    :param max_item: bytes that an item of a list may have.
    :param name: what people call these settings, such as ``the connection sequence_default``; errors and logs name it.
    :raises SequenceConfigurationError: if a setting is wrong.
    """

    def __init__(
        self,
        base_url: str,
        client_id: str,
        client_secret: str | Secret,
        *,
        api_version: str = API_VERSION,
        requests_per_minute: float = REQUESTS_PER_MINUTE,
        usage_events_per_minute: float = USAGE_EVENTS_PER_MINUTE,
        timeout: float = READ_TIMEOUT,
        deadline: float = DEADLINE,
        user_agent: str = "",
        connections: int = 64,
        clock: ServerClock | None = None,
        allow_http: bool = False,
        max_item: int = MAX_ITEM,
        name: str = "",
    ) -> None:
        # First of all: what is wrong with another setting may be reported with the local variables of this frame.
        client_secret = client_secret if isinstance(client_secret, Secret) else Secret(client_secret)
        for setting, value, most in (
            ("requests_per_minute", requests_per_minute, math.inf),
            ("usage_events_per_minute", usage_events_per_minute, math.inf),
            ("timeout", timeout, threading.TIMEOUT_MAX),
            ("deadline", deadline, math.inf),
        ):
            if not _LEAST <= value <= most:
                raise SequenceConfigurationError(
                    f"{setting} must be greater than 0 and a time one can wait, not {value}"
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
            clock=clock,
            allow_http=allow_http,
            name=name,
        )
        self._max_item = max_item
        #: What time it is at Sequence.
        self.clock = self._transport.clock
        #: Identifies the API client and its base URL: a hash, which gives neither away.
        self.account = sha256(f"{self._transport.base_url} {client_id}".encode()).hexdigest()[:32]

    def share_limit(self, budget: str, tasks: int) -> None:
        """
        Use an even share of a limit from now on.

        :param budget: the rate budget.
        :param tasks: how many tasks use it, this one included.
        """
        self._transport.limiters[budget].share(tasks)

    def pages(
        self,
        resource: Resource,
        query: Query | None = None,
        *,
        parent_id: str | None = None,
        page_size: int = PAGE_LIMIT,
    ) -> Iterator[Page]:
        """
        List a resource page by page, newest first; one page is in memory at a time. Fields that are credentials are left
        out.

        :param query: what :meth:`Resource.query` wrote.
        :param parent_id: whose list it is, for a list below an id.
        :param page_size: items a page, 1 to 100.
        :raises SequenceApiError: if Sequence refuses, can't be reached, or answers something else than a list.
        """
        first = query or []
        skipping = {one.parameter for one in resource.filters if one.skips_items}
        # Else each page would skip items anew.
        further = [pair for pair in first if pair[0] not in skipping]
        path = resource.path_below(parent_id)
        size = page_size if resource.paged else None
        read = parse_texts if resource.texts else parse_page
        for page in self._pages(path, resource.path, first, further, size, read):
            for item in page.items if resource.secrets else ():
                for name in resource.secrets:
                    item.pop(name, None)
            yield page

    def _pages(
        self,
        path: str,
        shown_path: str,
        first: Query,
        further: Query | None = None,
        page_size: int | None = PAGE_LIMIT,
        read: Callable[[bytes], Page] = parse_page,
    ) -> Iterator[Page]:
        """
        Follow a list's cursors. Pages that are too large are asked for anew with fewer items; those after them have more
        again.

        :param shown_path: the path in errors, without ids.
        :param first: query of the first page.
        :param further: query of the others, where it differs.
        :param read: parses a page.
        :raises SequenceGoneError: if the list is below an id, or a page behind a cursor, and is refused.
        """
        size = page_size

        def fetch(cursor: str | None) -> Page:
            nonlocal size
            query = first if further is None or cursor is None else further
            if size is not None:
                query = [*query, ("limit", str(size))]
            if cursor is not None:
                query = [*query, ("after", cursor)]
            most = self._max_item if size == 1 else MAX_PAGE
            try:
                page = self._transport.request("GET", path, query=query, read=read, most=most)
                if size is not None and page_size is not None:
                    size = min(page_size, 2 * size)
                return page
            except SequenceResponseTooLargeError:
                if size is None or size == 1:
                    raise
                size = max(1, size // 4)
                return fetch(cursor)
            except (SequenceRejectedError, SequenceResponseError, SequenceGatewayError) as e:
                # Neither the cursor nor the id is the user's: both were true when an earlier response gave them.
                made_of = "a cursor, which has expired" if cursor else "an id that was listed, and is gone"
                if (cursor is None and path == shown_path) or (e.status or 0) < 400:
                    raise
                reason = f"was made of {made_of}; read the list anew. {e.message}"
                raise SequenceGoneError("GET", shown_path, reason, status=e.status) from None

        try:
            yield from iterate_pages(fetch)
        except EndlessListError:
            raise SequenceResponseError(
                "GET",
                shown_path,
                "the list has no end: its pages come again, or hold far more items than it is said to have",
            ) from None

    def items(
        self, resource: Resource, filters: Mapping[str, Any] | None = None, window: Window | None = None
    ) -> Iterator[Item]:
        """
        List a resource's items, newest first, each once; those outside the window are left out.

        A list below an id is read for each of its parents; window and filters are the parents', but for those of its own.
        Where filters take several queries, their items come one query after the other.

        :raises SequenceConfigurationError: if a filter is not known, or the resource knows no windows.
        """
        if resource.parent is not None:
            own, of_parents = resource.divide(filters)
            parents = self.items(resource.parent, of_parents, window)
            (query,) = resource.select(own).queries()
            # All ids before the first child list: assumption cursor-lifetime.
            for parent_id in list(dict.fromkeys(map(resource.parent_id_of, parents))):
                if parent_id is None:
                    continue
                for page in self.pages(resource, query, parent_id=parent_id):
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
        Count a resource's items: by ``totalResultSize`` where it is reliable, else by reading the list.

        What fits on one page is counted there. Of more, the API is asked for a little more than the window; what
        lies in the margins is read, and taken off the total.

        :raises SequenceConfigurationError: if a filter is not known or leaves items out by their place, or the
            resource knows no windows.
        """
        _, asked = resource.divide(filters)
        selection = resource.filtered.select(asked, window, whole=True)
        by_dates = window is not None and resource.times is not None and resource.times.days
        if resource.parent is not None or not selection.countable or by_dates:
            return sum(1 for _ in self.items(resource, filters, window))
        return sum(self._count_query(selection, number) for number in range(len(selection.asked)))

    def _count_query(self, selection: Selection, number: int) -> int:
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

    def is_superseded(self, resource: Resource, event_id: str, time: dt.datetime, sequence_id: str) -> bool:
        """
        Whether a later event has the same id, as one has that was voided or sent again with the right alias.

        Whether lists show superseded events is not documented, nor which of the two ids the filter on ids means. So
        the id is looked up first, and then the event's own time, at which a correction mostly is.

        :param event_id: the event's ``customerEventId``.
        :param time: its own time.
        :param sequence_id: Sequence's id of the copy in question.
        """
        lookups: list[tuple[dict[str, Any], Window | None]] = [({}, Window(time, time + TICK))]
        if any(one.name == "event_id" for one in resource.filters):
            lookups.insert(0, ({"event_id": event_id}, None))
        for filters, window in lookups:
            for other in self.items(resource, filters, window):
                if text_field(other, "customerEventId") == event_id:
                    return text_field(other, "id") != sequence_id
        return False

    def create(self, resource: Resource, event: Event) -> str:
        """
        Send one event.

        :return: the id that Sequence gave it.
        :raises SequenceRejectedError: if Sequence refuses this event.
        :raises SequenceApiError: if it can't be known whether Sequence has the event; sending it again is safe.
        """
        try:
            created = self._transport.request(
                "POST",
                resource.path,
                body=event.body,
                budget=resource.create_budget,
                read=_read_created,
                most=MAX_PAGE + LONGER_ESCAPED * len(event.body),  # the event is part of it
            )
        except SequenceRejectedError:
            raise
        except SequenceApiError as e:
            raise e.with_message(f"event {one_line(event.id)}: {e.message}") from None
        if created.customerEventId not in {None, event.id}:
            raise SequenceResponseError(
                "POST",
                resource.path,
                f"event {one_line(event.id)} was stored under another customerEventId; a retry would be counted twice",
            )
        return one_line(created.id, MAX_ID)

    def verify_credentials(self, *, retry: bool = False) -> None:
        """
        Test the credentials with the cheapest request that needs them.

        :param retry: whether it is tried more than once.
        :raises SequenceApiError: if it fails.
        """
        self._transport.request(
            "GET", USAGE_METRICS.path, query=[("limit", "1")], read=parse_page, retry=retry
        )

    def now(self, *, ask: bool = False) -> dt.datetime:
        """
        What time it is at Sequence, as its responses tell; by the worker's own clock before the first of them.

        :param ask: make a request, where there was no response yet.
        """
        if ask and not self.clock.known:
            with suppress(
                SequenceApiError
            ):  # a refusal tells the time as well; what fails meets the next request
                self.verify_credentials()
        return self.clock.now()

    def calculate_metric(
        self,
        metric_id: str,
        customer_aliases: str | Iterable[str],
        period: Window,
        custom_parameters: Mapping[str, Any] | str | None = None,
    ) -> dict[str, Any]:
        """
        Calculate what a usage metric counted for some aliases; their sum where there are several.

        Each alias is asked for alone: how several are separated is not documented. It is taken to stand for its own
        events. The API's period includes its end; ``period`` is half-open as every window, and what is asked for ends
        a microsecond before. Whole days in UTC are right whether Sequence reads times or dates. Of a part of a day,
        a Sequence that reads no more than dates would count the whole.

        :param metric_id: the metric's id.
        :param customer_aliases: one alias or several; several only of a metric that counts or sums.
        :param period: the times that count.
        :param custom_parameters: values of the metric's parameters; see
            :func:`~airflow_provider_sequence.api.usage_metrics.custom_parameters_text`.
        :return: the answer's fields by the API's names; ``eventCount`` an int, ``value`` an int or a Decimal.
        :raises SequenceConfigurationError: if there is no such metric, or its values don't add up.
        """
        first, *others = aliases_to_ask(customer_aliases)
        given = custom_parameters_text(custom_parameters)
        answers = [self._calculate(metric_id, first, period, given)]
        aggregation = one_line(str(answers[0].get("aggregationType")))
        if others and aggregation not in ADDITIVE:
            raise SequenceConfigurationError(
                f"metric {metric_id} aggregates by {aggregation}: what it counts for several aliases does not add "
                "up to what it counts for all of them\nAsk for one alias at a time"
            )
        answers += [self._calculate(metric_id, alias, period, given) for alias in others]
        try:
            return add_up(answers)
        except TooManyDigitsError:
            raise SequenceResponseError(
                "GET", "/usage-metrics/{id}/calculate", "the values have too many digits to add"
            ) from None

    def _calculate(self, metric_id: str, alias: str, period: Window, given: str | None) -> dict[str, Any]:
        if not isinstance(metric_id, str) or not metric_id.strip(". "):
            raise SequenceConfigurationError("metric_id is empty; it is the id of a usage metric")
        path = f"{USAGE_METRICS.path}/{quote(metric_id, safe='')}/calculate"
        refused: SequenceRejectedError | None = None
        for start, end in period_texts(period):
            query = [("customerAliases", alias), ("periodStart", start), ("periodEnd", end)]
            query += [("customParameters", given)] if given is not None else []
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
                    f"Sequence has no metric {metric_id},\nor the connection's host is not the base URL of the API"
                ) from e
        raise refused or AssertionError("a period has at least one form")

    def seat_balances(self) -> Iterator[Item]:
        """List how many seats each customer has in use, one page in memory at a time."""
        return self.items(SEAT_BALANCES)

    def customer_aliases(self, value: str | None = None) -> Iterator[Item]:
        """
        List customers' aliases, one page in memory at a time.

        :param value: this alias only, to the character.
        """
        for item in self._items("/customer-aliases", [] if value is None else [("value", value)]):
            if value is None or lossless_json.decode_text(item.get("value", b"null")) == value:
                yield item

    def create_customer_alias(self, alias: CustomerAlias) -> Item:
        """
        Give a customer an alias. Each attempt has the same ``Idempotency-Key``, so that none creates it twice. Another
        call has another one: Sequence would repeat its first answer, also of an alias that was deleted since.

        :return: the answer's fields.
        :raises SequenceRejectedError: if Sequence refuses it, because another customer has it, for example.
        """
        return self._transport.request(
            "POST",
            "/customer-aliases",
            body=alias.body,
            headers={"Idempotency-Key": str(uuid.uuid4())},
            read=_read_item,
            final=frozenset({409}),  # it is looked up who has the alias
        )

    def _items(self, path: str, query: Query | None = None) -> Iterator[Item]:
        for page in self._pages(path, path, query or []):
            yield from page.items

    @property
    def base_url(self) -> str:
        """Address of the API."""
        return self._transport.base_url

    @property
    def requests_sent(self) -> int:
        """Requests sent so far, each attempt counted."""
        return self._transport.requests_sent

    @property
    def requests_throttled(self) -> int:
        """Requests that got a 429."""
        return self._transport.requests_throttled

    def describe_outage(self) -> str:
        """What requests are failing now, since when, and until when they are retried; empty if none is."""
        return self._transport.describe_outage()

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._transport.closed

    def close(self) -> None:
        """Close the connection pool and end every wait for a slot or a retry."""
        self._transport.close()

    def __enter__(self) -> Self:
        """Return the client itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()
