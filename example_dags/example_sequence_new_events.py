"""
Pull new events soon after they arrive in Sequence; needs Airflow 3 or later.

A watcher in the triggerer polls every minute. New events start a run, which pulls the window that contains their
timestamps. The DAG reads from the connection ``sequence_default``, and writes to the connection ``warehouse``.
"""

from __future__ import annotations

import datetime as dt

from airflow.sdk import DAG, Asset, AssetWatcher

from airflow_provider_sequence.transfers.sequence_to_sql import SequenceToSqlOperator
from airflow_provider_sequence.triggers.sequence import SequenceNewEventsTrigger

# [START howto_sequence_new_events]
new_events = Asset(
    "new_sequence_usage_events",
    watchers=[
        AssetWatcher(
            name="new_sequence_usage_events",
            trigger=SequenceNewEventsTrigger(resource="usage_events", poll_interval=60),
        )
    ],
)

with DAG(
    dag_id="sequence_new_events",
    schedule=[new_events],
    start_date=dt.datetime(2026, 10, 1, tzinfo=dt.UTC),
    catchup=False,
    max_active_runs=1,
    tags=["sequence"],
    doc_md=__doc__,
) as dag:
    # The pull has no bounds of its own: it takes its window from the events that started the run.
    SequenceToSqlOperator(
        task_id="pull", resource="usage_events", sql_conn_id="warehouse", table="sequence_usage_events"
    )
# [END howto_sequence_new_events]
