"""What Sequence lists: each endpoint as one row of data. A new endpoint is a new row here, and no new code."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from airflow_provider_sequence.api import exact_json
from airflow_provider_sequence.api.events import SEAT_EVENT, USAGE_EVENT, EventKind
from airflow_provider_sequence.api.pagination import Item
from airflow_provider_sequence.api.timestamps import parse_timestamp, utc_text
from airflow_provider_sequence.api.windows import Bounds, Window
from airflow_provider_sequence.exceptions import SequenceConfigurationError, SequenceResponseError

FieldType = Literal["text", "timestamp", "integer", "boolean", "json"]
Query = list[tuple[str, str]]

#: The most items a page may have, and the most ids ``customerIds`` takes, by the API's documents.
PAGE_LIMIT, MOST_CUSTOMER_IDS = 100, 25


@dataclass(frozen=True, slots=True)
class Filter:
    """
    One query parameter of a list.

    :param name: what users call it.
    :param parameter: what the API calls it.
    :param write: turns a value into the parameter's values; more than one repeats the parameter.
    """

    name: str
    parameter: str
    write: Callable[[Any], list[str]]


@dataclass(frozen=True, slots=True)
class Field:
    """
    One documented field of an item.

    :param name: the API's name.
    :param column: the staging table's column.
    :param type: how it is stored. Fields that are not documented are kept together in a column of their own.
    """

    name: str
    column: str
    type: FieldType = "text"


@dataclass(frozen=True, slots=True)
class Resource:
    """
    A list of the API.

    :param name: what users call it.
    :param path: path below the base URL.
    :param fields: the documented fields; the first is the key, an item's unique ``id``.
    :param filters: the documented filters, without those of the window and the paging.
    :param time_field: name of the field that windows are about, where the list can be asked for a window.
    :param event: what can be created here, where anything can.
    :param create_budget: the rate budget that creating counts in.
    """

    name: str
    path: str
    fields: tuple[Field, ...]
    filters: tuple[Filter, ...] = ()
    time_field: str | None = None
    event: EventKind | None = None
    create_budget: str = "requests"

    @property
    def key(self) -> Field:
        """The field that identifies an item."""
        return self.fields[0]

    def query(self, filters: Mapping[str, Any], bounds: Bounds | None = None) -> Query:
        """
        Write filters and the bounds of a window as the API wants them.

        :param filters: values by the filters' names; None leaves a filter out.
        :raises SequenceConfigurationError: if a filter is not known, or its value is of a wrong kind.
        """
        known = {f.name: f for f in self.filters}
        if unknown := sorted(set(filters) - set(known)):
            raise SequenceConfigurationError(
                f"{self.name} has no filter {', '.join(unknown)}; it has {', '.join(known) or 'none'}"
            )
        query: Query = []
        for name, value in filters.items():
            if value is None:
                continue
            try:
                query += [(known[name].parameter, text) for text in known[name].write(value)]
            except (TypeError, ValueError) as e:
                raise SequenceConfigurationError(f"filter {name} of {self.name}: {e}") from None
        if bounds is not None:
            if self.time_field is None:
                raise SequenceConfigurationError(
                    f"{self.name} can't be asked for a window: the API has no filter on time for it. "
                    "Leave window_start and window_end out."
                )
            after, before = map(utc_text, bounds)
            query += [("eventTimestampAfter", after), ("eventTimestampBefore", before)]
        return query

    def time_of(self, item: Item) -> dt.datetime:
        """
        Find an item's time, the one that windows are about.

        :raises SequenceResponseError: if it can't be read: it can't be told then where the item belongs.
        """
        try:
            return parse_timestamp(exact_json.decode(item.get(self.time_field or "", b"null")))
        except (TypeError, ValueError):
            raise SequenceResponseError(
                "GET", self.path, f"an item's {self.time_field} is no time in ISO 8601"
            ) from None

    def belongs(self, item: Item, window: Window | None) -> bool:
        """Tell whether an item belongs to a window. What was asked for is a little wider."""
        return window is None or self.time_of(item) in window


def _text(value: Any) -> list[str]:
    if not isinstance(value, (str, int)) or isinstance(value, bool):
        raise TypeError(f"wants text, not {type(value).__name__}")
    text = str(value)
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("holds half of a surrogate pair, which is no character")
    return [text]


def _flag(value: Any) -> list[str]:
    text = str(value).lower()
    if text not in {"true", "false"}:
        raise ValueError("wants true or false")
    return [text]


def _each(value: Any) -> list[str]:
    """Repeat the parameter for each value, the OpenAPI default for an array in a query."""
    return [text for item in _as_list(value) for text in _text(item)]


def _encoded_list(value: Any) -> list[str]:
    """Join values by commas, each percent-encoded on its own, so that a comma inside a value survives."""
    return [",".join(quote(text, safe="") for text in _each(value))]


def _comma_list(value: Any) -> list[str]:
    texts = _each(value)
    if any("," in text for text in texts):
        raise ValueError("has a value with a comma, which the API takes for two")
    return [",".join(texts)]


def _customer_ids(value: Any) -> list[str]:
    written = _comma_list(value)
    if written[0].count(",") >= MOST_CUSTOMER_IDS:
        raise ValueError(f"takes {MOST_CUSTOMER_IDS} ids at most")
    return written


def _as_list(value: Any) -> list[Any]:
    if isinstance(value, (bytes, Mapping)) or not isinstance(value, (str, int, Iterable)):
        raise TypeError(f"wants text or a list of texts, not {type(value).__name__}")
    items = [value] if isinstance(value, (str, int)) else list(value)
    if not items:
        raise ValueError("wants at least one value")
    return items


USAGE_EVENTS = Resource(
    name="usage_events",
    path="/usage-events",
    fields=(
        Field("id", "id"),
        Field("customerEventId", "customer_event_id"),
        Field("customerAlias", "customer_alias"),
        Field("eventType", "event_type"),
        Field("sequenceAccountId", "sequence_account_id"),
        Field("eventTimestamp", "event_timestamp", "timestamp"),
        Field("eventProperties", "event_properties", "json"),
    ),
    filters=(
        Filter("customer_alias", "customerAlias", _each),
        Filter("unmapped_aliases_only", "unmappedAliasesOnly", _flag),
        Filter("event_type", "eventType", _text),
        Filter("event_id", "eventId", _text),
    ),
    time_field="eventTimestamp",
    event=USAGE_EVENT,
    create_budget="usage_events",
)

SEAT_EVENTS = Resource(
    name="seat_events",
    path="/seat-events",
    fields=(
        Field("id", "id"),
        Field("customerEventId", "customer_event_id"),
        Field("customerAlias", "customer_alias"),
        Field("seatType", "seat_type"),
        Field("sequenceAccountId", "sequence_account_id"),
        Field("eventTimestamp", "event_timestamp", "timestamp"),
        Field("total", "total", "integer"),
    ),
    filters=(
        Filter("customer_alias", "customerAlias", _text),
        Filter("customer_ids", "customerIds", _customer_ids),
        Filter("seat_type", "seatType", _text),
        Filter("customer_event_id", "customerEventId", _text),
    ),
    time_field="eventTimestamp",
    event=SEAT_EVENT,
)

USAGE_METRICS = Resource(
    name="usage_metrics",
    path="/usage-metrics",
    fields=(
        Field("id", "id"),
        Field("sequenceAccountId", "sequence_account_id"),
        Field("name", "name"),
        Field("description", "description"),
        Field("metricType", "metric_type"),
        Field("eventType", "event_type"),
        Field("aggregationType", "aggregation_type"),
        Field("aggregationProperty", "aggregation_property"),
        Field("groupingProperty", "grouping_property"),
        Field("unit", "unit"),
        Field("createdAt", "created_at", "timestamp"),
        Field("deletedAt", "deleted_at", "timestamp"),
        Field("propertyFilters", "property_filters", "json"),
        Field("caseSensitive", "case_sensitive", "boolean"),
        Field("propertiesToNegate", "properties_to_negate", "json"),
        Field("parameters", "parameters", "json"),
    ),
    filters=(
        Filter("name", "name", _text),
        Filter("id", "id", _text),
        Filter("event_type", "eventType", _encoded_list),
        Filter("event_property", "eventProperty", _encoded_list),
        Filter("aggregation_type", "aggregationType", _comma_list),
    ),
)

RESOURCES: Mapping[str, Resource] = {r.name: r for r in (USAGE_EVENTS, SEAT_EVENTS, USAGE_METRICS)}


def get_resource(name: str) -> Resource:
    """
    Find a resource by its name.

    :raises SequenceConfigurationError: if there is none; it lists the known ones.
    """
    if name not in RESOURCES:
        raise SequenceConfigurationError(f"no resource {name!r}; there are {', '.join(sorted(RESOURCES))}")
    return RESOURCES[name]
