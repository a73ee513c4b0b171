"""A million rows: what a push costs where nearly all of them were delivered before, and that memory does not grow."""

from __future__ import annotations

from typing import Any

from tests.benchmarks import push
from tests.benchmarks.report import Found
from tests.benchmarks.world import World

FEW, MANY = 10_000, 1_000_000
#: Of a hundred rows, one is sent; more of the others a second would not be felt.
DECIDED = push.PER_MINUTE // 60 * 100


def changed(world: World, repeats: int) -> Found:
    """Push again what was delivered: with nothing changed, and with one row of a hundred changed."""
    found = Found()
    _delivered(world, MANY)
    world.server()
    nothing = _push(world, MANY)
    world.sql(f"UPDATE usage_{MANY} SET tokens = tokens + 1 WHERE right(customer_event_id, 2) = '42'")
    world.server()
    some = _push(world, MANY)
    requests, changed = some["figures"]["requests"], MANY // 100
    found.line(
        "push of 1,000,000 rows of which 1 % changed: requests",
        "the changed rows",
        f"{requests:,} of {changed:,} changed, in {some['seconds']:.0f} s",
        requests == changed and nothing["figures"]["requests"] == 0,
    )
    rate = MANY / nothing["seconds"]
    found.line(
        "unchanged rows decided through the delivery log, a second",
        f"≥ {DECIDED:,}: while the account's limit lets 1 % of them be sent",
        f"{rate:,.0f}; {nothing['cpu'] / MANY * 1e6:.0f} µs of CPU a row",
        rate >= DECIDED and nothing["value"]["unchanged"] == MANY,
    )
    return found


def memory(world: World, repeats: int) -> Found:
    """Peaks of processes of their own. A million requests would take long: the client of that push answers itself."""
    found = Found()
    imported = world.run("nothing")["peak_mb"]
    table = [["what", "10,000 rows, MB", "1,000,000 rows, MB"]]
    peaks: dict[str, list[float]] = {"push, every row sent": [], "push, every row unchanged": [], "pull": []}
    for number in (FEW, MANY):
        peaks["push, every row sent"].append(_delivered(world, number)["peak_mb"])
        peaks["push, every row unchanged"].append(_push(world, number)["peak_mb"])
        world.sql("DROP TABLE IF EXISTS events")
        world.server(events=number)
        pulled = world.run("pull", table="events")
        peaks["pull"].append(pulled["peak_mb"])
        if world.count("events") != number:
            raise RuntimeError(f"{number} events were to be pulled")
    for name, (few, many) in peaks.items():
        table.append([name, f"{few:.0f}", f"{many:.0f}"])
        over = max(few, many) - imported
        found.line(
            f"memory of a {name}: 1,000,000 rows against 10,000",
            "≤ 20 MB apart, ≤ 60 MB over a process that has imported Airflow",
            f"{abs(many - few):.0f} MB apart, {over:.0f} MB over",
            abs(many - few) <= 20 and over <= 60,
        )
    found.line(*_wide(world, imported))
    table.append(["a process that has imported Airflow", f"{imported:.0f}", ""])
    found.tables["Peaks of memory"] = table
    return found


def _wide(world: World, imported: float) -> tuple[str, str, str, bool]:
    """Push rows of 200 kB."""
    world.sql("DROP TABLE IF EXISTS usage_wide")
    columns = (
        "customer_event_id, customer_alias, event_timestamp, repeat(md5(customer_event_id), 6250) AS document"
    )
    push.rows(world, 3000)
    world.sql(f"CREATE TABLE usage_wide AS SELECT {columns} FROM usage_3000")
    world.server()
    done = world.run("push", sql="SELECT * FROM usage_wide", delivery_log_table="log_wide")
    over = done["peak_mb"] - imported
    what = "memory of a push of 3,000 rows of 200 kB"
    met = over <= 120 and done["value"]["delivered"] == 3000
    return what, "≤ 120 MB over a process that has imported Airflow", f"{over:.0f} MB over", met


def _delivered(world: World, number: int) -> dict[str, Any]:
    """Have all rows delivered, so that the log knows them; give what that cost. Done once for each number."""
    if number not in world.delivered:
        push.rows(world, number)
        world.sql(f"DROP TABLE IF EXISTS log_{number}")
        world.delivered[number] = _push(world, number, answers_itself=True)
    return world.delivered[number]


def _push(world: World, number: int, **options: Any) -> dict[str, Any]:
    return world.run(
        "push",
        sql=f"SELECT * FROM usage_{number}",
        delivery_log_table=f"log_{number}",
        **options,
    )
