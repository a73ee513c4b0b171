"""
Push a month's usage and pull it back, in tasks that any number of workers can run.

The push is mapped over shares of the ids, the pull over the days of the month. The last task compares all events with
Sequence. The DAG reads the table ``usage`` (``usage_id``, ``customer``, ``kind``, ``used_at``, ``quantity``, ``region``,
``note``) of the connection ``warehouse``, in PostgreSQL, and writes to the connection ``sequence_default``. The examples sequence_daily_usage and
sequence_hourly_usage push the same rows with the same delivery log: run one of the three only.
"""

from __future__ import annotations

import datetime as dt

from airflow import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_provider_sequence.operators.sequence import SequenceReconcileOperator
from airflow_provider_sequence.transfers.sequence_to_sql import SequenceToSqlOperator
from airflow_provider_sequence.transfers.sql_to_sequence import SqlToSequenceUsageEventsOperator
from airflow_provider_sequence.utils.windows import split_window

USAGE = """
    SELECT usage_id AS customer_event_id, customer AS customer_alias, kind AS event_type,
           used_at AS event_timestamp, quantity, region, note
    FROM usage
    WHERE used_at >= '{{ data_interval_start | ts }}' AND used_at < '{{ data_interval_end | ts }}'
"""

with DAG(
    dag_id="sequence_month_on_many_workers",
    schedule=CronDataIntervalTimetable("0 0 1 * *", timezone="UTC"),
    start_date=dt.datetime(2026, 10, 1, tzinfo=dt.UTC),
    catchup=False,
    max_active_runs=1,
    tags=["sequence"],
    doc_md=__doc__,
) as dag:
    # [START howto_sequence_shares]
    push = SqlToSequenceUsageEventsOperator.partial(
        task_id="push",
        sql_conn_id="warehouse",
        # All rows of an id are in the same share, so that the last one wins. Rows without an id are in one share, too.
        sql=USAGE + "AND substr(md5(coalesce(usage_id, '')), 1, 1) = %(digit)s",
        delivery_log_table="sequence_delivery_log",
        max_rejected=0.01,
        map_index_template="{{ task.parameters['digit'] }}",
        max_active_tis_per_dagrun=8,  # across all workers
    ).expand(parameters=[{"digit": digit} for digit in "0123456789abcdef"])

    pull = SequenceToSqlOperator.partial(
        task_id="pull",
        resource="usage_events",
        sql_conn_id="warehouse",
        table="sequence_usage_events",
        map_index_template="{{ task.window_start[:10] }}",
        max_active_tis_per_dagrun=8,
    ).expand_kwargs(split_window(every=dt.timedelta(days=1)))

    check = SequenceReconcileOperator(
        task_id="check",
        sql_conn_id="warehouse",
        sql=USAGE,
        staging_table="sequence_usage_events",
        max_differences=0.01,  # rejected rows are missing in Sequence
    )
    push >> pull >> check
    # [END howto_sequence_shares]
