"""Base of every operator and sensor here: the hook, checked templates, and the end of a task that is being stopped."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Self

from airflow_provider_sequence.exceptions import SequenceConfigurationError
from airflow_provider_sequence.hooks.sequence import SequenceHook
from airflow_provider_sequence.utils.params import RENDERED_TO_NOTHING, find_nothing
from airflow_provider_sequence.warehouse.running_query import RunningQuery

#: Parameters of operators that have another name than the attributes they are rendered in.
_PARAMETERS = {"is_dry_run": "dry_run"}


class SequenceTaskMixin:
    """Mixin of tasks that call Sequence through the connection ``sequence_conn_id``."""

    sequence_conn_id: str
    template_fields: Any
    #: Whether the task was told to end.
    told_to_end = False

    # What the DAG names, before it is rendered.
    _named: dict[str, Any]
    # Whether the task is made of a mapped one, when it runs: of values that may have been None in an XCom.
    _is_mapped: bool

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Make a task that names nothing yet."""
        self = super().__new__(cls)
        object.__setattr__(self, "_is_mapped", kwargs.get("_airflow_from_mapped", False))
        object.__setattr__(self, "_named", {})
        return self

    def _hook_apply_defaults(self, *args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """
        Keep what the DAG names: rendered, a parameter that became None can't be told from one left out.

        Airflow calls this before the constructor of each class, with what ``default_args`` has for it, too.
        """
        for field in self.template_fields:
            name = _PARAMETERS.get(field, field)
            if name in kwargs and (self._is_mapped or kwargs[name] is not None):
                self._named.setdefault(name, kwargs[name])
        return args, kwargs

    def _hook_options(self) -> dict[str, Any]:
        """Options of the hook's client."""
        return {}

    def check_rendered(self) -> None:
        """
        Check that nothing that the DAG names was rendered to nothing.

        :raises SequenceConfigurationError: if a parameter was: left out, it would stand for all, or for the run's own.
        """
        for field in self.template_fields:
            name = _PARAMETERS.get(field, field)
            if name not in self._named:
                continue
            named, rendered = self._named[name], getattr(self, field)
            nothing = name if rendered is None and named is None else find_nothing(name, named, rendered)
            if nothing is not None:
                raise SequenceConfigurationError(RENDERED_TO_NOTHING.format(name=nothing))

    @cached_property
    def running_query(self) -> RunningQuery:
        """The query that the task runs on a warehouse."""
        return RunningQuery()

    @cached_property
    def hook(self) -> SequenceHook:
        """The hook of the connection to Sequence."""
        return SequenceHook(self.sequence_conn_id, **self._hook_options())

    def on_kill(self) -> None:
        """End every wait and the query, and send nothing more; requests in flight are waited for by ``execute``."""
        self.told_to_end = True
        self.hook.end()
        self.running_query.cancel()
