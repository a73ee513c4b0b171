"""The operators in real runs of Airflow, against the sandbox."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from functools import cached_property
from typing import Any

import pytest

from airflow_provider_sequence.exceptions import RejectedRowsError, SequenceUnavailableError
from airflow_provider_sequence.hooks.sequence import SequenceHook
from airflow_provider_sequence.operators.sequence import (
    SequenceCreateCustomerAliasesOperator,
    SequenceCreateSeatEventOperator,
    SequenceCreateUsageEventOperator,
)
from tests.integration.support.airflow import interval_dag
from tests.integration.support.values import error_text, exact

START, END = dt.datetime(2026, 3, 1, tzinfo=dt.UTC), dt.datetime(2026, 3, 2, tzinfo=dt.UTC)

USAGE = {
    "customer_event_id": "e1",
    "customer_alias": "acme",
    "event_type": "call",
    "event_timestamp": "2026-03-01T12:00:00Z",
}
SEATS = {
    "customer_event_id": "s1",
    "customer_alias": "acme",
    "seat_type": "editor",
    "event_timestamp": "2026-03-01",
    "total": 3,
}


class ImpatientAliases(SequenceCreateCustomerAliasesOperator):
    """Gives a request up soon."""

    @cached_property
    def hook(self) -> SequenceHook:
        return SequenceHook(self.sequence_conn_id, deadline=0.5)


def one_task(kind: Any, **options: Any) -> Any:
    with interval_dag(START, END, params={"n": 12}) as dag:
        kind(task_id="task", **options)
    return dag


def bodies(sandbox: Any, resource: str = "usage-events") -> list[Any]:
    ledger = sandbox._admin("GET", f"/_sandbox/ledger?resource={resource}")
    return [exact(item["body"]) for item in ledger["items"]]


def posts(sandbox: Any, path: str) -> list[dict[str, Any]]:
    requests = sandbox._admin("GET", "/_sandbox/requests")["items"]
    return [each for each in requests if each["method"] == "POST" and each["path"] == f"/api/{path}"]


def test_usage_event_of_templates(run_dag, sandbox, sequence_conn):
    dag = one_task(
        SequenceCreateUsageEventOperator,
        customer_event_id="{{ ds }}-{{ params.n }}",
        customer_alias="Zoë & {{ 'Söhne' }}",
        event_type="{{ 'call' }}",
        event_timestamp="{{ data_interval_start }}",
        event_properties={"units": Decimal("1.10"), "n": 12345678901234567890, "by": "{{ task.task_id }}"},
        sequence_conn_id="sequence_{{ 'default' }}",
    )
    result = run_dag(dag, END)

    assert result.state == "success", result.errors
    (body,) = bodies(sandbox)
    event_id = body.pop("customerEventId")
    assert event_id.endswith("-12")
    assert "{" not in event_id
    assert body == {
        "customerAlias": "Zoë & Söhne",
        "eventType": "call",
        "eventTimestamp": "2026-03-01T00:00:00Z",
        "eventProperties": {"units": Decimal("1.10"), "n": 12345678901234567890, "by": "task"},
    }
    (stored,) = sandbox.call("GET", "/usage-events").json()["items"]
    assert result.xcoms["task"] == {"id": stored["id"], "customer_event_id": event_id}


def test_properties_as_json_text_keep_their_digits(run_dag, sandbox, sequence_conn):
    text = '{"units": {{ params.n }}.1000, "deep": [{"x": 1e-7}]}'
    result = run_dag(one_task(SequenceCreateUsageEventOperator, **USAGE, event_properties=text), END)

    assert result.state == "success", result.errors
    assert '"units": 12.1000' in sandbox.ledger()["items"][0]["body"]


@pytest.mark.parametrize("total", [0, 7, "7", "{{ params.n }}"])
def test_seat_event(total, run_dag, sandbox, sequence_conn):
    result = run_dag(one_task(SequenceCreateSeatEventOperator, **SEATS | {"total": total}), END)

    assert result.state == "success", result.errors
    (body,) = bodies(sandbox, "seat-events")
    assert body == {
        "customerEventId": "s1",
        "customerAlias": "acme",
        "seatType": "editor",
        "eventTimestamp": "2026-03-01T00:00:00Z",
        "total": 12 if total == "{{ params.n }}" else int(total),
    }
    (stored,) = sandbox.call("GET", "/seat-events").json()["items"]
    assert result.xcoms["task"] == {"id": stored["id"], "customer_event_id": "s1"}


NOTHING = ["", "  ", None, "{{ none }}", "{{ dag_run.conf.get('id', '') }}"]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        *((SequenceCreateUsageEventOperator, value) for value in NOTHING),
        (SequenceCreateSeatEventOperator, ""),
    ],
)
def test_event_without_an_id_is_never_sent(kind, value, run_dag, sandbox, sequence_conn):
    fields = USAGE if kind is SequenceCreateUsageEventOperator else SEATS
    result = run_dag(one_task(kind, **fields | {"customer_event_id": value}, retries=2), END)

    assert (result.states["task"], result.tries["task"]) == ("failed", 1)
    assert "customer_event_id" in str(result.error("task"))
    assert sandbox.summary()["requests"] == 0


@pytest.mark.parametrize(
    ("kind", "wrong", "word"),
    [
        (SequenceCreateUsageEventOperator, {"customer_alias": "{{ none }}"}, "customer_alias"),
        (SequenceCreateUsageEventOperator, {"event_type": ""}, "event_type"),
        (SequenceCreateUsageEventOperator, {"event_timestamp": "{{ none }}"}, "event_timestamp"),
        (SequenceCreateUsageEventOperator, {"event_timestamp": "yesterday"}, "eventTimestamp"),
        (SequenceCreateUsageEventOperator, {"event_properties": "[1]"}, "eventProperties"),
        (SequenceCreateUsageEventOperator, {"event_properties": "{"}, "eventProperties"),
        (SequenceCreateUsageEventOperator, {"event_properties": '{"x": NaN}'}, "eventProperties"),
        (SequenceCreateSeatEventOperator, {"total": "many"}, "total"),
        (SequenceCreateSeatEventOperator, {"total": -1}, "total"),
        (SequenceCreateSeatEventOperator, {"total": "1.5"}, "total"),
        (SequenceCreateSeatEventOperator, {"seat_type": None}, "seat_type"),
    ],
)
def test_wrong_value_is_named_and_not_retried(kind, wrong, word, run_dag, sandbox, sequence_conn):
    fields = USAGE if kind is SequenceCreateUsageEventOperator else SEATS
    result = run_dag(one_task(kind, **fields | wrong, retries=2), END)

    assert (result.states["task"], result.tries["task"]) == ("failed", 1)
    assert word in str(result.error("task"))
    assert sandbox.summary()["requests"] == 0


@pytest.mark.contract(off=True)
def test_refused_event_is_not_retried_and_its_customer_in_no_error(run_dag, sandbox, sequence_conn):
    alias = "ann@example.org" + "x" * 300
    dag = one_task(SequenceCreateUsageEventOperator, **USAGE | {"customer_alias": alias}, retries=2)
    result = run_dag(dag, END)

    assert (result.states["task"], result.tries["task"]) == ("failed", 1)
    assert "400" in str(result.error("task"))
    assert "ann@example.org" not in error_text(result.error("task"))


@pytest.mark.parametrize("kind", ["reset_after", "truncate", "status"])
def test_event_whose_answer_is_lost_is_counted_once(kind, run_dag, sandbox, sequence_conn):
    sandbox.fault(kind=kind, method="POST", path="/usage-events", times=1)
    result = run_dag(one_task(SequenceCreateUsageEventOperator, **USAGE), END)

    assert result.state == "success", result.errors
    assert len(posts(sandbox, "usage-events")) == 2
    assert sandbox.summary()["distinct_events"] == 1


ALIASES = "SELECT customer_id, value, label FROM aliases ORDER BY n"


@pytest.fixture
def customers(sandbox, warehouse):
    """Two customers of Sequence, and what makes a table of aliases for them in the warehouse."""
    sandbox.add("customers", [{"id": "c-1", "aliases": ["acme"]}, {"id": "c-2"}])
    warehouse.execute("CREATE TABLE aliases (n INTEGER, customer_id TEXT, value TEXT, label TEXT)")

    def fill(*rows: tuple[str | None, str | None, str | None]) -> None:
        fields = [
            {"n": n, "c": customer, "v": value, "l": label} for n, (customer, value, label) in enumerate(rows)
        ]
        warehouse.execute("INSERT INTO aliases VALUES (:n, :c, :v, :l)", *fields)

    return fill


def create_aliases(kind: Any = SequenceCreateCustomerAliasesOperator, **options: Any) -> Any:
    return one_task(kind, **{"sql": ALIASES, "sql_conn_id": "warehouse"} | options)


def aliases_of(sandbox: Any) -> dict[str, tuple[str, str | None]]:
    """Sequence's aliases: whose each is, and its label."""
    items = sandbox.call("GET", "/customer-aliases?limit=100").json()["items"]
    assert len({item["value"] for item in items}) == len(items)
    return {item["value"]: (item["customerId"], item.get("label")) for item in items}


def test_aliases_are_created_once(run_dag, sandbox, sequence_conn, warehouse, customers):
    customers(
        ("c-1", "acme", "old"),
        ("c-1", "株式会社, Inc.", "a label"),
        ("c-2", "b & c", None),
        ("c-2", "b & c", None),
        ("c-2", "Acme", None),
    )
    first, again = run_dag(create_aliases(), END), run_dag(create_aliases(), END)

    assert first.state == again.state == "success", first.errors
    summary = first.xcoms["task"]
    assert {name: summary[name] for name in ("rows", "created", "unchanged", "rejected")} == {
        "rows": 5,
        "created": 3,
        "unchanged": 2,
        "rejected": 0,
    }
    assert summary["rejected_rows"] == []
    assert (again.xcoms["task"]["created"], again.xcoms["task"]["unchanged"]) == (0, 5)
    assert aliases_of(sandbox) == {
        "acme": ("c-1", None),
        "株式会社, Inc.": ("c-1", "a label"),
        "b & c": ("c-2", None),
        "Acme": ("c-2", None),
    }
    keys = [post["headers"]["idempotency-key"] for post in posts(sandbox, "customer-aliases")]
    assert len(set(keys)) == len(keys) == 3


def test_alias_whose_answer_is_lost_is_created_once(run_dag, sandbox, sequence_conn, warehouse, customers):
    customers(("c-2", "beta", None))
    sandbox.fault(kind="reset_after", method="POST", path="/customer-aliases", times=1)
    result = run_dag(create_aliases(), END)

    assert result.state == "success", result.errors
    assert result.xcoms["task"]["created"] == 1
    one, two = posts(sandbox, "customer-aliases")
    assert one["headers"]["idempotency-key"] == two["headers"]["idempotency-key"]
    assert aliases_of(sandbox)["beta"] == ("c-2", None)


@pytest.mark.parametrize(("customer", "outcome"), [("c-1", "unchanged"), ("c-2", "rejected")])
def test_alias_that_was_created_after_the_check(
    customer, outcome, run_dag, sandbox, sequence_conn, warehouse, customers
):
    customers((customer, "acme", None))
    nothing = {"items": [], "pagination": {"totalResultSize": 0}}
    sandbox.fault(
        status=200, body=nothing, content_type="application/json", path="/customer-aliases", method="GET", times=1
    )  # fmt: skip
    result = run_dag(create_aliases(max_rejected=1), END)

    assert result.state == "success", result.errors
    assert result.xcoms["task"][outcome] == 1
    assert posts(sandbox, "customer-aliases")[0]["status"] == 400


@pytest.mark.parametrize(("max_rejected", "state"), [(0, "failed"), ("4", "success"), (0.9, "success")])
def test_rejected_rows_do_not_stop_the_others(
    max_rejected, state, run_dag, sandbox, sequence_conn, warehouse, customers, capfd, caplog
):
    customers(
        ("c-2", "acme", None),
        ("nobody", "who-is-it", None),
        (None, "no-customer", None),
        ("c-2", " ", None),
        ("c-2", "fine-alias", None),
    )
    result = run_dag(create_aliases(max_rejected=max_rejected), END)

    assert result.states["task"] == state, result.errors
    assert aliases_of(sandbox) == {"acme": ("c-1", None), "fine-alias": ("c-2", None)}
    log = "".join(capfd.readouterr()) + caplog.text
    assert "Rejected row 1: " in log
    assert not any(alias in log for alias in ("acme", "who-is-it", "no-customer", "fine-alias"))
    if state == "failed":
        assert isinstance(result.error("task"), RejectedRowsError)
        assert "4 of 5" in str(result.error("task"))
        assert "The others have been created" in str(result.error("task"))
        return
    summary = result.xcoms["task"]
    assert (summary["created"], summary["rejected"]) == (1, 4)
    reasons = {row["row"]: row["reason"] for row in summary["rejected_rows"]}
    assert {row: word in reasons[row] for row, word in enumerate(["another", "400", "customer_id", "value"], 1)} == {
        1: True, 2: True, 3: True, 4: True
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"sql": "SELECT value FROM aliases"}, "customer_id"),
        ({"sql": "SELEC 1"}, "SELEC"),
        ({"sql_conn_id": "sequence_default"}, "sequence_default"),
        ({"max_rejected": "many"}, "max_rejected"),
    ],
)
def test_wrong_setting_is_not_retried(options, word, run_dag, sandbox, sequence_conn, warehouse, customers):
    result = run_dag(create_aliases(retries=2, **options), END)

    assert (result.states["task"], result.tries["task"]) == ("failed", 1)
    assert word in str(result.error("task"))
    assert sandbox.summary()["requests"] == 0


def test_outage_rejects_nothing_and_the_retry_goes_on(run_dag, sandbox, sequence_conn, warehouse, customers):
    customers(*[("c-2", f"alias {n}", None) for n in range(4)])
    sandbox.fault(status=503, path="/customer-aliases", method="POST", after_n=2)
    result = run_dag(create_aliases(ImpatientAliases, retries=1), END, between_tries=sandbox.clear_faults)

    assert result.states["task"] == "success"
    (error,) = result.errors["task"]
    assert isinstance(error, SequenceUnavailableError)
    summary = result.xcoms["task"]
    assert (summary["unchanged"], summary["created"], summary["rejected"]) == (2, 2, 0)
    assert len(aliases_of(sandbox)) == 5


def test_columns_in_capitals(run_dag, sandbox, sequence_conn, warehouse, customers):
    customers(("c-2", "beta", None))
    sql = "SELECT customer_id AS CUSTOMER_ID, value AS VALUE, n AS OTHER FROM aliases"
    result = run_dag(create_aliases(sql=sql), END)

    assert result.state == "success", result.errors
    assert aliases_of(sandbox)["beta"] == ("c-2", None)
    assert json.dumps(result.xcoms["task"])
