"""Calculation of usage metrics: the query in each form, and exact results."""

from __future__ import annotations

from decimal import Decimal
from urllib.parse import parse_qsl

import msgspec
import pytest

from airflow_provider_sequence.api.usage_metrics import (
    TooManyDigitsError,
    add_up,
    aliases_to_ask,
    custom_parameters_text,
    period_texts,
    read_calculation,
)
from airflow_provider_sequence.api.windows import Window
from airflow_provider_sequence.exceptions import SequenceConfigurationError, SequenceRejectedError
from tests.unit.events import post_event, usage_event

DAY = Window.parse("2026-03-01", "2026-03-02")


@pytest.mark.parametrize(
    ("start", "end", "texts"),
    [
        (
            "2026-03-01",
            "2026-04-01",
            [("2026-03-01T00:00:00Z", "2026-03-31T23:59:59.999999Z"), ("2026-03-01", "2026-03-31")],
        ),
        (
            "2024-02-29",
            "2024-03-01",
            [("2024-02-29T00:00:00Z", "2024-02-29T23:59:59.999999Z"), ("2024-02-29", "2024-02-29")],
        ),
        (
            "2026-03-01T02:00:00+02:00",
            "2026-03-02",
            [("2026-03-01T00:00:00Z", "2026-03-01T23:59:59.999999Z"), ("2026-03-01", "2026-03-01")],
        ),
        ("2026-03-01T10:00", "2026-03-01T11:00", [("2026-03-01T10:00:00Z", "2026-03-01T10:59:59.999999Z")]),
        ("2026-03-01", "2026-03-01T00:00:01", [("2026-03-01T00:00:00Z", "2026-03-01T00:00:00.999999Z")]),
        (
            "2026-03-01T10:00",
            "2026-03-01T10:00:00.000001",
            [("2026-03-01T10:00:00Z", "2026-03-01T10:00:00Z")],
        ),
    ],
)
def test_period_ends_a_microsecond_before_the_window(start, end, texts):
    assert period_texts(Window.parse(start, end)) == texts


@pytest.mark.parametrize(
    ("given", "aliases"),
    [("acme", ["acme"]), (["b", "a", "b"], ["b", "a"]), (("a b",), ["a b"]), ({"a": 1}.keys(), ["a"])],
)
def test_duplicate_aliases_are_removed(given, aliases):
    assert aliases_to_ask(given) == aliases


@pytest.mark.parametrize(
    "given", [[], "", " ", [""], ["a", None], [1], ["secret,alias"], ["\ud800"], None, {"a": 1}, b"a"]
)
def test_invalid_aliases_are_refused_without_repeating_them(given):
    with pytest.raises(SequenceConfigurationError, match="customer_aliases") as caught:
        aliases_to_ask(given)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("count", "value", "wanted"),
    [
        ("3", "12", 12),
        ("3", "12.50", Decimal("12.50")),
        ('"3"', '"12.50"', Decimal("12.50")),
        ("3", '"12"', 12),
        ("3.0", '"1E+3"', Decimal("1E+3")),
        ("3", "1234567890123456789012345678901234567890.10", Decimal("1234567890123456789012345678901234567890.10")),
        ("3", '"123456789012345678901234567890"', 123456789012345678901234567890),
        ("3", "-0.1", Decimal("-0.1")),
    ],
)  # fmt: skip
def test_numbers_are_exact_in_each_form(count, value, wanted):
    response = read_calculation(f'{{"eventCount": {count}, "value": {value}, "more": [1.10]}}'.encode())

    assert response == {"eventCount": 3, "value": wanted, "more": [Decimal("1.10")]}
    assert type(response["value"]) is type(wanted)
    assert str(response["value"]) == str(wanted)
    assert type(response["eventCount"]) is int


@pytest.mark.parametrize("body", ['{"eventCount": 0}', '{"eventCount": 0, "value": null}'])
def test_value_of_no_events_is_zero(body):
    assert read_calculation(body.encode()) == {"eventCount": 0, "value": 0}


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "{}",
        "null",
        '{"eventCount": 1}',
        '{"eventCount": 1, "value": null}',
        '{"eventCount": 1, "value": true}',
        '{"eventCount": 1, "value": {}}',
        '{"eventCount": 1, "value": "many"}',
        '{"eventCount": 1, "value": "NaN"}',
        '{"eventCount": 1, "value": "Infinity"}',
        '{"eventCount": 1.5, "value": 1}',
        '{"eventCount": -1, "value": 1}',
        '{"eventCount": null, "value": 1}',
        '{"value": 1}',
        '{"eventCount": 1, "value": 1',
    ],
)
def test_invalid_calculation_is_refused(body):
    with pytest.raises(msgspec.MsgspecError):
        read_calculation(body.encode())


@pytest.mark.parametrize(
    ("values", "total"),
    [
        ([1, 2], 3),
        ([1, Decimal("0.10")], Decimal("1.10")),
        ([Decimal("1E+40"), Decimal("1E-40")], Decimal("1" + "0" * 40 + "." + "0" * 39 + "1")),
        ([10**40, Decimal("0.5")], Decimal(str(10**40) + ".5")),
        ([Decimal("0.1")] * 10, Decimal("1.0")),
    ],
)
def test_sum_is_exact(values, total):
    responses = [{"eventCount": 2, "value": value, "name": "m", "n": i} for i, value in enumerate(values)]

    assert add_up(responses) == {"eventCount": 2 * len(values), "value": total, "name": "m"}


def test_sum_with_too_many_digits_is_refused():
    with pytest.raises(TooManyDigitsError):
        add_up([
            {"eventCount": 1, "value": Decimal("1E+2000")},
            {"eventCount": 1, "value": Decimal("1E-2000")},
        ])


@pytest.fixture
def metrics(server):
    """Metrics of each aggregation over the usage of three aliases on one day."""
    names = ("COUNT", "SUM", "UNIQUE")
    fields = {"eventType": "call", "aggregationProperty": "units"}
    server.add("usage-metrics", [fields | {"id": name, "name": name, "aggregationType": name} for name in names])  # fmt: skip
    events = [
        ("acme", "2026-03-01T00:00:00Z", "0.1000"),
        ("acme", "2026-03-01T23:59:59.999999Z", "12345678901234567890123456789.01"),
        ("b & c", "2026-03-01T12:00:00Z", "0.1000"),
        ("other", "2026-03-01T12:00:00Z", "7"),
        ("acme", "2026-02-28T23:59:59.999999Z", "5"),
        ("acme", "2026-03-02T00:00:00Z", "5"),
    ]
    for n, (alias, at, units) in enumerate(events):
        fields = {"customer_alias": alias, "event_type": "call", "event_timestamp": at}
        post_event(server, usage_event(f"e{n}", **fields, units=Decimal(units)))
    return server


@pytest.mark.parametrize(
    ("separator", "written"), [("comma", "number"), ("repeated", "text"), ("both", "number")]
)
def test_calculation_is_exact_however_the_api_reads_aliases_and_writes_values(
    metrics, client, separator, written
):
    metrics.settings(aliases_separator=separator, calculated_value=written)

    counted = client.calculate_metric("COUNT", ["acme", "b & c", "acme"], DAY)
    assert (counted["eventCount"], counted["value"]) == (3, 3)
    summed = client.calculate_metric("SUM", ["acme", "b & c"], DAY)
    assert (summed["eventCount"], summed["value"]) == (3, Decimal("12345678901234567890123456789.2100"))
    assert (summed["name"], summed["aggregationType"]) == ("SUM", "SUM")
    assert client.calculate_metric("UNIQUE", "acme", DAY)["value"] == 2
    assert client.calculate_metric("COUNT", "nobody", DAY)["eventCount"] == 0


def test_unique_values_of_several_aliases_are_not_added(metrics, client):
    with pytest.raises(SequenceConfigurationError, match="UNIQUE"):
        client.calculate_metric("UNIQUE", ["acme", "b & c"], DAY)


def calculation_queries(server):
    return [each["query"] for each in server._admin("GET", "/_sandbox/requests")["items"] if "calculate" in each["path"]]  # fmt: skip


def test_dates_are_sent_where_times_are_refused(metrics, client):
    metrics.fault(status=400, path="/usage-metrics/*/calculate", times=1)

    assert client.calculate_metric("COUNT", "acme", DAY)["eventCount"] == 2
    first, second = calculation_queries(metrics)
    assert "periodEnd=2026-03-01T23" in first
    assert second.endswith("periodStart=2026-03-01&periodEnd=2026-03-01")


def test_partial_day_is_not_sent_as_dates(metrics, client):
    metrics.fault(status=400, path="/usage-metrics/*/calculate")
    with pytest.raises(SequenceRejectedError):
        client.calculate_metric("COUNT", "acme", Window.parse("2026-03-01", "2026-03-01T12:00:00Z"))
    assert len(calculation_queries(metrics)) == 1


def test_error_does_not_contain_the_alias(metrics, client):
    metrics.fault(status=400, path="/usage-metrics/*/calculate", body={"error": {"message": "no b & c here"}})
    with pytest.raises(SequenceRejectedError) as caught:
        client.calculate_metric("COUNT", "b & c", DAY)
    assert "b & c" not in str(caught.value)


@pytest.mark.parametrize("metric_id", ["no-such", "a/b", "a?b=c", "../COUNT"])
def test_unknown_metric_is_refused(metrics, client, metric_id):
    metrics.settings(missing_status="customary")
    with pytest.raises(SequenceConfigurationError, match="no metric"):
        client.calculate_metric(metric_id, "acme", DAY)


def test_invalid_metric_id_is_refused_without_a_request(server, client):
    for metric_id in ("", " ", ".", "..", None):
        with pytest.raises(SequenceConfigurationError, match="metric_id"):
            client.calculate_metric(metric_id, "acme", DAY)
    assert server.summary()["requests"] == 0


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"threshold": 5, "share": Decimal("1.10")}, '{"threshold":5,"share":"1.10"}'),
        ("threshold:5", "threshold:5"),
    ],
)
def test_custom_parameters_are_sent_with_each_alias(metrics, client, given, sent):
    client.calculate_metric("COUNT", ["acme", "b & c"], DAY, given)
    logged = metrics._admin("GET", "/_sandbox/requests")["items"]
    requests = [one for one in logged if one["path"].endswith("/calculate")]
    assert [dict(parse_qsl(one["query"]))["customParameters"] for one in requests] == [sent, sent]


@pytest.mark.parametrize(
    "given", [{}, "", 5, {"x": object()}, {"x": "\ud800"}], ids=lambda value: type(value).__name__
)
def test_custom_parameters_that_are_none_are_refused(given):
    with pytest.raises(SequenceConfigurationError, match="custom_parameters"):
        custom_parameters_text(given)
