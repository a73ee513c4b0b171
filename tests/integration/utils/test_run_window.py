"""The window of a run: explicit bounds, what started the run, its partition, its data interval; and cut in parts."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_sequence.api.resources import get_resource
from airflow_provider_sequence.api.windows import Window
from airflow_provider_sequence.assets.sequence import sequence_asset
from airflow_provider_sequence.transfers.sequence_to_sql import SequenceToSqlOperator
from airflow_provider_sequence.utils.run_window import window_of_run
from airflow_provider_sequence.utils.windows import split_window
from tests.integration.support.airflow import AIRFLOW_VERSION, interval_dag, manual_dag
from tests.integration.support.values import utc

DAYS = 3
PERIOD = (dt.datetime(2026, 3, 2, tzinfo=dt.UTC), dt.datetime(2026, 3, 2 + DAYS, tzinfo=dt.UTC))
START, END = dt.datetime(2026, 3, 2, tzinfo=dt.UTC), dt.datetime(2026, 3, 3, tzinfo=dt.UTC)
DAY, TICK = dt.timedelta(days=1), dt.timedelta(microseconds=1)


class ReturnWindow(BaseOperator):
    """Returns the window that a task of this run works on."""

    template_fields = ("window_start", "window_end")

    def __init__(self, *, resource: str = "usage_events", window_start: Any = None, window_end: Any = None, lookback: Any = None, **options: Any) -> None:  # fmt: skip
        super().__init__(**options)
        self.resource, self.lookback = resource, lookback
        self.window_start, self.window_end = window_start, window_end

    def execute(self, context: Any) -> Any:
        window = window_of_run(
            get_resource(self.resource), context, self.window_start, self.window_end, self.lookback
        )
        return window and [window.start.isoformat(), window.end.isoformat()]


def window_of(result: Any) -> Any:
    assert result.states["window"] == "success", result.errors
    bounds = result.xcoms["window"]
    return bounds and Window.parse(*bounds)


def with_task(dag: Any, **options: Any) -> Any:
    with dag:
        ReturnWindow(task_id="window", **options)
    return dag


class TestInterval:
    def test_data_interval_is_the_default(self, run_dag):
        assert window_of(run_dag(with_task(interval_dag(START, END)), END)) == Window(START, END)

    def test_lookback_begins_earlier(self, run_dag):
        dag = with_task(interval_dag(START, END), lookback=dt.timedelta(hours=36))

        assert window_of(run_dag(dag, END)) == Window(START - 36 * dt.timedelta(hours=1), END)

    def test_bounds_may_be_templates(self, run_dag):
        dag = with_task(
            interval_dag(START, END),
            window_start="{{ data_interval_start.subtract(hours=2) }}",
            window_end="{{ ts }}",
        )
        found = window_of(run_dag(dag, END))

        assert found.start == START - dt.timedelta(hours=2)

    def test_one_bound_may_be_left_to_the_run(self, run_dag):
        start = window_of(run_dag(with_task(interval_dag(START, END), window_start="2026-02-01"), END))
        end = window_of(run_dag(with_task(interval_dag(START, END), window_end="2026-03-02T06:00:00"), END))

        assert start == Window.parse("2026-02-01", END)
        assert end == Window.parse(START, "2026-03-02T06:00:00Z")

    @pytest.mark.parametrize(
        "resource", ["invoices", "billing_schedules", "invoice_line_items", "usage_metrics"]
    )
    def test_list_of_dates_or_without_times_is_whole(self, resource, run_dag):
        assert window_of(run_dag(with_task(interval_dag(START, END), resource=resource), END)) is None

    def test_manual_run_names_the_missing_bounds(self, run_dag):
        result = run_dag(with_task(manual_dag()), None if AIRFLOW_VERSION >= (3, 0) else END)

        assert result.states["window"] == "failed"
        assert "window_start=" in str(result.error("window"))
        assert "window_end=" in str(result.error("window"))

    def test_manual_run_with_parameters(self, run_dag):
        dag = with_task(
            manual_dag(params={"start": "2026-01-01", "end": "2026-02-01"}),
            window_start="{{ params.start }}",
            window_end="{{ params.end }}",
        )
        found = window_of(run_dag(dag, END, conf={"end": "2026-01-15"}))

        assert found == Window.parse("2026-01-01", "2026-01-15")


@pytest.fixture
def start_with(monkeypatch: pytest.MonkeyPatch, airflow_db: None) -> Any:
    """Have asset events, stored by Airflow's own asset manager, start the next run, as its scheduler does."""
    waiting: list[tuple[Any, dict[str, Any]]] = []
    partition: list[str] = []
    if AIRFLOW_VERSION >= (3, 0):
        from airflow.assets.manager import AssetManager as Manager

        try:
            from airflow.models import dagrun as home

            name = "get_or_create_dagrun"
            home.get_or_create_dagrun  # noqa: B018
        except AttributeError:
            from airflow.models import dag as home

            name = "_get_or_create_dagrun"
    else:
        from airflow.datasets.manager import DatasetManager as Manager
        from airflow.models import dag as home

        name = "_get_or_create_dagrun"
    create = getattr(home, name)

    def create_with_events(*arguments: Any, session: Any, **options: Any) -> Any:
        run = create(*arguments, session=session, **options)
        for asset, extra in waiting:
            (run.consumed_asset_events if AIRFLOW_VERSION >= (3, 0) else run.consumed_dataset_events).append(
                change(Manager(), asset, extra, session)  # noqa: AIR301
            )
        if waiting:
            run.run_type = "asset_triggered" if AIRFLOW_VERSION >= (3, 0) else "dataset_triggered"
        for key in partition:
            run.partition_key = key
        waiting.clear()
        session.commit()
        return run

    monkeypatch.setattr(home, name, create_with_events)

    def start(*events: tuple[Any, dict[str, Any]], key: str | None = None) -> None:
        waiting.extend(events)
        partition[:] = [] if key is None else [key]

    return start


def change(manager: Any, asset: Any, extra: dict[str, Any], session: Any) -> Any:
    if AIRFLOW_VERSION < (3, 0):
        return manager.register_dataset_change(dataset=asset, extra=extra, session=session)
    try:
        from airflow.serialization.encoders import ensure_serialized_asset
    except ImportError:
        return manager.register_asset_change(asset=asset, extra=extra, session=session)
    return manager.register_asset_change(asset=ensure_serialized_asset(asset), extra=extra, session=session)


USAGE, SEATS = sequence_asset("acme", "usage_events"), sequence_asset("acme", "seat_events")


def pushed(start: str, end: str, resource: str = "usage_events") -> dict[str, Any]:
    """The extra that a push gives to the event of its outlet."""
    return {"resource": resource, "window_start": start, "window_end": end, "delivered": 1}


def from_trigger(start: str, end: str, resource: str = "usage_events") -> dict[str, Any]:
    """What Airflow makes of the payload of a trigger."""
    return {"from_trigger": True, "payload": pushed(start, end, resource) | {"count": 1, "newest_id": "x"}}


@pytest.fixture
def consumer() -> Any:
    """Make a DAG that assets start."""
    return lambda **options: with_task(manual_dag([USAGE, SEATS]), **options)


class TestAssetEvents:
    @pytest.mark.parametrize("make", [pushed, from_trigger])
    def test_window_is_that_of_the_event(self, make, run_dag, start_with, consumer):
        start_with((USAGE, make("2026-01-05T10:00:00+00:00", "2026-01-05T11:00:00+00:00")))

        assert window_of(run_dag(consumer(), END)) == Window.parse(
            "2026-01-05T10:00:00Z", "2026-01-05T11:00:00Z"
        )

    def test_several_events_give_the_span_of_all(self, run_dag, start_with, consumer):
        start_with(
            (USAGE, from_trigger("2026-01-05", "2026-01-06")),
            (USAGE, pushed("2026-01-01", "2026-01-02")),
            (USAGE, from_trigger("2026-01-03", "2026-01-20")),
            (SEATS, from_trigger("2025-01-01", "2027-01-01", "seat_events")),
        )

        assert window_of(run_dag(consumer(), END)) == Window.parse("2026-01-01", "2026-01-20")

    def test_events_of_another_resource_are_ignored(self, run_dag, start_with, consumer):
        start_with((SEATS, from_trigger("2025-01-01", "2027-01-01", "seat_events")))
        result = run_dag(consumer(window_start="2026-01-01", window_end="2026-01-02"), END)
        assert window_of(result) == Window.parse("2026-01-01", "2026-01-02")

        start_with((SEATS, from_trigger("2025-01-01", "2027-01-01", "seat_events")))
        refused = run_dag(consumer(), END)
        assert refused.states["window"] == "failed"
        assert "window_start" in str(refused.error("window"))

    def test_events_without_a_window_are_ignored(self, run_dag, start_with, consumer):
        start_with(
            (USAGE, {}),
            (USAGE, {"payload": "hello"}),
            (USAGE, {"rows": 3}),
            (USAGE, pushed("2026-01-01", "2026-01-02")),
        )

        assert window_of(run_dag(consumer(), END)) == Window.parse("2026-01-01", "2026-01-02")

    def test_explicit_bounds_and_lookback(self, run_dag, start_with, consumer):
        start_with((USAGE, pushed("2026-01-05", "2026-01-06")))
        found = window_of(run_dag(consumer(window_end="2026-01-08", lookback=DAY), END))

        assert found == Window.parse("2026-01-04", "2026-01-08")


# Airflow has partitions since 3.2; before, there is nothing to test.
if AIRFLOW_VERSION >= (3, 2):

    def test_run_with_a_partition_key(run_dag, start_with):
        from airflow.sdk import CronPartitionTimetable

        dag = with_task(manual_dag(CronPartitionTimetable("@daily", timezone="Europe/Berlin")))
        in_utc = AIRFLOW_VERSION == (3, 2)  # since 3.3 a key is in the schedule's zone
        start_with(key="2026-03-28T23:00:00" if in_utc else "2026-03-29T00:00:00")

        assert window_of(run_dag(dag, None)) == Window.parse(
            "2026-03-29T00:00+01:00", "2026-03-30T00:00+02:00"
        )

    def test_run_with_a_key_that_names_no_time(run_dag, start_with):
        dag = with_task(manual_dag())
        start_with(key="eu")
        result = run_dag(dag, None)

        assert result.states["window"] == "failed"
        assert "'eu'" in str(result.error("window"))
        assert "window_start" in str(result.error("window"))


# Slices of a window, and runs of past days


def post(sandbox: Any, event_id: str, at: dt.datetime) -> None:
    body = {
        "customerEventId": event_id,
        "customerAlias": "acme",
        "eventType": "call",
        "eventTimestamp": at.isoformat().replace("+00:00", "Z"),
        "eventProperties": {"n": 1.10},
    }
    assert sandbox.call("POST", "/usage-events", json=body).ok


@pytest.fixture
def usage(sandbox: Any) -> None:
    """Events on and around the bounds of each day of the period."""
    for day in range(DAYS + 1):
        for number, at in enumerate((-TICK, dt.timedelta(0), TICK, dt.timedelta(hours=7))):
            post(sandbox, f"{day}-{number}", PERIOD[0] + day * DAY + at)


def pull(table: str, **options: Any) -> Any:
    return SequenceToSqlOperator.partial(
        task_id="pull", resource="usage_events", table=table, sql_conn_id="warehouse", **options
    )


def rows(warehouse: Any, table: str) -> list[tuple[Any, ...]]:
    """A table row by row, but for when each was loaded."""
    columns = "id, customer_event_id, customer_alias, event_type, event_timestamp, event_properties, _extra"
    return [
        (*row[:4], utc(row[4]), *row[5:])
        for row in warehouse.rows(f"SELECT {columns} FROM {table} ORDER BY id")
    ]


def pull_whole(run_dag: Any, warehouse: Any) -> list[tuple[Any, ...]]:
    """The period by one pull."""
    with interval_dag(*PERIOD) as dag:
        SequenceToSqlOperator(task_id="pull", resource="usage_events", table="whole", sql_conn_id="warehouse")
    result = run_dag(dag, PERIOD[1])
    assert result.state == "success", result.errors
    whole = rows(warehouse, "whole")
    assert len(whole) == 4 * DAYS
    return whole


@pytest.mark.parametrize(
    ("cut", "parts"),
    [
        ({"every": DAY}, DAYS),
        ({"parts": "{{ 2 }}"}, 2),
    ],
    ids=str,
)
def test_pull_in_parts_is_the_pull_of_the_whole(
    cut, parts, run_dag, sandbox, sequence_conn, warehouse, usage
):
    whole = pull_whole(run_dag, warehouse)
    with interval_dag(*PERIOD) as dag:
        pull("cut").expand_kwargs(split_window(**cut))
    result = run_dag(dag, PERIOD[1])

    assert result.state == "success", result.errors
    assert len(result.xcoms["split_window"]) == parts
    assert rows(warehouse, "cut") == whole


def test_parts_of_explicit_bounds_with_lookback(run_dag, airflow_db):
    with manual_dag(params={"start": "2026-03-02"}) as dag:
        split_window.override(task_id="cut")(
            every=2 * DAY, window_start="{{ params.start }}", window_end="2026-03-07", lookback=DAY
        )
    result = run_dag(dag, END)

    assert result.state == "success", result.errors
    assert [tuple(each.values()) for each in result.xcoms["cut"]] == [
        ("2026-03-01T00:00:00+00:00", "2026-03-03T00:00:00+00:00"),
        ("2026-03-03T00:00:00+00:00", "2026-03-05T00:00:00+00:00"),
        ("2026-03-05T00:00:00+00:00", "2026-03-07T00:00:00+00:00"),
    ]


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({}, "parts or every"),
        ({"parts": 2, "every": DAY}, "parts or every"),
        ({"parts": 0}, "parts"),
        ({"parts": "few"}, "parts"),
        ({"every": -DAY}, "every=.* is not greater than 0"),
        ({"every": dt.timedelta(0)}, "every=.* is not greater than 0"),
        ({"parts": 2, "window_start": "2026-04-01"}, "backwards"),
    ],
    ids=str,
)
def test_wrong_split_is_named_and_not_retried(options, word, run_dag):
    with interval_dag(*PERIOD) as dag:
        split_window.override(retries=2)(**options)
    result = run_dag(dag, PERIOD[1])

    assert result.states["split_window"] == "failed"
    with pytest.raises(Exception, match=word):
        raise result.errors["split_window"][-1]
    assert result.tries["split_window"] == 1


def test_manual_run_has_no_window_to_split(run_dag):
    with manual_dag() as dag:
        split_window(parts=2)
    result = run_dag(dag, END)

    assert result.states["split_window"] == "failed"
    assert "window_start" in str(result.error("split_window"))


@pytest.mark.parametrize(
    ("days", "lookback"),
    [([0, 1, 2, 0, 1], None), ([2, 0, 1, 2, 0], DAY + TICK)],
    ids=["in order", "in any order"],
)
def test_runs_of_days_make_the_table_of_one_run(
    days, lookback, run_dag, sandbox, sequence_conn, warehouse, usage
):
    whole = pull_whole(run_dag, warehouse)
    with interval_dag(START, END) as dag:
        SequenceToSqlOperator(
            task_id="pull", resource="usage_events", table="daily", sql_conn_id="warehouse", lookback=lookback
        )
    for day in days:
        result = run_dag(dag, PERIOD[0] + (day + 1) * DAY)
        assert result.state == "success", result.errors
    daily = rows(warehouse, "daily")

    if lookback is not None:  # it also reaches the events before the period
        daily = [row for row in daily if PERIOD[0] <= row[4] < PERIOD[1]]
    assert daily == whole
