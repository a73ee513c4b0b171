"""
The sandbox against what is known of the API: many made-up requests, by schemathesis.

    python -m tests.contract.fuzz .cache/schema/bin/schemathesis [SECONDS]

No answer may be a 5xx, have another status or shape than described, or refuse a request that is valid.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.contract.contract import Contract, load
from tests.contract.openapi import document
from tests.support.server import CREDENTIALS, Server

#: What the description calls a text, and only some values of which are valid: a date, a column, a flag.
VALID = {
    "sortBy": ["createdAt"],
    "autoSendInvoices": ["true", "false"],
    "includeArchivedSchedules": ["true", "false"],
    "includeOpenEndedSchedules": ["true", "false"],
    **{
        f"{time}{side}": ["2024-01-31", "2026-11-01"]
        for time in ("due", "sent", "invoice", "starting", "ending")
        for side in ("After", "Before")
    },
}
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"
    "positive_data_acceptance"
)
#: An alias that is taken is refused, however valid it looks.
CONFIG = """
[[operations]]
include-operation-id = "POST /customer-aliases"
checks.positive_data_acceptance.expected-statuses = ["2xx", "400"]
"""
SETTINGS = {"usage_events_per_minute": 0, "requests_per_minute": 0, "max_text_length": 0}


def known_values(server: Server, contract: Contract) -> dict[str, list[str]]:
    """Ids and cursors of the account, for each call that takes them."""
    ids: dict[str, list[str]] = {}
    known: dict[str, list[str]] = dict(VALID)
    for endpoint in contract.endpoints:
        if endpoint.method == "GET" and "{id}" not in endpoint.path:
            limit = {"limit": 1} if "limit" in endpoint.query.parameters else {}
            page: dict[str, Any] = server.call("GET", endpoint.path, params=limit).json()
            ids[endpoint.path.split("/")[1]] = [one["id"] for one in page["items"] if isinstance(one, dict)]
            if after := page.get("pagination", {}).get("after"):
                known[f"{endpoint.name} after"] = [after]
    parents = {"credits": "customers", "tax-registrations": "customers"}
    for endpoint in contract.endpoints:
        if "{id}" in endpoint.path:
            table = endpoint.path.split("/")[1]
            known[f"{endpoint.name} id"] = ids[parents.get(table, table)]
    known["customerId"] = ids["customers"]
    return known


def main(schemathesis: str, seconds: str = "120") -> int:
    """Return the exit code of schemathesis: 0 where nothing was found."""
    contract = load()
    with Server(SETTINGS) as server, tempfile.TemporaryDirectory() as folder:
        server._admin("POST", "/_sandbox/demo")
        event = {"customerAlias": "acme", "eventTimestamp": "2024-01-01T00:00:00Z"}
        for number in range(2):
            ids = {"customerEventId": str(number)}
            server.call("POST", "/usage-events", json=event | ids | {"eventType": "message-sent"})
            server.call("POST", "/seat-events", json=event | ids | {"seatType": "admin", "total": 3})
        described = Path(folder) / "openapi.json"
        described.write_text(json.dumps(document(contract, server.base_url, known_values(server, contract))))
        (Path(folder) / "schemathesis.toml").write_text(CONFIG)
        server.check(check_requests=False)
        command = [
            schemathesis,
            "run",
            str(described),
            "--url",
            server.api_url,
            "--auth",
            ":".join(CREDENTIALS),
        ]
        command += ["--header", "Sequence-Version: 2024-07-30", "--checks", CHECKS, "--max-time", seconds]
        command += ["--phases", "coverage,fuzzing", "--generation-database", "none", "--continue-on-failure"]
        command += ["--no-color", "--warnings", "off"]
        found = subprocess.run(command, cwd=folder, check=False).returncode
        broken = server.violations()
        print(*broken, sep="\n")
        return found or int(bool(broken))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
