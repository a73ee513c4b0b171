"""Databases that rows are only read from: types and errors of a push, by the real hooks and drivers.

ClickHouse runs; Trino is a stand-in that knows its protocol; SQL Server and Oracle are connections of a driver that never
reached a database.
"""

from __future__ import annotations

import datetime as dt
import json
import resource
from collections.abc import Iterator
from typing import Any

import oracledb
import pymssql
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_sequence.exceptions import RejectedRowsError, SequenceConfigurationError
from airflow_provider_sequence.hooks.sql_engine import create_sql_engine
from airflow_provider_sequence.transfers.sequence_to_sql import SequenceToSqlOperator
from airflow_provider_sequence.transfers.sql_to_sequence import SqlToSequenceUsageEventsOperator
from airflow_provider_sequence.warehouse.databases.oracle import converter as oracle_converter
from airflow_provider_sequence.warehouse.reader import read_rows
from tests.warehouses.test_warehouses import CONTEXT, WINDOW
from tests.warehouses.trino import trino_server

EVENT = "'e-1' AS customer_event_id, 'acme' AS customer_alias"

#: An expression of ClickHouse, and what an event holds, as JSON, or why it is rejected.
CLICKHOUSE = [
    ("toDecimal256('1.5', 38)", f"1.5{'0' * 37}"),
    (f"toUInt256('{'9' * 77}')", "9" * 77),
    ("toDateTime64('2026-03-01 10:00:00.000001', 6, 'Europe/Berlin')", '"2026-03-01T09:00:00.000001Z"'),
    ("toDateTime64('2026-03-01 10:00:00.123456789', 9, 'UTC')", '"2026-03-01T10:00:00.123456Z"'),
    ("toDateTime('2026-03-01 10:00:00', 'Europe/Berlin')", '"2026-03-01T09:00:00Z"'),
    ("toDateTime('2026-03-01 10:00:00', 'UTC')", '"2026-03-01T10:00:00Z"'),
    ("toDate('2026-03-01')", '"2026-03-01"'),
    ("[toDecimal32('1.10', 2)]", "[1.10]"),
    ("map('k', toDecimal32('1.10', 2))", '{"k":1.10}'),
    ("(1, 'x')", '[1,"x"]'),
    ("(1, 'x')::Tuple(a UInt8, b String)", '{"a":1,"b":"x"}'),
    ("""'{"a": {"b": [1, 2]}}'::JSON""", '{"a":{"b":[1,2]}}'),
    ("toUUID('123e4567-e89b-12d3-a456-426655440000')", '"123e4567-e89b-12d3-a456-426655440000"'),
    ("'x'::Enum('x' = 1)", '"x"'),
    ("true", "true"),
    ("'100%'", '"100%"'),
    ("NULL::Nullable(Int8)", None),
    ("toIPv4('1.2.3.4')", '"1.2.3.4"'),
    ("toIPv6('::1')", '"::1"'),
    ("toFixedString('abc', 3)", "bytes"),
]

#: Words of the reasons for which a value is rejected.
REJECTED = {"bytes", "timedelta", "NaN"}

#: A type of Trino, a value as Trino writes it, and what an event holds, as JSON, or why it is rejected.
TRINO = [
    ("decimal(38, 9)", f"{'9' * 29}.123456789", f"{'9' * 29}.123456789"),
    ("bigint", 2**63 - 1, str(2**63 - 1)),
    ("double", 0.1, "0.1"),
    ("boolean", True, "true"),
    ("varchar(4)", "100%", '"100%"'),
    ("timestamp(6)", "2026-03-01 10:00:00.000001", '"2026-03-01T10:00:00.000001"'),
    (
        "timestamp(6) with time zone",
        "2026-03-01 10:00:00.000001 Europe/Berlin",
        '"2026-03-01T09:00:00.000001Z"',
    ),
    ("timestamp(9) with time zone", "2026-03-01 10:00:00.123456789 UTC", '"2026-03-01T10:00:00.123457Z"'),
    ("date", "2026-03-01", '"2026-03-01"'),
    ("row(a decimal(9, 2), b row(c varchar))", ["1.10", ["x"]], '{"a":1.10,"b":{"c":"x"}}'),
    ("array(row(a bigint))", [[1], [2]], '[{"a":1},{"a":2}]'),
    ("map(varchar, decimal(9, 2))", {"k": "1.10"}, '{"k":1.10}'),
    ("json", '{"a":1.10}', '{"a":1.10}'),
    ("uuid", "123e4567-e89b-12d3-a456-426655440000", '"123e4567-e89b-12d3-a456-426655440000"'),
    ("varbinary", "AP8=", "bytes"),
    ("interval day to second", "1 02:03:04.500", "timedelta"),
    ("double", "NaN", "NaN"),
]


def push(sql: str, **options: Any) -> SqlToSequenceUsageEventsOperator:
    return SqlToSequenceUsageEventsOperator(
        task_id="push", sql=sql, sql_conn_id="warehouse", event_type="call", **options
    )


def assert_sent(sandbox: Any, operator: SqlToSequenceUsageEventsOperator, sent: str | None) -> None:
    if sent in REJECTED:
        with pytest.raises(RejectedRowsError, match=f"eventProperties.q.*{sent}"):
            operator.execute(CONTEXT)
        return
    operator.execute(CONTEXT)
    events = sandbox.call("GET", "/usage-events?limit=100").text
    assert "e-1" in events
    assert f'"q":{sent}' in events if sent else '"q"' not in events


@pytest.mark.parametrize(("value", "sent"), CLICKHOUSE, ids=[value for value, _ in CLICKHOUSE])
def test_clickhouse_types(clickhouse, sandbox, sequence_conn, value, sent):
    assert_sent(sandbox, push(f"SELECT {EVENT}, now() AS event_timestamp, {value} AS q"), sent)


def test_clickhouse_reads_a_block_at_a_time(clickhouse):
    def peak() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    engine, rows = create_sql_engine("warehouse"), 0
    before = peak()
    with read_rows(engine, "SELECT number, repeat('x', 1000) FROM numbers(500001)") as query:
        for batch in query.batches:
            rows += len(batch)

    assert rows == 500_001
    assert peak() - before < 350_000  # of 500,000, and as much again for what was received


def test_clickhouse_parameters_and_percent_signs(clickhouse):
    engine = create_sql_engine("warehouse")
    with read_rows(engine, "SELECT '100%%', %(x)s", {"x": "100%"}) as query:
        assert list(query.batches) == [[("100%", "100%")]]
    with read_rows(engine, "SELECT '100%%'") as query:
        assert list(query.batches) == [[("100%%",)]]
    with read_rows(engine, "SELECT 1 AS a WHERE 0") as query:
        assert (query.columns, list(query.batches)) == (("a",), [])


@pytest.mark.parametrize("sql", ["SELECT nope", "SELECT * FROM nowhere", "SELECT 1 +", "SELECT nope(1)"])
def test_clickhouse_query_that_is_wrong_is_not_retried(clickhouse, sandbox, sequence_conn, sql):
    with pytest.raises(AirflowFailException, match="ClickHouse"):
        push(sql).execute(CONTEXT)


@pytest.fixture
def trino(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The connection ``warehouse`` to Trino; gives the statements so far."""
    type_, value = getattr(request, "param", ("bigint", 1))
    row = {
        "customer_event_id": ("varchar(9)", "e-1"),
        "customer_alias": ("varchar(9)", "acme"),
        "event_timestamp": ("timestamp(6) with time zone", "2026-03-01 10:00:00.000001 Europe/Berlin"),
        "q": (type_, value),
    }
    with trino_server(row) as (port, statements):
        fields = {
            "conn_type": "trino",
            "host": "127.0.0.1",
            "port": port,
            "login": "me",
            "extra": {"catalog": "hive"},
        }
        monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(fields))
        yield statements


@pytest.mark.parametrize(
    ("trino", "sent"),
    [((type_, value), sent) for type_, value, sent in TRINO],
    ids=[f"{type_} {value}" for type_, value, _ in TRINO],
    indirect=["trino"],
)
def test_trino_types(trino, sandbox, sequence_conn, sent):
    assert_sent(sandbox, push("SELECT * FROM used;"), sent)
    assert trino == ["SELECT * FROM used"]


def test_trino_query_that_is_wrong_is_not_retried(trino, sandbox, sequence_conn):
    with pytest.raises(AirflowFailException, match="nowhere' does not exist"):
        push("SELECT * FROM nowhere").execute(CONTEXT)


@pytest.mark.parametrize("database", ["clickhouse", "trino"])
def test_nothing_is_kept_there_and_nothing_is_requested(database, sandbox, sequence_conn, request):
    request.getfixturevalue(database)
    before = sandbox.summary()["requests"]
    pull = SequenceToSqlOperator(
        task_id="pull", resource="usage_events", table="staged", sql_conn_id="warehouse", **WINDOW
    )
    for operator in (push("SELECT * FROM used", delivery_log_table="log"), pull):
        with pytest.raises(AirflowFailException, match="rows are only read from it"):
            operator.execute(CONTEXT)
    assert sandbox.summary()["requests"] == before


class DriverConnection:
    """Connection of a driver that never reached a database."""

    def close(self) -> None:
        pass

    rollback = commit = close


@pytest.mark.parametrize(
    ("driver", "fields", "dialect"),
    [
        (
            pymssql,
            {"conn_type": "mssql", "extra": {"sqlalchemy_scheme": "mssql+pyodbc"}},
            ("mssql", "pymssql"),
        ),
        (oracledb, {"conn_type": "oracle", "schema": "XEPDB1"}, ("oracle", "oracledb")),
    ],
    ids=["mssql", "oracle"],
)
def test_engine_speaks_the_dialect_of_the_hooks_driver(monkeypatch, driver, fields, dialect):
    given: list[dict[str, Any]] = []

    def connect(**options: Any) -> DriverConnection:
        given.append(options)
        return DriverConnection()

    monkeypatch.setattr(driver, "connect", connect)
    connection = {"host": "db.example", "port": 1, "login": "me", "password": "secret", **fields}
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(connection))
    engine = create_sql_engine("warehouse")
    monkeypatch.setattr(engine.dialect, "initialize", lambda connection: None)  # asks the database
    engine.raw_connection().close()
    engine.raw_connection().close()

    assert (engine.dialect.name, engine.dialect.driver) == dialect
    assert [(each["user"], each["password"]) for each in given] == [("me", "secret")] * 2


def test_oracle_timestamp_that_lost_its_zone_is_refused():
    require_zone = oracle_converter(("AT", oracledb.DB_TYPE_TIMESTAMP_TZ))
    with pytest.raises(SequenceConfigurationError, match=r"(?s)the column AT .*SYS_EXTRACT_UTC\(AT\)"):
        require_zone(dt.datetime(2026, 3, 1, tzinfo=dt.UTC).replace(tzinfo=None))
    assert oracle_converter(("AT", oracledb.DB_TYPE_TIMESTAMP)) is None
