"""Link from a task to its runs on the page *Sequence deliveries*."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

from airflow_provider_sequence.compat import BaseOperatorLink
from airflow_provider_sequence.exceptions import SequenceConfigurationError
from airflow_provider_sequence.plugins.deployments import Deployment, parse_deployments
from airflow_provider_sequence.plugins.settings import URL_PREFIX, setting_text


class SequenceDeliveriesLink(BaseOperatorLink):
    """Button of a task that pushes, pulls, voids or reconciles; it is not shown where the page is off."""

    name = "Sequence deliveries"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the address of the task's runs on the page, or nothing."""
        # As late as this: a DAG file needs no configuration.
        from airflow.configuration import conf

        try:
            deployments = parse_deployments(setting_text())
        except SequenceConfigurationError:  # the page itself says what is wrong
            return ""
        deployment = _find(operator, list(deployments.values()))
        if deployment is None:
            return ""
        task = {
            "dag_id": ti_key.dag_id,
            "task_id": ti_key.task_id,
            "run_id": ti_key.run_id,
            "map_index": getattr(ti_key, "map_index", -1),
        }
        base = conf.get("api", "base_url", fallback="").rstrip("/")
        return f"{base}{URL_PREFIX}/{quote(deployment.name)}/runs?{urlencode(task)}"


def _find(operator: Any, deployments: list[Deployment]) -> Deployment | None:
    """Find the deployment of the task's own warehouse; else the first."""
    mine = [getattr(operator, name, None) for name in ("delivery_log_conn_id", "sql_conn_id")]
    for conn_id in filter(None, mine):
        for deployment in deployments:
            if deployment.conn_id == conn_id:
                return deployment
    return next(iter(deployments), None)
