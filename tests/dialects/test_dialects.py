"""Statements for each database, compiled by its SQLAlchemy dialect but not run.

Snowflake, BigQuery, Redshift and Databricks can't run locally. The others, which the integration tests run on, are here
for comparison.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import pytest
from sqlalchemy.dialects.sqlite.base import SQLiteDialect

from airflow_provider_sequence.api.windows import Window
from airflow_provider_sequence.exceptions import SequenceConfigurationError
from airflow_provider_sequence.pipelines import delivery_log
from airflow_provider_sequence.pipelines.delivery_log import DeliveryLog
from airflow_provider_sequence.pipelines.push.outcomes import Outcome, Status
from airflow_provider_sequence.pipelines.reconcile import differences
from airflow_provider_sequence.pipelines.reconcile.comparison import Difference, EventDifference
from airflow_provider_sequence.pipelines.reconcile.differences import DifferencesTable
from airflow_provider_sequence.warehouse import ddl, staging
from airflow_provider_sequence.warehouse.dialects import DIALECTS
from airflow_provider_sequence.warehouse.staging import StagingColumn, StagingLoad, keys_of_window
from tests.dialects.recorder import URLS, Recorder

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
COLUMNS = [
    StagingColumn("id", "key"),
    StagingColumn("customer_event_id", "text"),
    StagingColumn("event_timestamp", "timestamp"),
    StagingColumn("total", "integer"),
    StagingColumn("flag", "boolean"),
    StagingColumn("event_properties", "json"),
]
ROW = ("1", "e", NOON, 1, True, "{}")
LOG_COLUMNS = {
    *("account", "resource", "customer_event_id", "status", "previous_hash", "voided_hash", "body_hash"),
    *("sequence_id", "http_status", "reason", "rejected_body", "attempts", "first_at", "last_at"),
    *("dag_id", "task_id", "run_id", "customer_alias", "event_type", "event_timestamp"),
}

WITH_MERGE = {"snowflake", "bigquery", "databricks"}
NO_TRANSACTIONS = {"bigquery", "databricks"}
HAVE_TEMPORARY = URLS.keys() - NO_TRANSACTIONS


@pytest.fixture(autouse=True)
def _no_existing_tables(monkeypatch):
    for module in (ddl, staging):
        monkeypatch.setattr(module, "existing_columns", lambda *_: None)
    monkeypatch.setattr(ddl, "_index_names", lambda *_: set())


def record_pull(dialect: str, number: int = 3) -> Recorder:
    """Run a pull on a recorder."""
    recorder: Any = Recorder(dialect)
    load = StagingLoad(recorder, "sales.staged", COLUMNS)
    recorder.statements.clear()  # those of the rehearsal
    load.add([ROW] * number, [True] * number)
    load.keys()
    load.keys_by_list()
    load.merge()
    list(keys_of_window(StreamingConnection(recorder), "sales.staged", "event_timestamp", (NOON, NOON)))
    return recorder


class StreamingConnection:
    """Connection that reads a result in parts."""

    def __init__(self, recorder: Any) -> None:
        self.begin, self.dialect = recorder.begin, recorder.dialect
        self.exec_driver_sql, self._recorder = recorder.exec_driver_sql, recorder

    def execution_options(self, **_: Any) -> Any:
        return self

    def execute(self, statement: Any) -> Any:
        self._recorder.execute(statement)
        return self

    def partitions(self) -> list[Any]:
        return []


def record_delivery_log(dialect: str, monkeypatch: pytest.MonkeyPatch, *, voiding: bool = False) -> Recorder:
    """Run a push with a delivery log on a recorder."""
    recorder: Any = Recorder(dialect)
    monkeypatch.setattr(delivery_log, "existing_columns", lambda *_: LOG_COLUMNS)  # once it is made
    log = DeliveryLog(
        recorder,
        "sales.deliveries",
        account="a",
        resource="usage_events",
        task={"dag_id": "d", "task_id": "t", "run_id": "r"},
        voiding=voiding,
    )
    log.known(["e"])
    list(log.rejected())
    log.mark_in_doubt(["e"])
    log.record_voided_hash("e", "h")
    log.store([Outcome(1, Status.DELIVERED, "e", "h"), Outcome(2, Status.REJECTED, "f", "h", body=b"{}")])
    log.prune_delivered(dt.timedelta(days=1))
    return recorder


def record_reconcile(dialect: str, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """Run a reconciliation on a recorder."""
    recorder: Any = Recorder(dialect)
    monkeypatch.setattr(differences, "missing_columns", lambda *_: [])
    window = Window(NOON, NOON + dt.timedelta(days=1))
    table = DifferencesTable(
        recorder, "sales.differences", account="a", resource="usage_events", window=window
    )
    table.store([EventDifference("e", Difference.MISSING, None)])
    return recorder


@pytest.mark.parametrize("dialect", URLS)
def test_rows_with_existing_keys_are_replaced_in_one_transaction(dialect, monkeypatch):
    monkeypatch.setattr(staging, "create_without_key", lambda *_: None)
    recorder = record_pull(dialect)
    one = recorder.beginning("MERGE INTO")
    upserts = [statement for statement in recorder.beginning("INSERT INTO") if " SELECT " in statement]
    if dialect in WITH_MERGE:
        (statement,) = one
        assert re.search(
            r"^MERGE INTO \S*sales\S*staged\S* USING \(SELECT .*\) AS .?source.? ON \S*staged\S*id\S* = \S*source\S*id\S*"
            r" WHEN MATCHED THEN UPDATE SET (?!.?id.? =).* WHEN NOT MATCHED THEN INSERT \(.*\) VALUES \(.*\)$",
            statement,
        )
        assert "ON CONFLICT" not in statement
    elif dialect == "redshift":
        # Its MERGE takes no query; both statements are in one transaction.
        (update,) = recorder.beginning("UPDATE sales.staged SET")
        assert update.endswith("AS source WHERE sales.staged.id = source.id")
        place = recorder.statements.index(update)
        assert re.search(
            r"^INSERT INTO sales.staged \(.* AS source WHERE NOT \(EXISTS \(SELECT 1 FROM sales.staged WHERE"
            r" sales.staged.id = source.id\)\)$",
            recorder.statements[place + 1],
        )
        assert "COMMIT" not in recorder.statements[place : place + 2]
        assert one == []
    else:
        words = (
            "ON DUPLICATE KEY UPDATE" if dialect in {"mysql", "mariadb"} else "ON CONFLICT (id) DO UPDATE SET"
        )
        assert words in " ".join(upserts)
        assert one == []


def test_new_table_is_filled_without_deletes():
    recorder = record_pull("postgresql")
    (insert,) = [
        statement for statement in recorder.beginning("INSERT INTO sales.staged") if "SELECT" in statement
    ]
    assert "ON CONFLICT" not in insert
    made = recorder.statements.index(next(iter(recorder.beginning("CREATE TABLE sales.staged"))))
    key = recorder.statements.index("ALTER TABLE sales.staged ADD PRIMARY KEY (id)")
    assert made < recorder.statements.index(insert) < key
    assert "COMMIT" not in recorder.statements[made:key]


@pytest.mark.parametrize("dialect", sorted({*URLS} - {"postgresql", "bigquery"}))
def test_new_table_has_a_primary_key(dialect):
    recorder = record_pull(dialect)
    (made,) = [each for each in recorder.beginning("CREATE TABLE") if "_sequence_" not in each]
    assert "PRIMARY KEY" in made
    assert recorder.beginning("ALTER") == []


def test_mysql_insert_from_a_query_has_no_alias():
    """``inserted.name``, which is where SQLAlchemy is led to easily, is no column there."""
    for dialect in ("mysql", "mariadb"):
        (statement,) = [each for each in record_pull(dialect).statements if "ON DUPLICATE" in each]
        assert "inserted." not in statement
        assert "VALUES(" in statement or " AS new " in statement


@pytest.mark.parametrize("dialect", URLS)
def test_collected_rows_are_in_a_temporary_table_that_is_dropped(dialect):
    recorder = record_pull(dialect)
    made = [each for each in recorder.beginning("CREATE") if "_sequence_" in each]
    (statement,) = made
    if dialect in HAVE_TEMPORARY:
        assert statement.startswith("CREATE TEMPORARY TABLE")
        assert recorder.beginning("DROP") == []
    else:
        assert statement.startswith("CREATE TABLE")
        assert "sales" in statement
        assert [each.split()[:2] for each in recorder.beginning("DROP")] == [["DROP", "TABLE"]]
    assert ("expiration_timestamp" in statement) is (dialect == "bigquery")


@pytest.mark.parametrize("dialect", URLS)
def test_no_statement_reads_the_temporary_table_twice(dialect):
    """MySQL refuses to open a temporary table again."""
    for statement in record_pull(dialect).statements:
        assert len(re.findall(r"(?:FROM|JOIN) \S*_sequence_", statement)) <= 1


@pytest.mark.parametrize("dialect", URLS)
def test_no_savepoints_without_transactions(dialect):
    recorder = record_pull(dialect)
    (made,) = [each for each in recorder.beginning("CREATE TABLE") if "_sequence_" not in each]
    has_savepoints = dialect in {"postgresql", "sqlite"}
    assert ("SAVEPOINT" in recorder.statements) is has_savepoints
    assert ("IF NOT EXISTS" in made) is not has_savepoints


@pytest.mark.parametrize(
    ("dialect", "text", "time"),
    [
        ("snowflake", "TEXT", "TIMESTAMP_TZ"),
        ("bigquery", "STRING", "TIMESTAMP"),
        ("redshift", "VARCHAR(65535)", "TIMESTAMP WITH TIME ZONE"),
        ("databricks", "STRING", "TIMESTAMP"),
        ("duckdb", "TEXT", "TIMESTAMP WITH TIME ZONE"),
        ("mysql", "LONGTEXT COLLATE utf8mb4_0900_bin", "DATETIME(6)"),
        ("mariadb", "LONGTEXT COLLATE utf8mb4_nopad_bin", "DATETIME(6)"),
        ("postgresql", "TEXT", "TIMESTAMP WITH TIME ZONE"),
        ("sqlite", "TEXT", "DATETIME"),
    ],
)
def test_types_of_text_and_timestamps(dialect, text, time):
    recorder = record_pull(dialect)
    (made,) = [each for each in recorder.beginning("CREATE TABLE") if "_sequence_" not in each]
    assert made.replace("`", "").count(f"customer_event_id {text},") == 1
    assert made.replace("`", "").count(f"event_timestamp {time},") == 1
    json = "JSONB" if dialect == "postgresql" else text
    assert re.search(rf"event_properties {re.escape(json)}[,) ]", made.replace("`", ""))


@pytest.mark.parametrize(
    ("dialect", "rows"),
    [("redshift", 1000), ("databricks", 36), ("mysql", 1)],
)
def test_rows_of_a_statement_stay_below_the_parameter_limit(dialect, rows):
    recorder = record_pull(dialect, 1000)
    inserts = [
        each for each in recorder.beginning("INSERT INTO") if "_sequence_" in each and "SELECT" not in each
    ]
    # where a statement has one row, the driver makes one of many
    assert inserts[0].count("), (") + 1 == rows


def test_snowflake_loads_a_file_over_the_stage_of_a_temporary_table_in_the_targets_schema():
    recorder = record_pull("snowflake", 1000)
    (made,) = recorder.beginning("CREATE TEMPORARY TABLE")
    name = made.split()[3]
    stage = "@sales.%" + name.removeprefix("sales.")
    put, copy = recorder.beginning("PUT", "COPY")
    assert name.startswith("sales._sequence_")
    file = re.fullmatch(
        rf"PUT 'file://\S+/(sequence_\w{{32}}\.gz)' {re.escape(stage)} SOURCE_COMPRESSION = GZIP AUTO_COMPRESS = FALSE",
        put,
    )
    assert file is not None
    assert copy.startswith(f"COPY INTO {name} FROM {stage} FILES = ('{file[1]}') PURGE = TRUE FILE_FORMAT")


@pytest.mark.parametrize("dialect", sorted(URLS.keys() - NO_TRANSACTIONS))
@pytest.mark.parametrize("voiding", [True, False])
def test_statements_of_the_delivery_log(dialect, voiding, monkeypatch):
    recorder = record_delivery_log(dialect, monkeypatch, voiding=voiding)
    (look_up,) = [each for each in recorder.beginning("SELECT") if "CASE WHEN" in each]
    assert "= ANY" in look_up if dialect == "postgresql" else " IN " in look_up
    assert len(recorder.beginning("UPDATE")) >= 2  # in doubt, and voided
    words = {
        "snowflake": "MERGE INTO sales.deliveries USING (SELECT",
        "redshift": "UPDATE sales.deliveries SET",
        "mysql": "ON DUPLICATE KEY UPDATE",
        "mariadb": "ON DUPLICATE KEY UPDATE",
    }.get(dialect, "ON CONFLICT (account, resource, customer_event_id) DO UPDATE SET")
    stored = [each for each in recorder.statements if words in each]
    assert len(stored) == (2 if dialect != "redshift" else 4)
    delivered = stored[-2]
    assert re.search(r"attempts ?= ?\(?\S*attempts \+ ", delivered)
    changes = delivered.split(" SET " if "SET" in delivered else " UPDATE ")[1]
    assert "first_at" not in re.split("WHEN NOT| FROM ", changes)[0]


@pytest.mark.parametrize("dialect", ["mysql", "mariadb"])
def test_parameters_of_the_mysql_upsert(dialect, monkeypatch):
    """The drivers make one statement of many only then."""
    for statement in record_delivery_log(dialect, monkeypatch).statements:
        assert "%(" not in statement.partition("ON DUPLICATE KEY")[2]
        assert "%s" not in statement.partition("ON DUPLICATE KEY")[2]


@pytest.mark.parametrize("dialect", sorted(URLS.keys() - NO_TRANSACTIONS))
def test_differences_are_replaced_in_one_transaction(dialect, monkeypatch):
    recorder = record_reconcile(dialect, monkeypatch)
    delete, insert = recorder.beginning("DELETE", "INSERT")
    start = recorder.statements.index(delete)
    assert "COMMIT" not in recorder.statements[start : recorder.statements.index(insert)]


@pytest.mark.parametrize("dialect", sorted(NO_TRANSACTIONS))
@pytest.mark.parametrize("use", [record_delivery_log, record_reconcile])
def test_feature_that_needs_transactions_is_refused(dialect, use, monkeypatch):
    with pytest.raises(SequenceConfigurationError, match=rf"(?s){dialect}.*transactions.*postgresql, sqlite"):
        use(dialect, monkeypatch)


@pytest.mark.parametrize("dialect", [*(name for name, row in DIALECTS.items() if not row.writes), "db2"])
@pytest.mark.parametrize("use", [record_delivery_log, record_reconcile, record_pull])
def test_database_that_is_only_read_from_is_not_written_into(dialect, use, monkeypatch):
    monkeypatch.setitem(URLS, dialect, "sqlite://")
    monkeypatch.setattr(SQLiteDialect, "name", dialect)
    arguments = (
        {"dialect": dialect} if use is record_pull else {"dialect": dialect, "monkeypatch": monkeypatch}
    )
    with pytest.raises(
        SequenceConfigurationError, match=rf"(?s){dialect}: rows are only read.*postgresql, sqlite"
    ):
        use(**arguments)
