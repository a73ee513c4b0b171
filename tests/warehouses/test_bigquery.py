"""What is BigQuery's own: types that its REST API has, load jobs, staged tables, names, and which errors are permanent."""

from __future__ import annotations

import datetime as dt
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Column, MetaData, Table

from airflow_provider_sequence.api.event_mapper import EventMapper
from airflow_provider_sequence.api.events import USAGE_EVENT
from airflow_provider_sequence.exceptions import InvalidEventError, WarehouseError
from airflow_provider_sequence.hooks.sql_engine import create_sql_engine
from airflow_provider_sequence.warehouse.databases.bigquery import load_file
from airflow_provider_sequence.warehouse.ddl import existing_columns
from airflow_provider_sequence.warehouse.dialects import DIALECTS
from airflow_provider_sequence.warehouse.engine import connect
from airflow_provider_sequence.warehouse.errors import database_errors
from airflow_provider_sequence.warehouse.reader import read_rows
from airflow_provider_sequence.warehouse.staging import StagingColumn, StagingLoad
from airflow_provider_sequence.warehouse.temp_tables import create_temp_table
from airflow_provider_sequence.warehouse.types import KEY_TEXT
from tests.warehouses.bigquery import PROJECT, answering, make_client
from tests.warehouses.conftest import Standin

Serve = Callable[[int, dict[str, Any]], list[bytes]]
COLUMNS = [
    StagingColumn("id", "key"),
    StagingColumn("name", "text"),
    StagingColumn("seen_at", "timestamp"),
    StagingColumn("size", "integer"),
    StagingColumn("is_new", "boolean"),
    StagingColumn("facts", "json"),
]
DIGITS = "1234567890" * 3


@pytest.fixture
def serve(bigquery: Standin, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Make BigQuery answer each request in one way; it gives the requests' bodies."""
    with ExitStack() as stack:

        def serve(status: int, body: dict[str, Any]) -> list[bytes]:
            url, requests = stack.enter_context(answering(status, body))
            monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", url)
            return requests

        yield serve


def record(*fields: tuple[str, str], **more: str) -> dict[str, Any]:
    return {"type": "RECORD", "fields": [{"name": name, "type": kind} for name, kind in fields], **more}


#: A column as the REST API describes it, a value as it comes there, and what is sent.
VALUES = [
    ({"type": "INTEGER"}, "9223372036854775807", "9223372036854775807"),
    ({"type": "INTEGER", "mode": "REPEATED"}, [{"v": "1"}, {"v": "2"}], "[1,2]"),
    ({"type": "NUMERIC"}, f"{DIGITS[:29]}.123456780", f"{DIGITS[:29]}.123456780"),
    ({"type": "BIGNUMERIC"}, f"-{DIGITS}.{DIGITS}12345678", f"-{DIGITS}.{DIGITS}12345678"),
    ({"type": "FLOAT"}, "0.1", "0.1"),
    ({"type": "FLOAT"}, "1.0E30", f"1{'0' * 30}"),
    ({"type": "BOOLEAN"}, "false", "false"),
    ({"type": "STRING"}, "1.10", '"1.10"'),
    ({"type": "TIMESTAMP"}, "1772359200000001", '"2026-03-01T10:00:00.000001Z"'),
    ({"type": "DATETIME"}, "2026-03-01T10:00:00.000001", '"2026-03-01T10:00:00.000001"'),
    ({"type": "DATE"}, "2026-03-01", '"2026-03-01"'),
    ({"type": "TIME"}, "10:00:00.000001", '"10:00:00.000001"'),
    ({"type": "GEOGRAPHY"}, "POINT(1 2)", '"POINT(1 2)"'),
    ({"type": "RANGE", "rangeElementType": {"type": "DATE"}}, "[2026-03-01, UNBOUNDED)", '{"start":"2026-03-01","end":null}'),
    ({"type": "JSON"}, f'{{"n": 1.10, "m":{DIGITS}.{DIGITS}}}', f'{{"n": 1.10, "m":{DIGITS}.{DIGITS}}}'),
    ({"type": "JSON"}, "null", "null"),
    ({"type": "JSON", "mode": "REPEATED"}, [{"v": "1.10"}, {"v": '"é"'}], '[1.10,"é"]'),
    (record(("n", "NUMERIC"), ("j", "JSON"), ("z", "JSON")), {"f": [{"v": "0.10"}, {"v": "[1.10]"}, {"v": None}]},
     '{"n":0.10,"j":[1.10],"z":null}'),
    (record(("j", "JSON"), mode="REPEATED"), [{"v": {"f": [{"v": "1.10"}]}}], '[{"j":1.10}]'),
]  # fmt: skip


def respond(serve: Serve, *columns: tuple[dict[str, Any], Any]) -> None:
    """Respond to a query with one row; the columns are p0, p1, …"""
    body = {
        "jobComplete": True,
        "jobReference": {"projectId": PROJECT, "jobId": "j", "location": "EU"},
        "schema": {"fields": [{"name": f"p{place}", **field} for place, (field, _) in enumerate(columns)]},
        "rows": [{"f": [{"v": value} for _, value in columns]}],
        "totalRows": "1",
    }
    serve(200, body)


def properties() -> list[str]:
    """JSON text of each property of the event of the one row that there is."""
    constants = {"event_type": "call", "customer_alias": "acme", "event_timestamp": "2026-03-01T10:00:00Z"}
    with read_rows(create_sql_engine("warehouse"), "SELECT * FROM t") as result:
        ((row,),) = result.batches
        mapper = EventMapper(USAGE_EVENT, ["customer_event_id", *result.columns], constants=constants)
    event = msgspec.json.decode(mapper(["e", *row]).body, type=dict[str, msgspec.Raw])
    return [
        bytes(each).decode()
        for each in msgspec.json.decode(event["eventProperties"], type=dict[str, msgspec.Raw]).values()
    ]


def test_value_of_each_type_keeps_every_digit(serve):
    respond(serve, *((field, value) for field, value, _ in VALUES))
    assert properties() == [sent for _, _, sent in VALUES]


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        ("FLOAT", "NaN", "NaN"),
        ("FLOAT", "-Infinity", "infinite"),
        ("BYTES", "YWJj", "bytes"),
        ("INTERVAL", "0-0 1 0:0:0", "cast it in the query"),
    ],
)
def test_value_that_json_cannot_hold_is_refused_by_name(serve, kind, value, reason):
    respond(serve, ({"type": kind}, value))
    with pytest.raises(InvalidEventError, match=rf"^eventProperties\.p0: .*{reason}"):
        properties()


def error_body(status: int, reason: str, message: str) -> dict[str, Any]:
    errors = [{"message": message, "domain": "global", "reason": reason}]
    return {"error": {"code": status, "message": message, "errors": errors}}


@pytest.mark.parametrize(
    ("status", "reason", "message", "permanent", "shown"),
    [
        (400, "invalidQuery", 'Syntax error: Unexpected "x" at [1:1]', True, "Syntax error: Unexpected … at [1:1]"),
        (400, "invalidQuery", "Unrecognized name: nothing at [1:8]", True, "Unrecognized name: nothing at [1:8]"),
        (400, "invalidQuery", "Bad int64 value: ann@example.org", True, "Bad int64 value: …"),
        (400, "invalidQuery", "Could not parse 'ann' as a date", True, "Could not parse … as a date"),
        (400, "invalidQuery", "Could not serialize access to table p:d.t due to concurrent update", False, "p:d.t"),
        (404, "notFound", "Not found: Table p:d.t was not found in location EU", True, "Not found: Table p:d.t"),
        (403, "accessDenied", "Access Denied: Table p:d.t: denied\nsecond line", True, "Access Denied: Table p:d.t: denied"),
        (403, "quotaExceeded", "Quota exceeded: Your project exceeded quota", False, "Quota exceeded: Your project"),
        (400, "resourcesExceeded", "Resources exceeded", False, "Resources exceeded"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_error_of_a_query_is_one_sentence_without_values(serve, status, reason, message, permanent, shown):
    serve(status, error_body(status, reason, message))
    with pytest.raises(WarehouseError) as caught:
        properties()

    assert caught.value.permanent is permanent
    assert shown in str(caught.value)
    assert "ann" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "http" not in str(caught.value)


def test_error_outside_of_a_query_is_a_database_error(serve):
    serve(403, error_body(403, "accessDenied", "Access Denied: Dataset p:d"))
    with (
        pytest.raises(WarehouseError, match="Access Denied: Dataset p:d") as caught,
        connect(create_sql_engine("warehouse")) as connection,
    ):
        existing_columns(connection, "d", "t")

    assert caught.value.permanent


def test_outage_is_retryable(bigquery):
    from google.api_core.exceptions import RetryError, ServiceUnavailable
    from google.auth.exceptions import RefreshError
    from requests.exceptions import ConnectionError as NoConnection

    unavailable = ServiceUnavailable("try later", errors=[{"reason": "backendError", "message": "try later"}])
    ends = [
        unavailable,
        RetryError("no more", unavailable),
        RefreshError("try later"),
        NoConnection("try later"),
    ]
    engine = create_sql_engine("warehouse")
    for error in ends:
        with pytest.raises(WarehouseError, match="try later") as caught, database_errors(engine):
            raise error
        assert not caught.value.permanent


@pytest.fixture
def jobs(bigquery: Standin, emulator: tuple[str, Path]) -> Callable[[], Counter[str]]:
    """Count the jobs on the dataset, by what they do."""
    client = make_client(emulator[0])

    def count() -> Counter[str]:
        kinds: Counter[str] = Counter()
        for job in client.list_jobs(max_results=10_000):
            if job.job_type == "load" and f"{job.destination.dataset_id}." == bigquery.schema:
                kinds["load"] += 1
            elif job.job_type == "query" and bigquery.schema[:-1] in job.query:
                kinds[job.query.split()[0]] += 1
        return kinds

    return count


def stage(table: str, rows: list[tuple[Any, ...]]) -> int:
    with closing(StagingLoad(create_sql_engine("warehouse"), table, COLUMNS)) as load:
        load.add(rows, [True] * len(rows))
        return load.merge()


def test_values_go_through_a_load_job_as_they_are(bigquery, jobs):
    every_plane = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000, 7)]))
    texts = [
        None,
        "",
        " ",
        '"',
        '""',
        ",",
        "\n",
        "\r\n",
        "\\N",
        "\\u0041",
        "null",
        "2026-03-01",
        "1.10",
        every_plane,
    ]
    there = dt.datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=dt.timezone(dt.timedelta(hours=-9, minutes=-30)))
    facts = f'{{"n": {DIGITS}.{DIGITS}, "s": "\\u0000\\n"}}'
    rows = [
        (f"{number:02}", text, there if number else None, -(2**63), None if number else True, facts)
        for number, text in enumerate(texts)
    ]
    assert stage(f"{PROJECT}.{bigquery.schema}staged", rows) == len(rows)

    assert jobs() == {"load": 1, "MERGE": 1, "CREATE": 2, "DROP": 1}
    assert bigquery.run(f"SELECT * FROM {bigquery.schema}staged ORDER BY id") == rows


def test_rows_are_corrected_and_counted_by_one_load_and_one_merge_each_time(bigquery, jobs):
    for name, number in [("a", 5_000), ("b", 2_500)]:
        rows = [(f"{key:06}", name, None, key, True, "{}") for key in [*range(number), *range(10)]]
        assert stage(f"{bigquery.schema}staged", rows) == number

    found = bigquery.run(f"SELECT name, count(*) FROM {bigquery.schema}staged GROUP BY name ORDER BY name")
    assert found == [("a", 2_500), ("b", 2_500)]
    assert (jobs()["load"], jobs()["MERGE"]) == (2, 2)


def test_million_rows_are_forty_loads_at_most():
    loader = DIALECTS["bigquery"].loader("bigquery")
    names = ["_position", *(column.name for column in COLUMNS)]
    row = dict(
        zip(
            names,
            (999_999, "1" * 36, "x" * 64, dt.datetime.now(dt.UTC), 7, True, "x" * 200),
            strict=True,
        )
    )
    assert len(loader.to_file([row])) * 1_000_000 / loader.file_bytes < 40


def test_staged_table_is_dropped_at_the_end_or_in_a_day(bigquery, emulator):
    client, dataset = make_client(emulator[0]), bigquery.schema[:-1]
    with connect(create_sql_engine("warehouse")) as connection:
        create_temp_table(connection, [Column("id", KEY_TEXT)], dataset)
        (staged,) = client.list_tables(dataset)
    assert list(client.list_tables(dataset)) == []
    (created,) = (
        job.query
        for job in client.list_jobs(max_results=10_000)
        if job.job_type == "query" and job.query.split()[0] == "CREATE" and staged.table_id in job.query
    )
    expires = re.search(r"expiration_timestamp=TIMESTAMP '([^']+)'", created)
    left = dt.datetime.fromisoformat(expires[1]) - dt.datetime.now(dt.UTC)
    assert dt.timedelta(hours=23) < left <= dt.timedelta(days=1)


def test_load_job_appends_in_the_location_of_the_connection(serve):
    reference = {"projectId": PROJECT, "jobId": "j", "location": "EU"}
    requests = serve(
        200, {"jobReference": reference, "status": {"state": "DONE"}, "configuration": {"load": {}}}
    )
    with connect(create_sql_engine("warehouse")) as connection:
        load_file(connection, Table("staged", MetaData(), schema="d"), io.BytesIO(b"{}\n"))

    job, file = requests
    load = json.loads(job)["configuration"]["load"]
    assert json.loads(job)["jobReference"]["location"] == "EU"
    assert (load["createDisposition"], load["writeDisposition"]) == ("CREATE_NEVER", "WRITE_APPEND")
    assert file == b"{}\n"


def test_refused_load_is_a_permanent_error_without_rows(bigquery):
    with pytest.raises(WarehouseError) as caught:
        stage(f"{bigquery.schema}staged", [("1", "ann@example.org", None, "ann@example.org", True, "{}")])

    assert caught.value.permanent
    assert str(caught.value) == "BadRequest: Error while reading data, error message: …"
