"""Redshift through its hook and driver: what it is told, and how much of it."""

from __future__ import annotations

import re

import pytest

from airflow_provider_sequence.exceptions import SequenceConfigurationError, WarehouseError
from airflow_provider_sequence.hooks.sql_engine import create_sql_engine
from airflow_provider_sequence.warehouse.reader import read_rows
from tests.warehouses import awkward
from tests.warehouses.redshift import Proxy
from tests.warehouses.test_warehouses import make_usage, pull, push

ROLE = "arn:aws:iam::123456789012:role/loader"
BUCKET = f"s3://aws@files/pulls/?iam_role={ROLE}"


def changes(proxy: Proxy) -> list[str]:
    """First words of the statements that change something."""
    words = [re.sub(r"\s+", " ", sql) for sql, _ in proxy.statements]
    return [" ".join(each.split()[:2]) for each in words if re.match("INSERT|UPDATE|DELETE|COPY|MERGE", each)]


def test_log_of_a_thousand_rows_takes_a_handful_of_statements(
    redshift, redshift_proxied, sandbox, sequence_conn
):
    table, log = make_usage(redshift, 1000), {"delivery_log_table": "deliveries"}
    redshift_proxied.statements.clear()
    assert push(table, **log)["delivered"] == 1000
    new = changes(redshift_proxied)
    redshift.run(f"UPDATE {table} SET q = 2")
    redshift_proxied.statements.clear()
    assert push(table, **log)["corrected"] == 1000
    corrected = changes(redshift_proxied)

    # One for each row would be a thousand.
    assert len(new) < 20
    assert len(corrected) < 30
    assert redshift.run("SELECT status, attempts, count(*) FROM deliveries GROUP BY 1, 2") == [
        ("delivered", 2, 1000)
    ]
    assert redshift.run("SELECT count(*) FROM deliveries WHERE first_at < last_at") == [(1000,)]


def test_statements_stay_far_below_16_megabytes(redshift, redshift_proxied):
    redshift_proxied.statements.clear()
    awkward.load("loaded", [(place, "€" * 20_000, True, None) for place in range(400)])

    assert redshift.run("SELECT count(*), sum(length(value)) FROM loaded") == [(400, 8_000_000)]
    inserts = [size for sql, size in redshift_proxied.statements if sql.startswith("INSERT")]
    assert len(inserts) == 4
    assert max(inserts) < 8_000_000


@pytest.mark.parametrize("location", [None, BUCKET])
def test_every_character_is_loaded(location, redshift, bucket):
    awkward.load("loaded", awkward.ROWS, location)

    assert redshift.run("SELECT * FROM loaded ORDER BY place") == awkward.ROWS


def test_pull_copies_a_file_out_of_a_bucket(redshift, redshift_proxied, bucket, sandbox, sequence_conn):
    push(make_usage(redshift, 250))
    redshift_proxied.statements.clear()
    assert pull(redshift, staging_location=BUCKET)["loaded"] == 250

    (copy,) = [sql for sql, _ in redshift_proxied.statements if sql.startswith("COPY")]
    written = re.fullmatch(
        r"COPY _sequence_\w+ \(_position, id, .*\) FROM 's3://files/(pulls/sequence_\w+\.csv)'"
        rf" IAM_ROLE '{ROLE}' FORMAT CSV NULL AS '\w{{32}}' TIMEFORMAT 'auto'",
        copy,
    )
    assert bucket.requests == [f"PUT /files/{written[1]}", f"DELETE /files/{written[1]}"]
    assert changes(redshift_proxied)[0].startswith("COPY")
    assert redshift.run("SELECT count(*) FROM staged") == [(250,)]


def test_file_is_deleted_when_the_copy_fails(redshift, redshift_proxied, bucket):
    redshift_proxied.objects = bucket.folder / "elsewhere"
    with pytest.raises(WarehouseError, match="could not open file"):
        awkward.load("loaded", awkward.ROWS, "s3://aws@files")

    assert [request.split()[0] for request in bucket.requests] == ["PUT", "DELETE"]
    assert "IAM_ROLE default FORMAT" in redshift_proxied.statements[-2][0]


def test_bucket_that_is_not_there_is_named(redshift, bucket, monkeypatch):
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    (bucket.folder / "files").touch()  # a folder can't be made there
    with pytest.raises(WarehouseError, match="S3: can't put s3://files/sequence_"):
        awkward.load("loaded", awkward.ROWS, "s3://aws@files")


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("/Volumes/main/sales/files", "must begin with s3://"),
        ("s3://files/it's", "no quotes"),
        ("s3://files?role=loader", "has role after its question mark"),
    ],
)
def test_staging_location_that_is_none(location, words, redshift):
    with pytest.raises(SequenceConfigurationError, match=words):
        create_sql_engine("warehouse", location)


@pytest.mark.parametrize(
    ("sql", "words", "permanent"),
    [
        ("SELECT nope FROM words", r'ProgrammingError (42703): column "nope" does not exist', True),
        (
            "SELECT word::int FROM words",
            "ProgrammingError (22P02): invalid input syntax for type integer: …",
            True,
        ),
        # Redshift's of two tasks that write at once.
        ("SELECT conflict()", "ProgrammingError (XX000): 1023", False),
    ],
)
def test_error_shows_its_message_and_no_data(redshift, sql, words, permanent):
    redshift.run("CREATE TABLE words AS SELECT 'secret' AS word")
    redshift.run(
        "CREATE FUNCTION conflict() RETURNS int LANGUAGE plpgsql AS"
        " 'BEGIN RAISE EXCEPTION ''1023'' USING ERRCODE = ''XX000'', DETAIL = ''secret''; END'"
    )
    with pytest.raises(WarehouseError) as caught, read_rows(create_sql_engine("warehouse"), sql) as rows:
        list(rows.batches)

    assert (str(caught.value), caught.value.permanent) == (f"the query in sql: {words}", permanent)


def test_super_is_sent_as_json_with_every_digit(redshift, sandbox, sequence_conn):
    redshift.run(
        "CREATE TABLE used AS SELECT 'e' AS eid, 'acme' AS cust, TIMESTAMPTZ '2026-03-01' AS used_at,"
        """ JSON '{"price": 12345678901234567890.125, "tags": ["a"]}' AS q, '{}' AS note"""
    )
    assert push("used")["delivered"] == 1

    body = sandbox.call("GET", "/usage-events").text
    assert '"q":{"price":12345678901234567890.125,"tags":["a"]}' in re.sub(r"\s", "", body)
    assert '"note":"{}"' in body
