"""The delivery log in a real database, on its own and in pushes to the sandbox."""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from airflow_provider_sequence.api.client import SequenceClient
from airflow_provider_sequence.api.event_mapper import EventMapper
from airflow_provider_sequence.api.events import USAGE_EVENT, EventFacts
from airflow_provider_sequence.api.resources import USAGE_EVENTS
from airflow_provider_sequence.exceptions import SequenceApiError, SequenceConfigurationError, WarehouseError
from airflow_provider_sequence.hooks.sequence import SequenceHook
from airflow_provider_sequence.pipelines.delivery_log import DeliveryLog
from airflow_provider_sequence.pipelines.delivery_log_table import ADDED_LATER
from airflow_provider_sequence.pipelines.push.delivery_state import LoggedState
from airflow_provider_sequence.pipelines.push.outcomes import Outcome, Status
from airflow_provider_sequence.pipelines.push.pipeline import map_rows, push
from airflow_provider_sequence.warehouse.engine import connect
from tests.integration.support.databases import every_database, on_postgres, sqlite_and_postgres
from tests.integration.support.values import error_text

TASK = {"dag_id": "billing", "task_id": "push", "run_id": "manual__1"}
COLUMNS = ["customer_event_id", "customer_alias", "event_type", "event_timestamp", "units"]
DAY = "2026-03-01T12:00:00Z"


def delivered(event_id: str, body_hash: str = "h1") -> Outcome:
    return Outcome(1, Status.DELIVERED, event_id, body_hash, "s-1", 201)


def known_hashes(log: DeliveryLog, event_ids: list[str]) -> dict[str, str | None]:
    """Hashes of the bodies that Sequence has last, as far as the log knows."""
    return {event_id: known.body_hash for event_id, known in log.known(event_ids).items() if known.is_current}


def rejected(event_id: str, body_hash: str | None = "h2") -> Outcome:
    return Outcome(1, Status.REJECTED, event_id, body_hash, http_status=400, reason="no", body=b'{"n": 1.10}')


@pytest.fixture
def open_delivery_log(engine) -> Iterator[Any]:
    connections = []

    def make(table: str = "deliveries", account: str = "acc", resource: str = "usage_events") -> DeliveryLog:
        connections.append(connect(engine))
        return DeliveryLog(connections[-1].__enter__(), table, account=account, resource=resource, task=TASK)

    yield make
    for connection in connections:
        connection.__exit__(None, None, None)


@every_database
def test_table_is_made_when_missing(open_delivery_log, warehouse):
    assert known_hashes(open_delivery_log(), ["a"]) == {}
    assert warehouse.tables() == {"deliveries"}
    assert known_hashes(open_delivery_log(), ["a"]) == {}


@every_database
def test_delivered_is_found_and_nothing_else(open_delivery_log):
    open_delivery_log().store([delivered("a", "h1"), delivered("b", "h2"), rejected("c")])

    assert known_hashes(open_delivery_log(), ["a", "b", "c", "d"]) == {"a": "h1", "b": "h2"}
    assert known_hashes(open_delivery_log(), ["a"]) == {"a": "h1"}
    assert known_hashes(open_delivery_log(), []) == {}


@sqlite_and_postgres
def test_words_of_a_trigger_are_not_told(engine, warehouse):
    def store() -> None:
        with connect(engine) as connection:
            log = DeliveryLog(connection, "deliveries", account="acc", resource="usage_events", task=TASK)
            log.store([delivered("a")])

    store()
    warehouse.refuse_rows("deliveries", "no customer ann@example.org")
    with pytest.raises(WarehouseError, match=r"^\w+: a trigger .* \(SQLSTATE \w{5}\)$") as caught:
        store()
    assert "ann@example.org" not in error_text(caught.value)


@every_database
def test_stored_entries_are_visible_to_other_connections(open_delivery_log, warehouse):
    log = open_delivery_log()
    for number in range(3):
        log.store([delivered(f"e{number}")])
        assert warehouse.rows("SELECT count(*) FROM deliveries") == [(number + 1,)]


@every_database
def test_last_entry_of_an_id_counts(open_delivery_log, warehouse):
    log = open_delivery_log()
    log.store([delivered("a", "h1"), delivered("a", "h2")])
    log.store([delivered("a", "h3")])

    assert known_hashes(log, ["a"]) == {"a": "h3"}
    assert warehouse.rows("SELECT count(*) FROM deliveries") == [(1,)]


@every_database
def test_rejected_after_delivered_is_to_be_sent_again(open_delivery_log):
    log = open_delivery_log()
    log.store([delivered("a", "h1"), rejected("a", "h2"), rejected("b", "h1")])
    assert known_hashes(log, ["a", "b"]) == {}

    log.store([delivered("a", "h1"), delivered("b", "h1")])
    assert known_hashes(log, ["a", "b"]) == {"a": "h1", "b": "h1"}


@every_database
def test_rejected_entry_keeps_the_hash_that_was_delivered_last(open_delivery_log, warehouse):
    log = open_delivery_log()
    log.store([delivered("a", "delivered-hash")])
    log.store([rejected("a", "rejected-hash")])

    (entry,) = warehouse.rows("SELECT * FROM deliveries")
    assert "delivered-hash" in entry
    assert any("1.10" in str(value) for value in entry)  # the body that was refused, with every digit


@every_database
def test_delivery_clears_what_was_rejected_before(open_delivery_log, warehouse):
    log = open_delivery_log()
    log.store([rejected("a")])
    log.store([delivered("a")])

    entries = warehouse.rows("SELECT status, reason, rejected_body FROM deliveries")
    assert entries == [("delivered", None, None)]


@every_database
def test_entry_says_which_task_stored_it(open_delivery_log, warehouse):
    open_delivery_log().store([delivered("a")])

    (entry,) = warehouse.rows("SELECT * FROM deliveries")
    assert set(TASK.values()) <= set(entry)


FACTS = EventFacts("acme", "call", None, DAY)
FACTS_QUERY = (
    "SELECT customer_event_id, customer_alias, event_type, event_timestamp IS NOT NULL FROM deliveries"
)


@every_database
def test_entry_says_whose_event_it_is_of_what_and_when(open_delivery_log, warehouse):
    seat = EventFacts("umbra", None, "editor", DAY)
    invalid = Outcome(3, Status.REJECTED, "c", reason="no", facts=EventFacts("initech"))
    open_delivery_log().store([
        replace(delivered("a"), facts=FACTS),
        replace(rejected("b"), facts=seat),
        invalid,
        rejected("d"),
    ])
    assert sorted(warehouse.rows(FACTS_QUERY)) == [
        ("a", "acme", "call", True),
        ("b", "umbra", "editor", True),
        ("c", "initech", None, False),
        ("d", None, None, False),
    ]


@every_database
def test_what_is_known_of_an_event_outlasts_a_rejection_and_a_voiding(engine, warehouse):
    other = EventFacts("VOID", "VOID", None, None)
    for voiding, outcome in [
        (False, replace(delivered("a"), facts=FACTS)),
        (False, rejected("a", None)),
        (True, replace(delivered("a", "h3"), facts=other)),
    ]:
        with connect(engine) as connection:
            DeliveryLog(
                connection, "deliveries", account="acc", resource="usage_events", task=TASK, voiding=voiding
            ).store([outcome])
        assert warehouse.rows(FACTS_QUERY) == [("a", "acme", "call", True)]


@every_database
@pytest.mark.parametrize(
    "lacking", [("customer_alias", "event_type", "event_timestamp"), tuple(sorted(ADDED_LATER))]
)
def test_log_of_an_earlier_release_is_given_what_it_lacks(open_delivery_log, engine, warehouse, lacking):
    open_delivery_log().store([delivered("a"), rejected("b")])
    with engine.connect() as connection:
        indexes = sa.inspect(connection).get_indexes("deliveries")
    for index in indexes:
        warehouse.execute(
            f"DROP INDEX {index['name']}{' ON deliveries' if 'mysql' in engine.dialect.name else ''}"
        )
    for column in lacking:
        warehouse.execute(f"ALTER TABLE deliveries DROP COLUMN {column}")
    with connect(engine) as connection:  # read only, it is left as it is
        log = DeliveryLog(
            connection, "deliveries", account="acc", resource="usage_events", task=TASK, read_only=True
        )
        assert known_hashes(log, ["a", "b"]) == {"a": "h1"}
    log = open_delivery_log()
    assert known_hashes(log, ["a", "b"]) == {"a": "h1"}
    assert sorted(warehouse.rows(FACTS_QUERY)) == [("a", None, None, False), ("b", None, None, False)]
    log.store([replace(delivered("b"), facts=FACTS)])
    assert ("b", "acme", "call", True) in warehouse.rows(FACTS_QUERY)
    with engine.connect() as connection:
        assert {index["name"] for index in sa.inspect(connection).get_indexes("deliveries")} == {
            index["name"] for index in indexes
        }


@sqlite_and_postgres
def test_indexes_for_those_who_look(open_delivery_log, engine, warehouse):
    open_delivery_log()
    indexes = sa.inspect(warehouse.engine).get_indexes("deliveries")
    time, rejections = "event_timestamp", "last_at"
    assert {tuple(index["column_names"][2:]) for index in indexes} in [
        {(time,), (rejections,)},
        {(time,), ("status", rejections)},
    ]


@on_postgres
def test_index_that_this_user_may_not_create_is_a_warning(engine, warehouse, caplog, capfd):
    with connect(engine) as connection:
        DeliveryLog(connection, "deliveries", account="acc", resource="usage_events", task=TASK)
    warehouse.execute("DROP INDEX deliveries_by_time")
    warehouse.execute("DROP ROLE IF EXISTS pusher")
    warehouse.execute("CREATE ROLE pusher")
    warehouse.execute("GRANT USAGE ON SCHEMA public TO pusher")
    warehouse.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON deliveries TO pusher")
    try:
        with connect(engine) as connection:
            connection.exec_driver_sql("SET ROLE pusher")
            connection.commit()
            log = DeliveryLog(connection, "deliveries", account="acc", resource="usage_events", task=TASK)
            log.store([delivered("a")])
    finally:
        warehouse.execute("DROP OWNED BY pusher")
        warehouse.execute("DROP ROLE pusher")
    said = "".join(capfd.readouterr()) + caplog.text
    assert "queries will be slower without it: CREATE INDEX deliveries_by_time" in said
    assert warehouse.rows("SELECT count(*) FROM deliveries") == [(1,)]


@every_database
def test_old_delivered_entries_are_pruned_and_no_others(open_delivery_log, engine, warehouse):
    log = open_delivery_log()
    log.store([delivered(f"old-{number:04}") for number in range(1200)])
    log.store([rejected("refused"), delivered("doubtful"), delivered("new")])
    log.mark_in_doubt(["doubtful"])
    with connect(engine) as connection:
        of = {"account": "acc", "resource": "usage_events", "task": TASK}
        DeliveryLog(connection, "deliveries", voiding=True, **of).store([delivered("voided")])
    open_delivery_log(account="other").store([delivered("old-of-others")])
    with engine.begin() as connection:
        table = log._table
        then = dt.datetime.now(dt.UTC) - dt.timedelta(days=40)
        connection.execute(table.update().where(table.c.customer_event_id != "new").values(last_at=then))

    assert log.prune_delivered(dt.timedelta(days=41)) == 0
    assert log.prune_delivered(dt.timedelta(days=39)) == 1200
    assert {event_id for (event_id,) in warehouse.rows("SELECT customer_event_id FROM deliveries")} == {
        *("refused", "doubtful", "new", "voided", "old-of-others")
    }


@every_database
def test_accounts_and_resources_do_not_see_each_other(open_delivery_log):
    open_delivery_log().store([delivered("a", "mine")])

    assert known_hashes(open_delivery_log(account="other"), ["a"]) == {}
    assert known_hashes(open_delivery_log(resource="seat_events"), ["a"]) == {}
    open_delivery_log(account="other").store([delivered("a", "theirs")])
    open_delivery_log(resource="seat_events").store([rejected("a")])
    assert known_hashes(open_delivery_log(), ["a"]) == {"a": "mine"}


@every_database
def test_ids_keep_every_character(open_delivery_log):
    ids = [
        "",
        " ",
        "a'b",
        'a"b',
        "a\\",
        "%s",
        ":x",
        "株式会社",
        "👩🏽‍🚀",
        "A",
        "a",
        "e\u0301",
        "\u00e9",
        "x" * 255,
    ]
    log = open_delivery_log()
    log.store([delivered(event_id, f"h{number}") for number, event_id in enumerate(ids)])

    assert known_hashes(log, ids) == {event_id: f"h{number}" for number, event_id in enumerate(ids)}


@every_database
def test_many_ids_at_once(open_delivery_log):
    ids = [f"event-{number}" for number in range(40_000)]
    log = open_delivery_log()
    log.store([delivered(event_id) for event_id in ids[:2000]])

    assert known_hashes(log, ids) == dict.fromkeys(ids[:2000], "h1")


@every_database
def test_store_is_all_or_nothing(open_delivery_log, warehouse):
    log = open_delivery_log()
    log.store([delivered("a", "h1")])
    warehouse.execute("CREATE UNIQUE INDEX one_of_each_status ON deliveries (http_status)")
    with pytest.raises(sa.exc.SQLAlchemyError):
        log.store([delivered("a", "h2"), delivered("b")])

    assert known_hashes(open_delivery_log(), ["a", "b"]) == {"a": "h1"}


@every_database
def test_table_that_is_no_log_is_refused(open_delivery_log, warehouse):
    warehouse.execute("CREATE TABLE deliveries (id INTEGER, event_id TEXT)")
    with pytest.raises(SequenceConfigurationError, match="deliveries"):
        open_delivery_log()

    assert warehouse.rows("SELECT * FROM deliveries") == []


@every_database
def test_name_that_is_no_plain_identifier_is_refused(open_delivery_log, warehouse):
    with pytest.raises(SequenceConfigurationError):
        open_delivery_log("deliveries; DROP TABLE victim")


@sqlite_and_postgres
def test_two_tasks_make_the_log_and_write_to_it_at_the_same_time(engine, warehouse):
    ready = threading.Barrier(3, timeout=30)

    def work(name: str) -> None:
        with connect(engine) as connection:
            ready.wait()
            log = DeliveryLog(connection, "deliveries", account="acc", resource="usage_events", task=TASK)
            for start in range(0, 2000, 400):
                order = range(start, start + 400) if name == "a" else reversed(range(start, start + 400))
                log.store([delivered(f"e{number}", name) for number in order])

    with ThreadPoolExecutor(3) as pool:
        for future in [pool.submit(work, name) for name in "abc"]:
            future.result(60)
    assert warehouse.rows("SELECT count(*) FROM deliveries") == [(2000,)]


@pytest.fixture
def client(sequence_conn) -> Iterator[SequenceClient]:
    with SequenceHook(sequence_conn, deadline=1).client as client:
        yield client


@pytest.fixture
def deliver(client, open_delivery_log) -> Any:
    """Push rows as a task of its own would; ``(delivered, unchanged, rejected)`` comes back."""

    def run(rows: list[tuple[Any, ...]]) -> tuple[int, int, int]:
        mapper = EventMapper(USAGE_EVENT, COLUMNS)
        summary = push(
            map_rows([rows], mapper),
            client,
            USAGE_EVENTS,
            threads=4,
            state=LoggedState(open_delivery_log()),
        ).as_dict()
        assert summary["rows"] == len(rows)
        return summary["delivered"], summary["unchanged"], summary["rejected"]

    return run


def usage(event_id: str, units: Any = 1, alias: str = "acme") -> tuple[Any, ...]:
    return (event_id, alias, "call", DAY, units)


@every_database
def test_unchanged_rows_are_not_sent_again(deliver, sandbox):
    rows = [usage(f"e{number}", number) for number in range(50)]
    assert deliver(rows) == (50, 0, 0)
    assert deliver(rows) == (0, 50, 0)

    assert sandbox.summary()["applied"] == 50


def test_only_changed_and_new_rows_are_sent(deliver, sandbox):
    deliver([usage("a", 1), usage("b", 1)])
    assert deliver([usage("a", 2), usage("b", 1), usage("c", 1)]) == (2, 1, 0)

    assert sandbox.summary()["applied"] == 4
    assert sandbox.summary()["distinct_events"] == 3


def test_row_that_changes_back_is_sent_again(deliver, sandbox):
    assert [deliver([usage("a", units)]) for units in (1, 2, 1)] == [(1, 0, 0)] * 3
    assert [json.loads(each["body"])["eventProperties"]["units"] for each in sandbox.ledger()["items"]] == [
        1,
        2,
        1,
    ]


@every_database
def test_rows_of_one_id_in_one_run(deliver, sandbox):
    rows = [usage("a", 1), usage("b", 1), usage("a", 2), usage("a", 2), usage("a", 1)]
    sent, unchanged, refused = deliver(rows)
    assert (sent + unchanged, refused) == (5, 0)
    last = [each for each in sandbox.ledger()["items"] if each["customerEventId"] == "a"][-1]
    assert json.loads(last["body"])["eventProperties"]["units"] == 1

    assert deliver([usage("a", 1)]) == (0, 1, 0)
    assert deliver([usage("a", 2)]) == (1, 0, 0)


def refuse(sandbox: Any, event_id: str, **rule: Any) -> None:
    sandbox.fault(kind="status", status=400, match={"customerEventId": event_id}, **rule)


@every_database
def test_rejected_rows_are_tried_again(deliver, sandbox):
    refuse(sandbox, "b")
    rows = [usage("a"), usage("b"), usage("c")]
    assert deliver(rows) == (2, 0, 1)
    assert deliver(rows) == (0, 2, 1)

    sandbox.clear_faults()
    assert deliver(rows) == (1, 2, 0)
    assert deliver(rows) == (0, 3, 0)


@every_database
def test_row_that_is_rejected_after_it_was_delivered(deliver, sandbox, warehouse):
    assert deliver([usage("a", 1)]) == (1, 0, 0)
    refuse(sandbox, "a", times=1)
    assert deliver([usage("a", 2)]) == (0, 0, 1)

    assert deliver([usage("a", 2)]) == (1, 0, 0)
    assert deliver([usage("a", 2)]) == (0, 1, 0)


def test_row_that_returns_to_its_delivered_state_after_a_rejection(deliver, sandbox):
    deliver([usage("a", 1)])
    refuse(sandbox, "a", times=1)
    deliver([usage("a", 2)])
    sent, unchanged, refused = deliver([usage("a", 1)])

    assert (sent + unchanged, refused) == (1, 0)
    last = sandbox.ledger()["items"][-1]
    assert json.loads(last["body"])["eventProperties"]["units"] == 1


def test_rows_without_an_id_are_rejected_and_not_in_the_log(deliver, warehouse):
    assert deliver([usage(None), usage("a")]) == (1, 0, 1)

    assert warehouse.rows("SELECT count(*) FROM deliveries") == [(1,)]


def test_outage_leaves_what_was_answered_in_the_log(deliver, client, sandbox, warehouse):
    rows = [usage(f"e{number}", number) for number in range(60)]
    sandbox.fault(kind="status", status=503, after_n=30)
    with pytest.raises(SequenceApiError):
        deliver(rows)

    assert sandbox.summary()["applied"] == 30
    assert warehouse.rows("SELECT count(*) FROM deliveries") == [(30,)]


def test_log_never_claims_what_was_not_answered(deliver, sandbox, warehouse):
    """The event arrives, its answer does not: it may be sent once more, but the log must not know of it."""
    sandbox.fault(kind="reset_after", match={"customerEventId": "lost"})
    with pytest.raises(SequenceApiError):
        deliver([usage("lost")])

    assert sandbox.summary()["applied"] >= 1
    assert warehouse.rows("SELECT count(*) FROM deliveries") == [(0,)]
