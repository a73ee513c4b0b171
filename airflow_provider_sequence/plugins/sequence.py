"""Plugin with the page *Sequence deliveries*: in the navigation of Airflow 3.1 and later, if ``[sequence] deliveries`` is set."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_sequence.plugins.lazy_app import LazyApp
from airflow_provider_sequence.plugins.settings import URL_PREFIX, setting_text

try:  # what a task's process has imported already
    from airflow.sdk.plugins_manager import AirflowPlugin
except ImportError:
    from airflow.plugins_manager import AirflowPlugin  # type: ignore[assignment]

NAME = "Sequence deliveries"


class _IfSet:
    """
    Class attribute that is found when the API server asks for it: a task's process, which does not, reads no configuration.

    :param find: finds it, if the setting is not empty; else it is an empty list.
    """

    def __init__(self, find: Callable[[], list[dict[str, Any]]]) -> None:
        self._find = find

    @cached_property
    def _found(self) -> list[dict[str, Any]]:
        return self._find() if setting_text().strip() else []

    def __get__(self, instance: object, owner: type) -> list[dict[str, Any]]:
        return self._found


def _fastapi_apps() -> list[dict[str, Any]]:
    app = LazyApp("airflow_provider_sequence.plugins.deliveries.app", "create_app")
    return [{"app": app, "url_prefix": URL_PREFIX, "name": NAME}]


def _external_views() -> list[dict[str, Any]]:
    from airflow.configuration import conf

    base = urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/")
    return [
        {
            "name": NAME,
            "href": f"{base}{URL_PREFIX}/",
            "destination": "nav",
            "category": "browse",
            "url_route": URL_PREFIX.strip("/"),
        }
    ]


class SequenceDeliveriesPlugin(AirflowPlugin):
    """The page's place in Airflow; nothing of it, unless the setting names what it reads."""

    name = "sequence_deliveries"
    fastapi_apps = _IfSet(_fastapi_apps)
    external_views = _IfSet(_external_views)
