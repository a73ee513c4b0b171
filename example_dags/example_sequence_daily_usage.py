"""
Push a day's usage to Sequence, wait until Sequence lists it, pull the same day into a staging table.

The connections are ``sequence_default`` and ``warehouse``. Each run works on its own data interval, so a backfill of any
days, in any order, gives the same table.

It reads the table ``usage`` (``usage_id``, ``customer``, ``kind``, ``used_at``, ``quantity``, ``region``, ``note``) of the
connection ``warehouse``. The examples sequence_hourly_usage and sequence_month_on_many_workers push the same rows with the
same delivery log: run one of the three only. The hourly one sends other columns, so that each would send the other's events
again.
"""

from __future__ import annotations

import datetime as dt

from airflow import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_provider_sequence.sensors.sequence import SequenceEventsSensor
from airflow_provider_sequence.transfers.sequence_to_sql import SequenceToSqlOperator
from airflow_provider_sequence.transfers.sql_to_sequence import SqlToSequenceUsageEventsOperator

with DAG(
    dag_id="sequence_daily_usage",
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=dt.datetime(2026, 10, 1, tzinfo=dt.UTC),
    catchup=True,
    max_active_runs=1,
    tags=["sequence"],
    doc_md=__doc__,
) as dag:
    # [START howto_sequence_push]
    push = SqlToSequenceUsageEventsOperator(
        task_id="push",
        sql_conn_id="warehouse",
        # Columns that are not fields of the event become its properties.
        sql="""
            SELECT usage_id AS customer_event_id, customer AS customer_alias, kind AS event_type,
                   used_at AS event_timestamp, quantity, region, note
            FROM usage
            WHERE used_at >= '{{ data_interval_start | ts }}' AND used_at < '{{ data_interval_end | ts }}'
        """,
        # Events that were delivered are not sent again when a run is repeated.
        delivery_log_table="sequence_delivery_log",
        max_rejected=0.01,
    )
    # [END howto_sequence_push]
    # [START howto_sequence_wait]
    wait = SequenceEventsSensor(
        task_id="wait",
        resource="usage_events",
        min_count="{{ ti.xcom_pull('push')['delivered'] + ti.xcom_pull('push')['unchanged'] }}",
        poke_interval=5,
        timeout=600,
    )
    # [END howto_sequence_wait]
    pull = SequenceToSqlOperator(
        task_id="pull",
        resource="usage_events",
        sql_conn_id="warehouse",
        table="sequence_usage_events",
    )
    push >> wait >> pull
