"""Only one query is run: what else a user's SQL may be is refused before it reaches a database."""

from __future__ import annotations

import pytest

from airflow_provider_sequence.exceptions import SequenceConfigurationError
from airflow_provider_sequence.warehouse.statements import require_query


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "  select 1 -- DELETE\n;  ",
        "/* UPDATE */ (SELECT 1) UNION (SELECT 2)",
        "WITH x AS (SELECT 1) SELECT * FROM x",
        "with recursive x(n) as (values (1) union select n + 1 from x) select n from x;",
        "SELECT ';' AS a, 'DELETE' AS update",
        "SELECT $$;$$, E'a\\'; DROP TABLE t'",
        "VALUES (1), (2)",
        "TABLE t",
        "FROM t SELECT a",
        "SHOW TABLES",
        "CALL usage_of_day()",
        "SELECT a FROM t; -- the end",
        "SELECT replace(a, 'x', 'y') FROM t",
    ],
)
def test_query_is_accepted(sql):
    require_query(sql)


@pytest.mark.parametrize(
    ("sql", "verb"),
    [
        ("UPDATE t SET a = 1", "UPDATE"),
        ("-- a comment\n/* another */ delete from t", "DELETE"),
        ("INSERT INTO t SELECT 1 RETURNING a", "INSERT"),
        ("WITH x AS (SELECT 1) DELETE FROM t USING x", "DELETE"),
        ("WITH x AS (SELECT (1)), y AS (SELECT 2) UPDATE t SET a = 1", "UPDATE"),
        ("MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN DELETE", "MERGE"),
        ("CREATE OR REPLACE TABLE t AS SELECT 1", "CREATE"),
        ("truncate t", "TRUNCATE"),
        ("COPY t FROM STDIN", "COPY"),
        ("BEGIN", "BEGIN"),
    ],
)
def test_other_statement_is_refused_by_its_verb(sql, verb):
    with pytest.raises(SequenceConfigurationError, match=f"begins with {verb}"):
        require_query(sql)


@pytest.mark.parametrize(
    "sql", ["SELECT 1; SELECT 2", "SELECT 1; DELETE FROM t", "WITH x AS (SELECT 1) SELECT 1; x"]
)
def test_several_statements_are_refused(sql):
    with pytest.raises(SequenceConfigurationError, match="more than one statement"):
        require_query(sql)
