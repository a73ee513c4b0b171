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

FieldType = Literal["text", "timestamp", "date", "integer", "number", "boolean", "json"]
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
    :param match_fields: fields of an item, one of which equals one of the values, or has it in its list; compared on the
        client as well, because the documents leave open how the API compares.
    :param is_ambiguous: whether the documents leave open how the API reads this text among several. Such a value is
        not sent: the list is read without the filter, and ``match_fields`` decides.
    :param overlaps: whether one item may match several values, so that the totals of their queries don't add up.
    :param skips_items: whether it skips items by their position. Such a list is incomplete.
    """

    name: str
    parameter: str
    encode: Callable[[Any], list[str]]
    max_values: int | None = None
    match_fields: tuple[str, ...] = ()
    is_ambiguous: Callable[[str], bool] = lambda text: False
    overlaps: bool = False
    skips_items: bool = False


@dataclass(frozen=True, slots=True)
class TimeFilter:
    """
    Filter of a list by time: the two query parameters that bound a window.

    Whether they include their bounds is not documented: what is asked for is a little wider, and what belongs is kept.

    :param name: the user's name of the time.
    :param field: the field of an item that they are about; empty where the API does not give it, or does not say which it
        is. Such a window can't be checked: a day more is asked for on either side, and all that comes is taken.
    :param after: the parameter of the lower bound.
    :param before: the parameter of the upper bound.
    :param days: whether they take dates. A date belongs to a window that holds its midnight in UTC. A run's data
        interval is no default then: it says when things happened, and not when an invoice falls due.
    :param keeps_null: whether an item without the time belongs: it is listed only if it is asked for.
    """

    name: str
    field: str
    after: str
    before: str
    days: bool = False
    keeps_null: bool = False

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
    :param added: whether tables that version 0.1 made lack the column.
    """

    name: str
    column: str
    type: FieldType = "text"
    added: bool = False


@dataclass(frozen=True, slots=True)
class Resource:
    """
    Resource of the API: a list, and what can be created in it.

    :param name: the user's name of it.
    :param path: path below the base URL; ``{id}`` stands for the id of the parent.
    :param fields: the documented fields; the first is the key, an item's unique ``id``.
    :param filters: the documented filters, without those of the window and the pages.
    :param times: how the list can be asked for a window, where it can.
    :param other_times: how else: see :meth:`by_time`.
    :param paged: whether a size of pages is documented.
    :param texts: whether its items are texts; each is the ``id`` of an item then.
    :param parent: for a list below an id: the list of those ids. Windows and most filters are the parent's then.
    :param parent_key: the field of a parent that holds the id.
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
    other_times: tuple[TimeFilter, ...] = ()
    paged: bool = True
    texts: bool = False
    parent: Resource | None = None
    parent_key: str = "id"
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
        """The list that windows and most filters are about: the parent's, where there is one."""
        return self.parent or self

    @property
    def filter_names(self) -> tuple[str, ...]:
        """Names of the filters that can be given: the list's own, and its parent's."""
        own = [one.name for one in self.filters]
        return tuple(dict.fromkeys([*own, *(one.name for one in self.filtered.filters)]))

    @property
    def time_names(self) -> tuple[str, ...]:
        """Names of the times that windows can be about, the default first."""
        times = self.filtered.times
        return () if times is None else (times.name, *(one.name for one in self.filtered.other_times))

    def by_time(self, name: str | None) -> Resource:
        """
        Make the list that is asked by another of its times.

        :param name: which of :attr:`time_names`; None for the default.
        :raises SequenceConfigurationError: if it has no such time.
        """
        if name is None:
            return self
        if name not in self.time_names:
            raise SequenceConfigurationError(
                f"{self.name} can't be asked by {name!r}\ntime_field is {' or '.join(self.time_names) or 'left out'}"
            )
        if self.parent is not None:
            return replace(self, parent=self.parent.by_time(name))
        return replace(
            self, times=next(one for one in (self.times, *self.other_times) if one and one.name == name)
        )

    def divide(self, filters: Mapping[str, Any] | None) -> tuple[dict[str, Any], dict[str, Any]]:
        """
        Divide filters into those of a list below an id and those of its parent; one that both know is both's.

        :return: the filters of each list below an id, and those of :attr:`filtered`.
        """
        if self.parent is None:
            return {}, dict(filters or {})
        own = {one.name for one in self.filters}
        known = {one.name for one in self.parent.filters}
        given = (filters or {}).items()
        return (
            {name: value for name, value in given if name in own},
            {name: value for name, value in given if name in known or name not in own},
        )

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
        known = self._known(given, whole=whole)
        asked: list[dict[str, Any]] = [given]
        matches: list[FieldIn] = []
        disjoint, clear = True, True
        for name, one in known.items():
            if whole and one.skips_items:
                raise SequenceConfigurationError(
                    f"{self.name} can't be read whole with {name}, which leaves items out\nLeave it out, or list "
                    "the items with the hook"
                )
            if one.max_values is None and not one.match_fields:
                continue
            values = list(dict.fromkeys(self._encode(one, encode_each, given[name])))
            if one.match_fields:
                matches.append(FieldIn(one.match_fields, frozenset(values), one.overlaps))
            if any(map(one.is_ambiguous, values)):
                clear = False
                asked = [{key: value for key, value in each.items() if key != name} for each in asked]
            elif one.max_values is not None:
                apart = len(one.match_fields) == 1 and not one.overlaps
                disjoint = disjoint and (len(values) <= one.max_values or apart)
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
                    f"{self.name} can't be asked for a window: the API has no filter on time for it\n"
                    "Leave window_start and window_end out"
                )
            query += self.times.encode(bounds)
        return query

    def _known(self, names: Iterable[str], *, whole: bool = False) -> dict[str, Filter]:
        known = {one.name: one for one in self.filters}
        if unknown := sorted(set(names) - set(known)):
            usable = [name for name, one in known.items() if not (whole and one.skips_items)]
            raise SequenceConfigurationError(
                f"{self.name} has no filter {', '.join(unknown)}\nIt has {', '.join(usable) or 'none'}"
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

    def parent_id_of(self, item: Item) -> str | None:
        """Id of a parent below which there is a list; None where it has none."""
        if self.parent is None or self.parent_key == self.parent.key.name:
            return self.filtered.id_of(item)
        value = lossless_json.decode_what_can_be(item.get(self.parent_key, b"null"))
        return value if isinstance(value, str) and value else None

    def with_parent(self, parent_id: str | None, item: Item) -> Item:
        """
        Item of a parent's list with the parent's id in it, which the API may leave out.

        :raises SequenceResponseError: if it is another parent's: the answer is that to another request.
        """
        if parent_id is None:
            return item
        if bytes(item.get(self.parent_field, b"null")) == b"null":
            return {**item, self.parent_field: msgspec.Raw(lossless_json.encode(parent_id))}
        if text_field(item, self.parent_field) != parent_id:
            raise SequenceResponseError(
                "GET", self.path, f"an item has another {self.parent_field} than was asked for"
            )
        return item

    def is_in(self, item: Item, window: Window) -> bool:
        """
        Whether an item belongs to a window.

        :raises SequenceResponseError: if its time can't be read.
        """
        times = self.times
        if times is None or not times.field:
            return True
        if times.days and bytes(item.get(times.field, b"null")) == b"null":
            return times.keeps_null
        return self.time_of(item) in window

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
    :param lists: whether a field may have several, in a list.
    """

    fields: tuple[str, ...]
    values: frozenset[str]
    lists: bool = False

    def __contains__(self, item: Item) -> bool:
        if not self.lists:
            return any(_plain(item.get(field, b"null")) in self.values for field in self.fields)
        held = [lossless_json.decode_what_can_be(item.get(field, b"null")) for field in self.fields]
        each = [one for value in held for one in (value if isinstance(value, list) else [value])]
        return any(isinstance(value, (str, int)) and str(value) in self.values for value in each)


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
        return matches and (self.window is None or self.resource.is_in(item, self.window))

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


def _plain(raw: msgspec.Raw | bytes) -> str | None:
    """A text, or a whole number as it is written."""
    text = bytes(raw)
    return text.decode() if text.isdigit() else lossless_json.decode_text(raw)


def _midnight(time: dt.datetime) -> dt.datetime:
    return dt.datetime.combine(time.date(), dt.time(), tzinfo=dt.UTC)


def _date_text(time: dt.datetime) -> str:
    return time.astimezone(dt.UTC).date().isoformat()
