"""
Options of operators by name and type, for editors and type checkers: where a class passes ``**kwargs`` on to its base.

At run time nothing reads them. Airflow itself goes by the signatures of all classes of an operator, for ``default_args`` and
``partial()``.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any, Literal, Required, TypedDict


class OperatorOptions(TypedDict, total=False):
    """Options of Airflow's BaseOperator, of all versions."""

    task_id: Required[str]
    owner: str
    email: str | Sequence[str] | None
    email_on_retry: bool
    email_on_failure: bool
    retries: int | None
    retry_delay: dt.timedelta | float
    retry_exponential_backoff: float
    max_retry_delay: dt.timedelta | float | None
    retry_policy: Any
    start_date: dt.datetime | None
    end_date: dt.datetime | None
    depends_on_past: bool
    ignore_first_depends_on_past: bool
    wait_for_past_depends_before_skipping: bool
    wait_for_downstream: bool
    dag: Any
    params: MutableMapping[str, Any] | None
    default_args: dict[str, Any] | None
    priority_weight: int
    weight_rule: Any
    queue: str
    pool: str | None
    pool_slots: int
    sla: dt.timedelta | None
    execution_timeout: dt.timedelta | None
    on_execute_callback: Any
    on_failure_callback: Any
    on_success_callback: Any
    on_retry_callback: Any
    on_skipped_callback: Any
    pre_execute: Any
    post_execute: Any
    trigger_rule: str
    resources: dict[str, Any] | None
    run_as_user: str | None
    map_index_template: str | None
    max_active_tis_per_dag: int | None
    max_active_tis_per_dagrun: int | None
    executor: str | None
    executor_config: dict[str, Any] | None
    do_xcom_push: bool
    multiple_outputs: bool
    inlets: Any
    outlets: Any
    task_group: Any
    doc: str | None
    doc_md: str | None
    doc_json: str | None
    doc_yaml: str | None
    doc_rst: str | None
    task_display_name: str | None
    logger_name: str | None
    allow_nested_operators: bool
    render_template_as_native_obj: bool | None


class SequenceOptions(OperatorOptions, total=False):
    """Options of every task that calls Sequence."""

    sequence_conn_id: str


class PushOptions(SequenceOptions, total=False):
    """Options of every push."""

    columns: Mapping[str, str] | None
    event_key: Sequence[str] | None
    timezone: str
    max_rejected: float | str
    concurrency: int | str | None
    delivery_log_table: str | None
    delivery_log_conn_id: str | None
    runs_table: str | None
    keep_delivered_for: Any
    retry_rejected: bool | str
    max_future: Any
    late_after: Any
    late: Literal["report", "reject"]
    dry_run: bool | str
    min_rows: int | str | None


class SqlPushOptions(PushOptions, total=False):
    """Options of a push of a query's rows."""

    sql: str
    sql_conn_id: str
    parameters: Mapping[str, Any] | Sequence[Any] | None


class RowsPushOptions(PushOptions, total=False):
    """Options of a push of rows that are given."""

    rows: Any


class SensorOptions(SequenceOptions, total=False):
    """Options of every sensor."""

    deferrable: bool
    poke_interval: dt.timedelta | float
    timeout: dt.timedelta | float | None
    soft_fail: bool
    mode: str
    exponential_backoff: bool
    max_wait: dt.timedelta | float | None
    silent_fail: bool
    never_fail: bool
