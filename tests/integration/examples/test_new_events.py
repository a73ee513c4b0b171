"""
The example that starts when new events arrive: the payloads of its watcher, and the run that they start.

``dag.test()`` has neither triggerer nor scheduler. So the trigger runs here, its payloads become asset events by the
function that the triggerer calls, and the run is given the events that are waiting, as the scheduler does.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any

import pytest

from tests.integration.examples.test_dags import load_example
from tests.integration.examples.test_pull import content, post
from tests.integration.support.values import utc

pytest.importorskip("airflow.sdk", reason="Airflow 2 has no watchers")

DAY = dt.datetime(2026, 10, 5, tzinfo=dt.UTC)
HOUR, TICK = dt.timedelta(hours=1), dt.timedelta(microseconds=1)


@pytest.fixture
def deliver(monkeypatch) -> Any:
    """Give the next run payloads of an asset's watcher."""
    from airflow.assets.manager import AssetManager
    from airflow.models import dag as before_3_1
    from airflow.models import dagrun
    from airflow.models.asset import AssetModel

    name = "get_or_create_dagrun"
    home = dagrun if hasattr(dagrun, name) else before_3_1
    name = name if hasattr(home, name) else f"_{name}"
    create = getattr(home, name)
    waiting: list[tuple[Any, dict[str, Any]]] = []

    def create_with_events(*args: Any, session: Any, **options: Any) -> Any:
        run = create(*args, session=session, **options)
        for asset, payload in waiting:
            event = AssetManager().register_asset_change(
                asset=session.query(AssetModel).filter_by(uri=asset.uri, name=asset.name).one(),
                extra={"from_trigger": True, "payload": payload},
                session=session,
            )
            run.consumed_asset_events.append(event)
        waiting.clear()
        session.commit()
        return run

    monkeypatch.setattr(home, name, create_with_events)
    return lambda asset, *payloads: waiting.extend((asset, payload) for payload in payloads)


def test_new_events_are_pulled(run_dag, deliver, sandbox, sequence_conn, warehouse, monkeypatch):
    monkeypatch.setattr("airflow_provider_sequence.triggers.sequence.SETTLED_AFTER", 0)
    memory: dict[str, Any] = {}

    async def load(_: Any) -> dict[str, Any]:
        return dict(memory)

    async def save(_: Any, value: dict[str, Any]) -> None:
        memory.clear()
        memory.update(value)

    # The triggerer's own store needs a triggerer.
    monkeypatch.setattr("airflow_provider_sequence.triggers.state.TriggerState.load", load)
    monkeypatch.setattr("airflow_provider_sequence.triggers.state.TriggerState.save", save)

    dag = load_example("new_events")
    (asset,) = dag.timetable.asset_condition.objects
    (watcher,) = asset.watchers

    def send(**events: dt.datetime) -> None:
        for event_id, at in events.items():
            post(sandbox, "/usage-events", at, customerEventId=event_id, customerAlias="a", eventType="call")

    async def payloads_of(*batches: dict[str, dt.datetime]) -> list[dict[str, Any]]:
        """Let the watcher poll, and let events arrive in between; return its payloads."""
        trigger = type(watcher.trigger)(**{**watcher.trigger.serialize()[1], "poll_interval": 0.05})
        run = trigger.run()
        received = []
        for batch in batches:
            first = asyncio.ensure_future(anext(run))
            if not memory:
                while "seen" not in memory:
                    await asyncio.sleep(0.02)
            await asyncio.to_thread(send, **batch)
            received.append((await asyncio.wait_for(first, 30)).payload)
            memory.pop("pending", None)
        await run.aclose()
        return received

    send(old=DAY)
    first = {"e1": DAY + HOUR, "e2": DAY + 2 * HOUR}
    second = {"e3": DAY + 5 * HOUR}
    payloads = asyncio.run(payloads_of(first, second))
    deliver(asset, *payloads)
    result = run_dag(dag, None)
    assert result.states == {"pull": "success"}, result.errors
    rows = content(warehouse, "sequence_usage_events")
    assert {row["customer_event_id"]: utc(row["event_timestamp"]) for row in rows} == first | second
    assert result.xcoms["pull"]["loaded"] == 3

    # The same payloads a second time, as after a kill, changes nothing.
    deliver(asset, *payloads)
    assert run_dag(dag, None).states == {"pull": "success"}
    assert content(warehouse, "sequence_usage_events") == rows
