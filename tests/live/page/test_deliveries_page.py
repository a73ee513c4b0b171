"""The page as a person meets it: in Airflow's navigation, in both colour schemes, with and without permissions."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from dev.demo.airflow_processes import AirflowProcesses
from dev.demo.ui import PUSH

#: Pictures go here, where it is set; those of the guide are made so.
SHOTS = os.environ.get("SEQUENCE_TEST_SHOTS")
BACKGROUNDS = {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 29)"}


def shot(page: Any, name: str, *, height: float | None = None) -> None:
    """Take a picture of a window, or of its upper part."""
    if SHOTS:
        Path(SHOTS).mkdir(parents=True, exist_ok=True)
        size = page.viewport_size
        clip = {"x": 0, "y": 0, "width": size["width"], "height": height or size["height"]}
        page.screenshot(path=str(Path(SHOTS) / f"{name}.png"), clip=clip)


@pytest.mark.parametrize("scheme", BACKGROUNDS)
def test_days_are_drawn_in_both_schemes(
    ui: AirflowProcesses, open_as: Callable[..., Any], scheme: str
) -> None:
    page = open_as("viewer", scheme)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(f"{ui.url}/sequence-deliveries/")

    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == BACKGROUNDS[scheme]
    assert page.locator("#days tbody tr").count() == 14
    assert page.locator("svg rect.delivered").first.bounding_box()["height"] > 50
    badges = page.locator("#days .badge").all_inner_texts()
    assert {"equal", "3 differences", "not checked", "checked before the last push"} == set(badges)
    assert [each for each in complaints if "Content Security Policy" in each] == []
    shot(page, f"deliveries-page-{scheme}")


def test_filters_are_a_form(ui: AirflowProcesses, open_as: Callable[..., Any]) -> None:
    page = open_as("viewer")
    page.goto(f"{ui.url}/sequence-deliveries/")
    page.locator("select[name=days]").select_option("31")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**days=31**")

    assert page.locator("#days tbody tr").count() == 31


def test_a_viewer_sees_no_rows(ui: AirflowProcesses, open_as: Callable[..., Any]) -> None:
    page = open_as("viewer")
    page.goto(f"{ui.url}/sequence-deliveries/")
    page.locator("#reasons a").first.click()

    assert page.get_by_role("heading", name="You may not see this").is_visible()


def test_an_operator_goes_from_a_reason_to_a_body(ui: AirflowProcesses, open_as: Callable[..., Any]) -> None:
    page = open_as("op")
    page.goto(f"{ui.url}/sequence-deliveries/")
    page.locator("#reasons tr", has_text="400").locator("a").click()
    page.locator("#rows").wait_for()
    assert "/dags/usage_push/runs/manual__" in page.locator("#rows a").first.get_attribute("href")
    page.locator("#rows a", has_text="body").first.click()

    assert "customerEventId" in page.locator("pre").inner_text()


def test_nobody_is_asked_to_log_in(ui: AirflowProcesses, open_as: Callable[..., Any]) -> None:
    page = open_as(None)
    answer = page.goto(f"{ui.url}/sequence-deliveries/demo/")

    assert answer.status == 401
    assert page.get_by_role("heading", name="You are not logged in").is_visible()


def test_the_page_is_in_airflows_navigation(ui: AirflowProcesses, open_as: Callable[..., Any]) -> None:
    page = open_as("viewer", "dark")
    page.goto(f"{ui.url}/plugin/sequence-deliveries")
    frame = page.frame_locator("iframe")
    frame.locator("#days").wait_for()
    shot(page, "deliveries-page-in-airflow")
    frame.get_by_role("link", name="Runs").click()
    frame.get_by_role("heading", name="Last tries").wait_for()

    page.goto(ui.url)
    page.get_by_role("button", name="Browse").click()
    page.get_by_role("menuitem", name="Sequence deliveries").wait_for()


def test_a_task_that_ran_has_a_button_to_its_tries(ui: AirflowProcesses, open_as: Callable[..., Any]) -> None:
    page = open_as("op")
    page.goto(f"{ui.url}/sequence-deliveries/demo/runs?operation=push&outcome=failed")
    task = page.locator("a[href*='/dags/usage_push/']").first.get_attribute("href")
    page.goto(f"{ui.url}{task}/details")
    page.get_by_role("link", name="Sequence deliveries").click()
    page.get_by_role("heading", name="Last tries").wait_for()

    assert "RejectedRowsError" in page.locator("table").inner_text()
    assert page.locator("table tbody tr").count() == 1


def test_the_log_of_a_red_push_says_what_to_do(ui: AirflowProcesses, open_as: Callable[..., Any]) -> None:
    page = open_as("op")
    page.set_viewport_size({"width": 1500, "height": 900})
    page.goto(f"{ui.url}/sequence-deliveries/demo/runs?operation=push&outcome=failed")
    page.goto(ui.url + page.locator("a[href*='/dags/usage_push/']").first.get_attribute("href"))
    page.get_by_text("rejected_body").first.wait_for()

    assert page.get_by_text("30 of ").first.is_visible()
    shot(page, "log-rejected", height=page.get_by_text('File "').first.bounding_box()["y"])


def test_the_log_of_a_push_says_that_sequence_is_out_of_reach(
    ui: AirflowProcesses, open_as: Callable[..., Any], sandbox: ExitStack
) -> None:
    sandbox.close()
    start = dt.datetime.combine(dt.datetime.now(dt.UTC).date(), dt.time.min, dt.UTC) - dt.timedelta(days=12)
    run_id = ui.trigger(PUSH, start.isoformat(), (start + dt.timedelta(days=1)).isoformat())
    page = open_as("op")
    page.set_viewport_size({"width": 1500, "height": 900})
    page.goto(f"{ui.url}/dags/{PUSH}/runs/{run_id}/tasks/push")
    page.get_by_text("gives up").first.wait_for(timeout=60_000)

    assert page.get_by_text("Connection refused").first.is_visible()
    shot(page, "log-out-of-reach", height=480)
