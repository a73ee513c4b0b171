"""Ids grow whatever the clock does."""

from __future__ import annotations

import time
import uuid
from pathlib import Path

from airflow_provider_sequence.sandbox.identifiers import Identifiers, milliseconds_of
from airflow_provider_sequence.sandbox.sandbox import Sandbox
from airflow_provider_sequence.sandbox.settings import SandboxSettings
from airflow_provider_sequence.sandbox.store import Record

TOMORROW = (time.time_ns() // 1_000_000) + 86_400_000
NEWEST = str(uuid.UUID(int=TOMORROW << 80 | 0x7FFF << 64 | 0b10 << 62))


def test_ten_thousand_ids_grow() -> None:
    identifiers = Identifiers()
    made = [identifiers.new() for _ in range(10_000)]
    assert made == sorted(set(made))
    assert abs(milliseconds_of(made[-1]) - time.time_ns() // 1_000_000) < 5_000


def test_clock_set_back_makes_no_older_id() -> None:
    new = Identifiers(NEWEST).new()
    assert new > NEWEST
    assert uuid.UUID(new).version == 7
    assert milliseconds_of(new) == TOMORROW + 1


def test_ids_grow_over_a_restart(tmp_path: Path) -> None:
    path = str(tmp_path / "sandbox.db")
    first = Sandbox(SandboxSettings(), path)
    first.store.add_event("usage-events", Record(0, NEWEST, None, "e", "a", "t", 0, 0, 0, "{}"))
    first.store.close()
    again = Sandbox(SandboxSettings(), path)
    assert again.identifiers.new() > NEWEST
    again.store.close()
