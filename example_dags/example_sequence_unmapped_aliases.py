"""
Send an alert when usage has no customer, and create the customer aliases that the warehouse knows.

The DAG reads the table ``accounts`` (``account``, ``name``, ``sequence_customer_id``) of the connection ``warehouse``, and
writes to the connection ``sequence_default``.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from airflow import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_provider_sequence.operators.sequence import SequenceCreateCustomerAliasesOperator
from airflow_provider_sequence.sensors.sequence import SequenceUnmappedAliasesSensor

with DAG(
    dag_id="sequence_unmapped_aliases",
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=dt.datetime(2026, 10, 1, tzinfo=dt.UTC),
    catchup=False,
    max_active_runs=1,
    tags=["sequence"],
    doc_md=__doc__,
) as dag:
    # [START howto_sequence_unmapped_aliases]
    # Succeeds if every event has a customer. It fails after its timeout, and where it can't tell.
    all_mapped = SequenceUnmappedAliasesSensor(task_id="all_mapped", poke_interval=60, timeout=10 * 60)

    @dag.task(trigger_rule="all_done", retries=0)
    def alert(ti: Any = None, data_interval_start: dt.datetime | None = None) -> None:
        """Alert somebody unless the sensor succeeded, however it ended; your mail, chat or pager goes here."""
        if ti.xcom_pull(task_ids="all_mapped") is None:
            # No task follows, so that this failure makes the run a failed one.
            raise RuntimeError(
                f"Nobody may be billed for some usage of {data_interval_start}: "
                "the task all_mapped did not find a customer for all of it."
            )

    give_aliases = SequenceCreateCustomerAliasesOperator(
        task_id="give_aliases",
        trigger_rule="all_failed",
        sql_conn_id="warehouse",
        sql="SELECT sequence_customer_id AS customer_id, account AS value, name AS label FROM accounts",
    )
    # Fails if the warehouse does not know the customer either.
    all_mapped_now = SequenceUnmappedAliasesSensor(
        task_id="all_mapped_now", poke_interval=60, timeout=10 * 60
    )
    all_mapped >> [alert(), give_aliases]
    give_aliases >> all_mapped_now
    # [END howto_sequence_unmapped_aliases]
