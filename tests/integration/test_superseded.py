"""Copies of an event in the table: which of them stay, and what the table holds then."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from airflow_provider_sequence.transfers.sequence_to_sql import SequenceToSqlOperator
from tests.integration.support.databases import on_sqlite
from tests.integration.support.values import said
from tests.support.server import ROOT
from tests.unit.loopback import Loopback, Reply

DAYS = {
    "first": {"window_start": "2026-03-01T00:00:00Z", "window_end": "2026-03-02T00:00:00Z"},
    "second": {"window_start": "2026-03-02T00:00:00Z", "window_end": "2026-03-03T00:00:00Z"},
    "third": {"window_start": "2026-03-03T00:00:00Z", "window_end": "2026-03-04T00:00:00Z"},
}
NOON = {
    "first": "2026-03-01T12:00:00Z",
    "second": "2026-03-02T12:00:00Z",
    "third": "2026-03-03T12:00:00Z",
}


@pytest.fixture
def post(sandbox: Any) -> Any:
    """Sends an event to Sequence; the id that it gets comes back."""

    def send(event_id: str, day: str = "first", *, alias: str = "acme", n: int = 1) -> str:
        body = {
            "customerEventId": event_id,
            "customerAlias": alias,
            "eventType": "call",
            "eventTimestamp": NOON[day],
            "eventProperties": {"n": n},
        }
        answer = sandbox.call("POST", "/usage-events", json=body)
        answer.raise_for_status()
        return answer.json()["id"]

    return send


def pull(day: str = "first", superseded: str = "drop", **options: Any) -> dict[str, Any]:
    defaults = {"resource": "usage_events", "table": "staged", "sql_conn_id": "warehouse"}
    operator = SequenceToSqlOperator(
        task_id="pull", superseded=superseded, **(defaults | DAYS[day] | options)
    )
    return operator.execute({})


def ids(warehouse: Any, table: str = "staged") -> list[str]:
    return [each for (each,) in warehouse.rows(f"SELECT id FROM {table} ORDER BY id")]


def test_copies_within_one_pull(sequence_conn, warehouse, post):
    post("a", n=1)
    post("a", n=2)
    kept = [post("b"), post("a", n=3)]
    result = pull()

    assert ids(warehouse) == sorted(kept)
    assert (result["read"], result["held"]) == (4, 2)


@on_sqlite
def test_copies_that_sequence_hides(sandbox, sequence_conn, warehouse, post):
    sandbox.settings(superseded="hidden")
    first = post("a")
    assert pull()["held"] == 1
    last = post("a", n=2)

    assert pull()["held"] == 1
    assert first != last
    assert ids(warehouse) == [last]


def test_all_copies_are_kept_unless_told_otherwise(sequence_conn, warehouse, post):
    copies = [post("a", n=n) for n in (1, 2, 3)]
    operator = SequenceToSqlOperator(
        task_id="pull", resource="usage_events", table="staged", sql_conn_id="warehouse", **DAYS["first"]
    )

    assert operator.execute({})["held"] == 3
    assert ids(warehouse) == sorted(copies)
    assert pull(superseded="keep")["held"] == 3


@on_sqlite
def test_copies_that_an_earlier_pull_kept_are_dropped(sequence_conn, warehouse, post):
    post("a", n=1)
    last = post("a", n=2)
    pull(superseded="keep")

    assert pull()["held"] == 1
    assert ids(warehouse) == [last]


@on_sqlite
def test_a_copy_that_came_between_two_pulls(sequence_conn, warehouse, post):
    post("a", n=1)
    pull()
    last = post("a", n=2)

    assert pull()["held"] == 1
    assert ids(warehouse) == [last]


@pytest.mark.parametrize("order", [["first", "second", "third"], ["third", "second", "first"]])  # fmt: skip
def test_copies_of_different_windows_in_any_order(order, sequence_conn, warehouse, post):
    post("moved", "first")
    post("moved", "third")
    last = post("moved", "second")
    others = [post(day, day) for day in DAYS]
    for day in order:
        held = pull(day)["held"]
        assert held >= 1

    assert ids(warehouse) == sorted([last, *others])
    assert [pull(day)["held"] for day in ("first", "second", "third")] == [1, 2, 1]
    assert ids(warehouse) == sorted([last, *others])


@on_sqlite
def test_held_is_what_the_table_holds_of_the_window(sequence_conn, warehouse, post):
    post("a", "first")
    post("b", "second")
    assert pull("first")["held"] == 1
    assert pull("second")["held"] == 1
    result = pull("first", filters={"event_type": "none"})

    assert (result["loaded"], result["held"]) == (0, 1)


@on_sqlite
def test_held_of_a_list_without_a_window_is_the_whole_table(sandbox, sequence_conn, warehouse):
    sandbox.add("usage-metrics", [{"name": f"m{i}", "eventType": "call"} for i in range(3)])
    options = {"resource": "usage_metrics", "table": "metrics", "window_start": None, "window_end": None}
    result = pull(superseded="keep", **options)

    assert (result["loaded"], result["held"]) == (3, 3)


@on_sqlite
def test_a_voided_event_keeps_its_last_copy(sequence_conn, warehouse, post):
    post("a")
    last = post("a", alias="VOID")
    pull()

    assert warehouse.rows("SELECT id, customer_alias FROM staged") == [(last, "VOID")]


@on_sqlite
def test_events_of_other_ids_are_left_alone(sequence_conn, warehouse, post):
    old = [post("a", "second", n=1), post("a", "second", n=2)]
    pull("second", superseded="keep")
    new = post("b")
    pull("first")

    assert ids(warehouse) == sorted([*old, new])


@on_sqlite
def test_ids_are_compared_to_the_character(sequence_conn, warehouse, post):
    different = [post(name) for name in ("a", "A", "a ", "á", "a\u0301")]

    assert pull()["held"] == 5
    assert ids(warehouse) == sorted(different)


@on_sqlite
@pytest.mark.parametrize("order", ["ASC", "DESC"])
def test_the_order_that_was_asked_for_changes_nothing(order, sequence_conn, warehouse, post):
    post("a", n=1)
    last = post("a", n=2)
    pull(filters={"sort_order": order})

    assert ids(warehouse) == [last]


@on_sqlite
def test_seat_events(sandbox, sequence_conn, warehouse):
    for total in (1, 2):
        body = {"customerEventId": "s", "customerAlias": "acme", "seatType": "editor"}
        body |= {"eventTimestamp": NOON["first"], "total": total}
        sandbox.call("POST", "/seat-events", json=body).raise_for_status()
    result = pull(resource="seat_events")

    assert result["held"] == 1
    assert warehouse.rows("SELECT customer_event_id, total FROM staged") == [("s", 2)]


@on_sqlite
def test_a_wrong_word_is_refused(sandbox, sequence_conn, warehouse):
    with pytest.raises(Exception, match="delete") as caught:
        pull(superseded="delete")

    assert "SequenceConfigurationError" in said(caught.value)
    assert warehouse.tables() == set()


@pytest.fixture
def listing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A Sequence that lists what it is told to: ids of Sequence, and of the customer, newest first."""
    with Loopback() as server:
        connection = {"conn_type": "sequence", "host": server.api_url, "login": "key", "password": "secret"}
        monkeypatch.setenv("AIRFLOW_CONN_SEQUENCE_DEFAULT", json.dumps(connection))

        def shows(*pairs: tuple[str, str]) -> None:
            fields = {"customerAlias": "acme", "eventType": "call", "sequenceAccountId": "s"}
            fields |= {"eventTimestamp": NOON["first"], "eventProperties": {}}
            items = [{"id": key, "customerEventId": event} | fields for key, event in pairs]

            def answer(request: Any) -> Reply:
                asked = [value for name, value in request.query if name == "customerAlias"]
                wanted = [item for item in items if not asked or item["customerAlias"] in asked]
                return Reply(200, {"items": wanted, "pagination": {"totalResultSize": len(wanted)}})

            server.answers = [answer]

        yield shows


class TestIdsOutOfOrder:
    def test_are_refused_and_the_table_is_as_it_was(self, listing, warehouse):
        listing(("k-1", "a"))
        pull()
        before = warehouse.rows("SELECT * FROM staged")
        listing(("k-1", "b"), ("k-5", "a"), ("k-9", "b"))
        with pytest.raises(Exception, match="order of arrival") as caught:
            pull()

        assert "keep" in said(caught.value)
        assert warehouse.rows("SELECT * FROM staged") == before

    def test_are_kept(self, listing, warehouse):
        listing(("k-1", "b"), ("k-9", "b"))

        assert pull(superseded="keep")["held"] == 2
        assert ids(warehouse) == ["k-1", "k-9"]

    @on_sqlite
    def test_do_not_matter_where_no_event_has_copies(self, listing, warehouse):
        listing(("k-1", "a"), ("k-9", "b"), ("k-5", "c"))

        assert pull()["held"] == 3

    @on_sqlite
    def test_are_refused_where_several_lists_are_read(self, listing, warehouse):
        listing(("k-1", "b"), ("k-9", "b"))
        with pytest.raises(Exception, match="order of arrival"):
            pull(filters={"customer_alias": ["acme", "globex"]})

        assert "staged" not in warehouse.tables()


class TestView:
    """The view of docs/pull.md, as it stands there."""

    SQL = re.search(r"```sql\n(CREATE VIEW .*?)```", (ROOT / "docs/pull.md").read_text(), re.DOTALL)

    def test_shows_the_events_that_count(self, sequence_conn, warehouse, post):
        post("corrected", n=1)
        post("moved", "first")
        post("voided")
        post("back")
        post("back", alias="VOID")
        kept = [post("corrected", n=2), post("moved", "second"), post("once"), post("back")]
        post("voided", alias="VOID")
        for day in ("second", "first"):
            pull(day, superseded="keep", table="sequence_usage_events")
        warehouse.execute(self.SQL[1])

        assert ids(warehouse, "current_usage_events") == sorted(kept)
        assert len(ids(warehouse, "sequence_usage_events")) == 10
