"""Base of the operators that push the rows of a query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

from sqlalchemy.engine import Engine

from airflow_provider_sequence.compat import Context
from airflow_provider_sequence.hooks.sql_engine import create_sql_engine
from airflow_provider_sequence.pipelines.push.outcomes import Status
from airflow_provider_sequence.utils.openlineage import TransferLineage
from airflow_provider_sequence.utils.operator_options import PushOptions
from airflow_provider_sequence.utils.push_operator import PushOperator
from airflow_provider_sequence.warehouse.dialects import dialect_of
from airflow_provider_sequence.warehouse.reader import QueryRows, read_rows

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage


class SqlPushOperator(PushOperator):
    """Base of the operators that push the rows of a query as events."""

    template_fields: Sequence[str] = ("sql", "parameters", "sql_conn_id", *PushOperator.template_fields)
    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "sql": "sql",
        "parameters": "json",
        **PushOperator.template_fields_renderers,
    }

    # For OpenLineage, which asks when the task is over.
    _lineage: TransferLineage | None = None

    _engine: Engine

    def __init__(
        self,
        *,
        sql: str,
        sql_conn_id: str,
        parameters: Mapping[str, Any] | Sequence[Any] | None = None,
        **kwargs: Unpack[PushOptions],
    ) -> None:
        super().__init__(**kwargs)
        self.sql = sql
        self.sql_conn_id = sql_conn_id
        self.parameters = parameters

    def _source(self) -> str:
        return self.sql_conn_id

    def _read_rows(self, context: Context) -> AbstractContextManager[QueryRows]:
        self._engine = create_sql_engine(self.sql_conn_id)
        if not dialect_of(self._engine).tried:
            self.log.warning(
                "Pushes from %s were never tried; compare the first events with the query",
                self._engine.dialect.name,
            )
        return read_rows(self._engine, self.sql, self.parameters, self.running_query)

    def _begin_sending(self) -> None:
        self._lineage = TransferLineage.capture(self, self.resource.name, self._engine)

    def get_openlineage_facets_on_complete(self, task_instance: object) -> OperatorLineage[Any, Any] | None:
        """Return for OpenLineage which tables the rows came from, and how many were delivered."""
        if self._lineage is None:  # a dry run, too
            return None
        summary = self._counters.summary
        return self._lineage.push_facets(
            self.sql, rows=summary.rows, delivered=summary.counts[Status.DELIVERED]
        )
