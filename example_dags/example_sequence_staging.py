"""
Keep staging tables of Sequence's lists: events day by day, and other lists as a whole.

The DAG reads from the connection ``sequence_default``, and writes to the connection ``warehouse``.
"""

from __future__ import annotations

import datetime as dt

from airflow import DAG
from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_provider_sequence.transfers.sequence_to_sql import SequenceToSqlOperator

with DAG(
    dag_id="sequence_staging",
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=dt.datetime(2026, 10, 1, tzinfo=dt.UTC),
    catchup=False,
    max_active_runs=1,
    tags=["sequence"],
    doc_md=__doc__,
) as dag:
    # [START howto_sequence_staging]
    # Events of the run's day.
    for resource in ("usage_events", "seat_events"):
        SequenceToSqlOperator(
            task_id=f"pull_{resource}",
            resource=resource,
            sql_conn_id="warehouse",
            table=f"sequence_{resource}",
        )

    # Whole lists: an invoice may change long after its day. Rows that are no longer in the list are deleted at the end.
    for resource in ("customers", "customer_aliases", "invoices", "invoice_line_items"):
        pull = SequenceToSqlOperator(
            task_id=f"pull_{resource}",
            resource=resource,
            sql_conn_id="warehouse",
            table=f"sequence_{resource}",
        )
        delete_gone = SQLExecuteQueryOperator(
            task_id=f"delete_gone_{resource}",
            conn_id="warehouse",
            sql="""
                DELETE FROM {{ params.table }}
                WHERE _loaded_at < (SELECT max(_loaded_at) FROM {{ params.table }})
            """,
            params={"table": f"sequence_{resource}"},
        )
        pull >> delete_gone
    # [END howto_sequence_staging]
