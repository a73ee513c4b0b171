"""Airflow's UI in a real browser: ``make test-form``. It needs the package ``playwright`` and a Chromium."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import URL

from tests.live.conftest import DAGS
from tests.live.support.airflow import Airflow

#: Where a Chromium is looked for; ``SEQUENCE_TEST_CHROMIUM`` names another.
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A Chromium without a window. What is missing is a failure, not a skip."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        pytest.fail("the Python package playwright is missing: pip install playwright", pytrace=False)
    path = os.environ.get("SEQUENCE_TEST_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.fail(
            "no Chromium is installed: apt-get install chromium, or set SEQUENCE_TEST_CHROMIUM to one",
            pytrace=False,
        )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def ui(home: Path) -> Iterator[Airflow]:
    """An Airflow with a UI and no more."""
    with Airflow(home, DAGS, URL.create("sqlite", database=str(home / "airflow.db")), {}) as airflow:
        airflow.start_ui()
        yield airflow


@pytest.fixture
def page(browser: Any, ui: Airflow) -> Iterator[Any]:
    """A window of somebody who may do everything."""
    page = browser.new_page(viewport={"width": 1400, "height": 1500}, extra_http_headers=ui.authorization())
    page.set_default_timeout(30_000)
    yield page
    page.close()
