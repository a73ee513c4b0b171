"""
Runs against a hostile server, each in a process of its own that measures what it costs.

``python -m tests.faults.hostile_child`` has imported Airflow. It reads where to run a line on standard input, forks,
and prints what came of it.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from airflow_provider_sequence.api.http import transport
from airflow_provider_sequence.exceptions import SequenceError
from airflow_provider_sequence.hooks.sequence import SequenceHook
from airflow_provider_sequence.sensors import sequence as sensors
from airflow_provider_sequence.triggers import sequence as triggers

WINDOW = ("2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z")
METRIC = {"metric_id": "m", "customer_aliases": ["a"], "period_start": WINDOW[0], "period_end": WINDOW[1]}
CONNECTION = "sequence"
#: Seconds after which a run is ended.
MAX_SECONDS = 8


def client(is_metric: bool) -> Any:
    hook = SequenceHook(CONNECTION, deadline=0.001)
    if is_metric:
        return str(hook.calculate_metric(**METRIC))
    return sum(1 for _ in hook.list("usage_events"))


def sensor(is_metric: bool) -> Any:
    kinds = sensors.SequenceUsageMetricSensor, sensors.SequenceEventsSensor
    options = METRIC | {"min_value": 5} if is_metric else {"resource": "usage_events", "min_count": 5}
    bounds = {} if is_metric else {"window_start": WINDOW[0], "window_end": WINDOW[1]}
    made = kinds[not is_metric](
        task_id="t", sequence_conn_id=CONNECTION, poke_interval=0.01, timeout=0.02, **options, **bounds
    )
    made.__dict__["hook"] = SequenceHook(CONNECTION, deadline=0.001)
    return made.poke({"ti": SimpleNamespace(dag_id="d", task_id="t")}).xcom_value


def trigger(is_metric: bool) -> Any:
    common = {"sequence_conn_id": CONNECTION, "poke_interval": 0.01}
    if is_metric:
        made: Any = triggers.SequenceUsageMetricTrigger(**common, **METRIC, min_value="0")
    else:
        made = triggers.SequenceEventsTrigger(
            **common, resource="usage_events", min_count=0, window_start=WINDOW[0], window_end=WINDOW[1]
        )

    event, stall = asyncio.run(beside_a_clock(lambda: anext(made.run())))
    return {"payload": event.payload, "stall": stall}


def watcher(is_metric: bool) -> Any:
    """One poll of the trigger of an AssetWatcher, which would try again for ever."""
    made = triggers.SequenceNewEventsTrigger(sequence_conn_id=CONNECTION, poll_interval=0.01)

    async def poll() -> dict[str, Any]:
        try:
            return await made._poll({"seen": []})
        except SequenceError as error:
            return {"message": str(error)}

    state, stall = asyncio.run(beside_a_clock(poll))
    return {"state": len(json.dumps(state)), "payload": {"message": state.get("message", "")}, "stall": stall}


async def beside_a_clock(work: Callable[[], Any]) -> tuple[Any, float]:
    """What work gives, and the longest time that nothing else ran meanwhile."""
    await triggers.get_async_connection(CONNECTION)  # which imports and starts what is not ours
    task = asyncio.ensure_future(work())
    longest, last = 0.0, time.monotonic()
    while not task.done():
        await asyncio.sleep(0.001)
        now = time.monotonic()
        longest, last = max(longest, now - last), now
    return task.result(), longest


WORK = {"client": client, "sensor": sensor, "trigger": trigger, "watcher": watcher}


def main() -> None:
    transport.INITIAL_BACKOFF = transport.MAX_BACKOFF = 0.01
    triggers.POKE_DEADLINE = 0.001
    triggers.MAX_FAILURES = sensors.MAX_FAILURES = 1
    logging.disable()
    SequenceHook(CONNECTION, deadline=0.001).test_connection()  # imports what a run would import
    gc.collect()
    gc.freeze()
    # What is logged goes elsewhere.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        if os.fork() == 0:
            signal.alarm(MAX_SECONDS)  # it ends also a process that is busy in C
            os.environ["AIRFLOW_CONN_SEQUENCE"] = job["connection"]
            result = run(WORK[job["where"]], job)
            print(json.dumps(result), file=answers, flush=True)
            os._exit(0)
        if os.wait()[1]:
            print(json.dumps({"ended": f"not within {MAX_SECONDS} s"}), file=answers, flush=True)


def run(work: Any, job: dict[str, Any]) -> dict[str, Any]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()  # other processes take their time, too; what waits for ever is ended
    result: dict[str, Any] = {"classes": [], "message": ""}
    try:
        result["value"] = work(job["is_metric"])
    except Exception as error:  # noqa: BLE001  it is the answer
        cause: BaseException | None = error
        result["message"] = str(error)
        while cause is not None:
            result["classes"] += [kind.__name__ for kind in type(cause).__mro__]
            cause = cause.__cause__
    seconds = time.process_time() - started
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return result | {"seconds": seconds, "megabytes": grown}


if __name__ == "__main__":
    main()
