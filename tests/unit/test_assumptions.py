"""The register of assumptions: it names code and switches that there are, and its page is up to date."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from airflow_provider_sequence.api.assumptions import ASSUMPTIONS
from airflow_provider_sequence.sandbox.settings import SWITCHES
from dev.assumptions_page import COMMAND, PAGE, reference_page
from dev.check_account import CHECKS

#: Switches that express no reading of the documents.
NO_READING = {
    "client_id": "a credential",
    "client_secret": "a credential",
    "usage_events_per_minute": "a documented limit",
    "requests_per_minute": "a documented limit",
    "post_status": "documented: 201",
    "extra_fields": "documented: fields are added without a new version",
    "latency_ms": "slowness",
}


def resolve(path: str) -> Any:
    """The attribute at an import path."""
    module, _, name = path.rpartition(".")
    try:
        owner = importlib.import_module(module)
    except ModuleNotFoundError:
        owner = resolve(module)
    return getattr(owner, name)


def test_names_are_unique():
    names = [assumption.name for assumption in ASSUMPTIONS]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("assumption", ASSUMPTIONS, ids=lambda assumption: assumption.name)
def test_code_and_texts_are_there(assumption):
    assert assumption.code
    for path in assumption.code:
        resolve(path)
    for text in (assumption.question, assumption.taken, assumption.otherwise, assumption.request):
        assert text == text.strip() != ""
    assert assumption.request.startswith("GET ") or not assumption.reads_only


def test_every_switch_that_expresses_a_reading_is_registered():
    registered = {switch for assumption in ASSUMPTIONS for switch in assumption.switches}
    assert registered == SWITCHES.keys() - NO_READING.keys()


def test_every_assumption_that_reading_settles_has_a_check():
    assert CHECKS.keys() == {assumption.name for assumption in ASSUMPTIONS if assumption.reads_only}


def test_the_page_shows_the_register():
    assert PAGE.read_text() == reference_page(), f"the page is out of date; run `{COMMAND}`"
