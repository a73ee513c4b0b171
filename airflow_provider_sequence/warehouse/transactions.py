"""Transactions that may be a part of a larger one."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from sqlalchemy.engine import Connection


def join_transaction(connection: Connection) -> AbstractContextManager[Any]:
    """The transaction that is open, which goes on afterwards; or a new one, which is committed at the end."""
    return nullcontext() if connection.in_transaction() else connection.begin()
