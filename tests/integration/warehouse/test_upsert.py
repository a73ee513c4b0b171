"""Upsert in a database that has neither an upsert nor a MERGE: an UPDATE and an INSERT, run on PostgreSQL."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL

from airflow_provider_sequence.warehouse import upsert
from airflow_provider_sequence.warehouse.dialect import DatabaseDialect
from airflow_provider_sequence.warehouse.upsert import Upserter

TABLE = sa.Table(
    "t",
    sa.MetaData(),
    sa.Column("id", sa.String(9), primary_key=True),
    sa.Column("value", sa.Integer),
    sa.Column("first", sa.Integer),
    sa.Column("attempts", sa.Integer),
    prefixes=["TEMPORARY"],
)


@pytest.fixture
def connection(postgres: URL, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(upsert, "dialect_of", lambda _: DatabaseDialect())
    with sa.create_engine(postgres, future=True).connect() as connection:
        TABLE.create(connection)
        connection.commit()
        yield connection


def test_rows_are_inserted_replaced_and_kept_in_part(connection):
    upserter = Upserter(
        connection,
        TABLE,
        ["id", "value", "first", "attempts"],
        keep={"first", "attempts"},
        change=lambda _: {"attempts": TABLE.c.attempts + 1},
    )
    upserter.store([{"id": each, "value": 1, "first": 1, "attempts": 1} for each in "ab"])
    upserter.store([{"id": each, "value": 2, "first": 2, "attempts": 1} for each in "bc"])

    rows = connection.execute(sa.select(TABLE).order_by(TABLE.c.id)).all()
    assert [tuple(row) for row in rows] == [("a", 1, 1, 1), ("b", 2, 1, 2), ("c", 2, 2, 1)]
