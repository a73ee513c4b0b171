"""
Before a month is invoiced: wait until Sequence has counted all of its usage, then pull the draft invoices for review.

The metric and the aliases are those of the sandbox's demo account. The DAG reads from the connection ``sequence_default``,
and the table ``usage`` (``customer``, ``kind``, ``used_at``) of the connection ``warehouse``. It writes the invoices to the
connection ``warehouse``, too.
"""

from __future__ import annotations

import datetime as dt

from airflow import DAG
from airflow.providers.common.sql.hooks.handlers import fetch_one_handler
from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_provider_sequence.sensors.sequence import SequenceUsageMetricSensor
from airflow_provider_sequence.transfers.sequence_to_sql import SequenceToSqlOperator

with DAG(
    dag_id="sequence_invoice_run",
    schedule=CronDataIntervalTimetable("0 0 1 * *", timezone="UTC"),
    start_date=dt.datetime(2026, 10, 1, tzinfo=dt.UTC),
    catchup=False,
    max_active_runs=1,
    tags=["sequence"],
    doc_md=__doc__,
) as dag:
    # [START howto_sequence_metric]
    used = SQLExecuteQueryOperator(
        task_id="used",
        conn_id="warehouse",
        sql="""
            SELECT count(*) FROM usage
            WHERE kind = 'message-sent' AND customer IN ('acme', 'globex')
              AND used_at >= '{{ data_interval_start | ts }}' AND used_at < '{{ data_interval_end | ts }}'
        """,
        handler=fetch_one_handler,
    )
    counted = SequenceUsageMetricSensor(
        task_id="counted",
        metric_id="00000000-0000-4000-8002-000000000000",
        customer_aliases=["acme", "globex"],
        min_event_count="{{ ti.xcom_pull('used')[0] }}",
        deferrable=True,
        poke_interval=60,
        timeout=6 * 60 * 60,
    )
    # [END howto_sequence_metric]
    invoices = SequenceToSqlOperator(
        task_id="pull_invoices", resource="invoices", sql_conn_id="warehouse", table="review_invoices"
    )
    draft_lines = SequenceToSqlOperator(
        task_id="pull_draft_lines",
        resource="invoice_line_items",
        sql_conn_id="warehouse",
        table="review_invoice_line_items",
        filters={"invoice_status": "DRAFT"},
    )
    used >> counted >> [invoices, draft_lines]
