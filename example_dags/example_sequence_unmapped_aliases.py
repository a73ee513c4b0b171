"""
Send an alert when usage has no customer, and create the customer aliases that the warehouse knows.

The DAG reads the table ``accounts`` (``account``, ``name``, ``sequence_customer_id``) of the connection ``warehouse``, and
writes to the connection ``sequence_default``.
"""

from __future__ import annotations

import datetime as dt
import logging

from airflow.providers.common.compat.sdk import DAG, task
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
) as dag:
    # [START howto_sequence_unmapped_aliases]
    # Succeeds if every event has a customer; then all tasks below are skipped. Otherwise it is skipped itself.
    all_mapped = SequenceUnmappedAliasesSensor(
        task_id="all_mapped", poke_interval=60, timeout=10 * 60, soft_fail=True
    )

    @task(trigger_rule="all_skipped")
    def alert(data_interval_start: dt.datetime | None = None) -> str:
        """Alert somebody; your mail, chat or pager goes here."""
        message = (
            f"Nobody will be billed for some usage of {data_interval_start:%-d %B %Y}: it has no customer."
        )
        logging.getLogger(__name__).warning(message)
        return message

    give_aliases = SequenceCreateCustomerAliasesOperator(
        task_id="give_aliases",
        sql_conn_id="warehouse",
        sql="SELECT sequence_customer_id AS customer_id, account AS value, name AS label FROM accounts",
    )
    # Fails if the warehouse does not know the customer either.
    all_mapped_now = SequenceUnmappedAliasesSensor(
        task_id="all_mapped_now", poke_interval=60, timeout=10 * 60
    )
    all_mapped >> alert() >> give_aliases >> all_mapped_now
    # [END howto_sequence_unmapped_aliases]
