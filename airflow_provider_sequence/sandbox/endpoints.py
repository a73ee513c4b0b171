"""Which method on which path does what."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from airflow_provider_sequence.sandbox import events, pages, records, usage_metrics
from airflow_provider_sequence.sandbox.filters import json_field
from airflow_provider_sequence.sandbox.http import JSON, HTTPError, Request, Response, json_response
from airflow_provider_sequence.sandbox.resources import BY_PATH, BY_TABLE, RESOURCES, Resource
from airflow_provider_sequence.sandbox.sandbox import Sandbox
from airflow_provider_sequence.sandbox.store import Condition, Record

#: Gets the sandbox, the request and the id in the path, which is empty where the path has none.
Endpoint = Callable[[Sandbox, Request, str], Response]


def serve(sandbox: Sandbox, request: Request) -> Response:
    """
    Return the answer of the endpoint a request is for.

    :raises HTTPError: there is no such path, it has no such method, or the endpoint refuses.
    """
    methods, identifier = _find(request.path)
    if not methods:
        raise HTTPError(404, f"there is nothing at /{'/'.join(request.path)}")
    if request.method not in methods:
        raise HTTPError(
            405,
            f"/{'/'.join(request.path)} does not take {request.method}",
            headers={"Allow": ", ".join(methods)},
        )
    return methods[request.method](sandbox, request, identifier)


def _find(path: tuple[str, ...]) -> tuple[dict[str, Endpoint], str]:
    """Return the methods of a path, and the id in it."""
    if path in _ENDPOINTS:
        return _ENDPOINTS[path], ""
    for place in (1, 2):
        methods = _ENDPOINTS.get((*path[:place], "*", *path[place + 1 :]))
        if methods and len(path) > place:
            return methods, path[place]
    return {}, ""


def _render(resource: Resource, sandbox: Sandbox) -> Callable[[Record], bytes]:
    """Return what makes the JSON of an item of this list."""
    settings, kind = sandbox.settings, resource.kind
    if kind:
        return lambda record: events.render(kind, record, settings)
    if resource.path == "seat-balances":
        return lambda record: records.balance(record, settings, sandbox.store)
    return lambda record: records.render(resource, record, settings)


def _lister(resource: Resource) -> Endpoint:
    def list_items(sandbox: Sandbox, request: Request, parent: str) -> Response:
        base = Condition()
        if resource.parent:
            _existing(sandbox, resource.parent, parent, resource.missing)
        if "*" in resource.path:
            base = Condition(f"{json_field(resource.parent_field)} = ?", (parent,))
        body = pages.page(
            resource,
            request.query,
            sandbox.settings,
            sandbox.store,
            sandbox.cursors,
            _render(resource, sandbox),
            base,
        )
        return Response(200, body)

    return list_items


def _reader(resource: Resource) -> Endpoint:
    def read_item(sandbox: Sandbox, request: Request, identifier: str) -> Response:
        record = _existing(sandbox, resource.source, identifier, resource.missing)
        return Response(200, _render(resource, sandbox)(record))

    return read_item


def _poster(resource: Resource, kind: events.EventKind) -> Endpoint:
    def post_event(sandbox: Sandbox, request: Request, _: str) -> Response:
        _require_json(request)
        record = events.accept(kind, request.body, sandbox.settings, sandbox.identifiers)
        stored = sandbox.store.add_event(resource.source, record)
        return Response(sandbox.settings.post_status, events.render(kind, stored, sandbox.settings))

    return post_event


def _calculate(sandbox: Sandbox, request: Request, identifier: str) -> Response:
    metric = msgspec.json.decode(_existing(sandbox, "usage-metrics", identifier).body, type=dict)
    return json_response(
        usage_metrics.calculate(
            metric, request.query, sandbox.settings, sandbox.store, BY_PATH["usage-events"]
        )
    )


def _post_alias(sandbox: Sandbox, request: Request, _: str) -> Response:
    key = request.headers.get("idempotency-key")
    if key is not None and key in sandbox.repeatable:
        return sandbox.repeatable[key]
    _require_json(request)
    fields = records.alias_fields(request.body, sandbox.settings)
    _existing(sandbox, "customers", fields["customerId"])
    resource = BY_TABLE["customer-aliases"]
    try:
        record = records.add(resource, fields, sandbox.store, sandbox.identifiers)
    except HTTPError as refusal:
        raise HTTPError(_status(sandbox, refusal.status), refusal.reason) from None
    answer = Response(201, records.render(resource, record, sandbox.settings))
    if key is not None:
        sandbox.repeatable[key] = answer
    return answer


def _existing(sandbox: Sandbox, table: str, identifier: str, documented: int = 400) -> Record:
    record = sandbox.store.get(table, identifier)
    if record is None:
        raise HTTPError(_status(sandbox, 404, documented), f"{table} has no {identifier}")
    return record


def _status(sandbox: Sandbox, customary: int, documented: int = 400) -> int:
    return customary if sandbox.settings.missing_status == "customary" else documented


def _require_json(request: Request) -> None:
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != JSON:
        raise HTTPError(400, f"Content-Type must be {JSON}, not {content_type or 'left out'}")


def _endpoints() -> dict[tuple[str, ...], dict[str, Endpoint]]:
    table: dict[tuple[str, ...], dict[str, Endpoint]] = {}
    for resource in RESOURCES:
        path = tuple(resource.path.split("/"))
        methods = table.setdefault(path, {})
        methods["GET"] = _lister(resource)
        if resource.kind:
            methods["POST"] = _poster(resource, resource.kind)
        if resource.readable:
            table[*path, "*"] = {"GET": _reader(resource)}
    table["usage-metrics", "*", "calculate"] = {"GET": _calculate}
    table["customer-aliases",]["POST"] = _post_alias
    return table


_ENDPOINTS = _endpoints()
