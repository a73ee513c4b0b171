"""Pulls of every list that Sequence has: filters, windows of dates, lists below an id, in each reading."""

from __future__ import annotations

import datetime as dt
import time
from decimal import Decimal
from typing import Any

import pytest

from airflow_provider_sequence.api.resources import RESOURCES, get_resource
from airflow_provider_sequence.hooks.sequence import SequenceHook
from airflow_provider_sequence.hooks.sql_engine import create_sql_engine
from airflow_provider_sequence.sandbox.resources import BY_PATH
from airflow_provider_sequence.transfers.sequence_to_sql import SequenceToSqlOperator
from tests.integration.support.airflow import interval_dag
from tests.integration.support.values import exact

DAY = (dt.datetime(2024, 3, 2, tzinfo=dt.UTC), dt.datetime(2024, 3, 3, tzinfo=dt.UTC))
MARCH = {"window_start": "2024-03-01", "window_end": "2024-04-01"}
EVENTS = {"usage_events", "seat_events"}
BOUNDS = [
    {"after_bound": after, "before_bound": before}
    for after in ("inclusive", "exclusive")
    for before in ("inclusive", "exclusive")
]
#: What a sandbox wants of an item before it takes it.
NEEDED = {
    "customer_aliases": {"customerId": "c-1", "value": "alias"},
    "invoice_line_items": {"invoiceId": "i-1"},
    "invoice_line_item_groups": {"invoiceId": "i-1"},
    "credit_note_line_items": {"creditNoteId": "n-1"},
    "credit_note_line_item_groups": {"creditNoteId": "n-1"},
    "invoice_currency_conversions": {"invoiceId": "i-1"},
    "customer_contacts": {"customerId": "c-1"},
    "aliases_by_customer": {"customerId": "c-1"},
    "credit_balances": {"customerId": "c-1"},
    "credit_grants": {"customerId": "c-1"},
    "customer_tax_registrations": {"customerId": "c-1"},
    "merchant_tax_registrations": {"merchantId": "m-1"},
}
#: Lists that the sandbox makes of others' records.
MADE_OF = {
    "aliases_by_customer": "customer_aliases",
    "customer_tax_registrations": "tax_registrations",
    "merchant_tax_registrations": "tax_registrations",
    "invoice_summaries": "invoices",
    "seat_balances": "customers",
}
TYPED = {
    "timestamp": "2024-03-02T12:00:00Z",
    "integer": 7,
    "boolean": True,
    "date": "2024-03-02",
    "number": 7.25,
    "json": {"deep": ["x", 1.10]},
    "text": "text, of ‘any’ kind",
}


@pytest.fixture
def hook(sequence_conn):
    hook = SequenceHook(deadline=5)
    yield hook
    hook.close()


@pytest.fixture
def pull(run_dag, sequence_conn, warehouse):
    """Pull a resource as a task over the day does; rows by id, as dicts, and what the task returned."""

    def pull(resource: str, table: str = "", fails: str = "", **options: Any) -> Any:
        with interval_dag(*DAY) as dag:
            SequenceToSqlOperator(
                task_id="pull",
                resource=resource,
                table=table or resource,
                sql_conn_id="warehouse",
                retries=0,
                **options,
            )
        result = run_dag(dag, DAY[1])
        if fails:
            assert result.states["pull"] == "failed"
            assert fails in str(result.error("pull"))
            return None
        assert result.states["pull"] == "success", result.errors
        return result.xcoms["pull"]

    return pull


def rows(warehouse: Any, table: str) -> dict[str, dict[str, Any]]:
    columns = [name for _, name, *_ in warehouse.rows(f"PRAGMA table_info({table})")]
    return {
        row[columns.index("id")]: dict(zip(columns, row, strict=True))
        for row in warehouse.rows(f"SELECT * FROM {table}")
    }


def table_of(resource: str) -> str:
    """The sandbox's name of a list."""
    return get_resource(MADE_OF.get(resource, resource)).path.strip("/").replace("/{id}", "")


def fill(sandbox: Any, resource: str, items: list[dict[str, Any]]) -> None:
    sandbox._admin("POST", f"/_sandbox/{table_of(resource)}", items)


def send(sandbox: Any, path: str, *bodies: dict[str, Any]) -> None:
    for body in bodies:
        assert sandbox.call("POST", path, json=body).status_code == 201


def usage(
    key: str, alias: str = "acme", at: str = "2024-03-02T12:00:00Z", kind: str = "call"
) -> dict[str, Any]:
    return {"customerEventId": key, "customerAlias": alias, "eventType": kind, "eventTimestamp": at}


def seats(key: str, alias: str, at: str = "2024-03-02T12:00:00Z") -> dict[str, Any]:
    return {
        "customerEventId": key,
        "customerAlias": alias,
        "seatType": "admin",
        "eventTimestamp": at,
        "total": 3,
    }


@pytest.mark.contract(off=True)
@pytest.mark.parametrize("name", sorted(set(RESOURCES) - EVENTS))
def test_every_list(name, sandbox, pull, warehouse):
    resource = get_resource(name)
    for parent, identifier in (("invoices", "i-1"), ("credit_notes", "n-1"), ("customers", "c-1")):
        if resource.parent is not None and resource.parent.name == parent:
            fill(sandbox, parent, [{"id": identifier}])
    archived = [one for one in resource.filter_names if one.startswith("include_archived")]
    documented = {field.name: TYPED[field.type] for field in resource.fields}
    sent = {
        f"id-{n}": documented
        | NEEDED.get(name, {})
        | {"id": f"id-{n}", "notDocumented": {"n": n}}
        | ({"value": f"alias-{n}"} if "aliases" in name else {})
        for n in range(105)
    }
    fill(sandbox, name, list(sent.values()))

    result = pull(name, filters=dict.fromkeys(archived, True))

    served = BY_PATH[resource.path.strip("/").replace("{id}", "*")]
    total = 105 if served.enveloped else None
    assert (result["reported_total"], result["read"], result["loaded"]) == (total, 105, 105)
    found = rows(warehouse, name)
    assert set(found) == set(sent)
    for identifier, row in found.items():
        if not served.fields and not served.texts and name != "seat_balances":
            assert exact(row["_extra"])["notDocumented"] == {"n": int(identifier[3:])}
        for field in () if name == "seat_balances" else resource.fields:
            value = row[field.column]
            if field.type == "json":
                assert exact(value) == {"deep": ["x", Decimal("1.1")]}
            elif field.type == "timestamp":
                assert value.startswith("2024-03-02 12:00:00")
            else:
                assert value == (
                    str(sent[identifier][field.name])
                    if field.type == "number"
                    else sent[identifier][field.name]
                )


def test_dates_and_exact_numbers(loopback, warehouse, airflow_db):
    from airflow_provider_sequence.pipelines.pull.pipeline import pull as pull_list
    from tests.unit.loopback import Reply

    given = {
        "plain": ("2024-03-02", "0.1"),
        "long": ("2024-03-02", "12345678901234567890123456789.123456789"),
        "time": ("2024-03-02T10:00:00Z", None),
        "odd": ("soon", "0.0000000001"),
    }
    items = ",".join(
        f'{{"id": "{key}", "effectiveDate": "{date}", "amount": {amount or "null"}}}'
        for key, (date, amount) in given.items()
    )

    def answer(request: Any) -> Reply:
        return Reply(200, f'{{"items": [{items}]}}')

    loopback.responses = [answer]
    with client_of(loopback) as client:
        pull_list(client, get_resource("credits"), create_sql_engine("warehouse"), "credits")
    found = {
        key: (row["effective_date"], row["amount"], exact(row["_extra"] or "{}"))
        for key, row in rows(warehouse, "credits").items()
    }
    assert found == {
        "plain": ("2024-03-02", "0.1", {}),
        "long": ("2024-03-02", "12345678901234567890123456789.123456789", {}),
        "time": ("2024-03-02", None, {"effectiveDate": "2024-03-02T10:00:00Z"}),
        "odd": (None, None, {"effectiveDate": "soon", "amount": Decimal("1E-10")}),
    }


@pytest.mark.parametrize("made_by", ["version 0.1", "somebody else"])
def test_table_of_an_earlier_version_gets_the_new_columns(made_by, sandbox, pull, warehouse):
    resource = get_resource("credit_notes")
    old = [field.column for field in resource.fields if not field.added]
    if made_by == "somebody else":
        old.remove("memo")
    columns = ", ".join(f"{name} TEXT" for name in old if name != "id")
    warehouse.execute(
        f"CREATE TABLE credit_notes (id TEXT PRIMARY KEY, {columns}, _extra TEXT, _loaded_at TIMESTAMP)"
    )
    fill(sandbox, "credit_notes", [{"id": "n-1", "balance": "1.10", "issueDate": "2024-03-02"}])
    pull("credit_notes")
    [row] = rows(warehouse, "credit_notes").values()
    assert row["issue_date"] == "2024-03-02"
    new = {field.column for field in resource.fields if field.added}
    if made_by == "version 0.1":
        assert new <= row.keys()
        assert row["balance"] == "1.10"
    else:
        assert not new & row.keys()
        assert exact(row["_extra"])["balance"] == "1.10"


def test_every_list_that_is_empty(sandbox, hook, pull, warehouse):
    for name in RESOURCES:
        assert list(hook.list(name)) == []
        assert hook.count(name) == 0
    assert pull("invoice_line_items")["loaded"] == 0
    assert rows(warehouse, "invoice_line_items") == {}


MONEY = ["0.10", "12345678901234567890.123456789", "-0.00", "1e2", "100"]


def test_money_keeps_every_character(sandbox, pull, warehouse):
    fill(
        sandbox,
        "invoices",
        [{"id": f"i{n}", "netTotal": text, "grossTotal": text} for n, text in enumerate(MONEY)],
    )
    pull("invoices")
    assert {key: row["gross_total"] for key, row in rows(warehouse, "invoices").items()} == {
        f"i{n}": text for n, text in enumerate(MONEY)
    }


@pytest.mark.parametrize(
    ("name", "field", "reading"),
    [
        *(
            ("invoices", "dueDate", bounds | {"total": total})
            for bounds in BOUNDS
            for total in ("exact", "absent")
        ),
        ("billing_schedules", "startDate", {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value.values()),
)
def test_windows_of_dates(name, field, reading, sandbox, pull, warehouse, hook):
    sandbox.settings(**reading)
    days = ["2024-02-28", "2024-02-29", "2024-03-01", "2024-03-15", "2024-03-31", "2024-04-01", "2024-04-02"]
    fill(sandbox, name, [{"id": day, field: day} for day in days])
    fill(sandbox, name, [{"id": "never"}])

    assert pull(name, **MARCH)["loaded"] == 3
    assert set(rows(warehouse, name)) == {"2024-03-01", "2024-03-15", "2024-03-31"}
    assert hook.count(name, **MARCH) == 3
    pull(name, "next", window_start="2024-04-01", window_end="2024-05-01")
    assert set(rows(warehouse, "next")) == {"2024-04-01", "2024-04-02"}
    # Without a window, a run reads the whole list, and not what falls due in its data interval.
    assert pull(name, "whole")["loaded"] == 8


def test_lookback_of_a_list_of_dates_is_of_the_data_interval(sandbox, pull, warehouse):
    fill(sandbox, "invoices", [{"id": f"{day:02}", "dueDate": f"2024-03-{day:02}"} for day in range(1, 6)])
    pull("invoices", lookback=dt.timedelta(days=1))
    assert set(rows(warehouse, "invoices")) == {"01", "02"}


def line_items(sandbox: Any) -> None:
    """Invoices of which the second has many line items, and the third none."""
    fill(
        sandbox,
        "invoices",
        [{"id": f"i{n}", "dueDate": f"2024-0{n}-10", "customerId": f"c{n % 2}"} for n in range(1, 5)],
    )
    fill(
        sandbox,
        "invoice_line_items",
        [
            {"id": f"{invoice}-{n}", "invoiceId": invoice, "netTotal": "1.10"}
            for invoice, count in (("i1", 3), ("i2", 205), ("i4", 1))
            for n in range(count)
        ],
    )


@pytest.mark.parametrize("total", ["exact", "absent", "estimate_low"])
def test_lists_below_an_id(total, sandbox, pull, warehouse, hook):
    line_items(sandbox)
    sandbox.settings(total=total)
    result = pull("invoice_line_items")

    assert result["read"] == result["loaded"] == 209
    assert result["reported_total"] == {"exact": 209, "absent": None}.get(total, result["reported_total"])
    found = rows(warehouse, "invoice_line_items")
    assert len(found) == 209
    assert all(row["invoice_id"] == key.partition("-")[0] for key, row in found.items())
    assert {row["net_total"] for row in found.values()} == {"1.10"}
    assert hook.count("invoice_line_items") == len(list(hook.list("invoice_line_items"))) == 209


def test_window_and_filters_of_a_list_below_an_id_are_the_parents(sandbox, pull, warehouse, hook):
    line_items(sandbox)
    assert pull("invoice_line_items", **MARCH)["loaded"] == 0
    february = {"window_start": "2024-02-01", "window_end": "2024-03-01"}
    assert pull("invoice_line_items", **february)["loaded"] == 205
    assert {row["invoice_id"] for row in rows(warehouse, "invoice_line_items").values()} == {"i2"}
    assert pull("invoice_line_items", "of_c1", filters={"customer_id": "c1"})["loaded"] == 3
    assert {row["invoice_id"] for row in rows(warehouse, "of_c1").values()} == {"i1"}
    assert hook.count("invoice_line_items", customer_id="c1") == 3
    pull("invoice_line_items", "none", filters={"nope": 1}, fails="nope")
    pull("tax_rates", "none", window_start="2024-01-01", fails="tax_rates")
    assert "none" not in warehouse.tables()


def test_id_of_the_parent_is_filled_in_where_the_api_leaves_it_out(loopback, warehouse, airflow_db):
    from tests.unit.loopback import Reply

    def answer(request: Any) -> Reply:
        items = {
            "/api/credit-notes": [{"id": "n.1"}, {"id": "n:2"}],
            "/api/credit-notes/n.1/line-items": [{"id": "a"}, {"id": "b", "creditNoteId": None}],
            "/api/credit-notes/n%3A2/line-items": [{"id": "c", "creditNoteId": "n:2"}],
        }[request.path]
        return Reply(200, {"items": items, "pagination": {"totalResultSize": len(items)}})

    loopback.responses = [answer]
    with client_of(loopback) as client:
        from airflow_provider_sequence.pipelines.pull.pipeline import pull

        summary = pull(
            client, get_resource("credit_note_line_items"), create_sql_engine("warehouse"), "lines"
        )
    assert summary.loaded == summary.reported_total == 3
    assert {key: row["credit_note_id"] for key, row in rows(warehouse, "lines").items()} == {
        "a": "n.1",
        "b": "n.1",
        "c": "n:2",
    }


@pytest.mark.parametrize("short", ["/api/invoices", "/api/invoices/i2/line-items"])
def test_one_incomplete_list_below_an_id_fails_the_pull(short, loopback, warehouse, airflow_db):
    from airflow_provider_sequence.exceptions import IncompletePullError
    from airflow_provider_sequence.pipelines.pull.pipeline import pull
    from tests.unit.loopback import Reply

    def answer(request: Any) -> Reply:
        number = request.path.split("/")[3] if "line-items" in request.path else ""
        items = [{"id": f"{number}-1"}] if number else [{"id": "i1"}, {"id": "i2"}, {"id": "i3"}]
        total = len(items) + (request.path == short)
        return Reply(200, {"items": items, "pagination": {"totalResultSize": total}})

    warehouse.execute(
        "CREATE TABLE lines (id TEXT PRIMARY KEY, invoice_id TEXT, _extra TEXT, _loaded_at TEXT)"
    )
    warehouse.execute("INSERT INTO lines VALUES ('old', 'i0', NULL, NULL)")
    loopback.responses = [answer]
    with (
        client_of(loopback) as client,
        pytest.raises(IncompletePullError),
    ):
        pull(client, get_resource("invoice_line_items"), create_sql_engine("warehouse"), "lines")
    assert set(rows(warehouse, "lines")) == {"old"}


@pytest.mark.parametrize("arrives", [True, False])
def test_only_incomplete_lists_are_read_again(arrives, loopback, warehouse, airflow_db):
    from airflow_provider_sequence.exceptions import IncompletePullError
    from airflow_provider_sequence.pipelines.pull.pipeline import pull
    from tests.unit.loopback import Reply

    readings: dict[str, int] = {}

    def answer(request: Any) -> Reply:
        alias = dict(request.query)["customerAlias"]
        readings[alias] = readings.get(alias, 0) + 1
        whole = alias == "a" or (arrives and readings[alias] > 1)
        items = [{"id": f"{alias}{n}", "customerAlias": alias} for n in range(3 if whole else 2)]
        return Reply(200, {"items": items, "pagination": {"totalResultSize": 3}})

    loopback.responses = [answer]
    filters = {"customer_alias": ["a", "b", "c"]}
    with client_of(loopback) as client:
        if not arrives:
            with pytest.raises(IncompletePullError):
                pull(
                    client,
                    get_resource("usage_events"),
                    create_sql_engine("warehouse"),
                    "events",
                    filters=filters,
                )
            assert warehouse.tables() == set()
            return
        seen: list[Any] = []
        summary = pull(
            client,
            get_resource("usage_events"),
            create_sql_engine("warehouse"),
            "events",
            filters=filters,
            on_progress=lambda *numbers: seen.append(numbers),
        )
    assert (summary.reported_total, summary.read, summary.loaded) == (9, 9, 9)
    assert readings == {"a": 1, "b": 2, "c": 2}
    assert seen == [(3, 3), (5, 6), (7, 9), (10, 9), (13, 9)]


@pytest.fixture
def loopback():
    from tests.unit.loopback import Loopback

    with Loopback() as double:
        yield double


def client_of(loopback: Any) -> Any:
    from airflow_provider_sequence.api.client import SequenceClient

    return SequenceClient(loopback.api_url, "key", "secret", requests_per_minute=10**6, deadline=5)


ALIASES = ["acme", "a", "b", "a,b", "100%", "%61", "Acme", "ü & ö", "株式会社"]


WANTED = [
    ["acme"],
    ["a", "b"],
    ["a,b"],
    ["b", "a,b", "acme"],
    ["100%", "ü & ö"],
    ["株式会社", "Acme", "acme"],
    ["nobody"],
]


@pytest.mark.parametrize("separator", ["repeated", "comma", "both"])
def test_customer_aliases_in_each_reading_of_several(separator, sandbox, pull, warehouse, hook):
    sandbox.settings(customer_alias_parameter=separator)
    events = [usage(f"{alias}-{n}", alias) for alias in ALIASES for n in range(2)]
    send(sandbox, "/usage-events", *events)
    send(
        sandbox,
        "/usage-events",
        *(usage(f"late {alias}", alias, "2024-03-03T00:00:00Z") for alias in ALIASES),
    )
    for number, wanted in enumerate(WANTED):
        expected = {event["customerEventId"] for event in events if event["customerAlias"] in wanted}

        result = pull("usage_events", f"events_{number}", filters={"customer_alias": wanted + wanted})

        assert result["loaded"] == len(expected), wanted
        pulled = rows(warehouse, f"events_{number}").values()
        assert {row["customer_event_id"] for row in pulled} == expected, wanted
        window = {"window_start": DAY[0], "window_end": DAY[1], "customer_alias": wanted}
        listed = [item["customerEventId"] for item in hook.list("usage_events", **window)]
        assert sorted(listed) == sorted(expected), wanted
        assert hook.count("usage_events", **window) == len(expected), wanted


@pytest.mark.parametrize("total", ["exact", "absent"])
def test_many_events_of_several_aliases(total, sandbox, pull, hook):
    sandbox.settings(total=total)
    for alias, count in (("a", 105), ("b", 5), ("c", 5)):
        send(sandbox, "/usage-events", *(usage(f"{alias}-{n}", alias) for n in range(count)))
    result = pull("usage_events", filters={"customer_alias": ["a", "c"]})
    assert result["read"] == result["loaded"] == 110
    assert result["reported_total"] == (110 if total == "exact" else None)
    assert hook.count("usage_events", customer_alias=["a", "c"]) == 110


@pytest.mark.contract(off=True)
def test_one_incomplete_list_of_several_aliases_fails_the_pull(sandbox, pull, warehouse):
    send(sandbox, "/usage-events", usage("1", "a"), usage("2", "b"))
    sandbox.settings(total="estimate_high")
    pull("usage_events", filters={"customer_alias": ["a", "b"]}, fails="as it was before")
    assert warehouse.tables() == set()


def test_more_customers_than_a_request_takes(sandbox, pull, warehouse, hook):
    customers = [f"c-{n}" for n in range(60)]
    fill(sandbox, "customers", [{"id": customer} for customer in customers])
    fill(sandbox, "customer_aliases", [{"customerId": c, "value": f"alias of {c}"} for c in customers])
    send(
        sandbox,
        "/seat-events",
        *(seats(f"s{n}", f"alias of {customer}") for n, customer in enumerate(customers)),
    )
    wanted = customers[3:55]

    result = pull("seat_events", filters={"customer_ids": [*wanted, *wanted]})

    assert result["reported_total"] == result["loaded"] == 52
    expected = {f"s{n}" for n in range(3, 55)}
    assert {row["customer_event_id"] for row in rows(warehouse, "seat_events").values()} == expected
    listed = [item["customerEventId"] for item in hook.list("seat_events", customer_ids=wanted)]
    assert set(listed) == expected
    assert len(listed) == 52
    assert hook.count("seat_events", customer_ids=wanted) == 52


@pytest.mark.parametrize("reading", ["id", "customer_event_id"])
def test_an_event_id_in_either_reading(reading, sandbox, pull, hook):
    sandbox.settings(event_id_filter=reading)
    send(sandbox, "/usage-events", usage("e-1"), usage("e-2"))
    [event] = [item for item in hook.list("usage_events") if item["customerEventId"] == "e-1"]
    wanted = event["id"] if reading == "id" else "e-1"
    assert [item["id"] for item in hook.list("usage_events", event_id=wanted)] == [event["id"]]
    assert hook.count("usage_events", event_id=wanted) == 1
    assert pull("usage_events", filters={"event_id": wanted})["loaded"] == 1


KINDS = ["a,b", "a", "b", "100%", "c d", "c%20d", "ü", "A"]


@pytest.mark.contract(off=True)
@pytest.mark.parametrize("reading", ["decoded_after_split", "split_before_decoding"])
def test_metrics_by_event_types_of_any_characters(reading, sandbox, pull, warehouse, hook):
    sandbox.settings(listed_values=reading)
    fill(sandbox, "usage_metrics", [{"id": kind, "name": "m", "eventType": kind} for kind in KINDS])
    lists = [["a"], ["a", "b"], ["a,b"], ["100%", "c d", "b"], ["c%20d"], ["ü", "a"]]
    for number, wanted in enumerate(lists):
        pull("usage_metrics", f"metrics_{number}", filters={"event_type": wanted})
        assert set(rows(warehouse, f"metrics_{number}")) == set(wanted)
        assert hook.count("usage_metrics", event_type=wanted) == len(wanted)


def test_documented_filters_of_other_lists(sandbox, hook):
    fill(sandbox, "customers", [{"id": "c-1"}, {"id": "c-2"}])
    fill(
        sandbox,
        "customer_aliases",
        [{"customerId": "c-1", "value": "a,b"}, {"customerId": "c-2", "value": "x"}],
    )
    assert [item["id"] for item in hook.list("customers", alias="a,b")] == ["c-1"]
    assert [item["customerId"] for item in hook.list("customer_aliases", value="x")] == ["c-2"]
    fill(sandbox, "invoices", [{"id": "i1", "status": "SENT"}, {"id": "i2", "status": "DRAFT"}])
    assert [item["id"] for item in hook.list("invoices", invoice_status="SENT")] == ["i1"]


@pytest.mark.parametrize("order", ["ASC", "DESC"])
def test_order_changes_nothing_but_the_order(order, sandbox, pull, hook):
    send(sandbox, "/usage-events", *(usage(f"e-{n:03}") for n in range(120)))
    listed = [
        item["customerEventId"] for item in hook.list("usage_events", sort_order=order, sort_by="createdAt")
    ]
    assert listed == sorted(listed, reverse=order == "DESC")
    assert len(listed) == 120
    assert pull("usage_events", filters={"sort_order": order})["loaded"] == 120


@pytest.mark.contract(off=True)
def test_offset_is_for_listing_only(sandbox, pull, warehouse, hook):
    send(sandbox, "/usage-events", *(usage(f"e-{n:03}") for n in range(220)))
    listed = [item["customerEventId"] for item in hook.list("usage_events", offset=15)]
    assert listed == [f"e-{n:03}" for n in reversed(range(205))]
    pull("usage_events", filters={"offset": 15}, fails="offset")
    assert warehouse.tables() == set()
    with pytest.raises(Exception, match="offset"):
        hook.count("usage_events", offset=15)


def test_rows_that_are_gone_keep_their_time_of_loading(sandbox, pull, warehouse):
    fill(sandbox, "products", [{"id": "p1", "name": "one"}, {"id": "p2", "name": "two"}])
    pull("products")
    first = rows(warehouse, "products")
    sandbox.reset()
    fill(sandbox, "products", [{"id": "p2", "name": "two, renamed"}, {"id": "p3", "name": "three"}])
    time.sleep(0.01)
    pull("products")
    second = rows(warehouse, "products")
    assert set(second) == {"p1", "p2", "p3"}
    assert second["p1"] == first["p1"]
    assert second["p2"]["name"] == "two, renamed"
    latest = max(row["_loaded_at"] for row in second.values())
    assert {key for key, row in second.items() if row["_loaded_at"] < latest} == {"p1"}


EXPIRED = {"status": 400, "body": {"error": {"type": "BadRequest"}}, "content_type": "application/json"}


@pytest.mark.parametrize("resource", ["invoices", "invoice_line_items"])
def test_list_whose_cursor_expired_is_read_anew(resource, pull, sandbox, warehouse):
    fill(sandbox, "invoices", [{"id": f"i{n}"} for n in range(150)])
    fill(sandbox, "invoice_line_items", [{"id": f"l{n}", "invoiceId": "i7"} for n in range(150)])
    sandbox.fault(**EXPIRED, path="/invoices", method="GET", after_n=1, times=1)
    assert pull(resource)["loaded"] == 150
    assert len(rows(warehouse, resource)) == 150


def test_invoice_that_was_deleted_before_its_line_items_were_read(run_dag, sandbox, sequence_conn, warehouse):
    """The next attempt lists the invoices anew."""
    line_items(sandbox)
    sandbox.fault(**EXPIRED, path="/invoices/i2/line-items", method="GET")
    with interval_dag(*DAY) as dag:
        SequenceToSqlOperator(
            task_id="pull", resource="invoice_line_items", table="t", sql_conn_id="warehouse", retries=1
        )
    result = run_dag(dag, DAY[1], between_tries=sandbox.clear_faults)
    assert result.states["pull"] == "success", result.errors
    assert (result.tries["pull"], result.xcoms["pull"]["loaded"]) == (2, 209)
