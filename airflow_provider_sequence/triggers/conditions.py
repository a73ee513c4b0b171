"""Conditions that sensors and triggers wait for, as plain data, so that both check them with the same code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from typing import Any

from airflow_provider_sequence.api import lossless_json
from airflow_provider_sequence.api.client import SequenceClient
from airflow_provider_sequence.api.events import VOID_ALIAS
from airflow_provider_sequence.api.resource import text_field
from airflow_provider_sequence.api.resources import USAGE_EVENTS, get_resource
from airflow_provider_sequence.api.windows import Window
from airflow_provider_sequence.utils.params import parse_filters

#: How often in a row Sequence may be out of reach before a sensor or a trigger gives up.
MAX_FAILURES = 10
#: Deadline in seconds of a poke's request that keeps failing: the next poke sends it again.
POKE_DEADLINE = 60.0
#: Of how many events it is looked up whether they are copies: more pages than that are not read for a count.
MAX_DISTINCT = 10_000


@dataclass(frozen=True, slots=True)
class PokeResult:
    """
    Result of one poke.

    :param done: whether the condition holds.
    :param result: what the task returns if it does; JSON.
    :param message: what is logged; no customers' data.
    """

    done: bool
    result: dict[str, Any]
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MinEventCount:
    """
    Condition that Sequence has at least a number of events.

    :param resource: ``usage_events`` or ``seat_events``.
    :param min_count: how many.
    :param filters: filters of the resource.
    :param window_start: first time of the window, ISO 8601, or None for no window.
    :param window_end: first time after the window.
    """

    resource: str
    min_count: int
    filters: dict[str, Any] = field(default_factory=dict)
    window_start: str | None = None
    window_end: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "filters", parse_filters(self.filters))

    def poke(self, client: SequenceClient) -> PokeResult:
        """Count the events; each id once, where there are not too many."""
        window = None if self.window_start is None else Window.parse(self.window_start, self.window_end)
        resource = get_resource(self.resource)
        count, copies = client.count(resource, self.filters, window), ""
        if self.min_count <= count <= MAX_DISTINCT:
            items = client.items(resource, self.filters, window)
            count = len({text_field(item, "customerEventId") for item in items})
        elif count > MAX_DISTINCT:
            copies = ", copies that were superseded included"
        message = f"Sequence has {count:,} of {self.min_count:,} {resource.name}{copies}"
        return PokeResult(count >= self.min_count, {"count": count}, message)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricThreshold:
    """
    Condition that a usage metric has counted a number of events, or reached a value.

    :param metric_id: the metric.
    :param customer_aliases: whose events.
    :param period_start: first time of the period, ISO 8601.
    :param period_end: first time after the period.
    :param min_event_count: how many events, or None.
    :param min_value: which value, as text with all its digits, or None.
    :param custom_parameters: values of the metric's parameters, as they are sent, or None.
    """

    metric_id: str
    customer_aliases: list[str]
    period_start: str
    period_end: str
    min_event_count: int | None = None
    min_value: str | None = None
    custom_parameters: str | None = None

    def poke(self, client: SequenceClient) -> PokeResult:
        """Calculate the metric."""
        period = Window.parse(self.period_start, self.period_end)
        answer = client.calculate_metric(
            self.metric_id, self.customer_aliases, period, self.custom_parameters
        )
        count, value = answer["eventCount"], Decimal(answer["value"])
        done = (self.min_event_count is None or count >= self.min_event_count) and (
            self.min_value is None or value >= Decimal(self.min_value)
        )
        # As text: Airflow keeps decimals in XCom as binary fractions, which lose digits.
        result = {"event_count": count, "value": lossless_json.format_decimal(value)}
        wanted = (
            f"{self.min_event_count} events" if self.min_value is None else f"a value of {self.min_value}"
        )
        message = f"The metric counts {count} events, its value is {result['value']}; wanted: {wanted}"
        return PokeResult(done, result, message)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoUnmappedAliases:
    """
    Condition that at most a number of usage events of a window have an alias that no customer has.

    :param max_unmapped: how many there may be.
    :param window_start: first time of the window, ISO 8601.
    :param window_end: first time after the window.
    """

    window_start: str
    window_end: str
    max_unmapped: int = 0

    def poke(self, client: SequenceClient) -> PokeResult:
        """Read such events, one more than there may be at most."""
        window = Window.parse(self.window_start, self.window_end)
        found = list(islice(self._unmapped(client, window), self.max_unmapped + 1))
        distinct = len(set(found))
        if len(found) > self.max_unmapped:
            message = (
                f"At least {len(found):,} usage events have an alias without a customer, {self.max_unmapped:,} may "
                f'(max_unmapped)\nSequenceHook().list("usage_events", unmapped_aliases_only=True) lists them'
            )
        else:
            message = f"{len(found)} usage events have an alias without a customer, {distinct} such aliases"
        return PokeResult(
            len(found) <= self.max_unmapped, {"count": len(found), "aliases": distinct}, message
        )

    def _unmapped(self, client: SequenceClient, window: Window) -> Iterator[str]:
        """Aliases of such events, once for each event."""
        seen: set[int] = set()
        for item in client.items(USAGE_EVENTS, {"unmapped_aliases_only": True}, window):
            event_id, alias = text_field(item, "customerEventId"), text_field(item, "customerAlias")
            # Newest first: a second copy of an id is one that was superseded.
            if hash(event_id) in seen or alias == VOID_ALIAS:
                continue
            seen.add(hash(event_id))
            if not client.is_superseded(
                USAGE_EVENTS, event_id, USAGE_EVENTS.time_of(item), text_field(item, "id")
            ):
                yield alias


#: A condition. Its fields are JSON, so that another process can make it again; to poke changes nothing, and any thread
#: may do it.
Condition = MinEventCount | MetricThreshold | NoUnmappedAliases
