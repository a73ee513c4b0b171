"""The sandbox's own API under ``/_sandbox``: settings, faults, what was stored and what arrived."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request
from fastapi.responses import JSONResponse

from airflow_provider_sequence.sandbox import demo, records
from airflow_provider_sequence.sandbox.connection import STATE_KEY
from airflow_provider_sequence.sandbox.fault_responses import CUTS
from airflow_provider_sequence.sandbox.http import HTTPError
from airflow_provider_sequence.sandbox.resources import BY_TABLE
from airflow_provider_sequence.sandbox.sandbox import Sandbox
from airflow_provider_sequence.sandbox.store import Condition

Object = dict[str, Any]


#: A number that the store can hold.
Number = Annotated[int, Query(ge=0, lt=2**63)]


async def only_from_here(request: Request) -> None:
    """Refuse callers from other machines, and pages of other servers in a browser of this one: nothing asks for credentials."""
    try:
        address = ipaddress.ip_address(request.client.host if request.client else "")
    except ValueError:
        return  # a socket file or a client in this process has no address
    if not address.is_loopback:
        raise HTTPException(403, "the admin API answers to this machine only")
    named = request.headers.get("host", "localhost")
    if not _is_loopback(named):
        raise HTTPException(
            403, "the admin API answers under the names of this machine only: localhost, 127.0.0.1"
        )
    if request.headers.get("origin", f"http://{named}") != f"http://{named}":
        raise HTTPException(403, "the admin API does not answer to pages of other servers")


def _is_loopback(netloc: str) -> bool:
    try:
        name = urlsplit(f"//{netloc}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def install(app: FastAPI, sandbox: Sandbox) -> None:
    """Add the admin API and its way of refusing to the application."""
    # every endpoint is a coroutine, because the state belongs to the thread of the event loop
    router = APIRouter(prefix="/_sandbox", tags=["sandbox"], dependencies=[Depends(only_from_here)])

    @router.get("/settings")
    async def show_settings() -> Object:
        """Show every switch."""
        return sandbox.settings.shown()

    @router.patch("/settings")
    async def change_settings(changes: Object) -> Object:
        """Change some switches at once."""
        try:
            sandbox.configure(changes)
        except ValueError as error:
            raise HTTPError(400, str(error)) from None
        return sandbox.settings.shown()

    @router.post("/reset")
    async def reset() -> Object:
        """Forget events, documents, faults, limits and counts; back to the settings of the start."""
        sandbox.reset()
        return sandbox.summary()

    @router.get("/summary")
    async def show_summary() -> Object:
        """Show how much arrived and how much is stored."""
        return sandbox.summary()

    @router.get("/ledger")
    async def show_ledger(
        customerEventId: str | None = None,
        after_seq: Number = 0,
        limit: Number = 100,
        resource: str = "usage-events",
    ) -> Object:
        """Show the stored events in the order received, with their bodies as received."""
        if resource not in BY_TABLE:
            raise HTTPError(404, f"there is no {resource!r}")
        condition = Condition("seq > ?", (after_seq,))
        if customerEventId is not None:
            condition &= Condition("key = ?", (customerEventId,))
        found = sandbox.store.read(resource, condition, f"ORDER BY seq LIMIT {limit}")
        return {"items": [_shown(record._asdict()) for record in found]}

    @router.get("/requests")
    async def show_requests(limit: Number = 100) -> Object:
        """Show the last requests, the newest last."""
        return {"items": sandbox.request_log.last(limit)}

    @router.get("/faults")
    async def show_faults() -> Object:
        """Show the rules in force."""
        return {"items": sandbox.faults.shown()}

    @router.post("/faults", status_code=201)
    async def add_faults(request: Request, faults: Object | list[Object]) -> Object:
        """Add one rule or several."""
        added = faults if isinstance(faults, list) else [faults]
        if any(fault.get("kind") in CUTS for fault in added) and STATE_KEY not in request.scope.get(
            "state", {}
        ):
            raise HTTPError(
                501, "this server cannot cut connections: start python -m airflow_provider_sequence.sandbox"
            )
        try:
            for fault in added:
                sandbox.faults.add(fault)
        except ValueError as error:
            raise HTTPError(400, str(error)) from None
        return {"items": sandbox.faults.shown()}

    @router.delete("/faults")
    async def remove_faults() -> Object:
        """Remove all rules."""
        sandbox.faults.clear()
        return {"items": []}

    @router.post("/demo", status_code=201)
    async def load_demo() -> Object:
        """Load a small account: customers, metrics, invoices and what belongs to them."""
        return {"loaded": demo.load(sandbox.store, sandbox.identifiers)}

    async def load(table: str, items: Object | list[Object]) -> Object:
        """Load documents: customers, usage-metrics, invoices…"""
        given = items if isinstance(items, list) else [items]
        return {"items": records.load(table, given, sandbox.store, sandbox.identifiers)}

    router.add_api_route("/resources/{table:path}", load, methods=["POST"], status_code=201)
    router.add_api_route("/{table:path}", load, methods=["POST"], status_code=201, include_in_schema=False)
    app.include_router(router)

    async def refused(request: Request, refusal: Exception) -> JSONResponse:
        return JSONResponse({"error": str(refusal)}, getattr(refusal, "status", 500))

    app.add_exception_handler(HTTPError, refused)


def _shown(record: Object) -> Object:
    names = {"key": "customerEventId", "alias": "customerAlias"}
    flags = {"superseded", "repeated"}
    return {
        names.get(name, name): bool(value) if name in flags else value
        for name, value in record.items()
        if name != "parent"
    }
