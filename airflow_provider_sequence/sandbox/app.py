"""The application: the API of Sequence under ``/api``, the sandbox's own under ``/_sandbox``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from airflow_provider_sequence.sandbox import admin
from airflow_provider_sequence.sandbox.api import ApiApp
from airflow_provider_sequence.sandbox.sandbox import Sandbox
from airflow_provider_sequence.sandbox.settings import SandboxSettings


def create_app(settings: SandboxSettings | None = None, database: str = ":memory:") -> FastAPI:
    """
    Return a sandbox as an ASGI application. It keeps its state itself: one process, one worker.

    :param settings: how it reads what the documents leave open; the defaults if left out.
    :param database: ``:memory:``, or the path of an SQLite file that keeps events over restarts.
    """
    sandbox = Sandbox(settings or SandboxSettings(), database)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        sandbox.store.close()

    app = FastAPI(
        title="Sequence sandbox",
        docs_url="/_sandbox/docs",
        openapi_url="/_sandbox/openapi.json",
        redoc_url=None,
        lifespan=lifespan,
    )
    app.mount("/api", ApiApp(sandbox))
    admin.install(app, sandbox)
    return app
