"""Connection that records compiled statements instead of running them."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from sqlalchemy.engine import make_url

#: A dialect each, and what its URL begins with; PostgreSQL with a driver that has no COPY of its own here.
URLS = {
    "snowflake": "snowflake://",
    "bigquery": "bigquery://",
    "redshift": "redshift+psycopg2://",
    "databricks": "databricks://",
    "duckdb": "duckdb://",
    "mysql": "mysql+pymysql://",
    "mariadb": "mariadb+pymysql://",
    "postgresql": "postgresql+pg8000://",
    "sqlite": "sqlite://",
}


class EmptyResult:
    """Result of a statement on an empty database."""

    def scalar(self) -> None:
        return None

    def all(self) -> list[Any]:
        return []

    def __iter__(self) -> Iterator[Any]:
        return iter(())


class Recorder:
    """Takes what a connection takes, compiles it and keeps it; transactions are kept as ``BEGIN`` and ``COMMIT``."""

    def __init__(self, dialect: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.dialect: Any = make_url(URLS.get(dialect, dialect)).get_dialect()()
        if dialect == "mysql":
            self.dialect.server_version_info = (8, 0, 40)
        self.statements: list[str] = []
        self.info: dict[str, Any] = {}
        self._in_transaction = False
        self.connection: Any = SimpleNamespace(
            driver_connection=SimpleNamespace(_client=self, cursor=self._cursor)
        )

    def get_execution_options(self) -> dict[str, Any]:
        return {}

    def execute(self, statement: Any, parameters: Any = None) -> EmptyResult:
        row = parameters[0] if isinstance(parameters, list) else parameters
        # As SQLAlchemy compiles a statement that it executes.
        options = {"column_keys": list(row)} if row else {}
        self.statements.append(" ".join(str(statement.compile(dialect=self.dialect, **options)).split()))
        return EmptyResult()

    def exec_driver_sql(self, statement: str, parameters: Any = None) -> EmptyResult:
        self.statements.append(statement)
        return EmptyResult()

    @contextlib.contextmanager
    def _cursor(self) -> Iterator[Any]:
        """Cursor of a driver."""
        yield SimpleNamespace(execute=lambda statement, **_: self.statements.append(statement))

    def load_table_from_file(self, _file: Any, table: str, **_options: Any) -> Any:
        """Load job of BigQuery's client."""
        self.statements.append(f"LOAD {table}")
        return SimpleNamespace(result=lambda: None)

    @contextlib.contextmanager
    def connect(self) -> Iterator[Recorder]:
        yield self

    @contextlib.contextmanager
    def begin(self) -> Iterator[None]:
        self.statements.append("BEGIN")
        self._in_transaction = True
        yield
        self.rollback()
        self.statements.append("COMMIT")

    def in_transaction(self) -> bool:
        return self._in_transaction

    def rollback(self) -> None:
        self._in_transaction = False

    @contextlib.contextmanager
    def begin_nested(self) -> Iterator[None]:
        self.statements.append("SAVEPOINT")
        yield
        self.statements.append("RELEASE")

    def beginning(self, *words: str) -> list[str]:
        """The statements that begin so."""
        return [statement for statement in self.statements if statement.startswith(words)]
