"""The page in Airflow's own app, on tables in a real database."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from tests.integration.support.airflow import AIRFLOW_VERSION
from tests.integration.support.databases import Warehouse
from tests.support import deliveries

#: Airflow before 3.1 has no place for the page; what it does there is in tests/integration/test_get_provider_info.py.
collect_ignore_glob = ["test_*.py"] if AIRFLOW_VERSION < (3, 1) else []

SETTING = {
    "acme": {
        "conn_id": "warehouse",
        "delivery_log_table": "sequence_delivery_log",
        "runs_table": "sequence_runs",
        "differences_table": "sequence_differences",
    }
}


@pytest.fixture
def setting(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The setting; a test may have another one."""
    monkeypatch.setenv("AIRFLOW__SEQUENCE__DELIVERIES", getattr(request, "param", json.dumps(SETTING)))


@pytest.fixture
def fill(warehouse: Warehouse, engine: sa.engine.Engine) -> Callable[..., None]:
    """Make the tables, and put rows into them."""

    def fill(*, old_log: bool = False, **rows: Any) -> None:
        tables = deliveries.make_tables(engine, old_log=old_log)
        with warehouse.engine.begin() as connection:
            for name, several in rows.items():
                if several:
                    connection.execute(sa.insert(tables[name]), several)

    return fill


@pytest.fixture
def pages(airflow_db: None) -> Any:
    from airflow_provider_sequence.plugins.deliveries.pages import Pages

    return Pages(now=lambda: deliveries.NOW)


@pytest.fixture(scope="session")
def api_server(airflow_db: None) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Airflow's API server with its own security, made once as that takes seconds; what it has where the page is."""
    from airflow.api_fastapi import app as api

    from airflow_provider_sequence.plugins.settings import URL_PREFIX

    mounted: dict[str, Any] = {}

    async def page(*arguments: Any) -> None:
        await mounted["page"](*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS", "vera:viewer,oscar:op")
        patch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "s" * 64)
        patch.setattr(api, "init_plugins", lambda app: app.mount(URL_PREFIX, page))
        api.purge_cached_app()
        yield api.create_app(), mounted
        api.purge_cached_app()


@pytest.fixture
def app(api_server: tuple[Any, dict[str, Any]], setting: None, pages: Any) -> Any:
    """The API server with a page that remembers nothing yet."""
    from airflow_provider_sequence.plugins.deliveries.app import create_app

    server, mounted = api_server
    mounted["page"] = create_app(pages)
    return server


@pytest.fixture
def ask(app: Any) -> Callable[..., Any]:
    """Ask as nobody, or as somebody of a role."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from starlette.testclient import TestClient

    client = TestClient(app, follow_redirects=False)

    def ask(path: str, role: str | None = "op", method: str = "GET") -> Any:
        headers = {}
        if role:
            token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username=role, role=role))
            headers["Authorization"] = f"Bearer {token}"
        return client.request(method, f"/sequence-deliveries{path}", headers=headers)

    return ask
