"""OpenLineage facets of a task: its input and output datasets, with row counts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from sqlalchemy.engine import Engine

from airflow_provider_sequence.api.defaults import PRODUCTION_URL
from airflow_provider_sequence.assets.sequence import SCHEME, account_of
from airflow_provider_sequence.compat import BaseHook
from airflow_provider_sequence.hooks.sequence import account_name

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.providers.openlineage.sqlparser import DatabaseInfo

_WITH = re.compile(r"\bwith\b", re.IGNORECASE)
#: What drivers take for a parameter, and the parser for a mistake.
_PLACEHOLDER = re.compile(r"%\(\w+\)s|%s")


class _Transfer(Protocol):
    """A task between Sequence and a warehouse."""

    sequence_conn_id: str
    sql_conn_id: str
    inlets: Any
    outlets: Any

    @property
    def log(self) -> Any:
        """Its logger."""


@dataclass(frozen=True, slots=True)
class TransferLineage:
    """
    Both sides of a transfer, captured when it starts, so that no query is needed when it is over.

    :param account: Sequence's side: the account's name in the connection, or else in an asset of the task, or else the
        API's host.
    :param resource: name of what is on that side.
    :param connection: the connection to the warehouse.
    :param engine: its engine, which knows the default schema once it has connected.
    """

    account: str
    resource: str
    connection: Any
    engine: Engine

    @classmethod
    def capture(cls, task: _Transfer, resource: str, engine: Engine) -> TransferLineage | None:
        """Capture them of a task that is about to start; None if OpenLineage is not installed."""
        if find_spec("airflow.providers.openlineage") is None:
            return None
        connection = BaseHook.get_connection(task.sequence_conn_id)
        name = account_name(connection)
        accounts = [account_of(asset, resource) for asset in (*task.outlets, *task.inlets)]
        in_assets = next(filter(None, accounts), None)
        if name and in_assets and in_assets != name:
            task.log.warning(
                "The connection %s names the account %s, and an asset of the task %s: two datasets in OpenLineage",
                task.sequence_conn_id,
                name,
                in_assets,
            )
        account = name or in_assets or urlsplit(connection.host or PRODUCTION_URL).netloc
        return cls(account, resource, BaseHook.get_connection(task.sql_conn_id), engine)

    def push_facets(self, sql: str, rows: int, delivered: int) -> OperatorLineage[Any, Any]:
        """
        Lineage of a push: from the query's tables to Sequence.

        :param rows: how many rows the query gave.
        :param delivered: how many of them were delivered.
        """
        from airflow.providers.openlineage.extractors import OperatorLineage
        from airflow.providers.openlineage.sqlparser import SQLParser
        from openlineage.client.event_v2 import InputDataset, OutputDataset
        from openlineage.client.facet_v2 import sql_job

        query = self._parse(sql)
        # How many rows came from each of several tables is not known; and the parser misses those inside a WITH.
        alone = len(query.inputs) == 1 and not _WITH.search(sql)
        facets = _input_rows(rows) if alone else {}
        return OperatorLineage(
            inputs=[InputDataset(table.namespace, table.name, inputFacets=facets) for table in query.inputs],
            outputs=[OutputDataset(self._namespace, self.resource, outputFacets=_output_rows(delivered))],
            run_facets=query.run_facets,
            job_facets={"sql": sql_job.SQLJobFacet(query=SQLParser.normalize_sql(sql))},
        )

    def pull_facets(self, table: str, read: int, loaded: int) -> OperatorLineage[Any, Any]:
        """
        Lineage of a pull: from Sequence to a table.

        :param read: how many items were read.
        :param loaded: how many of them are in the table.
        """
        from airflow.providers.openlineage.extractors import OperatorLineage
        from openlineage.client.event_v2 import InputDataset, OutputDataset

        return OperatorLineage(
            inputs=[InputDataset(self._namespace, self.resource, inputFacets=_input_rows(read))],
            outputs=[
                OutputDataset(*name, outputFacets=_output_rows(loaded)) for name in self._table_names(table)
            ],
        )

    def reconcile_facets(
        self,
        sql: str,
        *,
        staging_table: str | None = None,
        written: str | None = None,
        resent: int | None = None,
    ) -> OperatorLineage[Any, Any]:
        """
        Lineage of a reconciliation: what it compares, and where it writes.

        :param sql: the query.
        :param staging_table: a table that it reads, too.
        :param written: the table of differences.
        :param resent: how many events it sent again, where it may.
        """
        from airflow.providers.openlineage.extractors import OperatorLineage
        from airflow.providers.openlineage.sqlparser import SQLParser
        from openlineage.client.event_v2 import InputDataset, OutputDataset
        from openlineage.client.facet_v2 import sql_job

        query = self._parse(sql)
        outputs = [OutputDataset(*name) for name in self._table_names(written)]
        if resent is not None:
            facets = _output_rows(resent)
            outputs.append(OutputDataset(self._namespace, self.resource, outputFacets=facets))
        return OperatorLineage(
            inputs=[
                *(InputDataset(table.namespace, table.name) for table in query.inputs),
                *(InputDataset(*name) for name in self._table_names(staging_table)),
                InputDataset(self._namespace, self.resource),
            ],
            outputs=outputs,
            run_facets=query.run_facets,
            job_facets={"sql": sql_job.SQLJobFacet(query=SQLParser.normalize_sql(sql))},
        )

    def _table_names(self, table: str | None) -> list[tuple[str, str]]:
        """OpenLineage's names of a table: one, or none where there is no table, or the database has no name."""
        from airflow.providers.openlineage.sqlparser import SQLParser
        from openlineage.common.sql import DbTableMeta

        info = self._database()
        if not table or info is None or not self._schema:
            return []
        schema, _, name = table.rpartition(".")
        meta = DbTableMeta(f"{schema or self._schema}.{name}")
        namespace = SQLParser.create_namespace(info)
        # Of an instance: it needs none, but in older providers.
        _, found = SQLParser().get_metadata_from_parser([], [meta], info, namespace)
        return [(each.namespace, each.name) for each in found]

    @property
    def _namespace(self) -> str:
        return f"{SCHEME}://{self.account}"

    @property
    def _schema(self) -> str | None:
        # Asked of the hook, it would cost a query.
        return self.engine.dialect.default_schema_name

    def _database(self) -> DatabaseInfo | None:
        """Find OpenLineage's name of the warehouse; some databases, such as SQLite, have none."""
        info: DatabaseInfo | None = self.connection.get_hook().get_openlineage_database_info(self.connection)
        return info

    def _parse(self, sql: str) -> OperatorLineage[Any, Any]:
        """Read the query's tables out of its text."""
        from airflow.providers.openlineage.extractors import OperatorLineage
        from airflow.providers.openlineage.sqlparser import SQLParser

        info = self._database()
        if info is None or not self._schema:
            return OperatorLineage()
        hook = self.connection.get_hook()
        parser = SQLParser(hook.get_openlineage_database_dialect(self.connection), self._schema)
        sql = _PLACEHOLDER.sub("NULL", sql)
        return parser.generate_openlineage_metadata_from_sql(sql, hook, info, use_connection=False)


def _input_rows(count: int) -> dict[str, Any]:
    from openlineage.client.facet_v2 import input_statistics_input_dataset as statistics

    return {"inputStatistics": statistics.InputStatisticsInputDatasetFacet(rowCount=count)}


def _output_rows(count: int) -> dict[str, Any]:
    from openlineage.client.facet_v2 import output_statistics_output_dataset as statistics

    return {"outputStatistics": statistics.OutputStatisticsOutputDatasetFacet(rowCount=count)}
