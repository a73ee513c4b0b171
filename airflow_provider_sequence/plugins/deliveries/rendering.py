"""HTML of the page: templates that escape what they are given, and the policy that lets nothing else in."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from airflow_provider_sequence.plugins.deliveries.figures import HEIGHT, PARTS, WIDTH
from airflow_provider_sequence.plugins.deliveries.queries import RESOURCES
from airflow_provider_sequence.plugins.deliveries.request import DAYS
from airflow_provider_sequence.plugins.deliveries.times import write_time, write_window

_TEMPLATES = Path(__file__).with_name("templates")
_CSS = (_TEMPLATES / "style.css").read_text()
_HASH = base64.b64encode(hashlib.sha256(_CSS.encode()).digest()).decode()

#: Of every answer. The one style is in the page itself, known by its hash; there is no script, font or picture.
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_HASH}'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def _task_url(airflow: str, task: Mapping[str, Any]) -> str:
    """Address of a task's run in Airflow's UI; empty if the task is not known."""
    if not (task["dag_id"] and task["run_id"] and task["task_id"]):
        return ""
    dag, run, name = (quote(str(task[key]), safe="") for key in ("dag_id", "run_id", "task_id"))
    map_index = task.get("map_index")
    mapped = f"/mapped/{map_index}" if map_index is not None and map_index >= 0 else ""
    return f"{airflow}/dags/{dag}/runs/{run}/tasks/{name}{mapped}"


_environment = Environment(
    loader=FileSystemLoader(_TEMPLATES),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters |= {"time": write_time, "window": lambda pair: write_window(*pair)}


def _query(**values: Any) -> str:
    return urlencode({name: value for name, value in values.items() if value is not None})


_environment.globals |= {
    "css": _CSS,
    "parts": PARTS,
    "resources": RESOURCES,
    "day_choices": DAYS,
    "chart_width": int(WIDTH),
    "chart_height": int(HEIGHT),
    "task_url": _task_url,
    "query": _query,
}


def render(template: str, root: str, airflow: str, model: Mapping[str, Any]) -> str:
    """
    Render a page.

    :param template: its name.
    :param root: where the pages are.
    :param airflow: where Airflow's UI is.
    :param model: what it shows.
    """
    return _environment.get_template(template).render(
        root=root, airflow=airflow, **_addresses(root, model), **model
    )


def _addresses(root: str, model: Mapping[str, Any]) -> Mapping[str, str]:
    """Addresses of a deployment's pages, and the filters that they keep."""
    if "deployment" not in model:
        return {}
    deployment, scope, asked = model["deployment"], model["scope"], model["asked"]
    here = f"{root}/{deployment.name}"
    return {
        "here": here,
        "rows": f"{here}/rows/{quote(deployment.conn_id, safe='')}",
        "filters": _query(account=scope.account, resource=scope.resource, days=asked.days, end=asked.end),
    }
