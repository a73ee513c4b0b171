"""A client of the sandbox for its own tests: plain HTTP, none of the package's code."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import requests

CHECKOUT = Path(__file__).parents[2]
KEY = ("key", "secret")


class Api:
    """Calls one sandbox and hands back answers as they are."""

    def __init__(self, url: str) -> None:
        self.root = url.removesuffix("/api")
        self.session = requests.Session()
        self.session.trust_env = False

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        options = {"auth": KEY, "timeout": 10, "allow_redirects": False} | options
        return self.session.request(method, f"{self.root}/api{path}", **options)

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.call("GET", path, **options)

    def page(self, path: str, **options: Any) -> dict[str, Any]:
        answer = self.get(path, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: Any, **options: Any) -> requests.Response:
        data = (
            body.encode() if isinstance(body, str) else body if isinstance(body, bytes) else json.dumps(body)
        )
        return self.call("POST", path, data=data, headers={"Content-Type": "application/json"} | options)

    def event(
        self, key: str = "e1", alias: str = "acme", kind: str = "sent", **fields: Any
    ) -> dict[str, Any]:
        body = {"customerEventId": key, "customerAlias": alias, "eventType": kind, **fields}
        answer = self.post("/usage-events", body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def seats(self, key: str, alias: str, total: int, at: str, kind: str = "admin") -> dict[str, Any]:
        body = {"customerEventId": key, "customerAlias": alias, "seatType": kind, "total": total}
        answer = self.post("/seat-events", body | {"eventTimestamp": at})
        assert answer.status_code == 201, answer.text
        return answer.json()

    def admin(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        answer = self.session.request(method, f"{self.root}/_sandbox{path}", json=body, timeout=10, **options)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def set(self, **switches: Any) -> None:
        self.admin("PATCH", "/settings", switches)

    def fault(self, **rule: Any) -> None:
        self.admin("POST", "/faults", rule)

    def keys(self, path: str) -> list[str]:
        """Return the customerEventId of each item of a page."""
        return [item["customerEventId"] for item in self.page(path)["items"]]

    def walk(self, path: str, cursor: str = "after", start: str | None = None) -> list[list[str]]:
        """Follow cursors from page to page; 50 pages at most."""
        pages: list[list[str]] = []
        joint = "&" if "?" in path else "?"
        for _ in range(50):
            query = f"{joint}{cursor}={requests.utils.quote(start, safe='')}" if start else ""
            page = self.page(path + query)
            pages.append([item.get("customerEventId", item.get("id")) for item in page["items"]])
            start = page["pagination"].get(cursor)
            if not start:
                return pages
        raise AssertionError("the walk does not end")


class Process:
    """``python -m airflow_provider_sequence.sandbox`` as a user starts it."""

    def __init__(self, *options: str) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "airflow_provider_sequence.sandbox", *options],
            cwd=CHECKOUT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Where the tests run in the background of a script, it would be ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        )

    def ready(self) -> Api:
        """Wait for the line that says it is ready."""
        assert self.popen.stdout
        self.lines = [self.popen.stdout.readline(), self.popen.stdout.readline()]
        if not self.lines[0]:
            raise AssertionError(self.popen.communicate(timeout=10)[1])
        return Api(self.lines[0].split()[-1])

    def end(self, signal: int | None = None) -> tuple[int, str, str]:
        """Send a signal and return the exit code, the rest of stdout, and stderr."""
        if signal is not None:
            self.popen.send_signal(signal)
        try:
            out, err = self.popen.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            raise
        return self.popen.returncode, out, err
