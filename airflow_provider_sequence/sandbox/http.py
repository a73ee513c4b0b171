"""A request as the sandbox reads it, and the answer or refusal it gives."""

from __future__ import annotations

import http
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_plus

import msgspec

JSON = "application/json"


class Query:
    """The query of a request, raw and decoded."""

    def __init__(self, text: str) -> None:
        self.text = text
        #: names are decoded, values are not: some filters are split before they are decoded
        self._pairs = [
            (unquote_plus(name), value)
            for name, _, value in (pair.partition("=") for pair in text.split("&") if pair)
        ]

    def names(self) -> set[str]:
        """Return the names of all parameters."""
        return {name for name, _ in self._pairs}

    def raw(self, name: str) -> list[str]:
        """Return the values of a parameter as they were written, percent signs and all."""
        return [value for found, value in self._pairs if found == name]

    def all(self, name: str) -> list[str]:
        """Return the decoded values of a parameter."""
        return [unquote_plus(value) for value in self.raw(name)]

    def one(self, name: str) -> str | None:
        """Return the last decoded value of a parameter, or None if it was not sent."""
        values = self.raw(name)
        return unquote_plus(values[-1]) if values else None


@dataclass(frozen=True, slots=True)
class Request:
    """
    One request below ``/api``.

    :param path: the decoded path after ``/api``, split at its slashes.
    :param headers: by lower-case name; of a repeated header the last.
    """

    method: str
    path: tuple[str, ...]
    query: Query
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Response:
    """A status, a body and the headers that are not there on every answer."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


class HTTPError(Exception):
    """
    A request the API refuses.

    :param status: HTTP status of the answer.
    :param reason: why, in a sentence that names the field or parameter.
    :param kind: the ``type`` of the error; made from the status if left out.
    :param headers: further headers of the answer.
    """

    def __init__(
        self, status: int, reason: str, kind: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.kind = kind or http.HTTPStatus(status).phrase.title().replace(" ", "")
        self.headers = headers or {}


def json_response(value: Any, status: int = 200) -> Response:
    """Return ``value`` as a JSON answer."""
    return Response(status, msgspec.json.encode(value))


def gateway_page(status: int, reason: str) -> str:
    """Return a page as a proxy in front of an API would send it."""
    phrase = http.HTTPStatus(status).phrase if status in set(http.HTTPStatus) else "Error"
    return (
        f"<html>\n<head><title>{status} {phrase}</title></head>\n"
        f"<body><center><h1>{status} {phrase}</h1></center><p>{reason}</p></body>\n</html>\n"
    )


def error_response(refusal: HTTPError, shape: str) -> Response:
    """Return a refusal as an answer whose body has the ``shape`` of the switch ``error_body``."""
    error = {"type": refusal.kind, "message": refusal.reason}
    encode = msgspec.json.encode
    bodies: dict[str, tuple[str, Callable[[], bytes]]] = {
        "error": (JSON, lambda: encode({"error": error})),
        "errors": (JSON, lambda: encode({"errors": [error]})),
        "text": ("text/plain; charset=utf-8", refusal.reason.encode),
        "html": ("text/html; charset=utf-8", lambda: gateway_page(refusal.status, refusal.reason).encode()),
        "empty": ("", bytes),
    }
    content_type, body = bodies[shape]
    return Response(refusal.status, body(), content_type, refusal.headers)
