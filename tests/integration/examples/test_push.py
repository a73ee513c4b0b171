"""The examples that push: late rows, and seats."""

from __future__ import annotations

import datetime as dt
from typing import Any

from tests.integration.examples.test_dags import load_example
from tests.integration.support.databases import on_postgres
from tests.integration.support.values import exact, utc

DAY = dt.datetime(2026, 10, 5, tzinfo=dt.UTC)
HOUR, TICK = dt.timedelta(hours=1), dt.timedelta(microseconds=1)


def bodies(sandbox: Any, resource: str) -> list[dict[str, Any]]:
    """The bodies that Sequence received, in order."""
    ledger = sandbox._admin("GET", f"/_sandbox/ledger?resource={resource}&limit=1000")
    return [exact(item["body"]) for item in ledger["items"]]


def time_type(warehouse: Any) -> str:
    return "timestamptz" if warehouse.is_postgres else "text"


@on_postgres
def test_hourly_push_picks_up_late_rows(run_dag, sandbox, sequence_conn, warehouse):
    warehouse.execute(
        "CREATE TABLE usage (usage_id TEXT, customer TEXT, kind TEXT,"
        f" used_at {time_type(warehouse)}, quantity INTEGER)"
    )

    def arrive(*ids_and_times: tuple[str, dt.datetime]) -> None:
        rows = [{"id": event_id, "at": at.isoformat()} for event_id, at in ids_and_times]
        warehouse.execute("INSERT INTO usage VALUES (:id, 'acme', 'api-call', :at, 3)", *rows)

    def staged() -> dict[str, dt.datetime]:
        rows = warehouse.rows("SELECT customer_event_id, event_timestamp FROM sequence_usage_events")
        return {event_id: utc(at) for event_id, at in rows}

    def push(end: dt.datetime) -> dict[str, Any]:
        result = run_dag(dag, end)
        assert result.states == {"push": "success", "pull": "success"}, result.errors
        return {name: result.xcoms["push"][name] for name in ("rows", "delivered", "unchanged", "rejected")}

    dag = load_example("hourly_usage")
    in_time = {
        "first": DAY - 24 * HOUR,
        "just-before": DAY - TICK,
        "in-the-hour": DAY,
        "last": DAY + HOUR - TICK,
    }
    next_hour = {"next-hour": DAY + HOUR}
    arrive(("too-old", DAY - 24 * HOUR - TICK), *in_time.items(), *next_hour.items())
    assert push(DAY + HOUR) == {"rows": 4, "delivered": 4, "unchanged": 0, "rejected": 0}
    assert staged() == in_time

    late = {"late": DAY - 12 * HOUR}
    arrive(*late.items())
    assert push(DAY + 2 * HOUR) == {"rows": 5, "delivered": 2, "unchanged": 3, "rejected": 0}
    everything = in_time | next_hour | late
    assert staged() == everything

    # The first hour again finds the late row, too, and sends nothing.
    assert push(DAY + HOUR) == {"rows": 5, "delivered": 0, "unchanged": 5, "rejected": 0}
    assert push(DAY + 2 * HOUR) == {"rows": 5, "delivered": 0, "unchanged": 5, "rejected": 0}
    assert staged() == everything
    sent = bodies(sandbox, "usage-events")
    assert {body["customerEventId"]: utc(body["eventTimestamp"]) for body in sent} == everything
    assert len(sent) == len(everything)
    assert {(body["customerAlias"], body["eventType"], str(body["eventProperties"])) for body in sent} == {
        ("acme", "api-call", "{'quantity': 3}")
    }


def test_seats_are_totals_down_to_zero(run_dag, sandbox, sequence_conn, warehouse):
    sandbox.add("customers", [{"id": f"c-{name}", "aliases": [name]} for name in ("acme", "globex", "empty")])
    time = time_type(warehouse)
    warehouse.execute("CREATE TABLE accounts (account TEXT)")
    warehouse.execute(f"CREATE TABLE members (account TEXT, joined_at {time}, left_at {time})")
    warehouse.execute(
        "INSERT INTO accounts VALUES (:account)", *({"account": a} for a in ("acme", "globex", "empty"))
    )
    members = [
        ("acme", DAY - 99 * HOUR, None),
        ("acme", DAY, None),  # in use when the first day ends
        ("acme", DAY + TICK, None),  # and this one not yet
        ("globex", DAY - 99 * HOUR, DAY + 24 * HOUR),  # gone when the second day ends
        ("globex", DAY - 99 * HOUR, DAY + TICK),
    ]
    warehouse.execute(
        "INSERT INTO members VALUES (:account, :joined, :left)",
        *({"account": a, "joined": j.isoformat(), "left": left and left.isoformat()} for a, j, left in members),
    )  # fmt: skip

    def balances() -> dict[str, int]:
        items = sandbox.call("GET", "/seat-balances").json()["items"]
        return {item["customerAliases"][0]: item["total"] for item in items}

    dag = load_example("seats")
    totals = {
        DAY: {"acme": 2, "globex": 2, "empty": 0},
        DAY + 24 * HOUR: {"acme": 3, "globex": 0, "empty": 0},
    }
    expected = {
        (f"{day:%Y-%m-%dT%H:%M:%S}Z", account, "member", seats)
        for day, total in totals.items()
        for account, seats in total.items()
    }
    for again in (False, True):
        for day, total in totals.items():
            result = run_dag(dag, day)
            assert result.states == {"push": "success"}, result.errors
            delivered, unchanged = (0, 3) if again else (3, 0)
            assert (result.xcoms["push"]["delivered"], result.xcoms["push"]["unchanged"]) == (
                delivered,
                unchanged,
            )
            assert balances() == (totals[max(totals)] if again else total)
    sent = bodies(sandbox, "seat-events")
    received = [(b["eventTimestamp"], b["customerAlias"], b["seatType"], b["total"]) for b in sent]
    assert set(received) == expected
    assert len(received) == len(expected)
    ids = {body["customerEventId"] for body in sent}
    assert len(ids) == len(expected)
    log = warehouse.rows("SELECT customer_event_id, resource, status, attempts FROM sequence_delivery_log")
    assert set(log) == {(event_id, "seat_events", "delivered", 1) for event_id in ids}
