"""What every request passes before its endpoint sees it: credentials, version, limits."""

from __future__ import annotations

import base64
import binascii
import hmac
import math
import time
from collections.abc import Callable
from email.utils import formatdate

from airflow_provider_sequence.sandbox.endpoints import serve
from airflow_provider_sequence.sandbox.http import HTTPError, Request, Response, error_response
from airflow_provider_sequence.sandbox.sandbox import Sandbox

#: Versions of the API; the last is the newest.
VERSIONS = ("2024-01-01", "2024-05-09", "2024-07-30")

_UNKNOWN_VERSION = "UnrecognisedApiVersion"

_RETRY_AFTER: dict[str, Callable[[float], dict[str, str]]] = {
    "seconds": lambda wait: {"Retry-After": str(math.ceil(wait))},
    "date": lambda wait: {"Retry-After": formatdate(math.ceil(time.time() + wait), usegmt=True)},
    "none": lambda wait: {},
}


def answer(sandbox: Sandbox, request: Request) -> Response:
    """Do what a request asks, and return what the API says to it."""
    try:
        _authenticate(sandbox, request)
        _check_version(request)
        _admit(sandbox, request)
        return serve(sandbox, request)
    except HTTPError as refusal:
        # of all refusals, this is the one whose body is documented
        documented = refusal.kind == _UNKNOWN_VERSION
        return error_response(refusal, "error" if documented else sandbox.settings.error_body)


def served_version(request: Request) -> str:
    """Return the version that serves a request: the one it asks for, or the newest."""
    asked = request.headers.get("sequence-version")
    return asked if asked in VERSIONS else VERSIONS[-1]


def _authenticate(sandbox: Sandbox, request: Request) -> None:
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    try:
        sent = base64.b64decode(credentials.strip(), validate=True)
    except (binascii.Error, ValueError):
        sent = b""
    wanted = f"{sandbox.settings.client_id}:{sandbox.settings.client_secret}".encode()
    if scheme.lower() != "basic" or not hmac.compare_digest(sent, wanted):
        raise HTTPError(
            401,
            "HTTP Basic with the id and the secret of an API client is required",
            headers={"WWW-Authenticate": 'Basic realm="Sequence"'},
        )


def _check_version(request: Request) -> None:
    asked = request.headers.get("sequence-version", VERSIONS[-1])
    if asked not in VERSIONS:
        reason = f"{asked!r} is not a version of the API; versions: {', '.join(VERSIONS)}"
        raise HTTPError(400, reason, _UNKNOWN_VERSION)


def _admit(sandbox: Sandbox, request: Request) -> None:
    is_usage_post = request.method == "POST" and request.path == ("usage-events",)
    wait = sandbox.limits.admit(is_usage_post, sandbox.settings)
    if wait:
        sandbox.request_log.throttled += 1
        headers = _RETRY_AFTER[sandbox.settings.retry_after](wait)
        raise HTTPError(429, "too many requests in a minute", headers=headers)
