"""Every fault: how it is made, and what is to come of it."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.faults.proxy import Rule
from tests.faults.world import CLIENT_SECRET, World

ECHO = {"error": {"type": "Odd", "message": f"this is odd, {CLIENT_SECRET}"}}


@dataclass
class Fault:
    """A fault, and what is to come of it.

    :param name: what it is called.
    :param rule: a rule of the sandbox, or ``proxy`` one of the proxy.
    :param retry_at: whether a 429 says when to come back by a date, two seconds from now.
    :param error: class of the error if it lasts; None where it does no harm.
    :param words: what the error says.
    :param passes: whether a run mends it by itself where it happens a few times.
    """

    name: str
    error: str | None
    words: str = ""
    rule: dict[str, Any] | None = None
    proxy: dict[str, Any] | None = None
    passes: bool = True
    retry_at: bool = False
    how: dict[str, Any] = field(default_factory=dict)

    def install(self, world: World, method: str, path: str, **limits: Any) -> None:
        if self.rule is not None:
            headers = {"headers": {"Retry-After": http_date(2)}} if self.retry_at else {}
            world.server.fault(**self.rule, **headers, method=method, path=path, **limits)
        if self.proxy is not None:
            world.proxy.rules.append(Rule(**self.proxy, method=method, path=path, **limits))


def http_date(seconds: float) -> str:
    """So many seconds from now, as HTTP writes it."""
    return f"{dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds):%a, %d %b %Y %H:%M:%S GMT}"


#: Where the fault is that no answer comes.
QUICK = {"extra": {"timeout": 0.5}}
UNAVAILABLE, RESPONSE, REJECTED = "SequenceUnavailableError", "SequenceResponseError", "SequenceRejectedError"
FAULTS = [
    Fault("401", "SequenceAuthenticationError", "401", {"status": 401, "body": ECHO}, passes=False),
    Fault("403", "SequenceAuthenticationError", "403", {"status": 403, "body": ECHO}, passes=False),
    Fault("404", RESPONSE, "base URL", {"status": 404, "body": ECHO}, passes=False),
    Fault("405", RESPONSE, "base URL", {"status": 405}, passes=False),
    Fault("429-seconds", UNAVAILABLE, "429", {"status": 429, "headers": {"Retry-After": "1"}}),
    Fault("429-date", UNAVAILABLE, "429", {"status": 429}, retry_at=True),
    Fault("429-none", UNAVAILABLE, "429", {"status": 429, "body": ECHO}),
    Fault("500", UNAVAILABLE, "500", {"status": 500, "body": ECHO}),
    Fault("502-html", UNAVAILABLE, "502", {"kind": "html", "status": 502}),
    Fault("503", UNAVAILABLE, "503", {"status": 503, "body": "busy", "content_type": "text/plain"}),
    Fault("reset-before", UNAVAILABLE, "no connection: Connection reset", {"kind": "reset_before"}),
    Fault("reset-after", UNAVAILABLE, "no connection: Connection reset", {"kind": "reset_after"}),
    Fault("hang", UNAVAILABLE, "no answer within the timeout", {"kind": "hang", "seconds": 20}, how=QUICK),
    Fault(
        "hang-after",
        UNAVAILABLE,
        "no answer within the timeout",
        {"kind": "hang_after", "seconds": 20},
        how=QUICK,
    ),
    Fault("invalid-json", RESPONSE, "", {"kind": "invalid_json"}),
    Fault("truncated", UNAVAILABLE, "broke off|no connection", {"kind": "truncate"}),
    Fault("empty-body", RESPONSE, "", {"kind": "empty_body"}),
    Fault("wrong-type", None, "", {"kind": "wrong_content_type"}),
    Fault("another-json", RESPONSE, "", {"status": 200, "body": {"hello": [1]}}),
    Fault("null", RESPONSE, "", {"status": 201, "body": "null"}),
    Fault(
        "redirect",
        RESPONSE,
        "302",
        {"kind": "redirect", "headers": {"Location": "https://sequence.invalid/elsewhere"}},
        passes=False,
    ),
    Fault("slow-drip", None, "", {"kind": "slow_drip", "seconds": 0.3}),
    Fault("slower-drip", UNAVAILABLE, "within the timeout", {"kind": "slow_drip", "seconds": 6}, how=QUICK),
    Fault(
        "drip-head", UNAVAILABLE, "within the timeout", proxy={"kind": "drip_head", "seconds": 4}, how=QUICK
    ),
    Fault("garbage", UNAVAILABLE, "", proxy={"kind": "garbage"}),
    Fault(
        "silent",
        UNAVAILABLE,
        "no answer within the timeout",
        proxy={"kind": "silent", "seconds": 2},
        how=QUICK,
    ),
    Fault("half-request", UNAVAILABLE, "no connection|connection broke", proxy={"kind": "half_request"}),
    Fault("close-before", UNAVAILABLE, "", proxy={"kind": "close_before"}),
    Fault("close-after", UNAVAILABLE, "", proxy={"kind": "close_after"}),
    Fault("bad-chunk", UNAVAILABLE, "broke off", proxy={"kind": "bad_chunk"}),
    Fault("bad-gzip", UNAVAILABLE, "could not be decoded", proxy={"kind": "bad_gzip"}),
    Fault("huge-head", UNAVAILABLE, "", proxy={"kind": "huge_head"}),
    Fault(
        "echo-401", "SequenceAuthenticationError", "Odd", proxy={"kind": "echo", "status": 401}, passes=False
    ),
    Fault("echo-500", UNAVAILABLE, "Odd", proxy={"kind": "echo", "status": 500}),
    Fault("echo-404-page", RESPONSE, "404", proxy={"kind": "echo_page", "status": 404}, passes=False),
    Fault("echo-502-page", UNAVAILABLE, "502", proxy={"kind": "echo_page", "status": 502}),
    Fault("stale-answer", None, "", proxy={"kind": "stale_answer"}),
]
#: What each is, for the report.
MEANINGS = {
    "401": "401",
    "403": "403",
    "404": "404",
    "405": "405",
    "429-seconds": "429 with `Retry-After` in seconds",
    "429-date": "429 with `Retry-After` as a date",
    "429-none": "429 without a word of when to come back",
    "500": "500",
    "502-html": "502 with a gateway's HTML page",
    "503": "503",
    "reset-before": "the connection is reset before the request took effect",
    "reset-after": "the same after it took effect",
    "hang": "no answer within the timeout, the request took no effect",
    "hang-after": "the same, and it took effect",
    "invalid-json": "JSON that breaks off, with a length that fits",
    "truncated": "the body is cut short",
    "empty-body": "no body",
    "wrong-type": "the right body under a wrong `Content-Type`",
    "another-json": "JSON that is something else",
    "null": "`null`",
    "redirect": "a redirect (it is not followed)",
    "slow-drip": "the body drips in, within the timeout",
    "slower-drip": "the body drips in, for longer than the timeout",
    "drip-head": "the headers drip in, for longer than the timeout",
    "garbage": "an answer that is no HTTP",
    "silent": "the connection is taken, and nothing is said",
    "half-request": "the connection is reset while the request is being sent",
    "close-before": "the connection is closed before the request took effect",
    "close-after": "the same after it took effect",
    "bad-chunk": "broken chunks",
    "bad-gzip": "a body that is said to be gzip, and is not",
    "huge-head": "a header of 200 kB",
    "echo-401": "401 that repeats all it was sent, credentials included",
    "echo-500": "500 that does so",
    "echo-404-page": "404 with a page that does so",
    "echo-502-page": "502 with a page that does so",
    "stale-answer": "an answer that comes twice, to be taken for that to the next request",
}
each_fault = pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
PASSING = [fault for fault in FAULTS if fault.passes]


def noticed(run: Any, fault: Fault) -> bool:
    """Whether an answer that came twice came in time to be taken for that to the next request, and the run saw it."""
    return fault.name == "stale-answer" and not run.is_right


def check_error(run: Any, fault: Fault) -> None:
    assert fault.error in run.classes, (run.classes, run.message)
    assert "SequenceError" in run.classes
    assert re.search(fault.words, run.message), run.message
    if fault.error == "SequenceAuthenticationError":
        assert run.classes[0] == "AirflowFailException", "Airflow would try this again"
    else:
        assert "AirflowFailException" not in run.classes, "Airflow would not try this again"
