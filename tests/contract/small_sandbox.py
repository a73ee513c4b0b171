"""A few lines that answer like the API, to test what stands between it and a client.

``python -m tests.contract.small_sandbox`` runs them behind the contract check, with the arguments of the real one.
"""

from __future__ import annotations

import json
import sys

from tests.contract.examples import NEW_USAGE_EVENT, USAGE_EVENT, page
from tests.support.contract_server import arguments, serve

ANSWER_HEADERS = [(b"content-type", b"application/json"), (b"sequence-version", b"2024-07-30")]


class SmallSandbox:
    """Takes usage events and lists one. ``answer`` replaces what comes back; ``seen`` are the bodies that came in."""

    def __init__(self):
        self.answer = None
        self.seen = []

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        self.seen.append(body)
        if self.answer is not None:
            await self.answer(scope, receive, send)
        elif scope["path"].startswith("/_sandbox"):
            await reply(send, 200, {})
        elif scope["method"] == "POST":
            await reply(send, 201, USAGE_EVENT)
        else:
            await reply(send, 200, page(USAGE_EVENT))


async def reply(send, status, content, pieces=1):
    body = json.dumps(content).encode()
    size = -(-len(body) // pieces)
    headers = [*ANSWER_HEADERS, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    for number in range(pieces):
        piece = body[number * size : (number + 1) * size]
        await send({"type": "http.response.body", "body": piece, "more_body": number < pieces - 1})


async def break_off(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"500")]})
    await send({
        "type": "http.response.body",
        "body": json.dumps(NEW_USAGE_EVENT).encode(),
        "more_body": True,
    })
    raise ConnectionResetError("on purpose")


if __name__ == "__main__":
    chosen = arguments()
    if dict(chosen.settings).get("fail"):
        sys.exit("this sandbox does not want to start")
    if dict(chosen.settings).get("silent"):
        sys.stdin.buffer.read()
    else:
        serve(SmallSandbox(), chosen.port, chosen.with_parent)
