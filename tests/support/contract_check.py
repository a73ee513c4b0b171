"""An ASGI middleware that holds what goes through it against the contract, and keeps what did not fit."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.contract.contract import load

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MOST_VIOLATIONS = 500


@dataclass
class Settings:
    """What is checked. Off while a test sends, or has the sandbox answer, something wrong on purpose."""

    check_requests: bool = True
    check_answers: bool = True


@dataclass
class Findings:
    """What was checked so far, and the first violations; ``dropped`` counts those beyond."""

    checked_requests: int = 0
    checked_answers: int = 0
    violations: list[str] = field(default_factory=list)
    dropped: int = 0

    def add(self, problems: list[str]) -> None:
        room = MOST_VIOLATIONS - len(self.violations)
        self.violations += problems[:room]
        self.dropped += len(problems[room:])


class ContractCheck:
    """Wrap the app of a sandbox. It sees every byte as before; nothing is changed on the way."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.settings = Settings()
        self.findings = Findings()
        self._contract = load()
        self._base = self._contract.base_path.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path: bytes = scope.get("raw_path") or scope["path"].encode()
        if path.startswith(b"/_contract/"):
            await self._serve(scope, receive, send)
        elif path.startswith(b"/_"):
            await self.app(scope, receive, send)
        else:
            await self._checked(path, scope, receive, send)

    async def _checked(self, path: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"]
        messages, body = await _read(receive)
        if not path.startswith(self._base + b"/"):
            if self.settings.check_requests:
                self.findings.checked_requests += 1
                wanted = self._contract.base_path
                self.findings.add([f"{method} {path.decode('latin-1')}: expected a path under {wanted}"])
            await self.app(scope, _replay(messages, receive), send)
            return
        place = path[len(self._base) :].decode("latin-1")
        if self.settings.check_requests and body is not None:
            self.findings.checked_requests += 1
            self.findings.add(
                self._contract.check_request(method, place, scope["query_string"], scope["headers"], body)
            )
        if self.settings.check_answers:
            send = self._watched(method, place, send)
        await self.app(scope, _replay(messages, receive), send)

    def _watched(self, method: str, place: str, send: Send) -> Send:
        """Look at an answer once its end is there. One that breaks off is never looked at."""
        start: Message = {}
        chunks: list[bytes] = []

        async def watch(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
            elif message["type"] == "http.response.body":
                chunks.append(message.get("body", b""))
                # Before it goes out: whoever has the answer can rely on its violations being listed. The setting is
                # asked again, for it may have been switched while the answer was under way.
                if not message.get("more_body", False) and self.settings.check_answers:
                    self.findings.checked_answers += 1
                    self.findings.add(
                        self._contract.check_answer(
                            method, place, start["status"], start.get("headers", ()), b"".join(chunks)
                        )
                    )
            await send(message)

        return watch

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        _, body = await _read(receive)
        match scope["method"], scope["path"]:
            case "GET", "/_contract/violations":
                await _answer(send, 200, asdict(self.findings))
            case "DELETE", "/_contract/violations":
                self.findings = Findings()
                await _answer(send, 200, asdict(self.findings))
            case "GET", "/_contract/settings":
                await _answer(send, 200, asdict(self.settings))
            case "PATCH", "/_contract/settings":
                problem = self._switch(body or b"")
                await _answer(
                    send, 400 if problem else 200, {"error": problem} if problem else asdict(self.settings)
                )
            case method, path:
                await _answer(send, 404, {"error": f"nothing here: {method} {path}"})

    def _switch(self, body: bytes) -> str | None:
        try:
            changes = json.loads(body)
        except ValueError:
            return "expected JSON"
        known = asdict(self.settings)
        if not isinstance(changes, dict) or not changes.keys() <= known.keys():
            return f"expected an object of {', '.join(known)}"
        if not all(isinstance(value, bool) for value in changes.values()):
            return "expected true or false"
        for name, value in changes.items():
            setattr(self.settings, name, value)
        return None


async def _read(receive: Receive) -> tuple[list[Message], bytes | None]:
    """Everything that the client sends; no body where it went away first."""
    messages: list[Message] = []
    while True:
        message = await receive()
        messages.append(message)
        if message["type"] != "http.request":
            return messages, None
        if not message.get("more_body", False):
            return messages, b"".join(part.get("body", b"") for part in messages)


def _replay(messages: list[Message], receive: Receive) -> Receive:
    waiting = iter(messages)

    async def replay() -> Message:
        message = next(waiting, None)
        return message if message is not None else await receive()

    return replay


async def _answer(send: Send, status: int, content: Any) -> None:
    body = json.dumps(content).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
