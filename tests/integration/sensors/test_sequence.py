"""
Sensors and their triggers, in each mode: poke, reschedule and deferred.

What all conditions share is tested with the sensor of events.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
import json
import threading
import time
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)

from airflow_provider_sequence.exceptions import SequenceError
from airflow_provider_sequence.sensors.sequence import (
    SequenceEventsSensor,
    SequenceUnmappedAliasesSensor,
    SequenceUsageMetricSensor,
)
from airflow_provider_sequence.triggers import conditions
from airflow_provider_sequence.triggers.sequence import (
    SequenceEventsTrigger,
    SequenceUnmappedAliasesTrigger,
    SequenceUsageMetricTrigger,
)
from tests.integration.support.airflow import interval_dag, manual_dag

START, END = dt.datetime(2026, 3, 1, tzinfo=dt.UTC), dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
TICK = dt.timedelta(microseconds=1)
WINDOW = {"window_start": START.isoformat(), "window_end": END.isoformat()}
WAYS: dict[str, dict[str, Any]] = {
    "poke": {},
    "reschedule": {"mode": "reschedule"},
    "defer": {"deferrable": True},
}
METRIC = {"metric_id": "units", "customer_aliases": "acme"}
#: Each sensor, waiting for what a sandbox with :func:`usage` has.
KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "events": (SequenceEventsSensor, {"min_count": 3}),
    "metric": (SequenceUsageMetricSensor, METRIC | {"min_event_count": 3}),
    "unmapped": (SequenceUnmappedAliasesSensor, {"max_unmapped": 0}),
}

every_way = pytest.mark.parametrize("way", WAYS)
every_kind = pytest.mark.parametrize("kind", KINDS)


def sensor(kind: Any, task_id: str = "wait", **options: Any) -> Any:
    return kind(task_id=task_id, **({"poke_interval": 0.1, "timeout": 30} | options))


def one_sensor(kind: Any, **options: Any) -> Any:
    """A DAG of one sensor, over the day."""
    with interval_dag(START, END) as dag:
        sensor(kind, **options)
    return dag


def in_every_way(kind: Any, **options: Any) -> Any:
    with interval_dag(START, END) as dag:
        for name, way in WAYS.items():
            sensor(kind, name, **options | way)
    return dag


def send(sandbox: Any, event_id: str, alias: str = "acme", at: dt.datetime | str = START, units: str = "1") -> None:  # fmt: skip
    when = at if isinstance(at, str) else f"{at.replace(tzinfo=None).isoformat()}Z"
    body = (
        f'{{"customerEventId": "{event_id}", "customerAlias": "{alias}", "eventType": "call",'
        f' "eventTimestamp": "{when}", "eventProperties": {{"units": {units}}}}}'
    )
    answer = sandbox.call(
        "POST", "/usage-events", data=body.encode(), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 201


@pytest.fixture
def metrics(sandbox):
    fields = {"eventType": "call", "aggregationProperty": "units"}
    names = {"units": "SUM", "calls": "COUNT", "distinct": "UNIQUE"}
    sandbox.add(
        "usage-metrics",
        [fields | {"id": name, "name": name, "aggregationType": kind} for name, kind in names.items()],
    )


@pytest.fixture
def usage(sandbox, metrics):
    """Three events of the one customer there is, and of the day; one on either side of it."""
    sandbox.add("customers", [{"id": "c-1", "aliases": ["acme"]}])
    for number, at in enumerate((START - TICK, START, START + dt.timedelta(hours=9), END - TICK, END)):
        send(sandbox, f"e{number}", at=at, units="12345678901234567890.10")


@pytest.fixture
def without_retries(monkeypatch):
    """Requests that are given up after their first try."""
    for room in ("sensors", "triggers"):
        monkeypatch.setattr(f"airflow_provider_sequence.{room}.sequence.POKE_DEADLINE", 1e-3)


def requests(sandbox: Any) -> list[dict[str, Any]]:
    return sandbox._admin("GET", "/_sandbox/requests")["items"]


ANSWERS = {
    "events": {"count": 3},
    "metric": {"event_count": 3, "value": "37037036703703703670.30"},
    "unmapped": {"count": 0, "aliases": 0},
}


@every_kind
def test_result_is_the_same_in_every_mode(kind, run_dag, sandbox, sequence_conn, usage):
    make, options = KINDS[kind]
    result = run_dag(in_every_way(make, **options), END)

    assert result.states == dict.fromkeys(WAYS, "success"), result.errors
    assert result.xcoms == dict.fromkeys(WAYS, ANSWERS[kind])


LATER: dict[str, tuple[Any, dict[str, Any], Any, dict[str, Any]]] = {
    "events": (
        SequenceEventsSensor,
        {"min_count": 4},
        lambda sandbox: send(sandbox, "late"),
        {"count": 4},
    ),
    "metric": (
        SequenceUsageMetricSensor,
        METRIC | {"metric_id": "calls", "min_value": "{{ 4 }}"},
        lambda sandbox: send(sandbox, "late"),
        {"event_count": 4, "value": "4"},
    ),
    "unmapped": (
        SequenceUnmappedAliasesSensor,
        {"window_end": "2026-03-09"},
        lambda sandbox: sandbox.add("customers", [{"id": "c-2", "aliases": ["nobody-yet"]}]),
        {"count": 0, "aliases": 0},
    ),
}


@pytest.mark.parametrize(
    ("kind", "way"), [*(("events", way) for way in WAYS), ("metric", "defer"), ("unmapped", "defer")]
)
def test_sensor_waits_until_the_condition_holds(
    kind, way, run_dag, sandbox, sequence_conn, usage, capfd, caplog
):
    make, options, happen, answer = LATER[kind]
    send(sandbox, "unmapped", alias="nobody-yet", at="2026-03-03T00:00:00Z")
    before = sandbox.summary()["requests"]

    def happen_later() -> None:
        until = time.monotonic() + 30
        while sandbox.summary()["requests"] < before + 4 and time.monotonic() < until:
            time.sleep(0.05)  # until it has found that the condition does not hold yet
        happen(sandbox)

    thread = threading.Thread(target=happen_later)
    thread.start()
    result = run_dag(one_sensor(make, **options, **WAYS[way]), END)
    thread.join(30)

    assert result.states["wait"] == "success", result.errors
    assert result.xcoms["wait"] == answer
    assert sandbox.summary()["requests"] - before < 60
    log = "".join(capfd.readouterr()) + caplog.text
    assert "nobody-yet" not in log


# The metric


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        ({"min_value": "37037036703703703670.30"}, {"event_count": 3, "value": "37037036703703703670.30"}),
        (
            {"min_value": Decimal("37037036703703703670.3"), "customer_aliases": ["acme", "nobody"]},
            {"event_count": 3, "value": "37037036703703703670.30"},
        ),
        ({"metric_id": "calls", "min_value": 3}, {"event_count": 3, "value": "3"}),
        ({"metric_id": "distinct", "min_event_count": "{{ 3 }}"}, {"event_count": 3, "value": "1"}),
        ({"metric_id": "calls", "customer_aliases": "nobody", "min_event_count": 0}, {"event_count": 0, "value": "0"}),
        (
            {"metric_id": "calls", "period_start": "2026-02-28", "period_end": "{{ '2026-03-03' }}", "min_value": 5},
            {"event_count": 5, "value": "5"},
        ),
    ],
)  # fmt: skip
def test_metric_is_exact_and_its_period_half_open(options, answer, run_dag, sandbox, sequence_conn, usage):
    result = run_dag(one_sensor(SequenceUsageMetricSensor, **METRIC | options, deferrable=True), END)

    assert result.xcoms == {"wait": answer}, result.errors


def test_parameters_of_a_metric_are_sent_in_every_mode(run_dag, sandbox, sequence_conn, usage):
    options = METRIC | {
        "min_event_count": 3,
        "custom_parameters": {"since": "{{ data_interval_start | ds }}", "share": Decimal("1.10")},
    }
    result = run_dag(in_every_way(SequenceUsageMetricSensor, **options), END)
    assert result.states == dict.fromkeys(WAYS, "success"), result.errors
    sent = [dict(parse_qsl(each["query"])) for each in requests(sandbox) if "/calculate" in each["path"]]
    assert [each["customParameters"] for each in sent] == ['{"since":"2026-03-01","share":"1.10"}'] * len(
        WAYS
    )


def test_metric_that_is_a_digit_short_is_waited_for(run_dag, sandbox, sequence_conn, usage):
    options = METRIC | {"min_value": "37037036703703703670.31", "timeout": 0.5}
    result = run_dag(one_sensor(SequenceUsageMetricSensor, **options), END)

    assert result.states["wait"] == "failed"
    assert isinstance(result.error("wait"), AirflowSensorTimeout)


WRONG = [
    (SequenceUsageMetricSensor, METRIC, "min_event_count"),
    (SequenceUsageMetricSensor, METRIC | {"min_event_count": 1, "min_value": 1}, "min_value"),
    (SequenceUsageMetricSensor, METRIC | {"min_event_count": "few"}, "min_event_count"),
    (SequenceUsageMetricSensor, METRIC | {"min_value": "NaN"}, "min_value"),
    (SequenceUsageMetricSensor, METRIC | {"min_value": 1, "period_end": START.isoformat()}, "period_end"),
    (SequenceUsageMetricSensor, METRIC | {"min_value": 1, "customer_aliases": []}, "customer_aliases"),
    (SequenceUsageMetricSensor, METRIC | {"min_value": 1, "customer_aliases": ["a,b"]}, "customer_aliases"),
    (SequenceUsageMetricSensor, METRIC | {"min_value": 1, "metric_id": "no-such"}, "no-such"),
    (
        SequenceUsageMetricSensor,
        {"metric_id": "distinct", "customer_aliases": ["acme", "other"], "min_value": 1},
        "UNIQUE",
    ),
    (SequenceUnmappedAliasesSensor, {"max_unmapped": -1}, "max_unmapped"),
    (SequenceUnmappedAliasesSensor, {"window_start": "yesterday"}, "window_start"),
    (SequenceEventsSensor, {"min_count": "few"}, "min_count"),
    (SequenceEventsSensor, {"filters": {"colour": "red"}}, "colour"),
]


@pytest.mark.parametrize(("kind", "options", "word"), WRONG)
def test_wrong_setting_is_named_and_not_retried(kind, options, word, run_dag, sandbox, sequence_conn, usage):
    result = run_dag(one_sensor(kind, **options, retries=2), END)

    assert (result.states["wait"], result.tries["wait"]) == ("failed", 1)
    assert word in str(result.error("wait"))


@every_kind
def test_wrong_setting_is_named_in_every_mode(kind, run_dag, sandbox, sequence_conn, usage):
    make, options = KINDS[kind]
    bounds = {"period_start": "yesterday"} if kind == "metric" else {"window_start": "yesterday"}
    result = run_dag(in_every_way(make, **options | bounds, retries=2), END)

    assert result.states == dict.fromkeys(WAYS, "failed")
    assert set(result.tries.values()) == {1}
    for way in WAYS:
        assert next(iter(bounds)) in str(result.error(way))


@every_kind
def test_manual_run_without_an_interval_names_the_missing_bounds(kind, run_dag, sandbox, sequence_conn):
    make, options = KINDS[kind]
    with manual_dag() as dag:
        sensor(make, **options)
    result = run_dag(dag, END)

    assert (result.states["wait"], sandbox.summary()["requests"]) == ("failed", 0)
    names = ("period_start", "period_end") if kind == "metric" else ("window_start", "window_end")
    assert all(name in str(result.error("wait")) for name in names)


# Aliases without a customer


def test_some_unmapped_aliases_may_be_left(run_dag, sandbox, sequence_conn, usage, capfd, caplog):
    for event_id, alias in (("u1", "ann-a"), ("u2", "bob-b"), ("u3", "ann-a")):
        send(sandbox, event_id, alias=alias)
    send(sandbox, "outside", alias="eve-e", at=END)
    result = run_dag(in_every_way(SequenceUnmappedAliasesSensor, max_unmapped="{{ 3 }}"), END)

    assert result.xcoms == {way: {"count": 3, "aliases": 2} for way in WAYS}, result.errors
    one_less = run_dag(one_sensor(SequenceUnmappedAliasesSensor, max_unmapped=2, timeout=0.3), END)
    assert one_less.states["wait"] == "failed"
    log = "".join(capfd.readouterr()) + caplog.text
    assert not any(alias in log for alias in ("ann-a", "bob-b", "eve-e"))


CORRECTED = [
    {"superseded": superseded, "event_id_filter": ids, "void_events_unmapped": void}
    for superseded, ids, void in itertools.product(
        ["listed", "hidden"], ["id", "customer_event_id"], [False, True]
    )
]


@pytest.mark.parametrize("reading", CORRECTED, ids=lambda reading: "-".join(map(str, reading.values())))
def test_events_that_were_corrected_are_not_waited_for(reading, run_dag, sandbox, sequence_conn, usage):
    sandbox.settings(**reading)
    for event_id, alias in (("v", "typo"), ("w", "typo"), ("x", "typo"), ("y", "left"), ("y", "left")):
        send(sandbox, event_id, alias=alias, at=START + dt.timedelta(hours=3))
    send(sandbox, "v", alias="VOID", at=START + dt.timedelta(hours=3))
    send(sandbox, "w", alias="acme", at=START + dt.timedelta(hours=3))
    send(sandbox, "x", alias="left", at=START + dt.timedelta(hours=3))
    result = run_dag(one_sensor(SequenceUnmappedAliasesSensor, max_unmapped=2), END)

    assert result.xcoms["wait"] == {"count": 2, "aliases": 1}, result.errors


# When Sequence fails


FAULTS: dict[str, dict[str, Any]] = {
    "503": {"status": 503, "times": 4},
    "429": {
        "status": 429,
        "headers": {"Retry-After": "0"},
        "times": 1,
    },  # the client waits for a second or more
    "no connection": {"kind": "reset_before", "times": 4},
}


@every_way
@pytest.mark.parametrize("fault", FAULTS)
def test_sensor_goes_on_after_transient_errors(
    fault, way, run_dag, sandbox, sequence_conn, usage, without_retries
):
    sandbox.fault(method="GET", **FAULTS[fault])
    result = run_dag(one_sensor(SequenceEventsSensor, min_count=3, retries=0, **WAYS[way]), END)

    assert result.xcoms == {"wait": {"count": 3}}, result.errors


@every_way
def test_outage_ends_the_wait_after_ten_failures(
    way, run_dag, sandbox, sequence_conn, usage, without_retries
):
    sandbox.fault(status=503, method="GET")
    before = sandbox.summary()["requests"]
    dag = one_sensor(SequenceEventsSensor, min_count=3, retries=0, soft_fail=True, poke_interval=0.02, **WAYS[way])  # fmt: skip
    result = run_dag(dag, END)

    assert result.states["wait"] == "failed"  # an outage is no reason to be skipped
    assert isinstance(result.error("wait"), SequenceError)
    assert "503" in str(result.error("wait"))
    assert sandbox.summary()["requests"] - before == (11 if way == "defer" else 10)


@pytest.mark.parametrize(
    ("options", "state", "way"),
    [
        *(({}, "failed", way) for way in WAYS),
        *(({"soft_fail": True}, "skipped", way) for way in WAYS),
        ({"never_fail": True}, "skipped", "poke"),
        ({"never_fail": True}, "skipped", "defer"),
    ],
)
def test_credentials_that_stop_working_end_the_wait_at_once(
    options, state, way, run_dag, sandbox, sequence_conn, usage
):
    sandbox.fault(status=401, method="GET", after_n=2)
    before = sandbox.summary()["requests"]
    result = run_dag(one_sensor(SequenceEventsSensor, min_count=99, retries=2, **options, **WAYS[way]), END)

    assert (result.states["wait"], result.tries["wait"]) == (state, 1)
    assert sandbox.summary()["requests"] - before == 3
    if state == "failed":
        assert isinstance(result.error("wait"), AirflowFailException)
        assert "401" in str(result.error("wait"))


@pytest.mark.parametrize(
    ("options", "state", "way"),
    [
        ({"never_fail": True}, "skipped", "poke"),
        ({"never_fail": True}, "skipped", "defer"),
        *(({"silent_fail": True}, "success", way) for way in WAYS),
    ],
)
def test_unreadable_answers(options, state, way, run_dag, sandbox, sequence_conn, usage, without_retries):
    """An answer that can't be read ends a sensor like any error that is not an outage."""
    sandbox.check(check_answers=False)
    sandbox.fault(kind="wrong_content_type", status=404, method="GET", after_n=1, times=2)
    dag = one_sensor(SequenceEventsSensor, min_count=4, retries=0, **options, **WAYS[way])
    over = threading.Event()

    def send_after_the_faults() -> None:
        while not over.wait(0.05):
            if sandbox.summary()["requests"] - before >= 3:
                send(sandbox, "late")
                return

    before = sandbox.summary()["requests"]
    sender = threading.Thread(target=send_after_the_faults)
    sender.start()
    try:
        result = run_dag(dag, END)
    finally:
        over.set()
        sender.join()

    assert result.states["wait"] == state, result.errors
    if state == "success":
        assert result.xcoms["wait"] == {"count": 4}


@every_kind
@pytest.mark.parametrize("soft_fail", [False, True])
def test_deferral_that_times_out(kind, soft_fail, sandbox, sequence_conn):
    make, options = KINDS[kind]
    task = sensor(make, **options, deferrable=True, soft_fail=soft_fail)
    with pytest.raises(AirflowException) as caught:
        task.resume_execution("__fail__", {"error": "Trigger timeout"}, {})

    assert isinstance(caught.value, AirflowSkipException) == soft_fail
    assert str(caught.value).startswith(f"After {task.timeout:,g} s: ")


@every_kind
@pytest.mark.parametrize(
    "event", [None, {}, {"status": "running"}, {"status": "success"}, {"status": "success", "result": 3}]
)
def test_event_that_is_not_understood_fails_the_task(kind, event):
    make, options = KINDS[kind]
    with pytest.raises(SequenceError, match="status"):
        sensor(make, **options, soft_fail=True).execute_complete({}, event)


# Triggers by themselves


TRIGGERS = {
    "events": lambda **o: SequenceEventsTrigger(resource="usage_events", min_count=3, **WINDOW, **o),
    "metric": lambda **o: SequenceUsageMetricTrigger(
        metric_id="units",
        customer_aliases=["acme"],
        period_start=START.isoformat(),
        period_end=END.isoformat(),
        min_event_count=3,
        **o,
    ),
    "unmapped": lambda **o: SequenceUnmappedAliasesTrigger(max_unmapped=0, **WINDOW, **o),
}


def trigger(kind: str, poke_interval: float = 0.1, **options: Any) -> Any:
    return TRIGGERS[kind](sequence_conn_id="sequence_default", poke_interval=poke_interval, **options)


async def fired(trigger: Any) -> Any:
    (event,) = [event async for event in trigger.run()]
    return event.payload


@every_kind
def test_trigger_gives_the_result_of_the_sensor_and_may_run_twice(kind, sandbox, sequence_conn, usage):
    for _ in range(2):
        event = asyncio.run(fired(trigger(kind)))
        assert event == {"status": "success", "result": ANSWERS[kind]}
        assert json.loads(json.dumps(event)) == event


@every_kind
def test_trigger_is_the_same_after_serialization(kind):
    path, arguments = trigger(kind, silent_fail=True).serialize()
    stored = json.loads(json.dumps(arguments))
    again = type(trigger(kind))(**stored)

    assert path == f"airflow_provider_sequence.triggers.sequence.{type(again).__name__}"
    assert again.serialize() == (path, arguments)
    assert again.condition == trigger(kind).condition


@every_kind
def test_sensor_hands_its_trigger_what_it_waits_for(kind, sandbox, sequence_conn, metrics):
    send(sandbox, "e", alias="nobody-yet", at=START)
    make, options = KINDS[kind]
    bounds = (
        {name.replace("window", "period"): at for name, at in WINDOW.items()} if kind == "metric" else WINDOW
    )
    with pytest.raises(TaskDeferred) as caught:
        sensor(make, **options, **bounds, deferrable=True, timeout=90, silent_fail=True).execute({})

    made = caught.value.trigger
    assert made.condition == trigger(kind).condition
    assert (made.poke_interval, made.silent_fail) == (0.1, True)
    assert dt.timedelta(seconds=80) < caught.value.timeout <= dt.timedelta(seconds=90)
    assert json.loads(json.dumps(made.serialize()[1])) == made.serialize()[1]


def test_trigger_does_not_block_the_event_loop(sandbox, sequence_conn, usage):
    sandbox.settings(latency_ms=400)

    async def beside_a_clock() -> tuple[Any, float]:
        longest, last = 0.0, time.monotonic()
        task = asyncio.create_task(fired(trigger("events")))
        while not task.done():
            await asyncio.sleep(0.01)
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
        return task.result(), longest

    event, longest = asyncio.run(beside_a_clock())
    assert event["status"] == "success"
    assert longest < 0.3


@pytest.mark.parametrize("status", [200, 503])
def test_trigger_sleeps_between_its_requests(status, sandbox, sequence_conn, usage, without_retries):
    if status == 503:
        sandbox.fault(status=503, method="GET")
    before = sandbox.summary()["requests"]
    waiting = SequenceEventsTrigger(**trigger("events", 0.3).serialize()[1] | {"min_count": 99})

    async def for_a_second() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(fired(waiting), 1)

    began = time.monotonic()
    asyncio.run(for_a_second())
    most = (time.monotonic() - began) / 0.3 + 1
    assert 1 < sandbox.summary()["requests"] - before <= most


@pytest.mark.parametrize(
    ("fault", "retryable"), [({"status": 401}, False), ({"status": 400}, False), ({"status": 503}, True)]
)
def test_event_of_a_failed_trigger_has_the_reason(fault, retryable, sandbox, sequence_conn, without_retries):
    sandbox.fault(method="GET", **fault)
    event = asyncio.run(fired(trigger("events", 0.01)))

    assert (event["status"], event["retryable"]) == ("error", retryable)
    assert str(fault["status"]) in event["message"]
    assert "secret" not in json.dumps(event).replace("secret (password)", "")


def test_event_of_a_trigger_without_its_connection(monkeypatch, airflow_db):
    monkeypatch.delenv("AIRFLOW_CONN_SEQUENCE_DEFAULT", raising=False)
    event = asyncio.run(fired(trigger("events")))

    assert event["status"] == "error"
    assert "sequence_default" in event["message"]


VALUES: dict[str, Any] = {
    "set": {"acme", "other"},
    "keys": {"acme": 1, "other": 2}.keys(),
    "generator": (alias for alias in ("acme", "other")),
    "map": map(str, ("acme", "other")),
}


@pytest.mark.parametrize("name", VALUES)
def test_filter_that_is_no_list_is_made_one(name, sandbox, sequence_conn, usage):
    """A sensor that has to wait can be serialized, and looks with the same values each time."""
    wait = sensor(SequenceEventsSensor, min_count=4, filters={"customer_alias": VALUES[name]}, **WINDOW)
    assert [wait.poke({}).is_done for _ in range(2)] == [False, False]
    wait.deferrable = True
    with pytest.raises(TaskDeferred) as deferred:
        wait.execute({})
    _, arguments = deferred.value.trigger.serialize()
    assert json.loads(json.dumps(arguments))["filters"] == {"customer_alias": ["acme", "other"]}
    send(sandbox, "late")
    assert wait.poke({}).is_done


def test_aliases_of_a_generator_are_looked_at_again(sandbox, sequence_conn, usage):
    wait = sensor(
        SequenceUsageMetricSensor,
        metric_id="units",
        customer_aliases=(alias for alias in ("acme",)),
        min_event_count=4,
        period_start=START,
        period_end=END,
    )
    assert [wait.poke({}).is_done for _ in range(2)] == [False, False]


@pytest.mark.parametrize(
    "filters", [{"customer_alias": object()}, {"customer_alias": [1.5]}, "customer_alias"]
)
def test_filter_that_cannot_be_serialized_is_refused_at_once(filters, sandbox, sequence_conn):
    wait = sensor(SequenceEventsSensor, filters=filters, deferrable=True, **WINDOW)
    with pytest.raises(AirflowFailException, match="filter"):
        wait.execute({})
    assert sandbox.summary()["requests"] == 0


def test_trigger_takes_values_that_are_no_list():
    trigger = SequenceEventsTrigger(
        sequence_conn_id="c",
        poke_interval=1,
        resource="usage_events",
        min_count=1,
        filters={"customer_alias": {"b", "a"}},
    )
    assert trigger.serialize()[1]["filters"] == {"customer_alias": ["a", "b"]}


@pytest.mark.parametrize("way", ["poke", "defer"])
def test_expired_cursor_is_waited_out(way, run_dag, sandbox, sequence_conn, metrics):
    """The sensor reads the list to its end; a page after the first is refused once."""
    sandbox.settings(total="absent")
    sandbox.check(check_answers=False)
    for number in range(101):
        send(sandbox, f"e{number}")
    refusal = {"error": {"type": "BadRequest", "message": "the cursor has expired"}}
    sandbox.fault(
        status=400, body=refusal, content_type="application/json", path="/usage-events", method="GET", after_n=2, times=1
    )  # fmt: skip
    result = run_dag(one_sensor(SequenceEventsSensor, min_count=101, **WAYS[way]), END)
    assert result.states == {"wait": "success"}, result.errors


def test_airflow_takes_no_look_for_a_call_from_another_task(
    run_dag, sandbox, sequence_conn, usage, capfd, caplog
):
    with interval_dag(START, END, default_args={"allow_nested_operators": False}) as dag:
        sensor(SequenceEventsSensor, min_count=3)
    result = run_dag(dag, END)

    assert result.states == {"wait": "success"}, result.errors
    assert "cannot be called outside" not in "".join(capfd.readouterr()) + caplog.text


def test_copies_of_an_event_count_once(run_dag, sandbox, sequence_conn, monkeypatch, caplog, capfd):
    for number in range(60):
        send(sandbox, f"e{number}")
    for number in range(50):  # corrected
        send(sandbox, f"e{number}", units="2")

    def wait() -> Any:
        dag = one_sensor(
            SequenceEventsSensor, min_count=61, timeout=0.3, filters={"customer_alias": {"acme"}}
        )
        return run_dag(dag, END)

    assert "Timeout" in type(wait().error("wait")).__name__
    assert "Sequence has 60 of 61 usage_events" in caplog.text + capfd.readouterr().out
    # Of too many events the copies are not told apart, and the log says so.
    monkeypatch.setattr(conditions, "MAX_DISTINCT", 100)
    assert wait().xcoms["wait"] == {"count": 110}
    assert "copies that were superseded included" in caplog.text + capfd.readouterr().out


def test_filters_of_any_collection_can_be_handed_to_a_trigger(sandbox, sequence_conn, airflow_db):
    for values in ({"acme"}, {"acme": 1}.keys(), iter(["acme"])):
        waiting = sensor(
            SequenceEventsSensor, min_count=1, filters={"customer_alias": values}, deferrable=True, **WINDOW
        )
        with pytest.raises(TaskDeferred) as deferred:
            waiting.execute({})
        assert json.loads(json.dumps(deferred.value.trigger.serialize()[1]))["filters"] == {
            "customer_alias": ["acme"]
        }
