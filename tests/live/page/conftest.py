"""The page of deliveries in a real browser, out of a real API server: ``make test-page``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy.engine import URL

from dev.demo.month import DAGS
from dev.demo.ui import PEOPLE, deliver, prepare
from tests.live.form.conftest import browser
from tests.live.support.airflow import COMPONENTS, Airflow

__all__ = ["browser"]


@pytest.fixture(scope="session")
def ui(home: Path) -> Iterator[Airflow]:
    """An API server with a viewer and an operator, and the demo's days up to yesterday, delivered by real tasks."""
    settings = prepare(home)
    with Airflow(
        home, DAGS.parent, URL.create("sqlite", database=str(home / "airflow.db")), settings
    ) as airflow:
        airflow.cli("db", "migrate")
        assert len(list(deliver(home, airflow.environ, days=8))) == 8
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
            login = {"username": user, "password": PEOPLE[user]}
            answer = requests.post(f"{ui.url}/auth/token", json=login, timeout=30)
            answer.raise_for_status()
            context.add_cookies([{"name": "_token", "value": answer.json()["access_token"], "url": ui.url}])
        page = context.new_page()
        page.set_default_timeout(15_000)
        return page

    yield open_as
    for context in contexts:
        context.close()
