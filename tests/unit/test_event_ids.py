"""Ids derived from key columns, fixed for ever: an id that changes bills its row again."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from airflow_provider_sequence.api.event_ids import event_id_from_key

BERLIN = ZoneInfo("Europe/Berlin")
UUID = uuid.UUID("12345678-1234-5678-1234-567812345678")

#: An id, and all values that have it.
SAME: list[tuple[str, list[Any]]] = [
    ("1", [1, 1.0, Decimal(1), Decimal("1.00"), "1"]),
    ("0", [0, -0.0, Decimal("-0.0"), "0"]),
    ("1e20", [10**20, 1e20, Decimal("1E+20"), "100000000000000000000"]),
    ("0.1", [0.1, Decimal("0.10"), "0.1"]),
    ("date", [dt.date(2026, 2, 1), "2026-02-01"]),
    (
        "its midnight",
        [
            dt.datetime(2026, 2, 1),  # noqa: DTZ001 (a column without a zone)
            dt.datetime(2026, 2, 1, tzinfo=dt.UTC),
            dt.datetime(2026, 2, 1, 1, tzinfo=BERLIN),
            "2026-02-01T00:00:00Z",
        ],
    ),
    ("the text of a database", ["2026-02-01 00:00:00"]),
    ("time", [dt.time(12, 30), "12:30:00"]),
    ("true", [True, "true"]),
    ("t", ["t"]),
    ("uuid", [UUID, str(UUID)]),
    ("UUID", [str(UUID).replace("-", "")]),
    ("varchar", ["a"]),
    ("char(3)", ["a  "]),
    ("capitals", ["A"]),
    ("trailing zero of a text", ["1.00"]),
]
IDS = {
    "1": "899ec29a-e8ac-5a2b-bf1e-b458d28dbdc9",
    "0": "1f010721-cd44-54d6-bd6b-a2f7fbc5d06f",
    "1e20": "d9a6c638-74dc-5094-bb33-31b3d65d7d74",
    "0.1": "9e563174-c7ec-57ab-b925-004dc34b07a3",
    "date": "fd98f4d2-c732-576f-ab72-2241da9833e1",
    "its midnight": "4202179a-4001-5ae3-bb50-8daa2bec8123",
    "the text of a database": "c4d8dcf8-f070-5d59-a73b-7d9e567472db",
    "time": "4f9b6f96-7c87-546d-9bfb-7225f6a45768",
    "true": "211def77-c1d9-5e73-b073-c66bfd212715",
    "t": "3d246fa1-99f9-5bfd-b3f4-5bd2f8bb99d2",
    "uuid": "ffc08064-6497-54ba-af22-ce681c35a286",
    "UUID": "f9123357-09cf-5657-a69f-d1809ef9d3f4",
    "varchar": "9b7c94f1-7f47-5079-b861-1fd8446e6e28",
    "char(3)": "b86064f3-ec36-5e55-b0d3-b092324e3076",
    "capitals": "ec26de04-c411-5d5a-b99e-2d90e9777612",
    "trailing zero of a text": "63bdc6f7-af37-5c22-9f40-356c5b47a35d",
}


@pytest.mark.parametrize(("name", "values"), SAME, ids=[name for name, _ in SAME])
def test_id_of_each_type(name: str, values: list[Any]) -> None:
    assert {event_id_from_key([value], ["k"]) for value in values} == {IDS[name]}


def test_no_other_types_share_an_id() -> None:
    assert len(set(IDS.values())) == len(SAME)


def test_zone_of_times_that_have_none() -> None:
    at = dt.datetime(2026, 2, 1, 1)  # noqa: DTZ001 (a column without a zone)
    assert event_id_from_key([at], ["k"], BERLIN) == IDS["its midnight"]
