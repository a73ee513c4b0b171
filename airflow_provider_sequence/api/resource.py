"""Resource: a list of the API as data, with its fields, filters and windows; and a selection of its items."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal
from urllib.parse import quote

import msgspec

from airflow_provider_sequence.api import lossless_json
from airflow_provider_sequence.api.answer_size import MAX_ID
from airflow_provider_sequence.api.events import EventKind
from airflow_provider_sequence.api.pagination import Item
from airflow_provider_sequence.api.query_params import encode_each
from airflow_provider_sequence.api.timestamps import MAX_TIME, MIN_TIME, parse_timestamp, utc_text
from airflow_provider_sequence.api.windows import Bounds, Window
from airflow_provider_sequence.exceptions import SequenceConfigurationError, SequenceResponseError

FieldType = Literal["text", "timestamp", "integer", "boolean", "json"]
Query = list[tuple[str, str]]

_DAY = dt.timedelta(days=1)

#: An id that stays one part of a path, also where a server decodes or normalises it.
_ID_IN_PATH = re.compile(r"[\w.:~-]+")


@dataclass(frozen=True, slots=True)
class Filter:
    """
    Filter of a list: one query parameter.

    :param name: the user's name of it.
    :param parameter: the API's name of it.
    :param encode: turns a value into the parameter's values; more than one repeats the parameter.
    :param max_values: values that one request may ask for; more are spread over several queries.
    :param match_fields: fields of an item, one of which equals one of the values; compared on the client as well,
        because the documents leave open how the API compares.
    :param is_ambiguous: whether the documents leave open how the API reads this text among several. Such a value is
        not sent: the list is read without the filter, and ``match_fields`` decides.
    :param skips_items: whether it skips items by their position. Such a list is incomplete.
    """

    name: str
    parameter: str
    encode: Callable[[Any], list[str]]
    max_values: int | None = None
    match_fields: tuple[str, ...] = ()
    is_ambiguous: Callable[[str], bool] = lambda text: False
    skips_items: bool = False


@dataclass(frozen=True, slots=True)
class TimeFilter:
    """
    Filter of a list by time: the two query parameters that bound a window.

    Whether they include their bounds is not documented: what is asked for is a little wider, and what belongs is kept.

    :param field: the field of an item that they are about.
    :param after: the parameter of the lower bound.
    :param before: the parameter of the upper bound.
    :param days: whether they take dates. A date belongs to a window that holds its midnight in UTC. A run's data
        interval is no default then: it says when things happened, and not when an invoice falls due.
    """

    field: str
    after: str
    before: str
    days: bool = False

    def widen(self, window: Window) -> Bounds:
        """Bounds to ask for, such that nothing of the window is missed, whether they are included or not."""
        if not self.days:
            return window.widened()
        start, end = _midnight(window.start), _midnight(window.end)
        return start - min(_DAY, start - MIN_TIME), end + min(_DAY, _midnight(MAX_TIME) - end)

    def encode(self, bounds: Bounds) -> Query:
        """Query parameters of bounds."""
        after, before = (_date_text(time) if self.days else utc_text(time) for time in bounds)
        return [(self.after, after), (self.before, before)]


@dataclass(frozen=True, slots=True)
class Field:
    """
    Documented field of an item.

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
    Resource of the API: a list, and what can be created in it.

    :param name: the user's name of it.
    :param path: path below the base URL; ``{id}`` stands for the id of the parent.
    :param fields: the documented fields; the first is the key, an item's unique ``id``.
    :param filters: the documented filters, without those of the window and the pages.
    :param times: how the list can be asked for a window, where it can.
    :param parent: for a list below an id: the list of those ids. Filters and windows are the parent's then.
    :param parent_field: for a list below an id: the field of an item that holds it.
    :param secrets: fields that are credentials; they are never given out.
    :param event: what can be created here, where anything can.
    :param create_budget: the rate budget that creating counts in.
    """

    name: str
    path: str
    fields: tuple[Field, ...]
    filters: tuple[Filter, ...] = ()
    times: TimeFilter | None = None
    parent: Resource | None = None
    parent_field: str = ""
    secrets: tuple[str, ...] = ()
    event: EventKind | None = None
    create_budget: str = "requests"

    @property
    def key(self) -> Field:
        """The field that identifies an item."""
        return self.fields[0]

    @property
    def filtered(self) -> Resource:
        """The list that filters and windows are about: the parent's, where there is one."""
        return self.parent or self

    @property
    def time_field(self) -> str | None:
        """Name of the field that windows are about, where there are any."""
        return self.times.field if self.times else None

    def select(
        self, filters: Mapping[str, Any] | None = None, window: Window | None = None, *, whole: bool = False
    ) -> Selection:
        """
        Select items of the list.

        :param filters: values by the filters' names; None leaves a filter out.
        :param window: the times that are wanted, or None for all.
        :param whole: refuse filters that skip items by their position.
        :raises SequenceConfigurationError: if a filter is not known or its value of a wrong kind, or the list
            can't be asked for a window.
        """
        given = {name: _materialize(value) for name, value in (filters or {}).items() if value is not None}
        known = self._known(given)
        asked: list[dict[str, Any]] = [given]
        matches: list[FieldIn] = []
        disjoint, clear = True, True
        for name, one in known.items():
            if whole and one.skips_items:
                raise SequenceConfigurationError(
                    f"{self.name} can't be read whole with {name}, which leaves items out. Leave it out, or list "
                    "the items with the hook"
                )
            if one.max_values is None and not one.match_fields:
                continue
            values = list(dict.fromkeys(self._encode(one, encode_each, given[name])))
            if one.match_fields:
                matches.append(FieldIn(one.match_fields, frozenset(values)))
            if any(map(one.is_ambiguous, values)):
                clear = False
                asked = [{key: value for key, value in each.items() if key != name} for each in asked]
            elif one.max_values is not None:
                disjoint = disjoint and (len(values) <= one.max_values or len(one.match_fields) == 1)
                parts = [values[i : i + one.max_values] for i in range(0, len(values), one.max_values)]
                asked = [{**each, name: part} for each in asked for part in parts]
        selection = Selection(self, tuple(asked), window, tuple(matches), disjoint and clear)
        selection.queries()  # fails at once where something can't be asked
        return selection

    def query(self, filters: Mapping[str, Any], bounds: Bounds | None = None) -> Query:
        """
        Query of one request: its filters and bounds, as the API wants them.

        :param filters: values by the filters' names; None leaves a filter out.
        :raises SequenceConfigurationError: if a filter is not known, or its value is of a wrong kind.
        """
        known = self._known(filters)
        query: Query = []
        for name, value in filters.items():
            if value is not None:
                texts = self._encode(known[name], known[name].encode, value)
                query += [(known[name].parameter, text) for text in texts]
        if bounds is not None:
            if self.times is None:
                raise SequenceConfigurationError(
                    f"{self.name} can't be asked for a window: the API has no filter on time for it. "
                    "Leave window_start and window_end out."
                )
            query += self.times.encode(bounds)
        return query

    def _known(self, names: Iterable[str]) -> dict[str, Filter]:
        known = {one.name: one for one in self.filters}
        if unknown := sorted(set(names) - set(known)):
            raise SequenceConfigurationError(
                f"{self.name} has no filter {', '.join(unknown)}; it has {', '.join(known) or 'none'}"
            )
        return {name: known[name] for name in names}

    def _encode(self, one: Filter, encode: Callable[[Any], list[str]], value: Any) -> list[str]:
        try:
            return encode(value)
        except (TypeError, ValueError) as e:
            raise SequenceConfigurationError(f"filter {one.name} of {self.name}: {e}") from None

    def path_below(self, parent_id: str | None) -> str:
        """
        The path of the list, below a parent where it has one.

        :raises SequenceResponseError: if the parent's id would lead to another path.
        """
        if parent_id is None:
            return self.path
        if not _ID_IN_PATH.fullmatch(parent_id) or not parent_id.strip("."):
            raise SequenceResponseError(
                "GET", self.path, "an id that Sequence gave has characters that no id in a path has"
            )
        return self.path.replace("{id}", quote(parent_id, safe=""))

    def id_of(self, item: Item) -> str:
        """
        Find an item's id.

        :raises SequenceResponseError: if it has none.
        """
        value = lossless_json.decode_text(item.get(self.key.name, b"null"))
        if not value or len(value) > MAX_ID:
            raise SequenceResponseError("GET", self.path, "an item has no id")
        return value

    def with_parent(self, parent_id: str | None, item: Item) -> Item:
        """Item of a parent's list with the parent's id in it, which the API may leave out."""
        if parent_id is None or bytes(item.get(self.parent_field, b"null")) != b"null":
            return item
        return {**item, self.parent_field: msgspec.Raw(lossless_json.encode(parent_id))}

    def time_of(self, item: Item) -> dt.datetime:
        """
        Find an item's time, the one that windows are about.

        :raises SequenceResponseError: if it can't be read, so that it is not known to which window the item belongs.
        """
        raw = item.get(self.time_field or "", b"null")
        try:
            return parse_timestamp(lossless_json.decode_text(raw))
        except (TypeError, ValueError):
            raise SequenceResponseError(
                "GET", self.path, f"an item's {self.time_field} is no time in ISO 8601"
            ) from None


@dataclass(frozen=True, slots=True)
class FieldIn:
    """
    Match of an item: one of the fields has one of the values.

    :param fields: names of fields.
    :param values: the values.
    """

    fields: tuple[str, ...]
    values: frozenset[str]

    def __contains__(self, item: Item) -> bool:
        return any(
            lossless_json.decode_text(item.get(field, b"null")) in self.values for field in self.fields
        )


@dataclass(frozen=True, slots=True)
class Selection:
    """
    Selection of a list's items: the queries that ask for them, and the filter of what comes.

    :param resource: the list.
    :param asked: filters of each query that it takes; the queries give what is wanted, and perhaps more.
    :param window: the times that are wanted, or None for all.
    :param matches: what an item must match, each of them.
    :param countable: whether the totals of the queries, added up, count it, but for the margins of the window.
    """

    resource: Resource
    asked: tuple[Mapping[str, Any], ...]
    window: Window | None
    matches: tuple[FieldIn, ...]
    countable: bool

    def queries(self, bounds: Bounds | None = None) -> list[Query]:
        """
        Queries that ask for it.

        :param bounds: what to ask for instead of the whole window.
        """
        if bounds is None and self.window is not None:
            times = self.resource.times
            bounds = times.widen(self.window) if times else self.window.widened()
        return [self.resource.query(filters, bounds) for filters in self.asked]

    def __contains__(self, item: Item) -> bool:
        matches = not self.matches or all(item in match for match in self.matches)
        return matches and (self.window is None or self.resource.time_of(item) in self.window)

    def by_query(self) -> list[Selection]:
        """Split it into selections of one query each."""
        return [replace(self, asked=(filters,)) for filters in self.asked]

    def within(self, window: Window) -> Selection:
        """Narrow it to a part of its window."""
        return replace(self, window=window)


def text_field(item: Item, name: str) -> str:
    """Value of a text field; its JSON where it holds something else."""
    raw = item.get(name, b"null")
    text = lossless_json.decode_text(raw)
    return bytes(raw).decode(errors="backslashreplace") if text is None else text


def _materialize(value: Any) -> Any:
    """List of several values, which are read more than once, and may come once or slowly; any other value as it is."""
    several = isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping))
    return list(value) if several else value


def _midnight(time: dt.datetime) -> dt.datetime:
    return dt.datetime.combine(time.date(), dt.time(), tzinfo=dt.UTC)


def _date_text(time: dt.datetime) -> str:
    return time.astimezone(dt.UTC).date().isoformat()
