"""The sandbox's own API, its settings, and the guide that lists them."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from airflow_provider_sequence.sandbox.app import create_app
from airflow_provider_sequence.sandbox.settings import SWITCHES, SandboxSettings, reference_table
from tests.sandbox.support import CHECKOUT, Api


def test_settings_hide_the_secret_and_change_at_once(api: Api) -> None:
    shown = api.admin("GET", "/settings")
    assert set(shown) == set(SWITCHES) - {"client_secret"}
    assert api.admin("PATCH", "/settings", {"default_limit": 7, "total": "null"}) == shown | {
        "default_limit": 7,
        "total": "null",
    }
    assert api.page("/usage-events")["pagination"] == {"totalResultSize": None}
    api.set(client_secret="other")
    assert api.get("/usage-events").status_code == 401
    assert api.get("/usage-events", auth=("key", "other")).status_code == 200


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"last_page": "never"}, "last_page must be one of omit, null, empty, cursor"),
        ({"colour": "red"}, "'colour' is not a setting"),
        ({"default_limit": 0}, "default_limit must be a whole number from 1 to 100"),
        ({"default_limit": "5"}, "default_limit"),
        ({"default_limit": True}, "default_limit"),
        ({"latency_ms": -1}, "latency_ms must be a number from 0"),
        ({"extra_fields": "yes"}, "extra_fields must be true or false"),
        ({"client_id": "a:b"}, "client_id"),
    ],
)
def test_wrong_setting_is_refused_and_changes_nothing(
    api: Api, change: dict[str, object], named: str
) -> None:
    before = api.admin("GET", "/settings")
    answer = api.session.patch(f"{api.root}/_sandbox/settings", json={"total": "absent", **change}, timeout=5)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(named)
    assert api.admin("GET", "/settings") == before


def test_every_choice_of_every_switch_is_accepted(api: Api) -> None:
    for switch in SWITCHES.values():
        for choice in switch.choices or ([False, True, 0, 1] if switch.kind is bool else []):
            assert api.admin("PATCH", "/settings", {switch.name: choice})[switch.name] == choice


def test_reset_forgets_everything(api: Api) -> None:
    start = api.admin("GET", "/settings")
    api.set(default_limit=3)
    api.fault(status=500, path="/invoices")
    api.event()
    api.admin("POST", "/demo")
    api.admin("POST", "/reset")
    assert api.admin("GET", "/settings") == start
    assert api.admin("GET", "/faults") == {"items": []}
    assert api.admin("GET", "/requests") == {"items": []}
    assert api.admin("GET", "/summary") == {
        **dict.fromkeys(("posts_received", "applied", "distinct_events", "repeated"), 0),
        **dict.fromkeys(("seat_events", "requests", "throttled"), 0),
        "by_status": {},
    }
    assert api.page("/customers")["items"] == api.page("/usage-events")["items"] == []


def test_ledger_has_the_bodies_as_received(api: Api) -> None:
    bodies = [
        f'{{"customerEventId":"e{n % 2}",  "customerAlias":"a","eventType":"t","x":{n}.0}}' for n in range(5)
    ]
    for body in bodies:
        api.post("/usage-events", body)
    items = api.admin("GET", "/ledger")["items"]
    assert [item["body"] for item in items] == bodies
    assert [item["superseded"] for item in items] == [True, True, True, False, False]
    assert [i["body"] for i in api.admin("GET", "/ledger?customerEventId=e0")["items"]] == bodies[::2]
    rest = api.admin("GET", f"/ledger?after_seq={items[1]['seq']}&limit=2")["items"]
    assert [item["body"] for item in rest] == bodies[2:4]
    assert rest[0]["customerEventId"] == "e0"


def test_request_log_has_no_credentials(api: Api) -> None:
    api.get("/usage-events?limit=5", headers={"Sequence-Version": "2024-05-09", "User-Agent": "me"})
    api.get("/nothing")
    first, second = api.admin("GET", "/requests?limit=5")["items"]
    assert (first["method"], first["path"], first["query"], first["status"]) == (
        *("GET", "/api/usage-events"),
        *("limit=5", 200),
    )
    assert first["headers"]["sequence-version"] == "2024-05-09"
    assert first["headers"]["user-agent"] == "me"
    assert first["headers"]["authorization"] == "Basic"
    assert second["status"] == 404
    assert "a2V5" not in json.dumps([first, second])
    assert [item["path"] for item in api.admin("GET", "/requests?limit=1")["items"]] == ["/api/nothing"]


def test_documents_are_loaded(api: Api) -> None:
    loaded = api.admin("POST", "/resources/invoices/line-items", [{"invoiceId": "i", "netTotal": "1.10"}])[
        "items"
    ][0]
    assert loaded["id"]
    assert loaded["quantity"]  # documents are completed
    assert api.admin("POST", "/resources/invoices", {"id": "i"})["items"][0]["id"] == "i"
    assert api.page("/invoices/i/line-items")["items"] == [loaded]
    for path, body, status in (
        ("/resources/colours", {}, 404),
        ("/usage-events", {}, 404),
        ("/invoices", {"id": "i"}, 409),
        ("/invoices/line-items", {}, 400),
    ):
        answer = api.session.post(f"{api.root}/_sandbox{path}", json=body, timeout=5)
        assert answer.status_code == status, answer.text
        assert answer.json()["error"]


def asgi(path: str, client: str, headers: Mapping[str, str] = MappingProxyType({})) -> int:
    """Return the status of a request to the admin API from a host, without a server."""
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": (client, 1),
        "server": ("x", 80),
        "scheme": "http",
        "http_version": "1.1",
    }
    sent = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b""}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    asyncio.run(create_app()(scope, receive, send))  # type: ignore[arg-type]
    return int(sent[0]["status"])  # type: ignore[call-overload, no-any-return]


def test_admin_api_refuses_other_machines() -> None:
    assert asgi("/_sandbox/summary", "127.0.0.1") == 200
    assert asgi("/_sandbox/summary", "::1") == 200
    assert asgi("/_sandbox/summary", "10.0.0.7") == 403
    assert asgi("/api/usage-events", "10.0.0.7") == 401


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (200, {"host": "localhost:8484"}),
        (200, {"host": "127.0.0.1"}),
        (200, {"host": "[::1]:8484", "origin": "http://[::1]:8484"}),
        (403, {"host": "evil.example"}),  # a name that was made to lead here
        (403, {"host": "localhost.evil.example:8484"}),
        (403, {"host": "[::1"}),
        (403, {"host": "localhost:8484", "origin": "http://evil.example"}),
        (403, {"host": "localhost:8484", "origin": "http://localhost:3000"}),
        (403, {"host": "localhost:8484", "origin": "null"}),
    ],
)
def test_admin_api_refuses_pages_of_other_servers(status: int, headers: dict[str, str]) -> None:
    assert asgi("/_sandbox/summary", "127.0.0.1", headers) == status


@pytest.mark.parametrize("number", ["99999999999999999999", str(2**63), "-1", "9" * 5000])
def test_number_that_cannot_be_held_is_refused(api: Api, number: str) -> None:
    for query in ("ledger?limit", "ledger?after_seq", "requests?limit"):
        assert api.session.get(f"{api.root}/_sandbox/{query}={number}", timeout=5).status_code == 422
    for name in ("latency_ms", "cursor_lifetime_seconds", "requests_per_minute"):
        answer = api.session.patch(
            f"{api.root}/_sandbox/settings", data=f'{{"{name}": {number}0000000}}', timeout=5
        )
        assert 400 <= answer.status_code < 500


def test_every_setting_has_a_meaning_and_its_default_first() -> None:
    fields = {field.name: field.default for field in dataclasses.fields(SandboxSettings)}
    assert {switch.name: switch.default for switch in SWITCHES.values()} == fields
    for switch in SWITCHES.values():
        assert switch.about.meaning.endswith(".")
        if switch.choices:
            assert switch.default == switch.choices[0]


def test_guide_lists_every_switch() -> None:
    guide = (CHECKOUT / "docs" / "sandbox.md").read_text()
    assert reference_table() in guide, "run: python -m tests.sandbox.test_admin"


def write_table(guide: Path) -> None:
    """Put the table of the switches into the guide, between its header and the line after its last row."""
    lines = guide.read_text().splitlines()
    begin = lines.index(reference_table().splitlines()[0])
    end = next(number for number in range(begin, len(lines)) if not lines[number].startswith("|"))
    guide.write_text("\n".join([*lines[:begin], *reference_table().splitlines(), *lines[end:]]) + "\n")


if __name__ == "__main__":
    write_table(CHECKOUT / "docs" / "sandbox.md")
