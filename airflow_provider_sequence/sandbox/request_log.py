"""What arrived since the start or the last reset."""

from __future__ import annotations

import time
from collections import Counter, deque
from typing import Any

from airflow_provider_sequence.sandbox.http import Request

#: Requests remembered; the counts go on for ever.
REMEMBERED = 10_000

_SHOWN = (
    "user-agent",
    "sequence-version",
    "content-type",
    "accept",
    "accept-encoding",
    "idempotency-key",
    "connection",
)


class RequestLog:
    """Counts requests and answers, and remembers the last ones without their credentials."""

    def __init__(self) -> None:
        self.requests = 0
        self.posts_received = 0
        self.throttled = 0
        self.by_status: Counter[str] = Counter()
        self._last: deque[dict[str, Any]] = deque(maxlen=REMEMBERED)

    def arrived(self, request: Request) -> dict[str, Any]:
        """Note a request; the entry takes its status later."""
        self.requests += 1
        self.posts_received += request.method == "POST" and request.path == ("usage-events",)
        headers = {name: request.headers[name] for name in _SHOWN if name in request.headers}
        scheme = request.headers.get("authorization", "").partition(" ")[0]
        entry = {
            "at": time.time(),
            "method": request.method,
            "path": "/api/" + "/".join(request.path),
            "query": request.query.text,
            "headers": headers | ({"authorization": scheme} if scheme else {}),
            "status": None,
        }
        self._last.append(entry)
        return entry

    def answered(self, entry: dict[str, Any], status: int | None) -> None:
        """Note how a request ended; None: without an answer."""
        entry["status"] = status
        self.by_status["none" if status is None else str(status)] += 1

    def last(self, limit: int) -> list[dict[str, Any]]:
        """Return the last requests, the newest last."""
        return list(self._last)[-limit:] if limit > 0 else []
