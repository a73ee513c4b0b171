"""New usage events are announced by a watcher, and each announcement is pulled."""

from airflow.providers.common.compat.sdk import DAG, Asset
from airflow.sdk import AssetWatcher

from airflow_provider_sequence.transfers.sequence_to_sql import SequenceToSqlOperator
from airflow_provider_sequence.triggers.sequence import SequenceNewEventsTrigger

usage = Asset(
    "live_usage",
    watchers=[
        AssetWatcher(
            name="new_usage",
            trigger=SequenceNewEventsTrigger(
                resource="usage_events", sequence_conn_id="sequence_watched", poll_interval=2
            ),
        )
    ],
)

with DAG("watch", schedule=usage, catchup=False, is_paused_upon_creation=False):
    SequenceToSqlOperator(
        task_id="pull",
        resource="usage_events",
        sequence_conn_id="sequence_watched",
        sql_conn_id="warehouse",
        table="watched_usage",
    )
