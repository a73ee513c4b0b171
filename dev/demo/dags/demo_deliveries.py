"""Push a day's usage to Sequence, and compare it with Sequence: two DAGs, so that the demo may do one without the other."""

from __future__ import annotations

import datetime as dt

from airflow import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_provider_sequence.operators.sequence import SequenceReconcileOperator
from airflow_provider_sequence.transfers.sql_to_sequence import SqlToSequenceUsageEventsOperator

DAILY = {
    "schedule": CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    "start_date": dt.datetime(2020, 1, 1, tzinfo=dt.UTC),
    "catchup": False,
    "tags": ["sequence"],
}
USAGE = {
    "sql": """
        SELECT usage_id AS customer_event_id, customer AS customer_alias, kind AS event_type,
               used_at AS event_timestamp, quantity, region, note
        FROM usage
        WHERE used_at >= '{{ data_interval_start | ts }}' AND used_at < '{{ data_interval_end | ts }}'
    """,
    "sql_conn_id": "warehouse",
    "delivery_log_table": "sequence_delivery_log",
}

with DAG("usage_push", **DAILY):
    SqlToSequenceUsageEventsOperator(task_id="push", max_rejected=0.05, **USAGE)

with DAG("usage_reconcile", **DAILY):
    SequenceReconcileOperator(task_id="reconcile", differences_table="sequence_differences", **USAGE)
