"""An account whose lists have two pages each, on a sandbox of its own, and tables with the whole of each list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from tests.faults.proxy import HttpProxy
from tests.faults.runner import Run, Runner
from tests.faults.world import ALIAS, NUMBER, PROPERTY, SETTINGS, World
from tests.integration.support.databases import Warehouse
from tests.support.server import Server

METRIC = "00000000-0000-4000-8002-000000000001"


@dataclass(frozen=True)
class Question:
    """A kind of GET.

    :param path: which requests go wrong.
    :param after_n: how many of them go well first.
    :param concurrency: how many lists, or slices of one, are read side by side.
    """

    name: str
    path: str
    after_n: int = 0
    concurrency: int = 1

    def __str__(self) -> str:
        return self.name if self.concurrency == 1 else f"{self.name}, {self.concurrency} side by side"

    def ask(self, world: World, how: Mapping[str, Any] | None = None) -> Run:
        return world.pull(self.name, how, concurrency=self.concurrency)


PULLS = [
    Question("usage_events", "/usage-events", 1),
    Question("seat_events", "/seat-events", 1),
    Question("customers", "/customers", 1),
    Question("invoice_line_items", "/invoices/*/line-items", 3),
    Question("usage_events", "/usage-events", 2, concurrency=8),
    Question("invoice_line_items", "/invoices/*/line-items", 3, concurrency=8),
]


def load_account(world: World) -> None:
    """An account of which each list has two pages."""
    server = world.server
    server._admin("POST", "/_sandbox/demo")
    server.add("customers", [{"legalName": f"{ALIAS} {i}", "aliases": [f"{ALIAS}-{i}"]} for i in range(110)])

    def post(i: int) -> None:
        at = f"2026-03-01T{i // 60:02}:{i % 60:02}:00Z"
        body = f'{{"customerEventId": "u-{i}", "customerAlias": "acme", "eventType": "message-sent", "eventTimestamp": "{at}", "eventProperties": {{"length": {i}.10, "k": "{PROPERTY}-{i}", "n": {NUMBER}.0}}}}'
        headers = {"Content-Type": "application/json"}
        assert world.call("POST", "/usage-events", data=body.encode(), headers=headers).status_code == 201
        seats = {"customerEventId": f"s-{i}", "customerAlias": f"{ALIAS}-{i % 9}", "seatType": "admin"}
        answer = world.call("POST", "/seat-events", json=seats | {"eventTimestamp": at, "total": i})
        assert answer.status_code == 201, answer.text

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(post, range(120)))


@pytest.fixture(scope="session")
def account(runner: Runner, database: tuple[Warehouse, str]) -> Iterator[tuple[World, dict[str, str]]]:
    """The world with the account in it, and the names of the tables."""
    with Server(SETTINGS) as server, HttpProxy(server.base_url) as proxy:
        yield from _account(World(server, proxy, runner, *database))


def _account(world: World) -> Iterator[tuple[World, dict[str, str]]]:
    load_account(world)
    bases = {}
    run = PULLS[4].ask(world)
    assert run.value["requests"] > 4, "it was not read in slices"
    world.new_tables()
    for question in PULLS[:4]:
        run = world.pull(question.name)
        assert run.is_right, run.said
        bases[question.name] = world.staged
        assert len(world.snapshot()) > 5
        world.new_tables()
    yield world, bases


@pytest.fixture
def old(account: tuple[World, dict[str, str]]) -> Iterator[World]:
    """The account, with no faults, and no table yet."""
    world, bases = account
    world.server.clear_faults()
    world.proxy.start_over()
    world.new_tables()
    world.bases = bases
    yield world
    world.drop()
    assert world.server.violations() == []


def old_table(world: World, resource: str) -> list[str]:
    """Half of the list, as it was loaded long ago with other values."""
    base = world.bases[resource]
    world.warehouse.execute(f"CREATE TABLE {world.staged} (LIKE {base} INCLUDING ALL)")
    world.warehouse.execute(
        f"INSERT INTO {world.staged} SELECT * FROM {base} ORDER BY md5(id) LIMIT (SELECT count(*)/2 FROM {base})"
    )
    world.warehouse.execute(f"UPDATE {world.staged} SET _loaded_at = '2001-01-01', _extra = '{{\"old\": 1}}'")
    return world.snapshot()


def check_table(world: World, resource: str) -> None:
    assert world.snapshot(with_time=False) == world.snapshot(world.bases[resource], with_time=False)
