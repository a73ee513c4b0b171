"""Rejections, counts and retries of a push, and its dry run."""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import json
import re
import secrets
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from airflow.providers.common.compat.sdk import AirflowFailException
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_sequence.api.event_mapper import EventMapper
from airflow_provider_sequence.api.events import USAGE_EVENT
from airflow_provider_sequence.api.resources import USAGE_EVENTS
from airflow_provider_sequence.exceptions import RejectedRowsError, SequenceConfigurationError
from airflow_provider_sequence.hooks.sequence import SequenceHook
from airflow_provider_sequence.pipelines.delivery_log import DeliveryLog, KnownDelivery, hash_body
from airflow_provider_sequence.pipelines.push.delivery_state import LoggedState, RunState
from airflow_provider_sequence.pipelines.push.outcomes import Outcome, Status
from airflow_provider_sequence.pipelines.push.pipeline import map_rows, push
from airflow_provider_sequence.pipelines.push.senders import DryRunSender
from airflow_provider_sequence.transfers.sql_to_sequence import SqlToSequenceUsageEventsOperator
from airflow_provider_sequence.warehouse.engine import connect
from tests.integration.support.airflow import interval_dag
from tests.integration.support.databases import on_postgres, sequence_connection, sqlite_and_postgres
from tests.unit.loopback import EMPTY_LIST, Loopback, Received, Reply, created

Row = tuple[Any, ...]

START, END = "2026-03-01", "2026-03-02"
TASK = {"dag_id": "billing", "task_id": "push", "run_id": "manual__1"}
COLUMNS = ["customer_event_id", "customer_alias", "event_type", "event_timestamp", "units"]
TIME = "2026-03-01T12:00:00Z"
DAY, MINUTE = dt.timedelta(days=1), dt.timedelta(minutes=1)
LOG = {"delivery_log_table": "deliveries"}


def usage(event_id: str, units: int) -> Row:
    return event_id, "acme", "call", TIME, units


def units_of(sandbox: Any) -> dict[str, int]:
    """What counts in the end: the units of each id's last event."""
    items = sandbox.ledger()["items"]
    return {item["customerEventId"]: json.loads(item["body"])["eventProperties"]["units"] for item in items}


@pytest.fixture
def deliver(sequence_conn, engine) -> Any:
    """Push rows as a task with a delivery log does; its summary comes back."""

    def run(*rows: Row) -> dict[str, Any]:
        with SequenceHook(sequence_conn, deadline=1).client as client, connect(engine) as connection:
            log = DeliveryLog(connection, "deliveries", account="acc", resource="usage_events", task=TASK)
            made = map_rows([rows], EventMapper(USAGE_EVENT, COLUMNS))
            return push(made, client, USAGE_EVENTS, threads=4, state=LoggedState(log)).as_dict()

    return run


def test_row_conflicts_with_one_that_is_unchanged(deliver, sandbox):
    deliver(usage("a", 1))
    summary = deliver(usage("a", 1), usage("a", 2))

    assert units_of(sandbox) == {"a": 2}
    assert (summary["unchanged"], summary["delivered"], summary["conflicting"]) == (1, 1, 1)
    assert summary["conflicting_rows"] == [{"row": 2, "customer_event_id": "a"}]


def test_rejected_row_that_the_last_row_of_its_id_replaced_is_not_retried(
    run_dag, sandbox, sequence_conn, warehouse
):
    """Sequence has the last row already, and so it is not sent; it counts as the last row of its id all the same."""
    warehouse.execute(
        "CREATE TABLE usage (number INTEGER, customer_event_id TEXT, customer_alias TEXT,"
        " event_type TEXT, event_timestamp TEXT, units INTEGER)"
    )
    for number, row in enumerate([usage("a", 1), usage("a", 2), usage("a", 1)]):
        warehouse.execute(f"INSERT INTO usage VALUES {(number, *row)}")
    sandbox.fault(kind="status", status=400, match={"eventProperties": {"units": 2}}, times=1)

    def run(where: str, **options: Any) -> Any:
        with interval_dag(START, END) as dag:
            SqlToSequenceUsageEventsOperator(
                task_id="push",
                sql_conn_id="warehouse",
                sql=f"SELECT {', '.join(COLUMNS)} FROM usage WHERE {where} ORDER BY number",
                delivery_log_table="deliveries",
                max_rejected=1,
                **options,
            )
        return run_dag(dag, END)

    first = run("number < 3")
    assert (first.state, units_of(sandbox)) == ("success", {"a": 1}), first.errors
    assert first.xcoms["push"]["rejected"] == 1

    later = run("number > 3", retry_rejected=True)  # another window, which has no row of this id
    assert later.state == "success", later.errors
    assert later.xcoms["push"]["rows"] == 0
    assert units_of(sandbox) == {"a": 1}


# The operator by itself; what needs a DAG run comes last.


def rows_of(warehouse: Any, *rows: Row) -> None:
    """Make these the rows of the table ``usage``."""
    if "usage" not in warehouse.tables():
        warehouse.execute(
            "CREATE TABLE usage (number INTEGER, customer_event_id TEXT, customer_alias TEXT,"
            " event_type TEXT, event_timestamp TEXT, units INTEGER)"
        )
    warehouse.execute("DELETE FROM usage")
    if rows:
        named = [
            dict(zip(["number", *COLUMNS], [number, *row], strict=True)) for number, row in enumerate(rows)
        ]
        marks = ", ".join(f":{name}" for name in ["number", *COLUMNS])
        warehouse.execute(f"INSERT INTO usage VALUES ({marks})", *named)


def operator(**options: Any) -> SqlToSequenceUsageEventsOperator:
    options.setdefault("sql", f"SELECT {', '.join(COLUMNS)} FROM usage ORDER BY number")
    return SqlToSequenceUsageEventsOperator(task_id="push", sql_conn_id="warehouse", **options)


def execute(warehouse: Any, *rows: Row, run_id: str = "manual__1", **options: Any) -> dict[str, Any]:
    """Push rows as a task does, but for the DAG run; its result comes back."""
    rows_of(warehouse, *rows)
    return operator(**options).execute({"ti": SimpleNamespace(**(TASK | {"run_id": run_id}))})  # type: ignore[arg-type]


def old(event_id: str, units: int = 1) -> Row:
    return event_id, "acme", "call", TIME, units


def fresh(event_id: str, units: int = 1, distance: dt.timedelta = -MINUTE) -> Row:
    return event_id, "acme", "call", (dt.datetime.now(dt.UTC) + distance).isoformat(), units


def table(warehouse: Any) -> list[Row]:
    return warehouse.rows("SELECT * FROM deliveries ORDER BY customer_event_id")


def columns(warehouse: Any) -> list[str]:
    return [each["name"] for each in sa.inspect(warehouse.engine).get_columns("deliveries")]


def hashes(warehouse: Any) -> dict[str, tuple[str | None, str | None]]:
    found = warehouse.rows("SELECT customer_event_id, body_hash, previous_hash FROM deliveries")
    return {event_id: (last, before) for event_id, last, before in found}


def bodies(sandbox: Any) -> dict[str, list[bytes]]:
    """The bodies that arrived of each id, in order."""
    found: dict[str, list[bytes]] = {}
    for item in sandbox._admin("GET", "/_sandbox/ledger?limit=10000")["items"]:
        found.setdefault(item["customerEventId"], []).append(item["body"].encode())
    return found


def refuse(sandbox: Any, **match: Any) -> None:
    sandbox.fault(kind="status", status=400, **({"times": 1} | match))


def numbers(result: dict[str, Any], *names: str) -> tuple[int, ...]:
    return tuple(result[name] for name in names)


@pytest.mark.parametrize("hours", [2, -2])
def test_worker_whose_clock_is_wrong(hours, warehouse, monkeypatch, capfd, caplog):
    """Sequence's clock is some hours ahead, and its responses tell so."""
    ahead = dt.timedelta(hours=hours)

    def respond(request: Received) -> Reply:
        date = format_datetime(dt.datetime.now(dt.UTC) + ahead, usegmt=True)
        answer = EMPTY_LIST if request.method == "GET" else created(request)
        return replace(answer, headers=(("Date", date),))

    with Loopback() as server:
        server.responses = [respond]
        monkeypatch.setenv("AIRFLOW_CONN_SEQUENCE_DEFAULT", sequence_connection(server))
        rows = [fresh("just past", distance=ahead - MINUTE), fresh("ahead", distance=ahead + 10 * MINUTE)]
        result = execute(warehouse, *rows, max_rejected=1)

    assert numbers(result, "delivered", "rejected") == (1, 1)
    log = "".join(capfd.readouterr()) + caplog.text
    assert f"ahead of now, {dt.datetime.now(dt.UTC) + ahead:%Y-%m-%dT%H}:" in log
    assert caplog.text.count("worker's clock says") == 1


def test_row_too_far_ahead_is_rejected_by_default(sandbox, sequence_conn, warehouse):
    result = execute(
        warehouse, fresh("near", distance=4 * MINUTE), fresh("far", distance=6 * MINUTE), max_rejected=1
    )

    assert list(bodies(sandbox)) == ["near"]
    assert numbers(result, "delivered", "rejected") == (1, 1)
    (rejected,) = result["rejected_rows"]
    assert (rejected["row"], rejected["customer_event_id"]) == (2, "far")
    assert "max_future" in rejected["reason"]


@pytest.mark.parametrize("max_future", [None, 40 * DAY])
def test_max_future_lets_later_times_through(max_future, sandbox, sequence_conn, warehouse):
    result = execute(warehouse, fresh("far", distance=30 * DAY), max_future=max_future)

    assert numbers(result, "delivered", "rejected") == (1, 0)
    assert list(bodies(sandbox)) == ["far"]


def test_late_counts_only_what_is_delivered(sandbox, sequence_conn, warehouse):
    refuse(sandbox, match={"customerEventId": "refused"})
    rows = [old("late"), old("refused"), ("no alias", None, "call", TIME, 1), fresh("new")]
    result = execute(warehouse, *rows, late_after=DAY, max_rejected=2)

    assert numbers(result, "delivered", "rejected", "late") == (2, 2, 1)
    assert set(bodies(sandbox)) == {"late", "new"}


def test_nothing_is_late_by_default(sandbox, sequence_conn, warehouse):
    assert numbers(execute(warehouse, old("a")), "delivered", "late") == (1, 0)


def test_late_row_is_rejected_with_late_reject(sandbox, sequence_conn, warehouse):
    result = execute(
        warehouse, old("late"), fresh("new"), late_after=DAY, late="reject", max_rejected=1, **LOG
    )

    assert numbers(result, "delivered", "rejected", "late") == (1, 1, 0)
    assert list(bodies(sandbox)) == ["new"]
    assert "late" in result["rejected_rows"][0]["reason"]
    statuses = dict(warehouse.rows("SELECT customer_event_id, status FROM deliveries"))
    assert statuses == {"late": "rejected", "new": "delivered"}


def test_unchanged_row_is_neither_late_nor_rejected(sandbox, sequence_conn, warehouse):
    rows = [old("past"), fresh("future", distance=30 * DAY)]
    execute(warehouse, *rows, max_future=None, **LOG)
    result = execute(warehouse, *rows, late_after=DAY, late="reject", **LOG)

    assert numbers(result, "unchanged", "rejected", "late", "requests") == (2, 0, 0, 0)


def test_changed_row_is_checked_again(sandbox, sequence_conn, warehouse):
    execute(warehouse, old("a", 1), old("b", 1), **LOG)
    result = execute(warehouse, old("a", 2), old("b", 1), late_after=DAY, **LOG)
    assert numbers(result, "delivered", "unchanged", "late", "corrected") == (1, 1, 1, 1)

    result = execute(warehouse, old("a", 3), late_after=DAY, late="reject", max_rejected=1, **LOG)
    assert numbers(result, "rejected", "corrected") == (1, 0)
    assert units_of(sandbox) == {"a": 2, "b": 1}


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"late": "maybe", "late_after": DAY}, "late"),
        ({"retry_rejected": True}, "delivery_log_table"),
        ({"max_future": "soon"}, "max_future"),
        ({"late_after": -DAY}, "late_after"),
        ({"dry_run": "maybe"}, "dry_run"),
        ({"min_rows": -1}, "min_rows"),
        ({"sql": ["SELECT 1"]}, "sql is of type list"),
        ({"parameters": "a"}, "parameters is of type str"),
        ({"parameters": 7}, "parameters is of type int"),
    ],
)
def test_wrong_setting_is_named_and_not_retried(options, word, sandbox, sequence_conn, warehouse):
    with pytest.raises(AirflowFailException, match=word):
        execute(warehouse, fresh("a"), **options)

    assert sandbox.summary()["requests"] == 0


@pytest.mark.parametrize("log", [{}, LOG], ids=["no log", "log"])
def test_conflicting_rows_next_to_each_other(log, sandbox, sequence_conn, warehouse):
    rows = [old("a", 1), old("a", 2), old("b", 1), old("b", 1), old("c", 1), old("a", 3)]
    result = execute(warehouse, *rows, **log)

    assert units_of(sandbox) == {"a": 3, "b": 1, "c": 1}
    assert numbers(result, "rows", "conflicting", "corrected") == (6, 2, 0)
    assert result["delivered"] + result["unchanged"] == 6
    assert result["conflicting_rows"] == [
        {"row": 2, "customer_event_id": "a"},
        {"row": 6, "customer_event_id": "a"},
    ]


def far_apart() -> list[Row]:
    return [usage("a", 1), *[usage(f"e{number}", 0) for number in range(3000)], usage("a", 2)]


def pushed(rows: list[Row], client: Any, memory: Any) -> dict[str, Any]:
    batches = [rows[start : start + 500] for start in range(0, len(rows), 500)]
    made = map_rows(batches, EventMapper(USAGE_EVENT, COLUMNS))
    return push(made, client, USAGE_EVENTS, threads=4, state=memory).as_dict()


def test_conflicting_rows_far_apart_without_a_log():
    summary = pushed(far_apart(), DryRunSender(), RunState())

    assert numbers(summary, "delivered", "conflicting", "corrected") == (3002, 1, 0)
    assert summary["conflicting_rows"] == [{"row": 3002, "customer_event_id": "a"}]


def test_conflicting_rows_far_apart_with_a_log(sandbox, sequence_conn, engine):
    with SequenceHook(sequence_conn).client as client, connect(engine) as connection:
        log = DeliveryLog(connection, "deliveries", account="acc", resource="usage_events", task=TASK)
        pushed(far_apart()[1:-1], DryRunSender(), LoggedState(log))  # only the two others have to be sent
        summary = pushed(far_apart(), client, LoggedState(log))

    assert numbers(summary, "delivered", "unchanged", "conflicting", "requests") == (2, 3000, 1, 2)
    assert summary["conflicting_rows"] == [{"row": 3002, "customer_event_id": "a"}]
    assert units_of(sandbox) == {"a": 2}


def test_corrected_is_what_replaces_an_earlier_runs_event(deliver, sandbox):
    assert numbers(deliver(usage("a", 1), usage("b", 1)), "delivered", "corrected") == (2, 0)
    summary = deliver(usage("a", 2), usage("b", 1), usage("c", 1))
    assert numbers(summary, "delivered", "unchanged", "corrected", "conflicting") == (2, 1, 1, 0)


def test_without_a_log_no_row_counts_as_corrected(sandbox, sequence_conn, warehouse):
    execute(warehouse, old("a", 1))
    assert numbers(execute(warehouse, old("a", 2)), "delivered", "corrected") == (1, 0)


def test_refused_correction_does_not_count_as_corrected(deliver, sandbox):
    deliver(usage("a", 1))
    refuse(sandbox)
    assert numbers(deliver(usage("a", 2)), "rejected", "corrected") == (1, 0)


@sqlite_and_postgres
def test_log_keeps_the_hash_of_the_body_before(deliver, sandbox, warehouse):
    deliver(usage("a", 1), usage("b", 1))
    assert [before for _, before in hashes(warehouse).values()] == [None, None]
    for units in (2, 2, 3, 3):
        deliver(usage("a", units), usage("b", 1))

    _, second, third = bodies(sandbox)["a"]
    (only,) = bodies(sandbox)["b"]
    assert hashes(warehouse) == {"a": (hash_body(third), hash_body(second)), "b": (hash_body(only), None)}


@sqlite_and_postgres
def test_refused_correction_leaves_the_hashes(deliver, sandbox, warehouse):
    deliver(usage("a", 1))
    deliver(usage("a", 2))
    before = hashes(warehouse)
    refuse(sandbox)
    deliver(usage("a", 3))

    assert hashes(warehouse) == before


def test_previous_hash_differs_from_the_last_one(deliver, warehouse):
    deliver(usage("a", 2))
    deliver(usage("a", 1), usage("a", 2))
    last, before = hashes(warehouse)["a"]

    assert last != before


BAD = 7  # units that the sandbox refuses
ANY_ROW = st.tuples(
    st.sampled_from("abc"), st.sampled_from([1, 2, 3, BAD]), st.sampled_from(["acme"] * 5 + [None])
)
ANY_ROWS = st.lists(ANY_ROW, max_size=12)
_example = itertools.count()


@settings(max_examples=12, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(first=ANY_ROWS, second=ANY_ROWS, threads=st.integers(1, 5))
def test_any_rows_in_two_runs(first, second, threads, sandbox, sequence_conn, engine, warehouse):
    sandbox.reset()
    sandbox.clear_faults()
    refuse(sandbox, match={"eventProperties": {"units": BAD}}, times=None)
    account, good = f"account {next(_example)}", {}
    for rows in (first, second):
        good |= {event_id: units for event_id, units, alias in rows if alias and units != BAD}
        made = [(event_id, alias, "call", TIME, units) for event_id, units, alias in rows]
        with SequenceHook(sequence_conn).client as client, connect(engine) as connection:
            log = DeliveryLog(connection, "deliveries", account=account, resource="usage_events", task=TASK)
            events = map_rows([made[:5], made[5:]], EventMapper(USAGE_EVENT, COLUMNS))
            summary = push(events, client, USAGE_EVENTS, threads=threads, state=LoggedState(log)).as_dict()

        assert sum(numbers(summary, "delivered", "unchanged", "rejected")) == summary["rows"] == len(rows)
        assert summary["rejected"] == sum(alias is None or units == BAD for _, units, alias in rows)
        assert summary["corrected"] <= summary["delivered"]
        assert units_of(sandbox) == good

    entries = warehouse.rows(
        f"SELECT customer_event_id, body_hash, previous_hash FROM deliveries WHERE account = '{account}'"
    )
    log = {event_id: (last, before) for event_id, last, before in entries if last is not None}
    arrived = {event_id: [hash_body(body) for body in each] for event_id, each in bodies(sandbox).items()}
    assert {event_id: last for event_id, (last, _) in log.items()} == {
        event_id: each[-1] for event_id, each in arrived.items()
    }
    for event_id, (_, before) in log.items():
        assert before is None or before in arrived[event_id]
        units = [units for name, units, alias in second if name == event_id and alias]
        refused = any(name == event_id and units == BAD for name, units, _ in first)
        if len(arrived[event_id]) > 1 and len(units) == 1 and units != [BAD] and not refused:
            changed = arrived[event_id][-1] != arrived[event_id][-2]
            once = sum(name == event_id and bool(alias) for name, _, alias in first) == 1
            if changed and once:  # one row of the id in each run: nothing else may be the body before
                assert before == arrived[event_id][-2]


@pytest.fixture
def open_delivery_log(engine) -> Iterator[Any]:
    with contextlib.ExitStack() as stack:

        def make(**options: Any) -> DeliveryLog:
            connection = stack.enter_context(connect(engine))
            return DeliveryLog(
                connection, "deliveries", account="acc", resource="usage_events", task=TASK, **options
            )

        yield make


@pytest.fixture
def old_log(deliver, warehouse) -> list[Row]:
    """A log as an older release made it, with an entry for ``a``."""
    deliver(usage("a", 1))
    warehouse.execute("ALTER TABLE deliveries DROP COLUMN previous_hash")
    return table(warehouse)


@sqlite_and_postgres
def test_log_of_an_older_release_is_given_its_column(old_log, deliver, sandbox, warehouse):
    names = columns(warehouse)
    assert numbers(deliver(usage("a", 1)), "unchanged", "requests") == (1, 0)
    assert set(columns(warehouse)) == {*names, "previous_hash"}
    assert warehouse.rows(f"SELECT {', '.join(names)} FROM deliveries") == old_log

    deliver(usage("a", 2))
    first, last = bodies(sandbox)["a"]
    assert hashes(warehouse) == {"a": (hash_body(last), hash_body(first))}


@sqlite_and_postgres
def test_tasks_that_find_an_older_log_at_the_same_time(old_log, engine, warehouse):
    ready = threading.Barrier(4, timeout=30)

    def work(number: int) -> dict[str, KnownDelivery]:
        with connect(engine) as connection:
            ready.wait()
            log = DeliveryLog(connection, "deliveries", account="acc", resource="usage_events", task=TASK)
            log.store([Outcome(number, Status.DELIVERED, f"e{number}", "h", "s")])
            return log.known(["a"])

    with ThreadPoolExecutor(4) as pool:
        assert all(known["a"].is_current for known in pool.map(work, range(4)))
    assert len(table(warehouse)) == 5
    assert columns(warehouse).count("previous_hash") == 1


@pytest.mark.parametrize("missing", ["reason", "run_id"])
@pytest.mark.parametrize("read_only", [False, True])
@sqlite_and_postgres
def test_log_that_lacks_another_column_is_refused_and_untouched(
    missing, read_only, old_log, open_delivery_log, warehouse
):
    warehouse.execute(f"ALTER TABLE deliveries DROP COLUMN {missing}")
    before = columns(warehouse), table(warehouse)
    with pytest.raises(SequenceConfigurationError, match=missing):
        open_delivery_log(read_only=read_only)

    assert (columns(warehouse), table(warehouse)) == before


def test_log_that_is_only_read_is_not_given_its_column(old_log, open_delivery_log, warehouse):
    before = columns(warehouse), table(warehouse)
    known = open_delivery_log(read_only=True).known(["a", "b"])

    assert (set(known), known["a"].is_current) == ({"a"}, True)
    assert (columns(warehouse), table(warehouse)) == before


@sqlite_and_postgres
def test_rejected_rows_of_an_earlier_run_are_sent_from_the_log(sandbox, sequence_conn, warehouse):
    refuse(sandbox, match={"customerEventId": "b"})
    execute(warehouse, old("a"), old("b", 5), old("c"), max_rejected=1, **LOG)
    result = execute(warehouse, old("d"), retry_rejected=True, run_id="manual__2", **LOG)

    assert numbers(result, "rows", "delivered", "rejected") == (1, 1, 0)
    assert numbers(result["retried"], "delivered", "rejected") == (1, 0)
    assert units_of(sandbox)["b"] == 5
    assert list(bodies(sandbox))[-1] == "b"  # after the query's own rows
    status = "SELECT status, reason, rejected_body, run_id FROM deliveries WHERE customer_event_id = 'b'"
    assert warehouse.rows(status) == [("delivered", None, None, "manual__2")]


def test_retried_rows_are_in_the_metrics(sandbox, sequence_conn, warehouse, mocker):
    refuse(sandbox, match={"customerEventId": "b"})
    execute(warehouse, old("b"), max_rejected=1, **LOG)
    incr = mocker.patch("airflow_provider_sequence.utils.metrics.Stats.incr")
    execute(warehouse, old("a"), retry_rejected=True, **LOG)

    counted = {call.args for call in incr.call_args_list if call.args[0].startswith("sequence.")}
    assert counted == {("sequence.delivered", 2), ("sequence.requests", 2)}


def test_retried_row_that_is_rejected_again_does_not_fail_the_task(sandbox, sequence_conn, warehouse):
    refuse(sandbox, match={"customerEventId": "b"}, times=None)
    execute(warehouse, old("b"), max_rejected=1, **LOG)
    result = execute(warehouse, old("a"), retry_rejected=True, max_rejected=0, **LOG)

    assert numbers(result, "delivered", "rejected") == (1, 0)
    assert numbers(result["retried"], "delivered", "rejected") == (0, 1)
    assert set(bodies(sandbox)) == {"a"}


def test_row_that_this_run_rejected_is_not_retried(sandbox, sequence_conn, warehouse):
    refuse(sandbox, match={"customerEventId": "b"}, times=2)
    execute(warehouse, old("b"), max_rejected=1, **LOG)
    result = execute(warehouse, old("b"), max_rejected=1, retry_rejected=True, **LOG)

    assert (result["rejected"], sandbox.summary()["posts_received"]) == (1, 2)
    assert not any(result["retried"].values())


def test_rejected_row_that_was_corrected_since_is_not_retried(sandbox, sequence_conn, warehouse):
    refuse(sandbox, match={"customerEventId": "b"})
    execute(warehouse, old("b", 1), max_rejected=1, **LOG)
    execute(warehouse, old("b", 2), retry_rejected=True, **LOG)

    assert [json.loads(body)["eventProperties"]["units"] for body in bodies(sandbox)["b"]] == [2]


def test_row_that_was_too_far_ahead_is_checked_again(sandbox, sequence_conn, warehouse):
    execute(warehouse, fresh("far", distance=30 * DAY), max_rejected=1, **LOG)
    result = execute(warehouse, retry_rejected=True, **LOG)
    assert numbers(result["retried"], "delivered", "rejected") == (0, 1)
    assert bodies(sandbox) == {}

    result = execute(warehouse, retry_rejected=True, max_future=None, **LOG)
    assert numbers(result["retried"], "delivered", "rejected") == (1, 0)
    assert list(bodies(sandbox)) == ["far"]


def test_more_rejected_rows_than_a_page_of_the_log_has(sandbox, sequence_conn, warehouse):
    refuse(sandbox, times=501)
    ids = [f"e{number}" for number in range(501)]
    execute(warehouse, *map(old, ids), max_rejected=501, **LOG)
    refuse(sandbox, match={"customerEventId": "e499"}, times=None)
    refuse(sandbox, match={"customerEventId": "e500"}, times=None)
    result = execute(warehouse, retry_rejected=True, **LOG)

    assert numbers(result["retried"], "delivered", "rejected") == (499, 2)
    assert sorted(bodies(sandbox)) == sorted(set(ids) - {"e499", "e500"})
    assert sandbox.summary()["posts_received"] == 1002


MIXED = [
    old("unchanged", 1),
    old("corrected", 2),
    old("new", 1),
    old("new", 2),
    old("refused before", 1),
    fresh("far", distance=30 * DAY),
    ("no alias", None, "call", TIME, 1),
    (None, "acme", "call", TIME, 1),
    fresh("on time"),
]


@pytest.fixture
def earlier(sandbox, sequence_conn, warehouse) -> None:
    refuse(sandbox, match={"customerEventId": "refused before"})
    execute(
        warehouse, old("unchanged", 1), old("corrected", 1), old("refused before", 1), max_rejected=1, **LOG
    )


@pytest.mark.parametrize("log", [{}, LOG], ids=["no log", "log"])
def test_dry_run_counts_as_a_run_does(log, earlier, sandbox, warehouse):
    options = {"max_rejected": 3, "late_after": DAY, "run_id": "manual__2"} | log
    dry = execute(warehouse, *MIXED, dry_run=True, **options)
    real = execute(warehouse, *MIXED, **options)

    assert (dry.pop("dry_run"), dry.pop("requests")) == (True, 0)
    # One of them asks what time it is: before a row is rejected for the future.
    assert (real.pop("requests"), "dry_run" in real) == (7 - bool(log), False)
    for result in (dry, real):
        for row in result["rejected_rows"]:
            row["reason"] = re.sub(r"now, \S+", "now", row["reason"])
    assert dry | {"seconds": 0} == real | {"seconds": 0}
    assert numbers(real, "conflicting", "rejected") == (1, 3)


@sqlite_and_postgres
def test_dry_run_sends_and_writes_nothing(earlier, sandbox, warehouse):
    before = table(warehouse), sandbox.ledger(), sandbox.summary()
    execute(warehouse, *MIXED, dry_run=True, max_rejected=3, run_id="manual__2", **LOG)

    assert (table(warehouse), sandbox.ledger(), sandbox.summary()) == before


def test_dry_run_makes_no_log(sandbox, sequence_conn, warehouse):
    result = execute(warehouse, old("a"), old("a", 2), dry_run=True, **LOG)

    assert numbers(result, "delivered", "conflicting") == (2, 1)
    assert warehouse.tables() == {"usage"}


def test_dry_run_leaves_the_log_of_an_older_release_alone(earlier, sandbox, warehouse):
    warehouse.execute("ALTER TABLE deliveries DROP COLUMN previous_hash")
    before = columns(warehouse), table(warehouse)
    result = execute(warehouse, *MIXED, dry_run=True, max_rejected=3, **LOG)

    assert numbers(result, "unchanged", "corrected") == (1, 1)
    assert (columns(warehouse), table(warehouse)) == before


@sqlite_and_postgres
def test_query_in_the_error_shows_what_the_run_rejected(sandbox, sequence_conn, warehouse):
    execute(warehouse, fresh("earlier", distance=DAY), max_rejected=1, run_id="o'clock__0", **LOG)
    rows = [fresh(each, distance=DAY) for each in ("b", "it's 100% :x")]
    with pytest.raises(RejectedRowsError) as caught:
        execute(warehouse, old("a"), *rows, run_id="o'clock 100% :x \\ __1", **LOG)

    query = str(caught.value)
    query = query[query.index("SELECT") :]
    with (
        contextlib.closing(warehouse.engine.raw_connection()) as connection,
        contextlib.closing(connection.cursor()) as cursor,
    ):
        cursor.execute(query)  # the driver alone: to SQLAlchemy a % means something
        shown = {value for row in cursor.fetchall() for value in row}
    assert {"b", "it's 100% :x"} <= shown
    assert not {"a", "earlier"} & shown


@on_postgres
def test_id_that_the_log_cannot_keep_is_rejected_alone_and_not_sent(warehouse, sandbox, sequence_conn):
    """An entry of PostgreSQL's index has 2,704 bytes; what does not compress shows it."""
    longest = secrets.token_hex(1000)  # which the sandbox refuses, and the log keeps
    rows = [usage("a", 1), usage(longest + "x", 2), usage(longest, 3)]
    result = execute(warehouse, *rows, max_rejected=2, **LOG)
    assert units_of(sandbox) == {"a": 1}
    assert [("more than 2,000 bytes" in row["reason"]) for row in result["rejected_rows"]] == [True, False]
    assert warehouse.rows("SELECT length(customer_event_id) FROM deliveries ORDER BY 1") == [(1,), (2000,)]
