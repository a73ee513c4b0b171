"""A push and a pull in runs of ``schedule="@daily"``, whose data interval has length zero on Airflow 3."""

import datetime as dt

import pendulum
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_sequence.transfers.sequence_to_sql import SequenceToSqlOperator
from airflow_provider_sequence.transfers.sql_to_sequence import SqlToSequenceUsageEventsOperator

# A busy machine may lose a try before it starts.
RETRIES = {"retries": 2, "retry_delay": dt.timedelta(seconds=1)}

with DAG(
    "daily",
    schedule="@daily",
    start_date=pendulum.datetime(2026, 3, 1),
    catchup=False,
    is_paused_upon_creation=False,
):
    SqlToSequenceUsageEventsOperator(
        task_id="push",
        sql_conn_id="warehouse",
        sql="""
            SELECT 'a' AS customer_event_id, 'acme' AS customer_alias, 'call' AS event_type, used_at AS event_timestamp
            FROM (SELECT now() - interval '1 hour' * n AS used_at FROM generate_series(1, 100) AS n) AS usage
            WHERE used_at >= '{{ data_interval_start | ts }}' AND used_at < '{{ data_interval_end | ts }}'
        """,
        **RETRIES,
    )
    SequenceToSqlOperator(
        task_id="pull", resource="usage_events", sql_conn_id="warehouse", table="daily", **RETRIES
    )
