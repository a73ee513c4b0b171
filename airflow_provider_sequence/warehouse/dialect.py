"""Database dialect: what a database can do, as data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import DateTime, Numeric, Table, Text
from sqlalchemy.sql.elements import TextClause
from sqlalchemy.types import TypeEngine

from airflow_provider_sequence.warehouse.columns import FindColumns, inspect_columns
from airflow_provider_sequence.warehouse.converters import Converter
from airflow_provider_sequence.warehouse.loaders import Loader, insert


def say(error: Any) -> str:
    """Message of a driver's error, with its class."""
    return f"{type(error).__name__}: {error}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseDialect:
    """
    Abilities of a database.

    :param tried: whether a push from it was ever tried; else it warns.
    :param writes: whether tables are kept in it: pulls, delivery logs and differences.
    :param key_text: type of text that may be part of a key.
    :param longest_key: how long an id may be that is part of a key, and what that is counted in; None without a limit.
    :param long_text: type of text of any length, compared byte by byte.
    :param json_text: type of a column that is given JSON text; ``long_text`` by default.
    :param number: type of an exact decimal number of 38 digits, 9 of them after the point.
    :param timestamp: type of an instant.
    :param bind_timestamp: how an instant is bound: as it is, in UTC, or in UTC without its zone.
    :param holds_nul: whether text and JSON can hold the character U+0000, half a surrogate pair, and every number.
    :param transactions: whether the driver has transactions of several statements.
    :param savepoints: whether there are savepoints, and DDL does not end a transaction.
    :param begin: statement that begins a transaction, where the driver begins none before DDL.
    :param on_connect: statements that a new connection runs.
    :param read_only: statements after which a transaction writes nothing, and, where the database counts that by itself,
        none of its statements takes longer than five seconds.
    :param temporary_tables: whether there are temporary tables; else an ordinary one is dropped at the end.
    :param temp_tables_in_schema: whether a temporary table is in a schema, and the session may have none.
    :param temp_table_lifetime: option of a table that is dropped by itself, for one that a killed task left behind.
    :param stage_in_transaction: whether rows are staged in the transaction that loads them, in a temporary table that ends
        with it and has the types of the target: a pooler may give the next transaction another session, and the loaders
        write text that each type reads by itself, in any time zone.
    :param utc: statement after which a transaction takes a time without a zone for UTC.
    :param max_name_bytes: length of a table's name, beyond which the database cuts or refuses it.
    :param name_parts: how many parts a table's name can have.
    :param key_collation: collation in which keys are sorted for a load; the same for all tasks, so that loads cannot
        deadlock.
    :param insert: insert statement that can upsert.
    :param merge: whether there is a ``MERGE`` from a query.
    :param stage_upserts: whether an upsert of values goes through a temporary table, because a statement for each row
        costs a hundred times what the row does.
    :param indexes: whether tables have indexes beside their key.
    :param partial_indexes: whether an index can be of some rows only.
    :param key_after_load: whether a new table gets its key after its rows, which takes less time and space.
    :param checks_unique_key: whether an upsert into a table without a unique key fails by itself.
    :param array_parameters: whether a statement takes an array as one parameter.
    :param loaders: bulk loaders by the names of drivers.
    :param streams: drivers whose cursors stream rows, although SQLAlchemy does not ask them to.
    :param keeps_percents: drivers to which ``%%`` is no percent sign in a statement with parameters.
    :param converters: what the values of some columns become, by their places, found by the driver's description of the
        columns and its connection.
    :param staging: how places begin that users may name for files of rows.
    :param staging_loader: loader of files over such a place.
    :param columns: how a table's columns are found.
    :param refusal: query of the reason why a table would refuse rows, where no statement without rows shows it.
    :param permanent: whether an error of the driver comes of the statement itself, where its class does not tell.
    :param diagnose: tells the message of an error of the driver, with its class, and its SQLSTATE, which is empty where the
        classes of the driver's errors tell more.
    :param other_errors: classes of what the driver raises beside DB-API's errors; only asked for when there was an error.
    :param extra: extra of this package that installs the connection type's provider, and what goes with it.
    :param connection_types: Airflow's types of connections to it.
    :param hook_class: import path of the hook, where the connection type's own is not one to a SQL database.
    :param hook_arguments: entries of the connection's extra that the hook's URL has only as arguments.
    :param url: URL of the engine, where the hook's own engine speaks another dialect than the hook's driver.
    :param connect: opens a connection of the dialect's driver with a hook; each use has one of its own.
    :param before_reading: prepares a connection of the driver's for a user's query, so that each value comes exactly, or
        as an UnreadableValue.
    :param cancel: ends the statement that a connection of the driver's runs, from another thread.
    :param loggers: loggers of the driver, and of what it sends its requests with: some log statements, parameters or rows.
    """

    tried: bool = True
    writes: bool = True
    key_text: TypeEngine[Any] = field(default_factory=Text)
    longest_key: tuple[int, Literal["bytes", "characters"]] | None = None
    long_text: TypeEngine[Any] = field(default_factory=Text)
    json_text: TypeEngine[Any] | None = None
    number: TypeEngine[Any] = field(default_factory=lambda: Numeric(38, 9))
    timestamp: TypeEngine[Any] = field(default_factory=lambda: DateTime(timezone=True))
    bind_timestamp: Literal["as_is", "utc", "without_zone"] = "without_zone"
    holds_nul: bool = True
    transactions: bool = True
    savepoints: bool = True
    begin: str | None = None
    on_connect: tuple[str, ...] = ()
    read_only: tuple[str, ...] = ()
    temporary_tables: bool = True
    temp_tables_in_schema: bool = False
    temp_table_lifetime: str | None = None
    stage_in_transaction: bool = False
    utc: str | None = None
    max_name_bytes: int | None = None
    name_parts: int = 3
    key_collation: str | None = None
    insert: Callable[[Table], Any] | None = None
    merge: bool = False
    stage_upserts: bool = False
    indexes: bool = False
    partial_indexes: bool = False
    key_after_load: bool = False
    checks_unique_key: bool = True
    array_parameters: bool = False
    loaders: Mapping[str, Loader] = field(default_factory=dict)
    streams: tuple[str, ...] = ()
    keeps_percents: tuple[str, ...] = ()
    converters: Callable[[Sequence[Sequence[Any]], Any], Mapping[int, Converter]] = (
        lambda columns, connection: {}
    )
    other_errors: Callable[[], tuple[type[Exception], ...]] = lambda: ()
    extra: str | None = None
    staging: str | None = None
    staging_loader: Loader | None = None
    columns: FindColumns = inspect_columns
    refusal: TextClause | None = None
    permanent: Callable[[Any], bool] = lambda error: False
    diagnose: Callable[[Any], tuple[str, str]] = lambda error: (say(error), "")
    connection_types: tuple[str, ...] = ()
    hook_class: str | None = None
    hook_arguments: tuple[str, ...] = ()
    url: str | None = None
    connect: Callable[[Any], Any] = lambda hook: hook.get_conn()
    before_reading: Callable[[Any], None] = lambda connection: None
    cancel: Callable[[Any], None] = lambda connection: None
    loggers: tuple[str, ...] = ()

    @property
    def inspects_columns(self) -> bool:
        """Whether SQLAlchemy's inspector tells what there is to know of columns and keys."""
        return self.columns is inspect_columns

    def loader(self, driver: str, *, staged: bool = False) -> Loader:
        """
        Bulk loader of a driver; by default the driver makes one statement of many, or runs one for each row.

        :param staged: whether the user names a place for files of rows.
        """
        if staged and self.staging_loader is not None:
            return self.staging_loader
        return self.loaders.get(driver, Loader(insert))
