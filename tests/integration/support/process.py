"""A DAG in a process of its own: what Airflow reads of its configuration at the start can be set there."""

from __future__ import annotations

import importlib
import inspect
import os
import subprocess
import sys

_END = "The run ended as "


def run_elsewhere(make_dag: str, logical_date: str, **settings: str) -> str:
    """
    Run a DAG once.

    :param make_dag: ``module:function`` of what makes it.
    :param settings: what else is in the environment.
    :return: the run's state.
    """
    command = [sys.executable, "-m", __name__, make_dag, logical_date]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=180, check=False, env=os.environ | settings
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (state,) = [line.removeprefix(_END) for line in done.stdout.splitlines() if line.startswith(_END)]
    return state


def start_stats() -> None:
    """Set metrics up as the process of a task does; before Airflow 3.2 they set themselves up."""
    try:
        from airflow.sdk.observability.metrics import stats_utils
    except ImportError:
        return
    from airflow.sdk.observability.stats import Stats

    if inspect.signature(stats_utils.get_stats_factory).parameters:
        Stats.initialize(factory=stats_utils.get_stats_factory(Stats))
    else:
        Stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=False)


if __name__ == "__main__":
    from tests.integration.support.airflow import run

    start_stats()
    module, _, function = sys.argv[1].partition(":")
    dag = getattr(importlib.import_module(module), function)()
    dag.dag_id = f"dag_of_{os.getpid()}"  # nobody else's
    print(_END + run(dag, sys.argv[2]).state)
