"""Credentials in what a tool shows of an error: the local variables of each frame that it passes through."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from rich.pretty import pretty_repr

from airflow_provider_sequence.api.client import SequenceClient
from airflow_provider_sequence.api.events import read_facts
from airflow_provider_sequence.api.resources import RESOURCES, USAGE_EVENTS
from airflow_provider_sequence.exceptions import SequenceConfigurationError, SequenceError
from airflow_provider_sequence.pipelines.push.outcomes import Outcome, Status
from airflow_provider_sequence.pipelines.push.summary import PushSummary
from tests.unit.events import usage_event
from tests.unit.loopback import Close, Reply

SECRET = "S3cr3t-Hunter2"
PROXY_PASSWORD = "Pr0xy-Hunter2"
SHOWN = (SECRET, base64.b64encode(f"key:{SECRET}".encode()).decode(), PROXY_PASSWORD)


def local_variables(error: BaseException) -> Iterator[str]:
    """What each frame of the package holds, in the error and in those that it came from."""
    seen: BaseException | None = error
    while seen is not None:
        trace = seen.__traceback__
        while trace is not None:
            if "airflow_provider_sequence" in trace.tb_frame.f_code.co_filename:
                for value in trace.tb_frame.f_locals.values():
                    yield repr(value)
            trace = trace.tb_next
        seen = seen.__cause__ or seen.__context__


def check(error: BaseException) -> None:
    shown = list(local_variables(error))
    assert shown, "no frame was seen"
    assert not [each for each in shown if any(secret in each for secret in SHOWN)]


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("ftp://x", {}),
        ("https://[::1", {}),
        ("http://sequence.invalid", {}),
        ("https://sequence.invalid", {"api_version": "a b"}),
        ("https://sequence.invalid", {"timeout": 0}),
        ("https://*.x", {}),
    ],
)
def test_refused_setting_shows_no_credential(url: str, options: dict[str, Any]):
    with pytest.raises(SequenceConfigurationError) as caught:
        SequenceClient(url, "key", "".join(SECRET), **options)
    check(caught.value)


def test_refused_proxy_shows_no_credential(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.setenv("HTTPS_PROXY", f"socks5://me:{PROXY_PASSWORD}@127.0.0.1:x")
    with pytest.raises(SequenceConfigurationError, match="HTTPS_PROXY") as caught:
        SequenceClient("https://sequence.invalid", "key", SECRET)
    check(caught.value)


@pytest.mark.parametrize("answer", [Reply(401, {}), Reply(500, {}), Reply(200, "x"), Close()])
def test_failed_request_shows_no_credential(answer: Any, loopback, connect):
    loopback.responses = [answer]
    client = connect(loopback, credentials=("key", SECRET), deadline=0.01)
    for request in (
        lambda: list(client.items(USAGE_EVENTS)),
        lambda: client.create(USAGE_EVENTS, usage_event()),
    ):
        with pytest.raises(SequenceError) as caught:
            request()
        check(caught.value)


def test_webhook_secret_is_left_out_of_every_list(loopback, connect):
    policies = RESOURCES["notification_policies"]
    for more in ("", ', "odd": "\\ud800"'):
        loopback.responses = [Reply(200, f'{{"items": [{{"id": "1", "webhookSecret": "{SECRET}"{more}}}]}}')]
        client = connect(loopback)
        listed = [list(client.items(policies)), [page.items for page in client.pages(policies)]]
        assert SECRET not in repr([
            [bytes(raw) for raw in item.values()] for item in listed[0] + listed[1][0]
        ])
        assert [sorted(item) for item in listed[0]] == [["id", "odd"] if more else ["id"]]


def test_events_and_outcomes_show_no_customers_data():
    """Rich, which shows variables in the console of Airflow 3.0, asks for another text than ``repr``."""
    facts = read_facts(usage_event().body)
    outcome = Outcome(1, Status.REJECTED, body=usage_event().body, facts=facts)
    summary = PushSummary()
    summary.add(outcome)
    assert usage_event().id
    assert facts.customerAlias
    for holder in (usage_event(), facts, outcome, summary):
        shown = repr(holder) + pretty_repr(holder)
        assert usage_event().id not in shown
        assert facts.customerAlias not in shown
