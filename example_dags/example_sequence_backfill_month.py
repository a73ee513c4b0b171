"""
Pull a month in slices of a day, each in a task of its own; up to four tasks run at the same time.

Past months are pulled with ``airflow backfill create``. The DAG reads from the connection ``sequence_default``, and writes
to the connection ``warehouse``.
"""

from __future__ import annotations

import datetime as dt

from airflow import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_provider_sequence.transfers.sequence_to_sql import SequenceToSqlOperator
from airflow_provider_sequence.utils.windows import split_window

with DAG(
    dag_id="sequence_backfill_month",
    schedule=CronDataIntervalTimetable("0 0 1 * *", timezone="UTC"),
    start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    catchup=False,
    max_active_runs=1,
    tags=["sequence"],
    doc_md=__doc__,
) as dag:
    # [START howto_sequence_split_window]
    SequenceToSqlOperator.partial(
        task_id="pull",
        resource="usage_events",
        sql_conn_id="warehouse",
        table="sequence_usage_events",
        map_index_template="{{ task.window_start[:10] }}",
        max_active_tis_per_dagrun=4,  # they share the account's rate limit
    ).expand_kwargs(split_window(every=dt.timedelta(days=1)))
    # [END howto_sequence_split_window]
