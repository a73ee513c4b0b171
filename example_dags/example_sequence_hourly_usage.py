"""
Push usage every hour, including rows that arrive up to a day late.

Each run also selects the day before its own hour. Events that were delivered already are in the delivery log, and cost no
request.

The DAG reads the table ``usage`` (``usage_id``, ``customer``, ``kind``, ``used_at``, ``quantity``) of the connection
``warehouse``, and writes to the connection ``sequence_default``. The examples sequence_daily_usage and
sequence_month_on_many_workers push the same rows with the same delivery log: run one of the three only.
"""

from __future__ import annotations

import datetime as dt

from airflow import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_provider_sequence.transfers.sequence_to_sql import SequenceToSqlOperator
from airflow_provider_sequence.transfers.sql_to_sequence import SqlToSequenceUsageEventsOperator

with DAG(
    dag_id="sequence_hourly_usage",
    schedule=CronDataIntervalTimetable("0 * * * *", timezone="UTC"),
    start_date=dt.datetime(2026, 10, 1, tzinfo=dt.UTC),
    catchup=False,
    max_active_runs=1,
    tags=["sequence"],
    doc_md=__doc__,
) as dag:
    # [START howto_sequence_lookback]
    push = SqlToSequenceUsageEventsOperator(
        task_id="push",
        sql_conn_id="warehouse",
        sql="""
            SELECT usage_id AS customer_event_id, customer AS customer_alias, kind AS event_type,
                   used_at AS event_timestamp, quantity
            FROM usage
            WHERE used_at >= '{{ data_interval_start.subtract(days=1) | ts }}'
              AND used_at < '{{ data_interval_end | ts }}'
        """,
        delivery_log_table="sequence_delivery_log",
    )
    pull = SequenceToSqlOperator(
        task_id="pull",
        resource="usage_events",
        sql_conn_id="warehouse",
        table="sequence_usage_events",
        lookback=dt.timedelta(days=1),
    )
    # [END howto_sequence_lookback]
    push >> pull
