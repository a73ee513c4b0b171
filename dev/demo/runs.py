"""Runs the example DAG in Airflow, one DAG run a day; a process of its own, whose output is Airflow's."""

from __future__ import annotations

import datetime as dt
import sys

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
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    from airflow.utils.db import initdb

    initdb()
    DagBundlesManager().sync_bundles_to_db()
    file = CHECKOUT / "example_dags" / "example_sequence_daily_usage.py"
    bag = DagBag(str(file), bundle_name="dags-folder")
    if bag.import_errors:
        print(bag.import_errors)
        return 1
    sync_bag_to_db(bag, "dags-folder", None)
    print(f"{MARK}ready", flush=True)
    for day in range(days):
        # A run that is started by hand works on the last data interval that is complete at its logical date.
        run = bag.dags[DAG_ID].test(logical_date=first + dt.timedelta(days=day + 1))
        print(f"{MARK}{run.state}", flush=True)
        if run.state != "success":
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(dt.datetime.fromisoformat(sys.argv[1]), int(sys.argv[2])))
