"""Rows of a staging table, made of a list's items: nothing is lost, also what has no column or does not fit it."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import msgspec

from airflow_provider_sequence.api import lossless_json
from airflow_provider_sequence.api.pagination import Item
from airflow_provider_sequence.api.resource import Resource
from airflow_provider_sequence.api.timestamps import long_fraction, parse_timestamp
from airflow_provider_sequence.exceptions import SequenceResponseError
from airflow_provider_sequence.warehouse.staging import StagingColumn

#: Fields that have no column, or don't fit it, as one JSON object by the API's names.
EXTRA_COLUMN = "_extra"
#: When the row was loaded last.
LOADED_AT_COLUMN = "_loaded_at"

#: The escape of U+0000 in JSON, and not a backslash that is escaped itself and followed by "u0000".
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


#: What a number looks like that may be too large or too fine for the numbers of PostgreSQL, which those of jsonb are. The
#: letter comes first, since it is rarer than digits.
_LONG_EXPONENT, _MANY_DIGITS = re.compile(r"[eE](?<=\d.)[-+]?\d{4}"), re.compile(r"(?<!\d)\d{10000}")
#: Digits before and after the decimal point that they have room for, less one.
_MAX_EXPONENT, _MAX_SCALE = 131_071, 16_383


#: Digits that a column of exact numbers has room for, and how many of them after the point.
_NUMBER_DIGITS, _NUMBER_SCALE = 38, 9


class _MisfitError(Exception):
    """
    A value does not fit its column.

    :param value: what of it fits.
    """

    def __init__(self, value: Any = None) -> None:
        self.value = value


def staging_columns(resource: Resource) -> list[StagingColumn]:
    """Columns of a resource's staging table."""
    return [
        *(
            StagingColumn(field.column, "key" if field is resource.key else field.type)
            for field in resource.fields
        ),
        StagingColumn(EXTRA_COLUMN, "json"),
        StagingColumn(LOADED_AT_COLUMN, "timestamp"),
    ]


class ItemMapper:
    """
    Mapper of a resource's items to rows.

    :param resource: what the items are.
    :param columns: names of the columns that the staging table has; fields of others go into ``_extra``.
    :param loaded_at: the time to write into each row.
    :param holds_nul: whether the database can hold every character and number that JSON can spell. A value that it can't
        hold, or nobody can decode, goes into ``_extra``, as a text that is its JSON.
    """

    def __init__(
        self, resource: Resource, columns: Sequence[str], loaded_at: dt.datetime, *, holds_nul: bool = True
    ) -> None:
        there = set(columns)
        self._holds_nul = holds_nul
        self._fields = [
            (field.name, _READERS[field.type]) for field in resource.fields if field.column in there
        ]
        # Places of JSON in a row; _extra comes after the fields.
        self._json_places = [
            place for place, (_, read) in enumerate(self._fields) if read is _READERS["json"]
        ] + [len(self._fields)]
        self._not_extra = frozenset(name for name, _ in self._fields)
        self._loaded_at = loaded_at
        self._path = resource.path

    def rows(self, items: Sequence[Item]) -> list[tuple[Any, ...]]:
        """
        Make rows: of each item the fields' values, the rest as JSON, and the time.

        :raises SequenceResponseError: if an item has no id.
        """
        try:
            rows = list(map(self._row, items))
            if self._holds_nul or not self._may_be_refused(rows):
                return rows
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass
        if len(items) == 1:
            return [self._odd_row(items[0])]
        return [self.rows([item])[0] for item in items]

    def _odd_row(self, item: Item) -> tuple[Any, ...]:
        odd = {name: raw for name, raw in item.items() if self._is_odd(name, raw)}
        others = {name: raw for name, raw in item.items() if name not in odd}
        quoted = {
            name.replace("\0", "\\u0000"): bytes(raw).decode(errors="backslashreplace")
            for name, raw in odd.items()
        }
        return self._row(others, quoted)

    def _may_be_refused(self, rows: Sequence[Sequence[Any]]) -> bool:
        """Whether a database may refuse one of the rows: all are looked at in one go, which takes a third of the time."""
        texts = [text for row in rows for place in self._json_places if (text := row[place])]
        json = "".join(texts)
        return (
            "\0" in "".join([value for row in rows for value in row if type(value) is str])
            or "\\u" in json
            or _LONG_EXPONENT.search(json) is not None
            or (max(map(len, texts), default=0) >= 10_000 and _MANY_DIGITS.search(json) is not None)
        )

    def _is_odd(self, name: str, raw: msgspec.Raw) -> bool:
        try:
            (lossless_json.decode if self._holds_nul else _decode_strictly)(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError, ArithmeticError):
            return True
        return not self._holds_nul and ("\0" in name or _NUL.search(bytes(raw)) is not None)

    def _row(self, item: Item, more: Mapping[str, str] | None = None) -> tuple[Any, ...]:
        misfits: Sequence[str] = ()
        try:
            row = [None if (raw := item.get(name)) is None else read(raw) for name, read in self._fields]
        except (msgspec.ValidationError, _MisfitError):
            row, misfits = self._fitting(item)
        if not row[0]:
            raise SequenceResponseError("GET", self._path, "an item has no id")
        extra: dict[str, Any] = {}
        if misfits or not self._not_extra.issuperset(item):
            extra = {
                name: raw for name, raw in item.items() if name not in self._not_extra or name in misfits
            }
        extra |= more or {}
        return (*row, lossless_json.encode(extra).decode() if extra else None, self._loaded_at)

    def _fitting(self, item: Item) -> tuple[list[Any], list[str]]:
        """Values of the fields, as far as they fit, and names of those that are in ``_extra``, too: as they came."""
        row: list[Any] = []
        misfits: list[str] = []
        for name, read in self._fields:
            try:
                row.append(None if (raw := item.get(name)) is None else read(raw))
            except (msgspec.ValidationError, _MisfitError) as e:
                row.append(getattr(e, "value", None))
                misfits.append(name)
        return row, misfits


def _check_number(text: str) -> Decimal:
    number = Decimal(text)
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or number.adjusted() > _MAX_EXPONENT or exponent < -_MAX_SCALE:
        raise ValueError("beyond what PostgreSQL's numbers can hold")
    return number


_decode_strictly = msgspec.json.Decoder(float_hook=_check_number).decode


def _read_json(raw: msgspec.Raw) -> str | None:
    text = bytes(raw).decode()
    return None if text == "null" else text


def _read_timestamp(raw: msgspec.Raw) -> dt.datetime | None:
    value = lossless_json.decode(raw)
    if value is None:
        return None
    try:
        time = parse_timestamp(value)
    except (TypeError, ValueError):
        raise _MisfitError from None
    if long_fraction(value):
        raise _MisfitError(time)
    return time


def _read_date(raw: msgspec.Raw) -> dt.date | None:
    value = lossless_json.decode(raw)
    if value is None:
        return None
    try:
        if isinstance(value, str) and len(value) == len("2000-01-01"):
            return dt.date.fromisoformat(value)
        date = parse_timestamp(value).date()
    except (TypeError, ValueError):
        raise _MisfitError from None
    raise _MisfitError(date)


def _read_number(raw: msgspec.Raw) -> Decimal | None:
    value = lossless_json.decode(raw)
    if value is None:
        return None
    try:
        number = Decimal("NaN" if isinstance(value, bool) else value)
    except (TypeError, ValueError, InvalidOperation):
        raise _MisfitError from None
    digits = number.as_tuple()
    if not isinstance(digits.exponent, int) or digits.exponent < -_NUMBER_SCALE:
        raise _MisfitError
    if number and number.adjusted() >= _NUMBER_DIGITS - _NUMBER_SCALE:
        raise _MisfitError
    return number


_INT64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_READERS: dict[str, Callable[[msgspec.Raw], Any]] = {
    "text": msgspec.json.Decoder(str | None).decode,
    "date": _read_date,
    "number": _read_number,
    "integer": msgspec.json.Decoder(_INT64 | None).decode,
    "boolean": msgspec.json.Decoder(bool | None).decode,
    "json": _read_json,
    "timestamp": _read_timestamp,
}
