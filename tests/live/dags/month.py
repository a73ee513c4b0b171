"""Usage events into a table, day by day or all of a month at once."""

import datetime as dt

import pendulum
from airflow.providers.common.compat.sdk import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_provider_sequence.transfers.sequence_to_sql import SequenceToSqlOperator

for direction in ("forwards", "backwards"):
    with DAG(
        f"month_{direction}",
        schedule=CronDataIntervalTimetable("@daily", timezone="UTC"),
        start_date=pendulum.datetime(2026, 3, 1),
        end_date=pendulum.datetime(2026, 3, 31),
        catchup=False,
        is_paused_upon_creation=False,
    ):
        SequenceToSqlOperator(
            task_id="pull",
            resource="usage_events",
            sql_conn_id="warehouse",
            table=f"month_{direction}",
            lookback=dt.timedelta(days=1, hours=6),
        )

with DAG("month_at_once", schedule=None, is_paused_upon_creation=False):
    SequenceToSqlOperator(
        task_id="pull",
        resource="usage_events",
        sql_conn_id="warehouse",
        table="month_at_once",
        window_start="{{ dag_run.conf['window_start'] }}",
        window_end="{{ dag_run.conf['window_end'] }}",
    )
