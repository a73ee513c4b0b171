"""Stand-in for Trino: its REST protocol with the rows of one query, and errors in Trino's words; there is no engine."""

from __future__ import annotations

import contextlib
import http.server
import json
import re
import threading
from collections.abc import Iterator, Mapping
from typing import Any

_ANSWER = {"id": "q", "infoUri": "http://localhost", "stats": {"state": "FINISHED"}}


def _signature(type_: str) -> dict[str, Any]:
    """How Trino describes a type beside its name."""
    raw, parameters, zone = re.fullmatch(r"([a-z ]+)(?:\((.*)\))?( with time zone)?", type_).groups()
    arguments: list[dict[str, Any]] = []
    for each in re.split(r", (?![^(]*\))", parameters or "") if parameters else []:
        if each.isdigit():
            arguments.append({"kind": "LONG", "value": int(each)})
        elif raw == "row":
            name, _, of = each.partition(" ")
            value = {"fieldName": {"name": name}, "typeSignature": _signature(of)}
            arguments.append({"kind": "NAMED_TYPE", "value": value})
        else:
            arguments.append({"kind": "TYPE", "value": _signature(each)})
    return {"rawType": raw + (zone or ""), "arguments": arguments}


def _rows(row: Mapping[str, tuple[str, Any]]) -> dict[str, Any]:
    columns = [
        {"name": name, "type": type_, "typeSignature": _signature(type_)} for name, (type_, _) in row.items()
    ]
    return {**_ANSWER, "columns": columns, "data": [[value for _, value in row.values()]]}


def _error(name: str, message: str) -> dict[str, Any]:
    error = {"message": message, "errorCode": 1, "errorName": name, "errorType": "USER_ERROR"}
    return {**_ANSWER, "stats": {"state": "FAILED"}, "error": error}


@contextlib.contextmanager
def trino_server(row: Mapping[str, tuple[str, Any]]) -> Iterator[tuple[int, list[str]]]:
    """
    Listen on a port of 127.0.0.1; give the port, and the statements so far.

    :param row: the one row of the table ``used``: a type and a value, as Trino writes it, for each column.
    """
    statements: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            sql = self.rfile.read(int(self.headers["Content-Length"])).decode()
            statements.append(sql)
            if sql.endswith(" FROM used"):
                self._answer(_rows(row))
            elif "nowhere" in sql:
                self._answer(
                    _error("TABLE_NOT_FOUND", "line 1:1: Table 'hive.default.nowhere' does not exist")
                )
            else:
                self._answer(_rows({"version": ("varchar(3)", "470")}))

        def _answer(self, answer: dict[str, Any]) -> None:
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server.server_address[1], statements
    finally:
        server.shutdown()
        server.server_close()
