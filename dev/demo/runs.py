"""Runs the example DAG in Airflow, one DAG run a day; a process of its own, whose output is Airflow's."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path
from typing import Any

from dev.demo.terminal import CHECKOUT

#: Lines that begin so tell the demo how far the runs have come.
MARK = "demo> "

DAG_ID = "sequence_daily_usage"


def main(first: dt.datetime, days: int) -> int:
    """
    Run the DAG once for each day.

    :param first: start of the first day's data interval.
    :param days: how many days.
    :return: 0 if all runs succeeded, else 1.
    """
    dags = load_dags(CHECKOUT / "example_dags" / "example_sequence_daily_usage.py")
    print(f"{MARK}ready", flush=True)
    for day in range(days):
        # A run that is started by hand works on the last data interval that is complete at its logical date.
        run = dags[DAG_ID].test(logical_date=first + dt.timedelta(days=day + 1))
        print(f"{MARK}{run.state}", flush=True)
        if run.state != "success":
            return 1
    return 0


def load_dags(file: Path) -> dict[str, Any]:
    """
    Make Airflow's database, unless it is there, and load the DAGs of a file into it.

    :raises SystemExit: if the file can't be imported.
    """
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    from airflow.utils.db import initdb

    initdb()
    DagBundlesManager().sync_bundles_to_db()
    bag = DagBag(str(file), bundle_name="dags-folder")
    if bag.import_errors:
        raise SystemExit(str(bag.import_errors))
    sync_bag_to_db(bag, "dags-folder", None)
    return dict(bag.dags)


if __name__ == "__main__":
    sys.exit(main(dt.datetime.fromisoformat(sys.argv[1]), int(sys.argv[2])))
