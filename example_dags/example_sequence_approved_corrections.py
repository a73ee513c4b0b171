"""
Push a day's usage, and ask a person first if that would correct many events that Sequence has already.

The first task is a dry run: it counts what the push would do, and sends nothing. If more events than the parameter
``max_corrected`` would be corrected, the run waits until somebody approves or rejects it: in Airflow's UI, *Required Actions*.

It reads the table ``usage`` (``usage_id``, ``customer``, ``kind``, ``used_at``, ``quantity``) of the connection
``warehouse``, and writes to the connection ``sequence_default``. Airflow asks people from its version 3.1 on; on an older one
this file has no DAG.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from airflow import DAG
from airflow.exceptions import AirflowOptionalProviderFeatureException
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_provider_sequence.transfers.sql_to_sequence import SqlToSequenceUsageEventsOperator

try:
    from airflow.providers.standard.operators.hitl import ApprovalOperator
    from airflow.providers.standard.operators.python import BranchPythonOperator
except (ImportError, AirflowOptionalProviderFeatureException):
    ApprovalOperator = None

if ApprovalOperator is not None:
    with DAG(
        dag_id="sequence_approved_corrections",
        schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
        start_date=dt.datetime(2026, 10, 1, tzinfo=dt.UTC),
        catchup=False,
        max_active_runs=1,
        params={"max_corrected": 100},
        tags=["sequence"],
        doc_md=__doc__,
    ) as dag:
        # [START howto_sequence_approved_corrections]
        usage: dict[str, Any] = {
            "sql_conn_id": "warehouse",
            "sql": """
                SELECT usage_id AS customer_event_id, customer AS customer_alias, kind AS event_type,
                       used_at AS event_timestamp, quantity
                FROM usage
                WHERE used_at >= '{{ data_interval_start | ts }}' AND used_at < '{{ data_interval_end | ts }}'
            """,
            "delivery_log_table": "sequence_delivery_log",
        }
        check = SqlToSequenceUsageEventsOperator(task_id="check", dry_run=True, **usage)

        def choose(corrected: str, max_corrected: str) -> str:
            """Ask only if more events would be corrected than may be without."""
            return "approve" if int(corrected) > int(max_corrected) else "push"

        branch = BranchPythonOperator(
            task_id="branch",
            python_callable=choose,
            op_args=["{{ ti.xcom_pull(task_ids='check')['corrected'] }}", "{{ params.max_corrected }}"],
        )
        approve = ApprovalOperator(
            task_id="approve",
            subject="Correct {{ ti.xcom_pull(task_ids='check')['corrected'] }} events in Sequence?",
            body="So many of {{ ti.xcom_pull(task_ids='check')['rows'] }} usage events of "
            "{{ data_interval_start | ds }} would replace what was delivered before.",
        )
        # A push that was not approved is skipped.
        push = SqlToSequenceUsageEventsOperator(
            task_id="push", trigger_rule="none_failed_min_one_success", **usage
        )
        check >> branch >> [approve, push]
        approve >> push
        # [END howto_sequence_approved_corrections]
