"""The guide of alerts: its callbacks are called by Airflow, and tell rows, ids and reasons, but no customer's data."""

from __future__ import annotations

import datetime as dt
import html
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_sequence.operators.sequence import SequenceReconcileOperator
from airflow_provider_sequence.transfers.sql_to_sequence import SqlToSequenceUsageEventsOperator
from tests.integration.examples.test_docs import DOCS
from tests.integration.support.airflow import interval_dag, manual_dag
from tests.integration.support.databases import sequence_connection
from tests.integration.support.guides import code_blocks
from tests.integration.support.mail import mailbox
from tests.unit.loopback import Loopback, Reply

__all__ = ["mailbox"]

START, END = dt.datetime(2026, 3, 1, tzinfo=dt.UTC), dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
ROW = (
    "SELECT '{}' AS customer_event_id, {} AS customer_alias, 'call' AS event_type, {} AS event_timestamp,"
    " 'a value' AS note"
)
GOOD = ROW.format("good", "'an alias'", "'2026-03-01T12:00:00Z'")
BAD = ROW.format("<no-time>", "'an alias'", "'a value'")
LONG = ROW.format("long", f"'an alias{'s' * 255}'", "'2026-03-01T12:00:00Z'")


@pytest.fixture
def slack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    """What Slack's webhook behind Airflow's connection ``slack`` is given."""
    with Loopback() as server:
        server.responses = [Reply(200, "ok")]
        webhook = f"http://127.0.0.1:{server.port}/services/T0/B0/token"
        monkeypatch.setenv(
            "AIRFLOW_CONN_SLACK", json.dumps({"conn_type": "slackwebhook", "password": webhook})
        )
        yield server


@pytest.fixture
def guide(tmp_path: Path, airflow_db: None) -> dict[str, Any]:
    """What the guide's code defines."""
    scope: dict[str, Any] = {
        "SequenceReconcileOperator": SequenceReconcileOperator,
        "SqlToSequenceUsageEventsOperator": SqlToSequenceUsageEventsOperator,
    }
    blocks = code_blocks((DOCS / "alerts.md").read_text())
    file = tmp_path / "alerts.py"  # Airflow up to 3.0 keeps the source of callbacks
    file.write_text("\n".join(blocks))
    with manual_dag() as dag:
        exec(compile(file.read_text(), file, "exec"), scope)
    return scope | {"notifier": dag.get_task("reconcile").on_failure_callback}


def test_callbacks_tell_why_a_task_failed(
    run_dag, sandbox, sequence_conn, warehouse, guide, mailbox, slack, monkeypatch
):
    monkeypatch.setenv("AIRFLOW_CONN_OTHER_KEY", sequence_connection(sandbox, password="wrong"))
    push: dict[str, Any] = {
        "sql_conn_id": "warehouse",
        "on_failure_callback": [guide["tell_slack"], guide["send_mail"]],
    }
    with interval_dag(START, END) as dag:
        (
            SqlToSequenceUsageEventsOperator(
                task_id="rejected", sql=f"{GOOD} UNION ALL {BAD} UNION ALL {LONG}", **push
            )
            >> SqlToSequenceUsageEventsOperator(
                task_id="refused", sql=GOOD, sequence_conn_id="other_key", trigger_rule="all_done", **push
            )
            >> SqlToSequenceUsageEventsOperator(
                task_id="setting", sql=GOOD, max_rejected="many", trigger_rule="all_done", **push
            )
            >> SequenceReconcileOperator(
                task_id="differs", sql=GOOD.replace("good", "<gone>"), trigger_rule="all_done", **push
            )
            >> SequenceReconcileOperator(
                task_id="by_template",
                sql=GOOD.replace("good", "<gone>"),
                trigger_rule="all_done",
                **push | {"on_failure_callback": guide["notifier"]},
            )
        )
    assert set(run_dag(dag, END).states.values()) == {"failed"}

    mails = {subject: html.unescape(text) for subject, text in mailbox.messages}
    for task_id, words in {
        "rejected": (
            f"{dag.dag_id}.rejected, ", ", try 1\n", "2 of 3 rows were rejected, 0 are allowed (max_rejected)\n",
            "rows 3, delivered 1, rejected 2, not_tried 0\n",
            "row 2 (<no-time>): eventTimestamp: is not a timestamp in ISO 8601",
            "row 3 (long): 400 BadRequest: customerAlias must have 255 characters at most, not 263",
        ),
        "refused": ("401", "other_key", "rows 1, delivered 0, rejected 0, not_tried 1"),
        "setting": ("max_rejected='many' is neither a number of rows (10) nor a part of them (0.01)",),
        "differs": ("expected 1, missing 1, different 0, unexpected 1", "<gone>: missing", "good: unexpected"),
        "by_template": ("<gone>", "missing"),
    }.items():  # fmt: skip
        text = mails[f"{task_id} failed"]
        assert [each for each in words if each not in text] == [], text
        assert "an alias" not in text
        assert "a value" not in text
    sent = [mails[f"{task_id} failed"] for task_id in ("rejected", "refused", "setting", "differs")]
    posted = [json.loads(request.body)["text"] for request in slack.requests]
    assert [f"<pre>{text}</pre>" for text in posted] == [text.rstrip("\n") for text in sent]


def test_error_of_another_package_is_only_named(guide):
    class Instance:
        dag_id, task_id, run_id, try_number = "d", "t", "r", 1

    for error, name in ((RuntimeError("an alias"), "RuntimeError"), (None, "NoneType")):
        assert guide["failure_text"]({"exception": error, "ti": Instance}) == f"d.t, r, try 1\n{name}\n"
