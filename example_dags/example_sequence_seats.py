"""
Push every day how many seats each account has in use.

The DAG reads the tables ``accounts`` (``account``) and ``members`` (``account``, ``joined_at``, ``left_at``) of the
connection ``warehouse``, and writes to the connection ``sequence_default``.
"""

from __future__ import annotations

import datetime as dt

from airflow import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_provider_sequence.transfers.sql_to_sequence import SqlToSequenceSeatEventsOperator

with DAG(
    dag_id="sequence_seats",
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=dt.datetime(2026, 10, 1, tzinfo=dt.UTC),
    catchup=True,
    # One day after another: Sequence's documents don't say what happens if totals arrive out of order.
    max_active_runs=1,
    tags=["sequence"],
    doc_md=__doc__,
) as dag:
    # [START howto_sequence_seats]
    SqlToSequenceSeatEventsOperator(
        task_id="push",
        sql_conn_id="warehouse",
        # A total for every account, including those whose last member has left: without a 0, the old total would stay.
        sql="""
            SELECT accounts.account AS customer_alias, 'member' AS seat_type,
                   '{{ data_interval_end | ts }}' AS event_timestamp, count(members.account) AS total
            FROM accounts
            LEFT JOIN members
              ON members.account = accounts.account
             AND members.joined_at <= '{{ data_interval_end | ts }}'
             AND (members.left_at IS NULL OR members.left_at > '{{ data_interval_end | ts }}')
            GROUP BY accounts.account
        """,
        # One event for each account, seat type and day, however often the day is pushed.
        event_key=["customer_alias", "seat_type", "event_timestamp"],
        delivery_log_table="sequence_delivery_log",
    )
    # [END howto_sequence_seats]
