"""The page in Airflow's own API server: who may see what, and that nothing of the data becomes markup."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest

from airflow_provider_sequence.plugins.deliveries import app as page_app
from airflow_provider_sequence.plugins.deliveries.figures import reason_key
from tests.integration.support.databases import on
from tests.support.deliveries import TODAY, difference, entry, try_of

AGGREGATES = ["/", "/acme/", "/acme/runs"]
ROWS = [f"/acme/rows/warehouse/{page}" for page in ("rejected", "body", "differences", "event")]
HOSTILE = "<script>alert('x')</script>\"'&{{7*7}}</pre>"


@pytest.fixture
def filled(fill):
    fill(
        log=[
            entry(TODAY, customer_event_id="event-1"),
            entry(
                TODAY, customer_event_id=HOSTILE, status="rejected", reason=HOSTILE, rejected_body=f'{{"a": "{HOSTILE}"}}',
                customer_alias=HOSTILE, dag_id="../<dag>", task_id="t/&", run_id="r?#",
            ),
        ],
        runs=[try_of("push", TODAY, TODAY, outcome="failed", error=HOSTILE, dag_id=HOSTILE)],
        differences=[difference(TODAY, HOSTILE)],
    )  # fmt: skip


ACCESS = [
    *((path, None, 401) for path in (*AGGREGATES, *ROWS, "/nowhere", "/acme/rows/other/event")),
    *((path, "viewer", 200) for path in AGGREGATES[1:]),
    *((path, "viewer", 403) for path in ROWS),
    *((path, "op", 200) for path in (*AGGREGATES[1:], *ROWS)),
    ("/", "viewer", 303),
    ("/nowhere", "viewer", 404),
    ("/other/", "op", 404),
    ("/acme/rows/other/event", "op", 404),  # a connection that somebody may read, and that is not this page's
]


@pytest.mark.parametrize(("path", "role", "status"), ACCESS)
def test_access(filled, ask, path, role, status):
    answer = ask(path, role)

    assert answer.status_code == status
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "frame-ancestors 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    if status in {401, 403, 404}:
        assert not re.search("event-1|acme|usage_events|warehouse.db", answer.text)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_nothing_but_get_is_answered(filled, ask, method):
    assert {ask(path, "op", method).status_code for path in (*AGGREGATES, *ROWS)} == {405}


@pytest.mark.parametrize(
    "path",
    [
        *("/acme/", "/acme/runs", *ROWS),
        f"/acme/rows/warehouse/event?event_id={quote(HOSTILE)}",
        f"/acme/rows/warehouse/body?event_id={quote(HOSTILE)}",
        f"/acme/rows/warehouse/rejected?reason={reason_key(HOSTILE)}",
        f"/acme/runs?dag_id={quote(HOSTILE)}&run_id={quote(HOSTILE)}",
        f"/acme/?account={quote(HOSTILE)}&resource={quote(HOSTILE)}&days={quote(HOSTILE)}&end={quote(HOSTILE)}",
    ],
)
def test_hostile_data_stay_text(filled, ask, path):
    answer = ask(path)

    assert answer.status_code == 200
    assert "<script" not in answer.text
    assert "49" not in re.findall(r"&#39;\)&lt;/script&gt;(?:&#34;|&quot;)&#39;&amp;(..)", answer.text)
    assert answer.text.count("</pre>") == answer.text.count("<pre>")
    assert not re.search(r"\son\w+=|javascript:|\sstyle=", re.sub(r'"[^"]*"', '""', answer.text))
    for link in re.findall(r'href="([^"]*)"', answer.text):
        assert link.startswith(("/sequence-deliveries/", "/dags/")), link


def test_links_lead_to_the_tasks_run(filled, ask):
    rejected = ask("/acme/rows/warehouse/rejected").text

    assert 'href="/dags/..%2F%3Cdag%3E/runs/r%3F%23/tasks/t%2F%26"' in rejected
    assert "alert" in ask(f"/acme/rows/warehouse/body?event_id={quote(HOSTILE)}").text
    assert "{&#34;a" not in rejected  # a body is one more click away


@on("sqlite", "postgres")
def test_an_event_is_found_by_its_id(filled, ask):
    found = ask("/acme/rows/warehouse/event?event_id=event-1").text

    assert "delivered" in found
    assert "019c0000-0000-7000-8000-000000000000" in found
    assert "has no event nope" in ask("/acme/rows/warehouse/event?event_id=nope").text


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ("acme", "is no JSON"),
        ("[]", "is no JSON object"),
        ('{"acme": {"conn_id": "warehouse"}}', "lacks delivery_log_table"),
        ('{"acme": {"conn_id": "warehouse", "delivery_log_table": "a", "log": "b"}}', "has log for"),
        ('{"acme": {"conn_id": "warehouse", "delivery_log_table": 7}}', "that is no text"),
        ('{"a/b": {"conn_id": "warehouse", "delivery_log_table": "a"}}', "has the name"),
        ('{"acme": {"conn_id": "missing", "delivery_log_table": "a"}}', "the connection missing"),
        ('{"acme": {"conn_id": "warehouse", "delivery_log_table": "a; DROP"}}', "is no table name"),
    ],
    indirect=["setting"],
)
def test_wrong_setting_has_a_page_that_says_what_to_do(warehouse, setting, why, ask):
    answer = ask("/acme/", "viewer")

    assert answer.status_code == 503
    assert why in answer.text
    assert "Correct it, and restart the API server" in answer.text
    assert ask("/acme/", None).status_code == 401


def test_errors_of_the_database_tell_their_class_only(filled, ask, warehouse):
    warehouse.execute("ALTER TABLE sequence_delivery_log RENAME TO secret_table")
    warehouse.execute("CREATE VIEW sequence_delivery_log AS SELECT * FROM secret_table")
    warehouse.execute("DROP TABLE secret_table")
    answer = ask("/acme/")

    assert answer.status_code == 503
    assert "The warehouse answers OperationalError." in answer.text
    assert "secret_table" not in answer.text


def test_more_pages_than_can_be_made_are_refused_at_once(
    filled, api_server, setting, pages, ask, monkeypatch
):
    monkeypatch.setattr(page_app, "_THREADS", 1)
    monkeypatch.setattr(page_app, "_WAITING", 0)
    begun, answered = threading.Event(), threading.Event()

    def slow(*_: object) -> dict[str, object]:
        begun.set()
        answered.wait(60)
        raise LookupError

    monkeypatch.setattr(pages, "overview", slow)
    api_server[1]["page"] = page_app.create_app(pages)
    with ThreadPoolExecutor() as threads:
        first = threads.submit(ask, "/acme/")
        assert begun.wait(60)
        refused = ask("/acme/runs")
        answered.set()
        with pytest.raises(LookupError):
            first.result(60)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    assert "Too many pages are asked for" in refused.text
    assert ask("/acme/runs").status_code == 200


def test_closed_where_airflows_security_has_moved():
    code = (
        "import sys, asyncio; sys.modules['airflow.api_fastapi.core_api.security'] = None\n"
        "from airflow_provider_sequence.plugins.lazy_app import LazyApp\n"
        "app = LazyApp('airflow_provider_sequence.plugins.deliveries.app', 'create_app')\n"
        "sent = []\n"
        "async def send(message): sent.append(message)\n"
        "asyncio.run(app({'type': 'http'}, None, send)); print(sent[0]['status'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )

    assert done.stdout.splitlines()[-1] == "503"
