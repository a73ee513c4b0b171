"""ASGI app of the page: routes, who may ask them, and what becomes of errors."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException as AnyHTTPException

from airflow_provider_sequence.exceptions import SequenceConfigurationError, WarehouseError
from airflow_provider_sequence.plugins.deliveries.pages import Model, Pages
from airflow_provider_sequence.plugins.deliveries.rendering import HEADERS, render
from airflow_provider_sequence.plugins.deliveries.security import MAY_SEE_PAGE, MAY_SEE_ROWS
from airflow_provider_sequence.plugins.deployments import Deployment, parse_deployments
from airflow_provider_sequence.plugins.lazy_app import App, Receive, Scope, Send
from airflow_provider_sequence.plugins.settings import URL_PREFIX, setting_text

_log = logging.getLogger(__name__)

#: Pages that are made at a time, in threads of their own, and how many more may wait for one.
_THREADS, _WAITING = 4, 16

_GUIDE = "The guide deliveries-page.md of airflow-provider-sequence describes it"
_STATUS = {
    401: (
        "You are not logged in",
        "Airflow asks for a login before it shows this page.",
        "Log in to Airflow, and open the page again.",
    ),
    403: (
        "You may not see this",
        (
            "These pages need Airflow's permission to see plugins; rows of customers need the one to read the warehouse's "
            "connection, too."
        ),
        "Ask an administrator of Airflow for a role that has it.",
    ),
    404: (
        "There is no such page",
        "The address is wrong, or the setting [sequence] deliveries has changed.",
        "Start at the first page.",
    ),
}

Page = Callable[[Deployment, Mapping[str, str]], Model]


class _Busy(Exception):
    """More pages are asked for than can be made."""


class _Renderer:
    """Makes pages in threads of its own, so that a slow database takes none of Airflow's."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="sequence-deliveries")
        self._asked = 0

    async def run(self, make: Callable[[], str]) -> str:
        if self._asked >= _THREADS + _WAITING:
            raise _Busy
        self._asked += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, make)
        finally:
            self._asked -= 1


def create_app(pages: Pages | None = None) -> App:
    """Make the app of the setting as it is now."""
    pages = pages or Pages()
    renderer = _Renderer()
    wrong: SequenceConfigurationError | None = None
    deployments: Mapping[str, Deployment] = {}
    try:
        deployments = parse_deployments(setting_text())
    except SequenceConfigurationError as e:
        wrong = e
    app = FastAPI(
        dependencies=[MAY_SEE_PAGE], docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False
    )

    def find(name: str, connection_id: str | None = None) -> Deployment:
        if wrong is not None:
            raise wrong
        deployment = deployments.get(name)
        if deployment is None or connection_id not in {None, deployment.conn_id}:
            raise HTTPException(404)
        return deployment

    async def show(request: Request, template: str, page: Page, deployment: Deployment) -> Response:
        query = dict(request.query_params)
        places = _places(request)
        others = {"deployments": list(deployments)}

        def make() -> str:
            return render(template, *places, page(deployment, query) | others)

        return HTMLResponse(await renderer.run(make))

    @app.get("/")
    async def first(request: Request) -> Response:
        if wrong is not None:
            raise wrong
        return RedirectResponse(f"{_places(request)[0]}/{next(iter(deployments), '')}/", 303)

    def add(path: str, template: str, page: Page) -> None:
        async def answer(request: Request, deployment: str) -> Response:
            return await show(request, template, page, find(deployment))

        app.get(f"/{{deployment}}/{path}")(answer)

    def add_rows(path: str, template: str, page: Page) -> None:
        async def answer(request: Request, deployment: str, connection_id: str) -> Response:
            return await show(request, template, page, find(deployment, connection_id))

        app.get(f"/{{deployment}}/rows/{{connection_id}}/{path}", dependencies=[MAY_SEE_ROWS])(answer)

    add("", "overview.html", pages.overview)
    add("runs", "runs.html", pages.runs)
    add_rows("rejected", "rejected.html", pages.rejected)
    add_rows("body", "body.html", pages.body)
    add_rows("differences", "differences.html", pages.differences)
    add_rows("event", "event.html", pages.event)

    @app.get("/{rest:path}")
    async def other(rest: str) -> Response:
        raise wrong or HTTPException(404)

    app.add_exception_handler(AnyHTTPException, _on_status)
    app.add_exception_handler(SequenceConfigurationError, _on_setting)
    app.add_exception_handler(WarehouseError, _on_database)
    app.add_exception_handler(_Busy, _on_busy)
    app.add_exception_handler(Exception, _on_fault)
    return partial(_with_headers, app)


def _places(request: Request) -> tuple[str, str]:
    """Where these pages are, and where Airflow is: behind a proxy, both below its path."""
    root = str(request.scope.get("root_path", ""))
    return root, root.removesuffix(URL_PREFIX)


def _message(request: Request, status: int, title: str, why: str, what_to_do: str) -> HTMLResponse:
    model = {"title": title, "why": why, "what_to_do": what_to_do}
    return HTMLResponse(render("message.html", *_places(request), model), status)


async def _on_status(request: Request, error: Any) -> Response:
    words = _STATUS.get(
        error.status_code,
        (f"The answer is {error.status_code}", "These pages are only read.", "Start at the first page."),
    )
    answer = _message(request, error.status_code, *words)
    answer.headers.update(error.headers or {})
    return answer


async def _on_setting(request: Request, error: Any) -> Response:
    return _message(
        request,
        503,
        "The page is not set up",
        f"{error}.",
        f"Correct it, and restart the API server. {_GUIDE}.",
    )


async def _on_database(request: Request, error: Any) -> Response:
    kind = str(error).partition(":")[0]  # the class; the rest may tell of the database's inside
    _log.warning("Sequence deliveries: the warehouse answers %s", kind if kind.isidentifier() else "an error")
    why = f"The warehouse answers {kind}." if kind.isidentifier() else "The warehouse answers an error."
    todo = "Try again in a minute, with fewer days. If it stays so, look at the warehouse's connection, its user's rights, and its log."
    return _message(request, 503, "The warehouse can't be read", why, todo)


async def _on_busy(request: Request, error: Any) -> Response:
    answer = _message(
        request,
        503,
        "Too many pages are asked for",
        "Those before are still being read.",
        "Try again in some seconds.",
    )
    answer.headers["Retry-After"] = "5"
    return answer


async def _on_fault(request: Request, error: Any) -> Response:
    why = f"A {type(error).__name__} in the page itself; the API server's log has it."
    return _message(request, 500, "This page is broken", why, "Report it.")


async def _with_headers(app: App, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the headers that every answer has."""
    headers = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]

    async def send_with_headers(message: Any) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *headers]}
        await send(message)

    await app(scope, receive, send_with_headers)
