"""The demos' warehouse: a month of made-up usage in SQLite or PostgreSQL, the same rows every time."""

from __future__ import annotations

import datetime as dt
import random
import sqlite3
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import sqlalchemy as sa

MONTH = dt.datetime(2026, 10, 1, tzinfo=dt.UTC)
DAYS = 31
ROWS = 20_000
SEED = 20_261_001

CUSTOMERS = [
    *("acme", "Åkerlund & Söner", "Bäckerei Groß", "Crème Brûlée SARL", "Dvořák s.r.o.", "Ełk Software"),
    *("Ferāl Labs", "Ġgantija Ltd", "Ħamrun Co", "İstanbul Yazılım", "Jörmungandr hf.", "Kızılırmak A.Ş."),
    *("Łódź Data", "Muñoz y Hijos", "Nørrebro ApS", "Österreich GmbH", "Pão de Açúcar", "Québec Numérique"),
    *("Řehoř", "Šumava", "Türkiye Enerji", "Ürümqi Logistics", "Việt Phần Mềm", "Wrocław Cloud"),
    *("Ελληνικά Δεδομένα", "Киев Софт", "Москва Данные", "Հայաստան", "თბილისი", "חברת ענן"),
    *("شركة البيانات", "डेटा सेवा", "ข้อมูลไทย", "数据科技", "株式会社データ", "데이터회사"),
    *("emoji 🚀 inc", 'O\'Reilly "quoted"', "semi;colon, comma", "trailing space co"),
]
#: Event type, and how many places its quantity has behind the point.
KINDS = {"api_call": 0, "message_sent": 0, "storage_gb_hours": 6, "compute_seconds": 3}
REGIONS = ["eu-west", "us-east", "asie-est", "Zürich", "東京", None]
NOTES = [None, None, None, "naïve retry", "größer als erwartet", "🧾", "line\nbreak"]

Row = tuple[str, str | None, str, str, float | int, str | None, str | None]


def make_warehouse(path: Path) -> None:
    """Make the database, unless it is there."""
    if path.exists():
        return
    unfinished = path.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    with sqlite3.connect(unfinished) as connection:
        connection.execute(
            "CREATE TABLE usage (usage_id TEXT PRIMARY KEY, customer TEXT, kind TEXT, used_at TEXT, "
            "quantity DECIMAL(18, 6), region TEXT, note TEXT)"
        )
        connection.execute("CREATE INDEX usage_used_at ON usage (used_at)")
        connection.executemany("INSERT INTO usage VALUES (?, ?, ?, ?, ?, ?, ?)", _rows())
    connection.close()
    unfinished.rename(path)


def make_postgres_warehouse(
    warehouse: sa.Engine, month: dt.datetime = MONTH, rows: int = ROWS, *, bad_rows: bool = True
) -> int:
    """
    Make the table in a database, unless it is there; return how many rows it has.

    :param month: when the rows begin.
    :param rows: how many there are.
    :param bad_rows: whether some of them can't be delivered.
    """
    with warehouse.begin() as connection:
        if not sa.inspect(connection).has_table("usage"):
            connection.exec_driver_sql(
                "CREATE TABLE usage (usage_id TEXT PRIMARY KEY, customer TEXT, kind TEXT, used_at TIMESTAMPTZ, "
                "quantity NUMERIC, region TEXT, note TEXT)"
            )
            connection.exec_driver_sql("CREATE INDEX usage_used_at ON usage (used_at)")
            connection.execute(
                sa.text("INSERT INTO usage VALUES (:id, :customer, :kind, :at, :quantity, :region, :note)"),
                [
                    dict(
                        zip(("id", "customer", "kind", "at", "quantity", "region", "note"), row, strict=True)
                    )
                    for row in _rows(month, rows, bad_rows=bad_rows)
                    if row[0] != "bad-time"  # PostgreSQL itself refuses such a time
                ],
            )
        return int(connection.exec_driver_sql("SELECT count(*) FROM usage").scalar_one())


def _rows(month: dt.datetime = MONTH, rows: int = ROWS, *, bad_rows: bool = True) -> Iterator[Row]:
    chance = random.Random(SEED)
    bad = _rows_to_reject() if bad_rows else []
    for number in range(rows - len(bad)):
        kind = chance.choice(list(KINDS))
        used_at = month + dt.timedelta(seconds=chance.randrange(DAYS * 86_400))
        quantity = Decimal(chance.randrange(1, 10**7)).scaleb(-KINDS[kind])
        yield (
            f"usage-{number:06}",
            chance.choice(CUSTOMERS),
            kind,
            used_at.isoformat(),
            int(quantity) if KINDS[kind] == 0 else float(quantity),
            chance.choice(REGIONS),
            chance.choice(NOTES),
        )
    yield from bad


def _rows_to_reject() -> list[Row]:
    """Rows that no event can be made of, and rows that only Sequence can refuse, all in the first days."""
    return [
        ("bad-no-customer", None, "api_call", "2026-10-01T10:00:00+00:00", 1, None, None),
        ("bad-no-number", "acme", "storage_gb_hours", "2026-10-02T10:00:00+00:00", float("inf"), None, None),
        ("bad-time", "acme", "api_call", "2026-10-03T25:61:00+00:00", 1, None, None),
        ("bad-kind", "acme", " ", "2026-10-04T10:00:00+00:00", 1, None, None),
        ("bad-long-name-1", "acme " * 60, "api_call", "2026-10-05T10:00:00+00:00", 1, None, None),
        ("bad-long-name-2", "数据" * 150, "api_call", "2026-10-05T11:00:00+00:00", 1, None, None),
    ]
