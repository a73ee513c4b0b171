"""Calculation of a usage metric: the request in each form it may need, and the exact result."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, Inexact, InvalidOperation, localcontext
from typing import Any

import msgspec

from airflow_provider_sequence.api import lossless_json
from airflow_provider_sequence.api.timestamps import TICK, utc_text
from airflow_provider_sequence.api.windows import Window
from airflow_provider_sequence.exceptions import InvalidEventError, SequenceConfigurationError

#: Aggregations whose results for several aliases add up. Unique values may be shared, a custom one is anything.
ADDITIVE = frozenset({"COUNT", "SUM"})

#: Far more digits than sums of quantities have: nothing is rounded.
_DIGITS = 1000
#: Places before and after the decimal point that a number may take, written out, of an answer. One of ten characters can
#: have so many that to write it takes minutes.
_MAX_PLACES = 400

_WHOLE = re.compile(r"-?[0-9]+")


class TooManyDigitsError(ArithmeticError):
    """The exact sum has more digits than can be kept."""


def period_texts(period: Window) -> list[tuple[str, str]]:
    """
    Query values of a half-open period for an API that includes its end, in each form it may want, the best first.

    The documents don't say whether times or dates are wanted. Times in UTC leave no doubt about the zone. Of whole
    days, they are right too where only their date is read, and there are dates to fall back on.

    :return: first and last moment of the period.
    """
    texts = [(utc_text(period.start), utc_text(period.end - TICK))]
    if period.start.time() == period.end.time() == dt.time.min:
        texts.append((period.start.date().isoformat(), (period.end - TICK).date().isoformat()))
    return texts


def aliases_to_ask(customer_aliases: str | Iterable[str]) -> list[str]:
    """
    Check aliases, each once, to be asked for one by one: how several are separated is not documented.

    :raises SequenceConfigurationError: if there are none, or one can't be asked for.
    """
    if isinstance(customer_aliases, (bytes, Mapping)) or not isinstance(customer_aliases, Iterable):
        raise SequenceConfigurationError("customer_aliases is neither an alias nor a list of aliases")
    given = [customer_aliases] if isinstance(customer_aliases, str) else list(customer_aliases)
    if not given:
        raise SequenceConfigurationError("customer_aliases is empty; name at least one alias")
    for number, alias in enumerate(given, 1):
        if not isinstance(alias, str) or not alias.strip():
            raise SequenceConfigurationError(f"number {number} of customer_aliases is no text, or is empty")
        if "," in alias:
            raise SequenceConfigurationError(
                f"number {number} of customer_aliases has a comma:\nthe API might take it for two aliases"
            )
        try:
            lossless_json.check_text(alias, f"number {number} of customer_aliases")
        except InvalidEventError as e:
            raise SequenceConfigurationError(f"{e.field} {e.reason}") from None
    return list(dict.fromkeys(given))


def custom_parameters_text(given: Mapping[str, Any] | str | None) -> str | None:
    """
    Query value of a metric's parameters: a mapping as JSON, with decimals as text, as the API writes defaults; text as it is: assumption custom-parameters.

    :raises SequenceConfigurationError: if it is neither, or empty, which would ask for the defaults.
    """
    if given is None:
        return None
    if not isinstance(given, (str, Mapping)) or not given:
        raise SequenceConfigurationError(
            "custom_parameters is neither a mapping of names to values nor text, or is empty\nLeave it out for the "
            "metric's defaults"
        )
    try:
        text = given if isinstance(given, str) else lossless_json.encode(dict(given)).decode()
        lossless_json.check_text(text, "custom_parameters")
    except InvalidEventError as e:
        raise SequenceConfigurationError(f"{e.field} {e.reason}") from None
    except (TypeError, UnicodeEncodeError):
        raise SequenceConfigurationError("custom_parameters has a value that is no JSON") from None
    return text


def read_calculation(body: bytes) -> dict[str, Any]:
    """
    Parse a calculation; ``eventCount`` is an int, ``value`` an int or a Decimal, whichever way they are written.

    :raises msgspec.MsgspecError: if it is no calculation.
    """
    answer = lossless_json.decode(body)
    if not isinstance(answer, dict):
        raise msgspec.ValidationError("no object")
    count = _number(answer.get("eventCount"))
    if count is None or not 0 <= count < 2**63 or count != int(count):
        raise msgspec.ValidationError("eventCount is no number of events")
    value = _number(answer.get("value"))
    if value is None and count:
        raise msgspec.ValidationError("events were counted, but there is no value")
    return answer | {"eventCount": int(count), "value": 0 if value is None else value}


def _number(value: Any) -> int | Decimal | None:
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = int(value) if _WHOLE.fullmatch(value) else Decimal(value)
        except (InvalidOperation, ValueError):
            raise msgspec.ValidationError("a number in a text is none") from None
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise msgspec.ValidationError("a number is of another type")
    number = Decimal(value)
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int):
        raise msgspec.ValidationError("a number is infinite or none")
    if number and (number.adjusted() >= _MAX_PLACES or exponent < -_MAX_PLACES):
        raise msgspec.ValidationError("a number is beyond what is counted")
    return value if number else 0


def add_exactly(*values: int | Decimal) -> Decimal:
    """
    Add numbers without rounding.

    :raises TooManyDigitsError: if the sum has more digits than can be kept.
    """
    with localcontext() as exactly:
        exactly.prec = _DIGITS
        exactly.traps[Inexact] = True
        try:
            return sum(map(Decimal, values), Decimal(0))
        except Inexact:
            raise TooManyDigitsError from None


def add_up(answers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """
    Add up what a metric counted for several aliases; of the other fields, those that are the same for all are kept.

    :raises TooManyDigitsError: if the exact sum is beyond all measure.
    """
    first, *others = answers
    if not others:
        return first
    same = {
        name: value
        for name, value in first.items()
        if all(name in other and other[name] == value for other in others)
    }
    values = [answer["value"] for answer in answers]
    total: int | Decimal
    total = sum(values) if all(isinstance(value, int) for value in values) else add_exactly(*values)
    return same | {"eventCount": sum(answer["eventCount"] for answer in answers), "value": total}
