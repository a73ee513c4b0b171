"""A sandbox, a way to it that may break, a PostgreSQL and real operators; and what has to be true of them afterwards."""

from __future__ import annotations

import itertools
import json
import os
import re
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import requests

from tests.faults.proxy import HttpProxy
from tests.faults.runner import Run, Runner, Running
from tests.integration.support.databases import Warehouse
from tests.integration.support.values import exact
from tests.support.server import Server

CLIENT_ID, CLIENT_SECRET = "cl1ent-5e1d0a", "s3cr3t-77aa42"
ALIAS, PROPERTY, NUMBER = "al1as-7f3a", "pr0p-91cc", "441592653589"
SETTINGS = {
    "usage_events_per_minute": 0,
    "requests_per_minute": 0,
    "client_id": CLIENT_ID,
    "client_secret": CLIENT_SECRET,
}
#: What must not be seen in anything that a run prints, raises, returns or logs.
SECRETS = (
    CLIENT_ID,
    CLIENT_SECRET,
    b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode(),
    ALIAS,
    PROPERTY,
    NUMBER,
)
WINDOW = {"window_start": "2026-03-01T00:00:00Z", "window_end": "2026-03-02T00:00:00Z"}

_number = itertools.count()


@dataclass(frozen=True)
class Row:
    """A row of usage, as it stands in the warehouse."""

    number: int
    id: str
    alias: str
    properties: str
    at: str = "2026-03-01T12:00:00Z"
    type: str = "api-call"


def make_rows(number: int, *, versions: int = 1, start: int = 0) -> list[Row]:
    """Rows; each id occurs ``versions`` times, with another body each time, far apart from each other."""
    rows = []
    for version in range(versions):
        for i in range(start, start + number):
            properties = json.dumps({"k": f"{PROPERTY}-{i}", "v": version})[:-1] + f', "n": {NUMBER}.{i}0}}'
            rows.append(Row(len(rows), f"e-{i:05}", f"{ALIAS}-{i % 7}", properties))
    return rows


class World:
    """See the module.

    :param server: the sandbox.
    :param proxy: what stands before it.
    :param runner: makes processes.
    :param warehouse: the database.
    :param warehouse_connection: the Airflow connection to it.
    """

    def __init__(
        self,
        server: Server,
        proxy: HttpProxy,
        runner: Runner,
        warehouse: Warehouse,
        warehouse_connection: str,
    ) -> None:
        self.server, self.proxy, self.runner, self.warehouse = server, proxy, runner, warehouse
        self.warehouse_connection = warehouse_connection
        self.start_over()

    def start_over(self) -> None:
        """An empty sandbox and tables of new names."""
        self.server.start_over()
        self.server.check(check_answers=False)  # wrong ones are what this is about
        self.proxy.start_over()
        self.new_tables()

    def new_tables(self) -> None:
        number = f"{os.getpid()}_{next(_number)}"
        self.usage, self.log, self.staged = f"usage_{number}", f"log_{number}", f"staged_{number}"
        self.order = "number"

    # --- what there is ---

    def put(self, rows: Sequence[Row]) -> None:
        """Fill the warehouse's table of usage."""
        self.rows = rows
        self.warehouse.execute(
            f"CREATE TABLE {self.usage} (number INTEGER, customer_event_id TEXT, customer_alias TEXT,"
            " event_type TEXT, event_timestamp TEXT, event_properties TEXT)"
        )
        if rows:
            self.warehouse.execute(
                f"INSERT INTO {self.usage} VALUES (:number, :id, :alias, :type, :at, :properties)",
                *[vars(row) for row in rows],
            )

    def drop(self) -> None:
        self.warehouse.execute(f"DROP TABLE IF EXISTS {self.usage}, {self.log}, {self.staged}")

    def ledger(self, resource: str = "usage-events") -> list[dict[str, Any]]:
        """What the sandbox has stored, in the order received."""
        return self.ledger_of(self.server, resource)

    @staticmethod
    def ledger_of(server: Server, resource: str = "usage-events") -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        while True:
            after = items[-1]["seq"] if items else 0
            page = requests.get(
                f"{server.base_url}/_sandbox/ledger",
                {"after_seq": after, "limit": 5000, "resource": resource},
                timeout=60,
            ).json()["items"]
            if not page:
                return items
            items += page

    def requests(self) -> list[dict[str, Any]]:
        """All that arrived, in order: its time, method, path and status."""
        return requests.get(
            f"{self.server.base_url}/_sandbox/requests", {"limit": 10_000}, timeout=60
        ).json()["items"]

    def delivery_log(self) -> dict[str, dict[str, Any]]:
        if self.log not in self.warehouse.tables():
            return {}
        names = "customer_event_id, status, body_hash, sequence_id, http_status, reason, attempts"
        return {
            row[0]: dict(zip(names.split(", "), row, strict=True))
            for row in self.warehouse.rows(f"SELECT {names} FROM {self.log}")
        }

    def snapshot(self, table: str | None = None, *, with_time: bool = True) -> list[str]:
        """Every row of the staging table, as text."""
        row = "t::text" if with_time else "(to_jsonb(t) - '_loaded_at')::text"
        return [
            text for (text,) in self.warehouse.rows(f"SELECT {row} FROM {table or self.staged} t ORDER BY id")
        ]

    def faults_applied(self) -> int:
        """How many requests were stored, without the client being told."""
        kinds = {
            "reset_after",
            "hang_after",
            "truncate",
            "invalid_json",
            "empty_body",
            "wrong_content_type",
            "slow_drip",
        }
        shown = requests.get(f"{self.server.base_url}/_sandbox/faults", timeout=30).json()["items"]
        return self.proxy.applied() + sum(
            fault["used"] for fault in shown if fault["kind"] in kinds or fault.get("applied")
        )

    # --- runs ---

    def environment(
        self, host: str | None = None, *, extra: Mapping[str, Any] | None = None
    ) -> dict[str, str]:
        limits = {"requests_per_minute": 600_000, "usage_events_per_minute": 600_000, "timeout": 20}
        sequence = {
            "conn_type": "sequence",
            "host": host or self.proxy.api_url,
            "login": CLIENT_ID,
            "password": CLIENT_SECRET,
            "extra": limits | dict(extra or {}),
        }
        return {
            "AIRFLOW_CONN_SEQUENCE": json.dumps(sequence),
            "AIRFLOW_CONN_WAREHOUSE": self.warehouse_connection,
        }

    def start(
        self,
        kind: str,
        options: Mapping[str, Any],
        *,
        deadline: float = 1.0,
        host: str | None = None,
        extra: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
        record_after: int | None = None,
        slice_items: int | None = 20,
        as_patient_as_users: bool = False,
        haste: int = 1,
    ) -> Running:
        job = {
            "kind": kind,
            "options": dict(options),
            "client": {"deadline": deadline},
            "record_after": record_after,
            "slice_items": slice_items,
            "as_patient_as_users": as_patient_as_users,
            "haste": haste,
            "environment": self.environment(host, extra=extra) | dict(environment or {}),
        }
        return self.runner.start(job)

    def start_and_wait(self, kind: str, options: Mapping[str, Any], **how: Any) -> Running:
        """Start a run past the proxy, and wait until its operator is about to begin."""
        running = self.start(kind, options, **{"deadline": 30, "host": self.server.api_url} | how)
        while not (running.folder / "begun").exists() and not running.is_over():
            time.sleep(0.002)
        return running

    def wait_for_request(self, running: Running) -> None:
        """Wait until a run has sent something, or is over."""
        before = self.server.summary()["requests"]
        while self.server.summary()["requests"] == before and not running.is_over():
            time.sleep(0.005)

    def run(self, kind: str, options: Mapping[str, Any], *, within: float = 90, **how: Any) -> Run:
        """Run something to its end; its words are searched for secrets."""
        run = self.start(kind, options, **how).wait(within)
        self.check_secrets(run)
        return run

    def push_options(self, **options: Any) -> dict[str, Any]:
        return (
            {
                "sql": f"SELECT * FROM {self.usage} ORDER BY {self.order}",
                "columns": {},
                "sql_conn_id": "warehouse",
                "delivery_log_table": self.log,
                "concurrency": 4,
            }
            | self._unused_number()
            | options
        )

    def _unused_number(self) -> dict[str, Any]:
        names = "customer_event_id, customer_alias, event_type, event_timestamp, event_properties"
        return {"sql": f"SELECT {names} FROM {self.usage} ORDER BY {self.order}"}

    def push(self, how: Mapping[str, Any] | None = None, **options: Any) -> Run:
        return self.run("push", self.push_options(**options), **(how or {}))

    def pull_options(self, resource: str = "usage_events", **options: Any) -> dict[str, Any]:
        window = WINDOW if resource in {"usage_events", "seat_events"} else {}
        return {"resource": resource, "table": self.staged, "sql_conn_id": "warehouse"} | window | options

    def pull(
        self, resource: str = "usage_events", how: Mapping[str, Any] | None = None, **options: Any
    ) -> Run:
        return self.run("pull", self.pull_options(resource, **options), **(how or {}))

    # --- what has to be true ---

    def check_secrets(self, run: Run) -> None:
        check_no_secrets(run.everything(), "what the run said")
        # Customers' aliases are in the log on purpose, and the bodies of rejected events.
        for table, kept in ((self.log, " - 'rejected_body' - 'customer_alias'"), ("sequence_runs", "")):
            if table in self.warehouse.tables():
                seen = self.warehouse.rows(
                    f"SELECT (to_jsonb(t){kept})::text FROM {table} t"
                    f" WHERE (to_jsonb(t){kept})::text ~ '{'|'.join(map(re.escape, SECRETS))}'"
                )
                assert not seen, f"{table} holds secrets: {seen[:3]}"

    def check_summary(self, run: Run) -> None:
        """Each row has one outcome."""
        value = run.value
        assert value["rows"] == len(self.rows), value
        assert value["rows"] == value["delivered"] + value["unchanged"] + value["rejected"], value

    def check_log_against_ledger(self, *, in_flight: int = 0) -> int:
        """
        What the log says is delivered, is; what was delivered, the log knows.

        :param in_flight: how many ids may be unknown to the log though they are stored.
        :return: how many are.
        """
        stored: dict[str, dict[str, dict[str, Any]]] = {}
        for item in self.ledger():
            stored.setdefault(item["customerEventId"], {})[item["id"]] = item
        log = self.delivery_log()
        for event_id, entry in log.items():
            if entry["status"] == "delivered":
                assert entry["sequence_id"] in stored.get(event_id, {}), (
                    f"{event_id} was never delivered: {entry}"
                )
        unknown = [
            event_id
            for event_id in stored
            if log.get(event_id, {}).get("status") not in {"delivered", "rejected"}
        ]
        assert len(unknown) <= in_flight, (
            f"{len(unknown)} were delivered and are not in the log: {unknown[:5]}"
        )
        return len(unknown)

    def check_complete(self, *, rejected: Iterable[str] = ()) -> Counter[str]:
        """
        Each event is delivered, its last row is what Sequence goes by, and the log says the same.

        :return: how often each id was stored.
        """
        wanted = {row.id: row for row in self.rows}
        refused = set(rejected)
        items = self.ledger()
        last = {item["customerEventId"]: item for item in items}
        assert last.keys() == wanted.keys() - refused, (
            f"lost: {sorted(wanted.keys() - refused - last.keys())[:5]},"
            f" unasked: {sorted(last.keys() - wanted.keys() | last.keys() & refused)[:5]}"
        )
        for event_id, item in last.items():
            body, row = exact(item["body"]), wanted[event_id]
            assert body["customerAlias"] == row.alias
            assert body["eventType"] == row.type
            assert body["eventProperties"] == exact(row.properties), f"{event_id}: another row won"
        log = self.delivery_log()
        assert log.keys() == wanted.keys()
        ids = {(item["customerEventId"], item["id"]): item["body"] for item in items}
        for event_id, entry in log.items():
            if event_id in refused:
                assert entry["status"] == "rejected", entry
                continue
            assert entry["status"] == "delivered", entry
            assert exact(ids[event_id, entry["sequence_id"]]) == exact(last[event_id]["body"]), event_id
        return Counter(item["customerEventId"] for item in items)

    def repeats(self) -> int:
        """How many posts repeated a body that was stored already for its id."""
        seen: dict[str, str] = {}
        repeats = 0
        for item in self.ledger():
            repeats += seen.get(item["customerEventId"]) == item["body"]
            seen[item["customerEventId"]] = item["body"]
        return repeats

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        return self.server.call(method, path, auth=(CLIENT_ID, CLIENT_SECRET), **options)

    def list_all(self, path: str, **query: Any) -> list[dict[str, Any]]:
        """A whole list, by another client than the one under test."""
        items: list[dict[str, Any]] = []
        after = None
        while True:
            page = json.loads(
                self.call("GET", path, params=query | ({"after": after} if after else {})).text,
                parse_float=Decimal,
            )
            items += page["items"]
            after = (page.get("pagination") or {}).get("after")
            if not after:
                return items


def check_no_secrets(text: str, where: str) -> None:
    for secret in SECRETS:
        at = text.find(secret)
        assert at < 0, f"{where} holds {secret!r}: …{text[max(0, at - 300) : at + 100]}…"
