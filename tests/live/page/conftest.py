"""The page of deliveries in a real browser, out of a real API server: ``make test-page``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from dev.demo.airflow_processes import AirflowProcesses
from dev.demo.ui import delivered, sandbox_anew
from tests.live.form.conftest import browser

__all__ = ["browser"]


@pytest.fixture(scope="session")
def sandbox() -> Iterator[ExitStack]:
    """What ends the sandbox, when it is closed."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture(scope="session")
def ui(home: Path, sandbox: ExitStack) -> Iterator[AirflowProcesses]:
    """The demo's Airflow with a viewer and an operator, and days up to yesterday, delivered by its tasks."""
    with delivered(home, sandbox.enter_context(sandbox_anew(home)), days=8) as airflow:
        yield airflow


@pytest.fixture
def open_as(browser: Any, ui: AirflowProcesses) -> Iterator[Callable[..., Any]]:
    """Open a window of somebody, or of nobody, in a colour scheme."""
    contexts = []

    def open_as(user: str | None, scheme: str = "light") -> Any:
        context = browser.new_context(viewport={"width": 1180, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        if user:
            context.add_cookies([{"name": "_token", "value": ui.log_in(user), "url": ui.url}])
        page = context.new_page()
        page.set_default_timeout(15_000)
        return page

    yield open_as
    for context in contexts:
        context.close()
