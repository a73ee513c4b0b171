"""ClickHouse's own engine behind its HTTP interface, in the environment that has it: ``python clickhouse_server.py port``."""

from __future__ import annotations

import gzip
import http.server
import sys
import urllib.parse

from chdb import session

engine = session.Session()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(200, b"Ok.\n")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
        sql = "\n".join(filter(None, [query.get("query"), body.decode()]))
        try:
            self._answer(200, engine.query(sql, query.get("default_format", "TabSeparated")).bytes())
        except RuntimeError as error:
            code = str(error).partition("Code: ")[2].partition(".")[0]
            self._answer(500, str(error).encode(), {"X-ClickHouse-Exception-Code": code})

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Length": str(len(body)),
            "X-ClickHouse-Timezone": "UTC",
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


# One after another: the engine is one.
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
