"""The page of deliveries in a real browser, out of a real API server: ``make test-page``."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import sqlalchemy as sa
from sqlalchemy.engine import URL

from tests.live.conftest import DAGS
from tests.live.form.conftest import browser
from tests.live.support.airflow import COMPONENTS, Airflow
from tests.support import deliveries

__all__ = ["browser"]

PASSWORDS = {"vera": "viewer-secret", "oscar": "op-secret"}
SETTING = {
    "acme": {
        "conn_id": "warehouse",
        "delivery_log_table": "sequence_delivery_log",
        "runs_table": "sequence_runs",
        "differences_table": "sequence_differences",
    }
}


@pytest.fixture(scope="session")
def ui(home: Path) -> Iterator[Airflow]:
    """An API server with a viewer and an operator, and a month of deliveries up to yesterday."""
    warehouse = home / "warehouse.db"
    engine = sa.create_engine(f"sqlite:///{warehouse}")
    tables = deliveries.tables()
    tables["log"].metadata.create_all(engine)
    yesterday = dt.datetime.combine(dt.datetime.now(dt.UTC).date(), dt.time.min, dt.UTC) - dt.timedelta(
        days=1
    )
    with engine.begin() as connection:
        for name, rows in deliveries.month(yesterday).items():
            connection.execute(sa.insert(tables[name]), rows)
    engine.dispose()
    passwords = home / "passwords.json"
    passwords.write_text(json.dumps(PASSWORDS))
    environ = {
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "vera:viewer,oscar:op",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "AIRFLOW__SEQUENCE__DELIVERIES": json.dumps(SETTING),
        "AIRFLOW_CONN_WAREHOUSE": json.dumps({"conn_type": "sqlite", "host": str(warehouse)}),
    }
    with Airflow(home, DAGS, URL.create("sqlite", database=str(home / "airflow.db")), environ) as airflow:
        airflow.cli("db", "migrate")
        airflow.start("api-server", *COMPONENTS["api-server"], f"--port={airflow.port}")
        airflow.eventually("the UI is there", lambda: _is_up(airflow))
        yield airflow


def _is_up(airflow: Airflow) -> bool:
    try:
        return requests.get(f"{airflow.url}/api/v2/monitor/health", timeout=30).ok
    except requests.ConnectionError:
        return False


@pytest.fixture
def open_as(browser: Any, ui: Airflow) -> Iterator[Callable[..., Any]]:
    """Open a window of somebody, or of nobody, in a colour scheme."""
    contexts = []

    def open_as(user: str | None, scheme: str = "light") -> Any:
        context = browser.new_context(viewport={"width": 1180, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        if user:
            login = {"username": user, "password": PASSWORDS[user]}
            answer = requests.post(f"{ui.url}/auth/token", json=login, timeout=30)
            answer.raise_for_status()
            context.add_cookies([{"name": "_token", "value": answer.json()["access_token"], "url": ui.url}])
        page = context.new_page()
        page.set_default_timeout(15_000)
        return page

    yield open_as
    for context in contexts:
        context.close()
