"""Each sensor, waiting in the triggerer."""

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_sequence.sensors.sequence import (
    SequenceEventsSensor,
    SequenceUnmappedAliasesSensor,
    SequenceUsageMetricSensor,
)

START, END = "{{ dag_run.conf['start'] }}", "{{ dag_run.conf['end'] }}"
COMMON = {"deferrable": True, "poke_interval": 1, "timeout": 300}

with DAG("waits", schedule=None, is_paused_upon_creation=False):
    SequenceEventsSensor(
        task_id="events",
        min_count="{{ dag_run.conf['count'] }}",
        window_start=START,
        window_end=END,
        **COMMON,
    )
    SequenceUsageMetricSensor(
        task_id="metric",
        metric_id="{{ dag_run.conf['metric_id'] }}",
        customer_aliases=["acme"],
        min_value="{{ dag_run.conf['value'] }}",
        period_start=START,
        period_end=END,
        **COMMON,
    )
    SequenceUnmappedAliasesSensor(task_id="unmapped", window_start=START, window_end=END, **COMMON)
