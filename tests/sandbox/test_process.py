"""The process as a user meets it: start, the ready line, wrong options, stop, and what it keeps."""

from __future__ import annotations

import json
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sandbox.support import CHECKOUT, Process

Start = Callable[..., Process]


def run(*options: str, code: str = "") -> subprocess.CompletedProcess[str]:
    program = ["-c", code] if code else ["-m", "airflow_provider_sequence.sandbox"]
    return subprocess.run(
        [sys.executable, *program, *options],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def test_start_prints_the_address_and_a_connection_for_airflow(start: Start) -> None:
    process = start("--client-id", "me", "--client-secret", "s:h'h")
    api = process.ready()
    assert process.lines[0] == f"Sequence sandbox is ready at {api.root}/api\n"
    assert api.root.startswith("http://127.0.0.1:")
    assert api.get("/usage-events", auth=("me", "s:h'h")).status_code == 200
    assert api.get("/usage-events").status_code == 401

    command, assignment = shlex.split(process.lines[1])
    name, _, value = assignment.partition("=")
    assert (command, name) == ("export", "AIRFLOW_CONN_SEQUENCE_DEFAULT")
    assert json.loads(value) == {
        "conn_type": "sequence",
        "host": f"{api.root}/api",
        "login": "me",
        "password": "s:h'h",
    }


@pytest.mark.parametrize(
    ("options", "warns"),
    [(["--host", "0.0.0.0"], True), (["--host", "0.0.0.0", "--client-secret", "own"], False), ([], False)],
)
def test_known_secret_that_others_can_use_is_warned_of(start: Start, options: list[str], warns: bool) -> None:
    process = start(*options)
    process.ready()
    assert ("allow_http" in process.lines[1]) == bool(options)
    _, _, err = process.end(signal.SIGTERM)
    assert ("set --client-secret" in err) == warns


@pytest.mark.parametrize(("number", "codes"), [(signal.SIGINT, {0, 130}), (signal.SIGTERM, {0, 143, -15})])
def test_signal_stops_it_without_a_traceback(start: Start, number: int, codes: set[int]) -> None:
    process = start()
    api = process.ready()
    api.get("/usage-events")  # leaves a connection open
    before = time.monotonic()
    code, out, err = process.end(number)
    assert code in codes
    assert (out, err) == ("", "")
    assert time.monotonic() - before < 3


def test_signal_stops_it_while_a_request_hangs(start: Start) -> None:
    process = start()
    api = process.ready()
    api.fault(kind="hang", seconds=60)
    host, _, port = api.root.removeprefix("http://").partition(":")
    waiting = socket.create_connection((host, int(port)), timeout=5)
    waiting.sendall(b"GET /api/usage-events HTTP/1.1\r\nHost: x\r\n\r\n")
    for _ in range(50):
        if api.admin("GET", "/summary")["requests"]:
            break
        time.sleep(0.02)
    assert [item["status"] for item in api.admin("GET", "/requests")["items"]] == [None]
    before = time.monotonic()
    code, _, err = process.end(signal.SIGTERM)
    assert code in {0, 143, -15}
    waiting.close()
    assert err == ""
    assert time.monotonic() - before < 3


def test_port_in_use_is_a_plain_error(start: Start) -> None:
    port = start().ready().root.rpartition(":")[2]
    done = run("--port", port)
    assert done.returncode == 1
    assert "cannot listen" in done.stderr
    assert port in done.stderr
    assert "Traceback" not in done.stderr


def test_wrong_choice_is_refused_with_the_choices() -> None:
    done = run("--last-page", "never")
    assert done.returncode == 2
    assert "--last-page" in done.stderr
    assert "omit" in done.stderr


def test_file_that_is_no_database_is_a_plain_error(tmp_path: Path) -> None:
    path = tmp_path / "text.db"
    path.write_text("this is no database, and long enough to be seen as none " * 20)
    done = run("--port", "0", "--database", str(path))
    assert done.returncode == 1
    assert str(path) in done.stderr
    assert "Traceback" not in done.stderr


def test_missing_packages_are_named_with_the_command_to_install_them() -> None:
    code = (
        "import importlib.util, sys\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'uvicorn' else find(name, *rest)\n"
        "from airflow_provider_sequence.sandbox.__main__ import main\n"
        "sys.exit(main(['--port', '0']))\n"
    )
    done = run(code=code)
    assert done.returncode == 1
    assert "uvicorn" in done.stderr
    assert "pip install 'airflow-provider-sequence[sandbox]'" in done.stderr


def test_database_file_keeps_every_answered_event_over_a_kill(start: Start, tmp_path: Path) -> None:
    path = str(tmp_path / "sandbox.db")
    first = start("--database", path)
    api = first.ready()
    api.admin("POST", "/customers", {"id": "c1", "aliases": ["acme"]})
    ids = [api.event(f"e{number % 30}", n=number)["id"] for number in range(50)]
    first.end(signal.SIGKILL)

    again = start("--database", path)
    api = again.ready()
    page = api.page("/usage-events?limit=100&sortOrder=ASC")
    assert [item["id"] for item in page["items"]] == ids
    summary = api.admin("GET", "/summary")
    assert (summary["applied"], summary["distinct_events"], summary["posts_received"]) == (50, 30, 0)
    assert api.page("/customers?alias=acme")["pagination"]["totalResultSize"] == 1
    assert api.event("later")["id"] > max(ids)


def test_database_file_keeps_documents_over_a_restart(start: Start, tmp_path: Path) -> None:
    path = str(tmp_path / "sandbox.db")
    first = start("--database", path)
    first.ready().admin("POST", "/customers", {"id": "c1"})
    first.end(signal.SIGINT)
    assert len(start("--database", path).ready().page("/customers")["items"]) == 1


def test_nothing_is_kept_without_a_database_file(start: Start) -> None:
    first = start()
    first.ready().event()
    first.end(signal.SIGINT)
    assert start().ready().page("/usage-events")["items"] == []


def test_sandbox_imports_no_code_of_the_client() -> None:
    code = (
        "import sys\n"
        "import airflow_provider_sequence.sandbox.app, airflow_provider_sequence.sandbox.__main__\n"
        "ours = [m for m in sys.modules if m.startswith('airflow_provider_sequence.')]\n"
        "assert len(ours) > 10, ours\n"
        "print([m for m in ours if not m.startswith('airflow_provider_sequence.sandbox')])\n"
        "print([m for m in sys.modules if m.split('.')[0] in {'airflow', 'requests', 'sqlalchemy', 'pytest'}])\n"
    )
    assert run(code=code).stdout.split("\n")[:2] == ["[]", "[]"]
