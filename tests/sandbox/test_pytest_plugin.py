"""The pytest plugin for users' own unit tests: its fixture, and the example of the guide."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_sequence.api.client import SequenceClient
from airflow_provider_sequence.api.event_mapper import make_event
from airflow_provider_sequence.api.events import USAGE_EVENT
from airflow_provider_sequence.api.resources import RESOURCES, USAGE_EVENTS
from airflow_provider_sequence.exceptions import SequenceApiError
from airflow_provider_sequence.sandbox import pytest_plugin
from airflow_provider_sequence.sandbox.pytest_plugin import SequenceSandbox
from tests.sandbox.support import CHECKOUT

# what pytest finds in a plugin that a conftest enables
_sequence_sandbox_server = pytest_plugin._sequence_sandbox_server
sequence_sandbox = pytest_plugin.sequence_sandbox


@pytest.fixture
def client(sequence_sandbox: SequenceSandbox) -> Iterator[SequenceClient]:
    sandbox = sequence_sandbox
    with SequenceClient(sandbox.base_url, sandbox.client_id, sandbox.client_secret, deadline=5) as client:
        yield client


def push(client: SequenceClient, key: str) -> None:
    fields = {"customer_alias": "acme", "event_type": "call", "event_timestamp": "2024-03-01T00:00:00Z"}
    client.create(USAGE_EVENTS, make_event(USAGE_EVENT, {"customer_event_id": key, **fields}))


@pytest.mark.parametrize("key", ["first", "second"])
def test_pushed_event_is_seen_by_its_own_test_only(
    sequence_sandbox: SequenceSandbox, client: SequenceClient, key: str
) -> None:
    assert sequence_sandbox.events() == []
    push(client, key)
    [event] = sequence_sandbox.events()
    assert (event["customerEventId"], event["customerAlias"]) == (key, "acme")
    assert sequence_sandbox.events("seat_events") == []


def test_loaded_items_are_listed(sequence_sandbox: SequenceSandbox, client: SequenceClient) -> None:
    [loaded] = sequence_sandbox.load("customers", [{"id": "c-1", "aliases": ["acme"]}])
    assert loaded["id"] == "c-1"
    assert [bytes(item["id"]) for item in client.items(RESOURCES["customers"])] == [b'"c-1"']


def test_settings_and_faults_take_effect(sequence_sandbox: SequenceSandbox, client: SequenceClient) -> None:
    assert sequence_sandbox.settings(default_limit=7)["default_limit"] == 7
    sequence_sandbox.fault(kind="reset_before", times=1)
    push(client, "retried")
    assert client.requests_sent == 2
    sequence_sandbox.fault(status=400)
    with pytest.raises(SequenceApiError):
        push(client, "refused")
    assert len(sequence_sandbox.events()) == 1


def test_settings_of_another_test_are_gone(sequence_sandbox: SequenceSandbox) -> None:
    settings = sequence_sandbox.settings()
    assert settings["default_limit"] == 20
    assert settings["requests_per_minute"] == settings["usage_events_per_minute"] == 0


def test_wrong_setting_is_refused(sequence_sandbox: SequenceSandbox) -> None:
    with pytest.raises(ValueError, match="'colour' is not a setting"):
        sequence_sandbox.settings(colour="red")


def test_connection_is_what_airflow_reads(sequence_sandbox: SequenceSandbox) -> None:
    assert json.loads(sequence_sandbox.connection) == {
        "conn_type": "sequence",
        "host": sequence_sandbox.base_url,
        "login": "key",
        "password": "secret",
    }


def guide_example() -> tuple[str, str]:
    """Return the two pieces of code of the guide: the conftest and the test."""
    guide = (CHECKOUT / "docs" / "sandbox.md").read_text()
    section = guide.partition("## Unit tests with the sandbox")[2].partition("\n## ")[0]
    conftest, test = re.findall(r"^```python\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
    return conftest, test


def test_conftest_of_the_guide_enables_the_fixture(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(guide_example()[0])
    (tmp_path / "test_it.py").write_text(
        "def test_it(sequence_sandbox): assert sequence_sandbox.events() == []"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    done = subprocess.run(
        [*command, str(tmp_path)], cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_test_of_the_guide_passes(sequence_sandbox: SequenceSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    scope: dict[str, Any] = {}
    exec(guide_example()[1], scope)
    [example] = [value for name, value in scope.items() if name.startswith("test_")]
    example(sequence_sandbox, monkeypatch)
    assert sequence_sandbox.admin("GET", "summary")["by_status"] == {"503": 1, "201": 1}
