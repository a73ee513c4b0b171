"""What a DAG file costs that imports all operators and sensors, over one that imports what every DAG file does."""

from __future__ import annotations

import pkgutil
import sys

import airflow_provider_sequence
from tests.benchmarks.report import Found, median
from tests.benchmarks.world import World

TIMES = 15
_TIMED = """
from tests.benchmarks.meter import measure
from airflow.sdk import DAG, BaseOperator
def rest():
    {imports}
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
    more, cpu = (median([each[unit] for each in costs]) * 1000 for unit in ("seconds", "cpu"))
    found.line(
        "DAG file that imports all operators and sensors, over one that imports BaseOperator",
        "≤ 50 ms",
        f"{more:.0f} ms, of CPU {cpu:.0f} ms",
        more <= 50,
    )
    return found
