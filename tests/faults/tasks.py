"""The tasks that write to Sequence: what there is before each, and what has to be true once it has come to its end."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

from airflow_provider_sequence.pipelines.delivery_log import hash_body
from tests.faults.world import ALIAS, NUMBER, World, make_rows
from tests.integration.support.values import exact

VOID = "VOID"


class Task:
    """
    One kind of task.

    A task is prepared, then something goes wrong with it; in the end it runs undisturbed. All runs take the same way to
    the server, for a delivery log belongs to an address.
    """

    name: str
    kind = "push"
    path = "/usage-events"
    ledger = "usage-events"

    def prepare(self, world: World) -> None:
        raise NotImplementedError

    def options(self, world: World) -> dict[str, Any]:
        return world.push_options(concurrency=8)

    def change_of_mind(self, world: World) -> None:
        """What happens in the warehouse before the task is tried again."""

    def check_end(self, world: World, value: dict[str, Any]) -> None:
        """All is as it should be, after the run that returned this."""
        raise NotImplementedError

    def check_claims(self, world: World) -> dict[str, tuple[Any, ...]]:
        """
        What the log says Sequence holds, it holds.

        :return: for each id what the log says.
        """
        last = {item["customerEventId"]: item for item in world.ledger(self.ledger)}
        log = world.delivery_log()
        for event_id, entry in log.items():
            if entry["status"] in {"delivered", "voided"} and event_id not in self.known_to_be_wrong(world):
                assert event_id in last, f"{event_id} is claimed to be there: {entry}"
                assert entry["body_hash"] == hash_body(last[event_id]["body"].encode()), (
                    f"{event_id}: {entry}"
                )
        return {event_id: (entry["status"], entry["body_hash"]) for event_id, entry in log.items()}

    def known_to_be_wrong(self, world: World) -> set[str]:
        return set()


class Correction(Task):
    """Every row was delivered, and says something else now."""

    name = "push of corrected rows"

    def prepare(self, world: World) -> None:
        world.put(make_rows(80))
        first = world.push()
        assert first.is_right, first.said
        self._say(world, "corrected")

    def _say(self, world: World, what: str) -> None:
        rows = [
            replace(row, properties=json.dumps({"said": what})[:-1] + f', "n": {NUMBER}.10}}')
            for row in world.rows
        ]
        world.warehouse.execute(f"DROP TABLE {world.usage}")
        world.put(rows)

    def check_end(self, world: World, value: dict[str, Any]) -> None:
        world.check_complete()
        assert value["delivered"] + value["unchanged"] == 80
        assert value["conflicting"] == value["rejected"] == 0


class TakenBack(Correction):
    """The same; before the next try, every row says again what it said at first."""

    name = "push of corrected rows, corrected back before the next try"

    def prepare(self, world: World) -> None:
        world.put(make_rows(80))
        self._say_at_first(world)
        first = world.push()
        assert first.is_right, first.said
        self._say(world, "corrected")

    def _say_at_first(self, world: World) -> None:
        self._say(world, "at first")

    def change_of_mind(self, world: World) -> None:
        self._say_at_first(world)


class RetryOfRejected(Task):
    """Every row was refused once, and the query gives them no more: they are sent from the log."""

    name = "push with `retry_rejected`"

    def prepare(self, world: World) -> None:
        world.put(make_rows(80))
        world.server.fault(status=400, method="POST")
        first = world.push(max_rejected=80)
        assert first.is_right, first.said
        world.server.clear_faults()
        assert world.ledger() == []

    def options(self, world: World) -> dict[str, Any]:
        nothing = world.push_options()["sql"].replace("ORDER BY", "WHERE number < 0 ORDER BY")
        return world.push_options(sql=nothing, retry_rejected=True, concurrency=8)

    def check_end(self, world: World, value: dict[str, Any]) -> None:
        world.check_complete()
        assert value["rows"] == 0
        assert value["retried"]["rows"] == value["retried"]["delivered"] + value["retried"]["rejected"]


class Voiding(Task):
    """Half of what was delivered is voided."""

    name = "voiding"
    kind = "void"

    def prepare(self, world: World) -> None:
        world.put(make_rows(120))
        first = world.push()
        assert first.is_right, first.said

    def options(self, world: World) -> dict[str, Any]:
        sql = f"SELECT customer_event_id, event_timestamp FROM {world.usage} WHERE number % 2 = 0"
        return {
            "sql": sql,
            "sql_conn_id": "warehouse",
            "delivery_log_table": world.log,
            "concurrency": 8,
        }

    def check_end(self, world: World, value: dict[str, Any]) -> None:
        assert value["delivered"] + value["unchanged"] == 60
        wanted = {row.id: VOID if row.number % 2 == 0 else row.alias for row in world.rows}
        last = {item["customerEventId"]: exact(item["body"]) for item in world.ledger()}
        assert {event_id: body["customerAlias"] for event_id, body in last.items()} == wanted
        status = {event_id: entry["status"] for event_id, entry in world.delivery_log().items()}
        assert status == {
            event_id: "voided" if alias == VOID else "delivered" for event_id, alias in wanted.items()
        }
        again = world.push()
        assert again.is_right, again.said
        assert (again.value["delivered"], again.value["unchanged"], again.value["voided"]) == (0, 120, 60)


class Seats(Task):
    """Totals of several customers, each at several times; the query gives them in no order."""

    name = "push of seats"
    kind = "seats"
    path = "/seat-events"
    ledger = "seat-events"

    def prepare(self, world: World) -> None:
        totals = [(customer, hour, customer * 100 + hour) for customer in range(8) for hour in range(12)]
        random.Random(3).shuffle(totals)
        self.totals = totals
        world.warehouse.execute(
            f"CREATE TABLE {world.usage} (number INTEGER, customer_event_id TEXT, customer_alias TEXT,"
            " seat_type TEXT, event_timestamp TEXT, total INTEGER)"
        )
        world.warehouse.execute(
            f"INSERT INTO {world.usage} VALUES (:n, :id, :alias, 'member', :at, :total)",
            *[
                {
                    "n": number,
                    "id": f"s-{customer:02}-{hour:02}",
                    "alias": f"{ALIAS}-{customer}",
                    "at": f"2026-03-01T{hour:02}:00:00Z",
                    "total": total,
                }
                for number, (customer, hour, total) in enumerate(totals)
            ],
        )

    def options(self, world: World) -> dict[str, Any]:
        names = "customer_event_id, customer_alias, seat_type, event_timestamp, total"
        sql = f"SELECT {names} FROM {world.usage} ORDER BY number"
        return world.push_options(sql=sql, concurrency=4)

    def check_end(self, world: World, value: dict[str, Any]) -> None:
        """The totals stand in the order of their times, whichever way Sequence takes the last one."""
        assert value["delivered"] + value["unchanged"] == len(self.totals)
        wanted = {f"s-{customer:02}-{hour:02}": total for customer, hour, total in self.totals}
        items = world.ledger(self.ledger)
        last = {item["customerEventId"]: exact(item["body"])["total"] for item in items}
        assert last == wanted
        place = {item["customerEventId"]: number for number, item in enumerate(items)}
        for customer in range(8):
            ids = [f"s-{customer:02}-{hour:02}" for hour in range(12)]
            assert sorted(ids, key=place.__getitem__) == ids, "an older total arrived after a newer one"
        assert {entry["status"] for entry in world.delivery_log().values()} == {"delivered"}


class Resending(Task):
    """A reconciliation that sends what Sequence lacks, and what it has otherwise; something was voided, too."""

    name = "reconciliation that sends again"
    kind = "reconcile"

    def prepare(self, world: World) -> None:
        world.put(make_rows(100))
        pushed = world.push_options(concurrency=8)
        pushed["sql"] = pushed["sql"].replace("ORDER BY", "WHERE number >= 40 ORDER BY")
        first = world.run("push", pushed)
        assert first.is_right, first.said
        void = Voiding().options(world)
        void["sql"] += " AND number >= 90"
        voided = world.run("void", void)
        assert voided.is_right, voided.said
        self._changed_by_others = {row.id for row in world.rows if 40 <= row.number < 70}
        for row in world.rows[40:70]:
            body = {
                "customerEventId": row.id,
                "customerAlias": ALIAS,
                "eventType": row.type,
                "eventTimestamp": row.at,
            }
            assert world.call("POST", "/usage-events", json=body).ok

    def known_to_be_wrong(self, world: World) -> set[str]:
        """What the log can't know, until it is sent again."""
        return self._changed_by_others

    def options(self, world: World) -> dict[str, Any]:
        return {
            "sql": world.push_options()["sql"],
            "sql_conn_id": "warehouse",
            "delivery_log_table": world.log,
            "differences_table": world.staged,
            "resend": True,
            "concurrency": 8,
            "window_start": "2026-03-01T00:00:00Z",
            "window_end": "2026-03-02T00:00:00Z",
        }

    def check_end(self, world: World, value: dict[str, Any]) -> None:
        assert (value["expected"], value["voided"]) == (100, 5)
        assert value["missing"] == value["different"] == value["unexpected"] == 0
        last = {item["customerEventId"]: exact(item["body"]) for item in world.ledger()}
        voided = {row.id for row in world.rows[90::2]}
        for row in world.rows:
            assert last[row.id]["customerAlias"] == (VOID if row.id in voided else row.alias)
            if row.id not in voided:
                assert last[row.id]["eventProperties"] == exact(row.properties)
        found = world.warehouse.rows(f"SELECT customer_event_id, difference FROM {world.staged}")
        assert sorted(found) == sorted((event_id, "voided") for event_id in voided)
        # What arrived without an answer was found to be right, and not sent: the log learns of it from the next push.
        log = world.delivery_log()
        unknown = {
            row.id for row in world.rows if log.get(row.id, {}).get("status") not in {"delivered", "voided"}
        }
        again = world.push()
        assert again.is_right, again.said
        assert (again.value["delivered"], again.value["unchanged"]) == (len(unknown), 100 - len(unknown))
        assert world.push().value["unchanged"] == 100
        self._changed_by_others = set()
        self.check_claims(world)


TASKS = [Correction(), TakenBack(), RetryOfRejected(), Voiding(), Seats(), Resending()]
