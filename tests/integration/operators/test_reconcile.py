"""Reconciliation: the differences between the warehouse and Sequence, and no others."""

from __future__ import annotations

import datetime as dt
import json
import re
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import pytest

from airflow_provider_sequence.exceptions import (
    DifferencesError,
)
from airflow_provider_sequence.operators.sequence import (
    SequenceReconcileMetricOperator,
    SequenceReconcileOperator,
    SequenceVoidUsageEventsOperator,
)
from airflow_provider_sequence.transfers.sequence_to_sql import SequenceToSqlOperator
from airflow_provider_sequence.transfers.sql_to_sequence import SqlToSequenceUsageEventsOperator
from airflow_provider_sequence.utils import progress
from tests.integration.support.airflow import interval_dag
from tests.integration.support.databases import sqlite_and_postgres
from tests.integration.support.values import error_text, utc

START, END = dt.datetime(2026, 3, 1, tzinfo=dt.UTC), dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
DAY = {"window_start": START.isoformat(), "window_end": END.isoformat()}
NEXT_DAY = {"window_start": END.isoformat(), "window_end": (END + dt.timedelta(days=1)).isoformat()}
NOON, TOMORROW, YESTERDAY = "2026-03-01T12:00:00Z", "2026-03-02T12:00:00Z", "2026-02-28T12:00:00Z"
QUERY = (
    "SELECT customer_event_id, customer_alias, event_type, event_timestamp, n FROM usage ORDER BY position"
)
KINDS = ("missing", "different", "unexpected", "voided")

both_readings = pytest.mark.parametrize("superseded", ["listed", "hidden"])


@pytest.fixture
def give(warehouse: Any) -> Any:
    """Puts rows into the warehouse's table of usage."""
    warehouse.execute(
        "CREATE TABLE usage (position INTEGER, customer_event_id TEXT, customer_alias TEXT, event_type TEXT,"
        " event_timestamp TEXT, n INTEGER)"
    )

    def put(*ids: str, alias: str | None = "acme", kind: str = "call", at: str = NOON, n: int = 1) -> None:
        ((last,),) = warehouse.rows("SELECT coalesce(max(position), 0) FROM usage")
        values = {"alias": alias, "kind": kind, "at": at, "n": n}
        warehouse.execute(
            "INSERT INTO usage VALUES (:position, :id, :alias, :kind, :at, :n)",
            *[{"position": last + i, "id": each} | values for i, each in enumerate(ids, 1)],
        )

    return put


@pytest.fixture
def post(sandbox: Any) -> Any:
    """Sends events to Sequence, one after the other."""

    def send(*ids: str, alias: str = "acme", kind: str = "call", at: str = NOON, n: int = 1) -> None:
        for each in ids:
            body = {
                "customerEventId": each,
                "customerAlias": alias,
                "eventType": kind,
                "eventTimestamp": at,
                "eventProperties": {"n": n},
            }
            sandbox.call("POST", "/usage-events", json=body).raise_for_status()

    return send


def reconciliation(task_id: str = "reconcile", **options: Any) -> SequenceReconcileOperator:
    defaults = {"sql": QUERY, "sql_conn_id": "warehouse"}
    return SequenceReconcileOperator(task_id=task_id, **(defaults | options))


def reconcile(**options: Any) -> dict[str, Any]:
    """Compare without a run of Airflow; any number of differences may be, unless a limit is given."""
    return reconciliation(**(DAY | {"max_differences": 10**6} | options)).execute({})


def push(task_id: str = "push", **options: Any) -> SqlToSequenceUsageEventsOperator:
    return SqlToSequenceUsageEventsOperator(task_id=task_id, sql=QUERY, sql_conn_id="warehouse", **options)


def pull() -> None:
    """Pull the day into the table ``staged``."""
    SequenceToSqlOperator(
        task_id="pull", resource="usage_events", table="staged", sql_conn_id="warehouse", **DAY
    ).execute({})


def found(result: dict[str, Any]) -> dict[str, int]:
    """The differences that there are, by their names."""
    return {kind: result[kind] for kind in KINDS if result[kind]}


def table(warehouse: Any, name: str = "differences") -> list[tuple[str, str]]:
    return warehouse.rows(
        f"SELECT customer_event_id, difference FROM {name} ORDER BY window_start, customer_event_id"
    )


def arrived(sandbox: Any) -> list[tuple[str, int]]:
    """Ids of what was received, each with its ``n``, in order."""
    items = sandbox.ledger()["items"]
    return [(item["customerEventId"], json.loads(item["body"])["eventProperties"]["n"]) for item in items]


class TestEvents:
    @pytest.mark.parametrize(
        ("warehouse", "superseded"),
        [("sqlite", "listed"), ("sqlite", "hidden"), ("postgres", "listed")],
        indirect=["warehouse"],
    )
    def test_each_kind_of_difference_is_counted(
        self, superseded, sandbox, sequence_conn, warehouse, give, post
    ):
        sandbox.settings(superseded=superseded)
        post("same-1", "same-2", "voided", "void-only", "corrected", "changed-0")
        post("changed-1", alias="other")
        post("changed-2", kind="other")
        post("changed-3", at="2026-03-01T12:00:00.001Z")
        post("corrected", n=2)
        post("changed-0", n=2)
        post("extra-1", "extra-2", "extra-3")
        post("voided", "void-only", alias="VOID")
        post("far", at=TOMORROW)
        give(
            "same-1",
            "same-2",
            "voided",
            "changed-0",
            "changed-1",
            "changed-2",
            "changed-3",
            "lost-1",
            "lost-2",
        )
        give("corrected", n=2)
        give("far", "far-2", at=TOMORROW)
        give("bad", alias=None)
        result = reconcile(differences_table="differences")

        assert found(result) == {"missing": 2, "different": 4, "unexpected": 3, "voided": 1}
        assert (result["rows"], result["expected"], result["outside"], result["invalid"]) == (13, 10, 2, 1)
        assert (result["found"], result["late"], result["resent"]) == (10, None, 0)
        assert table(warehouse) == [
            *[(f"changed-{i}", "different") for i in range(4)],
            *[(f"extra-{i}", "unexpected") for i in (1, 2, 3)],
            ("lost-1", "missing"),
            ("lost-2", "missing"),
            ("voided", "voided"),
        ]  # fmt: skip

    def test_two_sides_that_agree(self, sequence_conn, give, post):
        give("a", "b")
        post("b", "a")
        result = reconcile(max_differences=0)

        assert found(result) == {}
        assert (result["rows"], result["expected"], result["found"]) == (2, 2, 2)
        assert result["requests"] >= 1

    def test_nothing_on_either_side(self, sequence_conn, give):
        assert reconcile(max_differences=0)["expected"] == 0

    def test_the_window_is_half_open(self, sequence_conn, give, post):
        last, first, after = "2026-03-01T23:59:59.999999Z", "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"
        give("first", at=first)
        give("last", at=last)
        give("after", at=after)
        for name, at in (("first", first), ("last", last), ("after", after)):
            post(name, at=at)
        result = reconcile()

        assert found(result) == {}
        assert (result["expected"], result["found"], result["outside"]) == (2, 2, 1)

    def test_of_several_rows_of_an_id_the_last_counts(self, sequence_conn, give, post):
        give("a", n=1)
        give("a", n=2)
        post("a", n=2)
        result = reconcile()

        assert found(result) == {}
        assert (result["rows"], result["expected"]) == (2, 1)

    def test_a_row_that_moves_the_event_out_of_the_window_is_the_last_one(
        self, sandbox, sequence_conn, give, post
    ):
        sandbox.settings(superseded="hidden")
        give("a")
        give("a", at=TOMORROW)
        post("a")
        post("a", at=TOMORROW)

        assert found(reconcile()) == {}

    @pytest.mark.parametrize("form", ["as_sent", "utc_millis", "offset", "naive"])
    def test_forms_of_a_time_are_no_difference(self, form, sandbox, sequence_conn, give, post):
        sandbox.settings(timestamp_format=form)
        give("a", at="2026-03-01T13:00:00.123456+01:00")
        post("a", at="2026-03-01T12:00:00.123456Z")

        assert found(reconcile()) == {}

    @pytest.mark.parametrize(
        ("superseded", "event_id_filter"),
        [("hidden", "id"), ("hidden", "customer_event_id"), ("listed", "customer_event_id")],
    )
    def test_an_event_whose_time_was_corrected_into_another_window_is_not_unexpected(
        self, superseded, event_id_filter, sandbox, sequence_conn, give, post
    ):
        """Where copies are listed, and no filter finds the later one, nobody can tell."""
        sandbox.settings(superseded=superseded, event_id_filter=event_id_filter)
        post("moved")
        post("moved", at=TOMORROW)
        give("moved", at=TOMORROW)
        result = reconcile()

        assert found(result) == {}
        assert result["found"] == 0

    @both_readings
    def test_an_event_whose_time_was_corrected_into_the_window(
        self, superseded, sandbox, sequence_conn, give, post
    ):
        sandbox.settings(superseded=superseded)
        post("moved", at=YESTERDAY)
        post("moved")
        give("moved")

        assert found(reconcile()) == {}

    def test_an_event_that_sequence_moved_away_is_missing(self, sandbox, sequence_conn, give, post):
        sandbox.settings(superseded="hidden")
        post("moved")
        post("moved", at=TOMORROW)
        give("moved")

        assert found(reconcile()) == {"missing": 1}

    @both_readings
    def test_late_is_what_came_after_the_pull(self, superseded, sandbox, sequence_conn, give, post):
        sandbox.settings(superseded=superseded)
        post("a", "b")
        pull()
        assert reconcile(staging_table="staged")["late"] == 0

        give("a", "b", "c")
        post("b", n=2)
        post("c", "d")
        result = reconcile(staging_table="staged")
        assert result["late"] == 3
        assert found(result) == {"different": 1, "unexpected": 1}

    @sqlite_and_postgres
    def test_late_events_of_a_table_on_each_database(self, sequence_conn, give, post):
        post("a", at="2026-03-01T00:00:00Z")
        post("b", at="2026-03-01T23:59:59.999Z")
        pull()
        post("c")

        assert reconcile(staging_table="staged")["late"] == 1

    @both_readings
    def test_what_the_void_operator_voided_stays_so(self, superseded, run_dag, sandbox, sequence_conn, give):
        sandbox.settings(superseded=superseded)
        give("a", "b")
        log = {"delivery_log_table": "log"}
        with interval_dag(START, END) as dag:
            void = SequenceVoidUsageEventsOperator(
                task_id="void",
                sql_conn_id="warehouse",
                sql="SELECT customer_event_id FROM usage WHERE customer_event_id = 'a'",
                **log,
            )
            push(**log) >> void >> reconciliation(resend=True, max_differences=1, **log)
        result = run_dag(dag, END)

        assert result.state == "success", result.errors
        assert result.xcoms["reconcile"]["resent"] == 0
        assert found(result.xcoms["reconcile"]) == {"voided": 1}

    def test_seat_events(self, sandbox, sequence_conn, warehouse):
        warehouse.execute("CREATE TABLE seats (customer_event_id TEXT, total INTEGER)")
        for name, here, there in (("same", 3, 3), ("changed", 3, 4), ("lost", 3, None), ("extra", None, 3)):
            if here is not None:
                warehouse.execute(f"INSERT INTO seats VALUES ('{name}', {here})")
            if there is not None:
                body = {"customerEventId": name, "customerAlias": "acme", "seatType": "editor"}
                body |= {"eventTimestamp": NOON, "total": there}
                sandbox.call("POST", "/seat-events", json=body).raise_for_status()
        sql = f"SELECT customer_event_id, 'acme' AS customer_alias, '{NOON}' AS event_timestamp, total FROM seats"
        options = {"resource": "seat_events", "sql": sql, "constants": {"seat_type": "editor"}}

        assert found(reconcile(**options)) == {"missing": 1, "different": 1, "unexpected": 1}
        again = reconcile(**options, resend=True)
        assert (again["resent"], found(again)) == (2, {"unexpected": 1})


class TestDifferencesTable:
    @sqlite_and_postgres
    def test_second_comparison_replaces_the_first_of_its_window(self, sequence_conn, warehouse, give, post):
        give("a", "b")
        give("far", at=TOMORROW)
        post("extra")
        reconcile(differences_table="differences")
        reconcile(differences_table="differences", **NEXT_DAY)
        assert table(warehouse) == [
            ("a", "missing"), ("b", "missing"), ("extra", "unexpected"), ("far", "missing")
        ]  # fmt: skip
        post("a")
        post("b", n=2)
        reconcile(differences_table="differences")

        assert table(warehouse) == [("b", "different"), ("extra", "unexpected"), ("far", "missing")]

    @sqlite_and_postgres
    def test_columns(self, sandbox, sequence_conn, warehouse, give, post):
        give("a")
        post("extra")
        reconcile(differences_table="differences")

        query = "SELECT resource, window_start, window_end, customer_event_id, sequence_id, account FROM differences ORDER BY 4"
        rows = warehouse.rows(query)
        (event,) = sandbox.ledger()["items"]
        assert [(row[0], utc(row[1]), utc(row[2])) for row in rows] == [("usage_events", START, END)] * 2
        assert [row[3:5] for row in rows] == [("a", None), ("extra", event["id"])]
        assert rows[0][5]

    @sqlite_and_postgres
    def test_it_is_written_before_the_task_fails(self, sequence_conn, warehouse, give):
        """The error has counts, the first ids, and a query that gives them all."""
        give("a")
        with pytest.raises(DifferencesError) as caught:
            reconcile(differences_table="differences", max_differences=0)

        assert table(warehouse) == [("a", "missing")]
        _, counts, first, _, query = str(caught.value).splitlines()
        assert counts == "missing 1, different 0, unexpected 0. The first:"
        assert first == "  a: missing"
        assert [tuple(row)[1:] for row in warehouse.rows(query)] == [("a", "missing", None)]

    def test_another_table_is_refused(self, sequence_conn, warehouse, give):
        give("a")
        with pytest.raises(Exception, match="no column") as caught:
            reconcile(differences_table="usage")

        assert "usage" in error_text(caught.value)
        assert warehouse.rows("SELECT customer_event_id FROM usage") == [("a",)]

    def test_more_than_one_batch(self, sequence_conn, warehouse, give):
        ids = [f"e-{i:05}" for i in range(1001)]
        give(*ids)
        reconcile(differences_table="differences")

        assert table(warehouse) == [(each, "missing") for each in ids]


UUID = "018442e2-7f3b-7c4e-9d0e-6a3a4e0f9b2"
#: Columns of ids that are no text: the type, and three values as SQL.
IDS = {
    "integer": ("INTEGER", "7", "-8", "9007199254740993"),
    "bigint": ("BIGINT", "7", "-8", "9007199254740993"),
    "uuid": ("UUID", f"'{UUID}1'", f"'{UUID}2'", f"'{UUID}3'"),
}


@pytest.mark.parametrize(
    ("warehouse", "kind"),
    [("sqlite", "integer"), ("postgres", "bigint"), ("postgres", "uuid")],
    indirect=["warehouse"],
)
def test_ids_of_any_type_and_deep_properties(kind, run_dag, sandbox, sequence_conn, warehouse):
    column, kept, changed, lost = IDS[kind]
    as_json = "JSONB" if warehouse.is_postgres else "TEXT"
    warehouse.execute(f"CREATE TABLE deep (customer_event_id {column}, event_properties {as_json})")
    deep = '{"a": [{"b": [1.10, {"c": null, "d": ["x", 12345678901234567890.5]}]}]}'
    warehouse.execute(f"INSERT INTO deep VALUES ({kept}, '{deep}'), ({changed}, '{deep}')")
    fixed = f"'acme' AS customer_alias, 'call' AS event_type, '{NOON}' AS event_timestamp"
    sql = f"SELECT customer_event_id, event_properties, {fixed} FROM deep"
    with interval_dag(START, END) as dag:
        SqlToSequenceUsageEventsOperator(task_id="push", sql=sql, sql_conn_id="warehouse")
    assert run_dag(dag, END).states == {"push": "success"}
    assert found(reconcile(sql=sql)) == {}

    # Three brackets down, a digit more.
    deeper = deep.replace("67890.5", "67890.51")
    warehouse.execute(f"UPDATE deep SET event_properties = '{deeper}' WHERE customer_event_id = {changed}")
    warehouse.execute(f"INSERT INTO deep VALUES ({lost}, '{deep}')")
    assert found(reconcile(sql=sql, differences_table="differences")) == {"missing": 1, "different": 1}
    ids = {each["customerEventId"] for each in sandbox.ledger()["items"]}
    kinds = dict(table(warehouse))
    assert len(ids) == len(kinds) == 2
    assert [kinds.get(each) for each in sorted(ids, key=kinds.__contains__)] == [None, "different"]


class TestMaxDifferences:
    @pytest.mark.parametrize("limit", [2, "2", 0.5, "0.5", 1.0])
    def test_no_more_than_allowed(self, limit, sequence_conn, give, post):
        give("a", "b", "c", "d")
        post("a", "b", "c", "extra")

        assert found(reconcile(max_differences=limit)) == {"missing": 1, "unexpected": 1}

    @pytest.mark.parametrize("limit", [0, 1, "1", 0.49, "0.25"])
    def test_more_than_allowed(self, limit, sequence_conn, give, post):
        give("a", "b", "c", "d")
        post("a", "b", "c", "extra")
        with pytest.raises(DifferencesError, match=r"^2 events"):
            reconcile(max_differences=limit)

    def test_what_was_voided_is_no_fault(self, sequence_conn, give, post):
        give("a")
        post("a")
        post("a", alias="VOID")

        assert found(reconcile(max_differences=0)) == {"voided": 1}

    def test_outside_and_invalid_rows_are_no_differences(self, sequence_conn, give):
        give("far", at=TOMORROW)
        give("bad", alias=None)

        assert reconcile(max_differences=0)["invalid"] == 1


class TestResend:
    def test_sends_what_is_missing_or_different_and_no_more(
        self, run_dag, sandbox, sequence_conn, warehouse, give, post
    ):
        give("same", "lost", "changed", "voided")
        give("far", at=TOMORROW)
        log = {"delivery_log_table": "log"}
        with interval_dag(START, END) as pushes:
            push(**log)
        run_dag(pushes, END)
        post("changed", n=7)
        post("voided", alias="VOID")
        give("late")
        before = len(arrived(sandbox))
        with interval_dag(START, END) as dag:
            reconciliation(resend=True, differences_table="differences", **log)
        result = run_dag(dag, END)

        assert result.state == "success", result.errors
        assert found(result.xcoms["reconcile"]) == {"voided": 1}
        assert result.xcoms["reconcile"]["resent"] == 2
        assert sorted(arrived(sandbox)[before:]) == [("changed", 1), ("late", 1)]
        assert table(warehouse) == [("voided", "voided")]

        before = len(arrived(sandbox))
        again = run_dag(pushes, END).xcoms["push"]
        assert (again["unchanged"], again["delivered"]) == (6, 0)
        assert len(arrived(sandbox)) == before

    def test_what_the_log_takes_for_delivered_is_sent_where_sequence_lacks_it(
        self, run_dag, sandbox, sequence_conn, warehouse, give
    ):
        give("a", "b")
        log = {"delivery_log_table": "log"}
        with interval_dag(START, END) as pushes:
            push(**log)
        run_dag(pushes, END)
        sandbox.reset()
        with interval_dag(START, END) as dag:
            reconciliation(resend=True, **log)
        result = run_dag(dag, END)

        assert result.xcoms["reconcile"]["resent"] == 2
        assert sorted(arrived(sandbox)) == [("a", 1), ("b", 1)]
        assert run_dag(pushes, END).xcoms["push"]["unchanged"] == 2

    def test_without_a_log(self, sandbox, sequence_conn, give, post):
        give("a", "b")
        post("a", "extra")
        result = reconcile(resend=True)

        assert (result["resent"], found(result)) == (1, {"unexpected": 1})
        assert arrived(sandbox) == [("a", 1), ("extra", 1), ("b", 1)]

    def test_of_several_rows_of_an_id_the_last_is_sent(self, sandbox, sequence_conn, give, post):
        give("a", n=1)
        give("a", n=2)
        post("a", n=1)

        assert found(reconcile(resend=True)) == {}
        assert arrived(sandbox) == [("a", 1), ("a", 2)]

    def test_nothing_to_send(self, sandbox, sequence_conn, give, post):
        give("a")
        post("a")

        assert reconcile(resend=True)["resent"] == 0
        assert len(arrived(sandbox)) == 1

    def test_what_sequence_refuses_is_still_missing(self, sandbox, sequence_conn, give):
        give("a", "b")
        sandbox.fault(kind="status", status=400, match={"customerEventId": "a"})
        result = reconcile(resend=True)

        assert (result["resent"], found(result)) == (1, {"missing": 1})


class TestSettings:
    def test_a_resource_without_events_is_refused_without_a_retry(
        self, run_dag, sequence_conn, warehouse, give
    ):
        with interval_dag(START, END) as dag:
            reconciliation(resource="customers", retries=2)
        result = run_dag(dag, END)

        assert (result.states["reconcile"], result.tries["reconcile"]) == ("failed", 1)
        assert "customers" in error_text(result.error("reconcile"))

    @pytest.mark.parametrize(
        "wrong",
        [
            {"resource": "nothing"},
            {"resource": "invoices"},
            {"max_differences": "many"},
            {"max_differences": -1},
            {"sql": "SELECT customer_event_id FROM usage"},
            {"concurrency": "some"},
            {"timezone": "Nowhere/Else"},
        ],
    )
    def test_a_wrong_setting_is_named(self, wrong, sequence_conn, give):
        with pytest.raises(Exception) as caught:  # noqa: PT011 - Airflow's own, around ours
            reconcile(**wrong)

        assert "SequenceConfigurationError" in error_text(caught.value)

    def test_the_window_is_that_of_the_run(self, run_dag, sequence_conn, give, post):
        give("a", "lost")
        give("far", at=TOMORROW)
        post("a")
        with interval_dag(START, END) as dag:
            reconciliation(max_differences="{{ 1 }}")
        result = run_dag(dag, END)

        assert result.state == "success", result.errors
        assert found(result.xcoms["reconcile"]) == {"missing": 1}
        assert result.xcoms["reconcile"]["outside"] == 1


def test_progress_is_logged(sandbox, sequence_conn, warehouse, metric, give, monkeypatch, capfd, caplog):
    """Of reading, of sending again, and of a metric; here a line as soon as anything is slow."""
    monkeypatch.setattr(progress, "INTERVAL", 0.02)
    sandbox.settings(latency_ms=100)
    give("a", "b")
    assert reconcile(resend=True)["resent"] == 2
    compare_metric(metric, values(acme="2"))
    log = "".join(capfd.readouterr()) + caplog.text
    for line in (
        "usage_events: 0 rows, 0 a second, 0% of the limit\\b(?!,)",
        "usage_events: . rows, .* a second, .*% of the limit, 0 rejected",
        "aliases: 1 rows, ",
    ):
        assert re.search(line, log), line


SECRET = "ann@example.org"


@pytest.fixture
def metric(sandbox: Any) -> str:
    """A metric that sums ``n`` of calls; its id."""
    fields = {"name": "Calls", "eventType": "call", "aggregationType": "SUM", "aggregationProperty": "n"}
    return sandbox._admin("POST", "/_sandbox/usage-metrics", fields)["items"][0]["id"]


def compare_metric(metric_id: str, sql: str, **options: Any) -> dict[str, Any]:
    defaults = {"period_start": DAY["window_start"], "period_end": DAY["window_end"]}
    return SequenceReconcileMetricOperator(
        task_id="metric", metric_id=metric_id, sql_conn_id="warehouse", sql=sql, **(defaults | options)
    ).execute({})


def values(**by_alias: str) -> str:
    """A query that gives each alias a value."""
    parts = [f"SELECT '{alias}' AS customer_alias, {value} AS value" for alias, value in by_alias.items()]
    return " UNION ALL ".join(parts)


class TestMetric:
    @sqlite_and_postgres
    def test_equal(self, sequence_conn, warehouse, metric, give, post):
        give("a", n=3)
        give("b", n=4)
        give("c", alias="globex", n=5)
        post("a", n=3)
        post("b", n=4)
        post("c", alias="globex", n=5)
        post("far", at=TOMORROW, n=100)
        result = compare_metric(
            metric, "SELECT customer_alias, sum(n) AS value FROM usage GROUP BY customer_alias"
        )

        assert (result["aliases"], result["different"]) == (2, 0)
        assert Decimal(result["warehouse"]) == Decimal(result["sequence"]) == 12

    @sqlite_and_postgres
    def test_null_is_nothing(self, sequence_conn, warehouse, metric, post):
        assert compare_metric(metric, values(acme="NULL"))["different"] == 0
        post("a", n=2)
        with pytest.raises(DifferencesError):
            compare_metric(metric, values(acme="NULL"))

    @pytest.mark.parametrize("tolerance", [1, "1", 1.0, Decimal("1.0"), 2])
    def test_within_the_tolerance(self, tolerance, sequence_conn, warehouse, metric, post):
        post("a", n=3)

        assert compare_metric(metric, values(acme="4", globex="-1"), tolerance=tolerance)["different"] == 0

    @pytest.mark.parametrize("tolerance", [0, "0.99", Decimal("0.999999999999999999999999")])
    @pytest.mark.parametrize("ours", ["2", "4"])
    def test_beyond_the_tolerance(self, tolerance, ours, sequence_conn, warehouse, metric, post):
        post("a", n=3)
        with pytest.raises(DifferencesError):
            compare_metric(metric, values(acme=ours), tolerance=tolerance)

    @pytest.mark.parametrize("form", ["number", "text"])
    def test_every_digit_counts(self, form, sandbox, sequence_conn, warehouse, metric):
        sandbox.settings(calculated_value=form)
        digits = "12345678901234567890.1234567890123456789"
        body = (
            '{"customerEventId": "a", "customerAlias": "acme", "eventType": "call",'
            f' "eventTimestamp": "{NOON}", "eventProperties": {{"n": {digits}}}}}'
        )
        headers = {"Content-Type": "application/json"}
        sandbox.call("POST", "/usage-events", data=body, headers=headers).raise_for_status()
        result = compare_metric(metric, values(acme=f"'{digits}'"))

        assert result["different"] == 0
        assert Decimal(result["warehouse"]) == Decimal(result["sequence"]) == Decimal(digits)
        with pytest.raises(DifferencesError):
            compare_metric(metric, values(acme=f"'{digits[:-1]}8'"))

    def test_sums_that_agree_do_not_hide_aliases_that_differ(self, sequence_conn, warehouse, metric, post):
        post("a", n=1)
        with pytest.raises(DifferencesError, match="2") as differ:
            compare_metric(metric, values(acme="0", globex="1", initech="0"))
        assert (differ.value.result["aliases"], differ.value.result["different"]) == (3, 2)
        assert differ.value.result["different_rows"] == [
            {"row": 1, "warehouse": "0", "sequence": "1"},
            {"row": 2, "warehouse": "1", "sequence": "0"},
        ]

    def test_no_alias_is_in_the_log(self, run_dag, sequence_conn, warehouse, metric, post, capfd, caplog):
        post("a", alias=SECRET, n=7)
        with interval_dag(START, END) as dag:
            SequenceReconcileMetricOperator(
                task_id="metric",
                metric_id=metric,
                sql_conn_id="warehouse",
                sql="SELECT value AS customer_alias, 5 AS value FROM aliases",
                retries=0,
            )
        warehouse.execute("CREATE TABLE aliases (value TEXT)")
        warehouse.execute(f"INSERT INTO aliases VALUES ('{SECRET}')")
        result = run_dag(dag, END)

        assert result.states["metric"] == "failed"
        assert SECRET not in error_text(result.error("metric"))
        log = "".join(capfd.readouterr()) + caplog.text
        assert "DifferencesError" in log
        assert SECRET not in log

    def test_parameters_of_the_metric_are_sent_with_each_alias(
        self, run_dag, sandbox, sequence_conn, warehouse, metric
    ):
        with interval_dag(START, END) as dag:
            SequenceReconcileMetricOperator(
                task_id="metric",
                metric_id=metric,
                sql_conn_id="warehouse",
                sql=values(acme="0", globex="0"),
                custom_parameters={"since": "{{ data_interval_start | ds }}", "share": Decimal("1.10")},
            )
        result = run_dag(dag, END)

        assert result.states["metric"] == "success", result.errors
        logged = sandbox._admin("GET", "/_sandbox/requests")["items"]
        sent = [dict(parse_qsl(each["query"])) for each in logged if "/calculate" in each["path"]]
        assert [each["customParameters"] for each in sent] == ['{"since":"2026-03-01","share":"1.10"}'] * 2

    @pytest.mark.parametrize(
        "sql",
        [
            "SELECT 1 AS value",
            "SELECT 'acme' AS customer_alias",
            "SELECT 'acme' AS customer_alias, 'x' AS value",
        ],
    )
    def test_a_wrong_query_is_refused(self, sql, sequence_conn, warehouse, metric):
        with pytest.raises(Exception) as caught:  # noqa: PT011
            compare_metric(metric, sql)

        assert "SequenceConfigurationError" in error_text(caught.value)

    def test_an_unknown_metric_is_refused(self, sequence_conn, warehouse):
        with pytest.raises(Exception) as caught:  # noqa: PT011
            compare_metric("018442e2-7f3b-7c4e-9d0e-6a3a4e0f9b27", values(acme="1"))

        assert "400" in error_text(caught.value)
