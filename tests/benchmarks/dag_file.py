"""What a DAG file costs that imports all operators and sensors, over one that imports what every DAG file does."""

from __future__ import annotations

import pkgutil
import sys

import airflow_provider_sequence
from tests.benchmarks.report import Found, median
from tests.benchmarks.world import World

TIMES = 15
_TIMED = """
import time
from tests.benchmarks.meter import measure
began = time.monotonic()
from airflow.sdk import DAG, BaseOperator
seconds = time.monotonic() - began
def rest():
    {imports}
    return seconds
measure(rest)
"""


def dag_file(world: World, repeats: int) -> Found:
    """Fresh processes; in each, what more is imported once BaseOperator is: a difference of two would be mostly noise."""
    found = Found()
    modules = [
        name
        for part in ("operators", "sensors", "transfers")
        for _, name, _ in pkgutil.iter_modules(
            [f"{airflow_provider_sequence.__path__[0]}/{part}"], f"airflow_provider_sequence.{part}."
        )
    ]
    code = _TIMED.format(imports=f"import {', '.join(modules)}")
    costs = [world.process([sys.executable, "-c", code]) for _ in range(TIMES)]
    more, cpu, base = (median([each[unit] for each in costs]) * 1000 for unit in ("seconds", "cpu", "value"))
    found.line(
        "DAG file that imports all operators and sensors, over one that imports BaseOperator",
        "≤ 5 % of what that one costs",
        f"{more / base:.1%}: {more:.0f} ms, of CPU {cpu:.0f} ms",
        more <= 0.05 * base,
    )
    return found
