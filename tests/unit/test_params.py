"""Parameters of tasks: lengths of time in each form, filters, and what a template made nothing of."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pendulum
import pytest

from airflow_provider_sequence.exceptions import SequenceConfigurationError
from airflow_provider_sequence.utils.params import (
    find_nothing,
    parse_bool,
    parse_duration,
    parse_filters,
)

HOURS = dt.timedelta(hours=36)


@pytest.mark.parametrize(
    ("value", "duration"),
    [
        (HOURS, HOURS),
        (pendulum.duration(days=1, hours=12), HOURS),
        (pendulum.duration(weeks=1, microseconds=1), dt.timedelta(days=7, microseconds=1)),
        (129_600, HOURS),
        (129_600.0, HOURS),
        (Decimal("0.5"), dt.timedelta(milliseconds=500)),
        ("129600", HOURS),
        (" 1.296e5 ", HOURS),
        ("PT36H", HOURS),
        ("P1DT12H", HOURS),
        ("p1w", dt.timedelta(weeks=1)),
        ("PT1M0,5S", dt.timedelta(seconds=60.5)),
        (str(HOURS), HOURS),
        (str(dt.timedelta(days=2, microseconds=7)), dt.timedelta(days=2, microseconds=7)),
        ("6:00:00", dt.timedelta(hours=6)),
        (0, dt.timedelta(0)),
    ],
    ids=repr,
)
def test_length_of_time_in_each_form(value: Any, duration: dt.timedelta) -> None:
    found = parse_duration("lookback", value)
    assert (found, type(found)) == (duration, dt.timedelta)


@pytest.mark.parametrize(
    "value",
    [
        *(
            None,
            "",
            "None",
            "soon",
            "6 hours",
            "P",
            "PT",
            "P1M",
            "P1Y",
            "PT6",
            "T6H",
            "1:2:3",
            "nan",
            "inf",
            "1e20",
        ),
        *(
            True,
            float("nan"),
            float("inf"),
            1e20,
            [60],
            {"hours": 6},
            dt.time(6),
            pendulum.duration(months=1),
        ),
    ],
    ids=repr,
)
def test_what_is_no_length_of_time_is_refused(value: Any) -> None:
    with pytest.raises(SequenceConfigurationError, match=r"lookback=.* is no length of time\n.*PT6H"):
        parse_duration("lookback", value)


@pytest.mark.parametrize("value", [-HOURS, -1, "-0.5", str(-HOURS), pendulum.duration(hours=-6)], ids=repr)
def test_negative_length_of_time_is_refused(value: Any) -> None:
    with pytest.raises(SequenceConfigurationError, match="is less than 0"):
        parse_duration("lookback", value)


@pytest.mark.parametrize("value", [0, dt.timedelta(0), "PT0S", -1], ids=repr)
def test_length_that_has_to_be_more_than_zero(value: Any) -> None:
    with pytest.raises(SequenceConfigurationError, match=r"every=.* is not greater than 0"):
        parse_duration("every", value, more_than_zero=True)


def test_flags() -> None:
    assert [parse_bool("x", value) for value in (True, "True", " true", False, "false")] == [True] * 3 + [
        False
    ] * 2
    for value in (None, "", "None", "yes", 1):
        with pytest.raises(SequenceConfigurationError, match="neither true nor false"):
            parse_bool("dry_run", value)


def test_filters_have_values_that_can_be_written() -> None:
    given = {"customer_ids": {"a"}, "customer_alias": iter(["b", "c"]), "event_type": "d", "id": ("e",)}
    assert parse_filters(given) == {
        "customer_ids": ["a"], "customer_alias": ["b", "c"], "event_type": "d", "id": ["e"],
    }  # fmt: skip
    assert parse_filters(None) == parse_filters({}) == {}


@pytest.mark.parametrize("filters", [{"a": None}, {"a": ""}, "{'a': 'b'}", ["a"]], ids=repr)
def test_filter_without_a_value_is_refused(filters: Any) -> None:
    with pytest.raises(SequenceConfigurationError, match="filter"):
        parse_filters(filters)


@pytest.mark.parametrize(
    ("named", "rendered", "nothing"),
    [
        ("{{ x }}", None, True),
        ("{{ x }}", "None", True),
        ("{{ x }}", " ", True),
        ("{{ x }}", "0", False),
        ("None", "None", False),
        (None, None, False),
        ({"a": "{{ x }}", "b": None}, {"a": "1", "b": None}, False),
        ({"a": "{{ x }}", "b": None}, {"a": None, "b": None}, True),
        (["a", ["{{ x }}"]], ["a", ["None"]], True),
        (object(), {"a": None}, True),
        (object(), [{"a": ""}, "None"], False),
    ],
)
def test_rendered_to_nothing(named: Any, rendered: Any, nothing: bool) -> None:
    assert (find_nothing("filters", named, rendered) is not None) is nothing


def test_part_that_was_rendered_to_nothing_is_named() -> None:
    assert (
        find_nothing("filters", {"a": "x", "b": ["y", "{{ z }}"]}, {"a": "x", "b": ["y", ""]})
        == "filters['b'][1]"
    )
    assert find_nothing("lookback", "{{ x }}", None) == "lookback"
