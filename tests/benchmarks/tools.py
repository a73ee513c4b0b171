"""The same pull by this provider and by its peers: each into a table of its own that is not there before."""

from __future__ import annotations

import sys
import tempfile
from typing import Any

from tests.benchmarks.world import PEERS_PYTHON, World

_PEERS = "tests.benchmarks.peers"


def ours(world: World, **options: Any) -> dict[str, Any]:
    world.sql("DROP TABLE IF EXISTS events")
    return _with_rows(world, world.run("pull", table="events", **options), "events")


def http_operator(world: World) -> dict[str, Any]:
    world.sql("DROP TABLE IF EXISTS http_operator_events")
    return _with_rows(
        world, world.process([sys.executable, "-m", f"{_PEERS}.http_operator"]), "http_operator_events"
    )


def careful_script(world: World) -> dict[str, Any]:
    world.sql("DROP TABLE IF EXISTS careful_script_events")
    cost = world.process([sys.executable, "-m", f"{_PEERS}.careful_script"], BENCH_API=world.base_url)
    return _with_rows(world, cost, "careful_script_events")


def dlt(world: World, windows: int = 1) -> dict[str, Any]:
    for schema in ("dlt", "dlt_staging"):
        world.sql(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
    host = world.url.query["host"].replace("/", "%2F")
    settings = {
        "BENCH_POSTGRES": f"postgresql://{world.url.username}:none@{host}/{world.url.database}",
        "BENCH_WINDOWS": str(windows),
        "EXTRACT__WORKERS": "8",
        "RUNTIME__DLTHUB_TELEMETRY": "false",
    }
    return _with_rows(world, _peer(world, "dlt_events", settings), "dlt.usage_events")


def singer(world: World) -> dict[str, Any]:
    world.sql("DROP SCHEMA IF EXISTS singer CASCADE")
    host = world.url.query["host"]
    settings = {
        "BENCH_POSTGRES": f"postgresql+psycopg://{world.url.username}@/{world.url.database}?host={host}"
    }
    cost = _peer(world, "singer", settings)
    # The time that the tap and the target take to start is not theirs to answer for.
    cost["seconds"] = cost["ended"] - cost["figures"]["first_at"]
    return _with_rows(world, cost, "singer.usage_events")


def _peer(world: World, name: str, settings: dict[str, str]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="peer") as folder:
        environment = {"BENCH_API": world.base_url, "BENCH_FOLDER": folder, **settings}
        return world.process([str(PEERS_PYTHON), "-m", f"{_PEERS}.{name}"], **environment)


def _with_rows(world: World, cost: dict[str, Any], table: str) -> dict[str, Any]:
    return cost | {"rows": world.count(table)}
