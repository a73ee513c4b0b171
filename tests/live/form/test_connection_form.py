"""The connection's form, as a person meets it: chosen, filled in, saved, tested."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from airflow_provider_sequence.hooks.connection_fields import EXTRA_FIELDS, UI_FIELD_BEHAVIOUR
from tests.live.support.airflow import VERSION, Airflow
from tests.support.server import CREDENTIALS, Server

CLIENT_ID, SECRET = CREDENTIALS
#: Pictures of the form go here, where it is set.
SHOTS = os.environ.get("SEQUENCE_TEST_SHOTS")
RELABELLED = {"host": "Base URL", "login": "Client ID", "password": "Client secret"}
HIDDEN = {"port": "Port", "schema": "Schema"}
DEFAULTS = {name: str(field.default) for name, field in EXTRA_FIELDS.items()}
#: The UI of 3.3 sends the port 0 for a connection without a port, and its API takes that for another port.
PORT_FAULT = "The host or port to test differs from the stored connection"

new_ui = pytest.mark.skipif(
    VERSION < (3, 1),
    reason="the form of Airflow 3; that of 3.0 has no provider's own fields where flask_appbuilder is not installed",
)
old_ui = pytest.mark.skipif(VERSION >= (3,), reason="the form of Airflow 2")


def shot(page: Any, what: str) -> None:
    if SHOTS:
        Path(SHOTS).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(Path(SHOTS) / f"{'.'.join(map(str, VERSION))}{what}.png"))


def open_form(page: Any, ui: Airflow, conn_id: str) -> Any:
    """Choose the type in an empty form."""
    page.goto(f"{ui.url}/connections")
    page.get_by_role("button", name="Add Connection").first.click()
    form = page.get_by_role("dialog")
    form.locator("input[name=connection_id]").fill(conn_id)
    kind = form.get_by_role("combobox").first
    kind.click()
    kind.fill("sequence")
    page.get_by_role("option", name="sequence").click()
    form.locator("input[name=host]").wait_for(state="attached")
    return form


def unfold(form: Any, title: str, field: str) -> None:
    """Show a part of the form."""
    field_there = form.locator(f"[name={field}]")
    if not field_there.is_visible():
        form.get_by_role("button", name=title, exact=True).click()
        field_there.wait_for(state="visible")


def label_of(form: Any, name: str) -> str:
    """What stands beside a field."""
    group = form.locator("[role=group]").filter(has=form.page.locator(f"[name={name}]"))
    return str(group.locator("label").first.inner_text()).strip()


def fill_in(form: Any, host: str, secret: str) -> None:
    unfold(form, "Standard Fields", "host")
    for name, value in (("host", host), ("login", CLIENT_ID), ("password", secret)):
        form.locator(f"[name={name}]").fill(value)


def save(page: Any, form: Any) -> None:
    with page.expect_response(
        lambda answer: "/connections" in answer.url and answer.request.method == "POST"
    ) as got:
        form.get_by_role("button", name="Save").click()
    assert got.value.ok, got.value.text()
    form.wait_for(state="hidden")


def stored(ui: Airflow, conn_id: str) -> dict[str, Any]:
    """A connection as the REST API gives it."""
    return dict(ui.get(f"/connections/{conn_id}"))


def press_test(page: Any, ui: Airflow, conn_id: str) -> Any:
    """Press the button beside a connection; return what the button gets for an answer."""
    page.goto(f"{ui.url}/connections")
    row = page.get_by_role("row").filter(has_text=conn_id)
    with page.expect_response(lambda answer: answer.url.endswith("/connections/test")) as got:
        row.get_by_role("button", name="Test Connection").click()
    return got.value


@new_ui
def test_the_form_shows_what_the_connection_needs(ui: Airflow, page: Any) -> None:
    form = open_form(page, ui, "looked_at")
    unfold(form, "Standard Fields", "host")
    placeholders = UI_FIELD_BEHAVIOUR["placeholders"]
    for name, label in RELABELLED.items():
        assert label_of(form, name) == label
        assert form.locator(f"[name={name}]").get_attribute("placeholder") == placeholders[name]
    shot(page, "")
    for name, label in HIDDEN.items():
        assert form.locator(f"[name={name}]").count() == 0
        assert form.get_by_text(label, exact=True).count() == 0

    unfold(form, "Extra Fields", "element_timeout")
    for name, field in EXTRA_FIELDS.items():
        box = form.locator(f"[name=element_{name}]")
        assert label_of(form, f"element_{name}") == field.label
        if isinstance(field.default, bool):  # a switch, beside the box that is not seen
            assert box.is_checked() == field.default
        else:
            assert box.is_visible()
            assert box.input_value() == DEFAULTS[name]
        assert form.get_by_text(field.description).is_visible()
    shot(page, "-extra")


@new_ui
def test_what_is_saved_is_read_back(ui: Airflow, page: Any) -> None:
    form = open_form(page, ui, "saved")
    fill_in(form, "https://sandbox.sequencehq.com/api", SECRET)
    unfold(form, "Extra Fields", "element_timeout")
    form.locator("[name=element_timeout]").fill("7")
    save(page, form)
    found = stored(ui, "saved")
    assert (found["conn_type"], found["host"], found["login"]) == (
        "sequence", "https://sandbox.sequencehq.com/api", CLIENT_ID
    )  # fmt: skip
    assert (found["port"], found["schema"]) == (None, None)
    defaults = {name: field.default for name, field in EXTRA_FIELDS.items()}
    assert json.loads(found["extra"]) == defaults | {"timeout": 7}
    assert SECRET not in json.dumps(found)


@new_ui
@pytest.mark.parametrize(("secret", "status"), [(SECRET, True), ("wrong", False)], ids=["right", "wrong"])
def test_the_button_says_whether_the_credentials_are_right(
    ui: Airflow, page: Any, sandbox: Server, secret: str, status: bool
) -> None:
    words = "Sequence accepted the credentials" if status else "Sequence refused the credentials"
    conn_id = f"tested_{status}".lower()
    form = open_form(page, ui, conn_id)
    fill_in(form, sandbox.api_url, secret)
    save(page, form)
    answer = press_test(page, ui, conn_id)
    if answer.status == 400 and PORT_FAULT in answer.text():
        # A fault of Airflow 3.3: with a port that is stored, though nobody uses it, the button works.
        assert VERSION[:2] >= (3, 3), answer.text()
        changed = ui.call("PATCH", f"/connections/{conn_id}?update_mask=port", json={
            "connection_id": conn_id, "conn_type": "sequence", "port": urlsplit(sandbox.api_url).port
        })  # fmt: skip
        assert changed.ok, changed.text
        answer = press_test(page, ui, conn_id)
    assert answer.ok, answer.text()
    told = answer.json()
    assert told["status"] is status
    assert told["message"].startswith(words)
    assert secret not in told["message"].split()
    page.wait_for_timeout(500)
    shot(page, f"-test-{'right' if status else 'wrong'}")


@old_ui
def test_the_form_of_airflow_2(ui: Airflow, page: Any, sandbox: Server) -> None:
    page.goto(f"{ui.url}/connection/add")
    page.locator("#conn_type").select_option("sequence", force=True)
    page.evaluate("$('#conn_type').trigger('change')")
    for name, label in RELABELLED.items():
        assert page.locator(f"label[for={name}]").inner_text().strip() == label
        assert (
            page.locator(f"#{name}").get_attribute("placeholder") == UI_FIELD_BEHAVIOUR["placeholders"][name]
        )
    for name in (*HIDDEN, "extra"):
        assert not page.locator(f"#{name}").is_visible()
    for name, field in EXTRA_FIELDS.items():
        box = page.locator(f"#extra__sequence__{name}")
        assert box.is_visible()
        assert page.locator(f"label[for=extra__sequence__{name}]").inner_text().strip() == field.label
        if isinstance(field.default, bool):
            assert box.is_checked() == field.default
        else:
            assert box.input_value() == DEFAULTS[name]

    page.locator("#conn_id").fill("saved")
    page.locator("#host").fill(sandbox.api_url)
    page.locator("#login").fill(CLIENT_ID)
    page.locator("#extra__sequence__timeout").fill("7")
    shot(page, "")
    for secret, words in (
        ("wrong", "Sequence refused the credentials"),
        (SECRET, "Sequence accepted the credentials"),
    ):
        page.locator("#password").fill(secret)
        with page.expect_response(lambda answer: answer.url.endswith("/connections/test")) as got:
            page.locator("#test-connection").click()
        assert got.value.json()["message"].startswith(words)
        page.get_by_text(words).first.wait_for()
        shot(page, f"-test-{'right' if secret == SECRET else 'wrong'}")
    page.get_by_role("button", name="Save").first.click()
    ui.eventually("the connection is stored", lambda: ui.call("GET", "/connections/saved").ok)
    found = stored(ui, "saved")
    assert (found["conn_type"], found["host"], found["login"]) == ("sequence", sandbox.api_url, CLIENT_ID)
    defaults = {name: field.default for name, field in EXTRA_FIELDS.items()}
    assert json.loads(found["extra"]) == defaults | {"timeout": 7}
