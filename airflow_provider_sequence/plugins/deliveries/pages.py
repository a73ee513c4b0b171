"""What each page shows: queries are asked, and figures made of what they find."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from airflow_provider_sequence.pipelines.delivery_log_table import ADDED_LATER
from airflow_provider_sequence.plugins.deliveries import figures, queries
from airflow_provider_sequence.plugins.deliveries.checks import state_of
from airflow_provider_sequence.plugins.deliveries.database import Cache, reading
from airflow_provider_sequence.plugins.deliveries.queries import Scope, Source
from airflow_provider_sequence.plugins.deliveries.request import (
    OPERATIONS,
    OUTCOMES,
    Asked,
    one_of,
    whole_number,
)
from airflow_provider_sequence.plugins.deployments import Deployment

Query = Mapping[str, str]
Model = dict[str, Any]

_MAX_ID = 4096
#: Tries that did not end well, of those that a page of days shows.
_TROUBLES = 10


@dataclass(frozen=True, slots=True)
class Sources:
    """Tables of a deployment, the accounts in them, and what is missing."""

    log: Source
    runs: Source | None
    differences: Source | None
    accounts: Sequence[str]

    @property
    def usable_log(self) -> Source | None:
        """The delivery log, if it can be read."""
        return None if self.log.table is None or self.log.missing - ADDED_LATER else self.log

    @property
    def usage_log(self) -> Any:
        """The table of the log, if it knows of each entry when its usage was; else None."""
        return None if self.log.missing else self.log.table

    def notices(self) -> list[str]:
        """Say what can't be shown, why, and what to do."""
        said = []
        if self.log.table is None:
            said.append(
                f"There is no delivery log {self.log.name}: no push has made it yet, or the setting names another."
            )
        elif self.log.missing - ADDED_LATER:
            names = ", ".join(sorted(self.log.missing - ADDED_LATER))
            said.append(
                f"The table {self.log.name} is no delivery log of this release: it has no column {names}."
            )
        elif self.log.missing:
            names = ", ".join(sorted(self.log.missing))
            said.append(
                f"The delivery log {self.log.name} is of an earlier release: it has no column {names}, so nothing is known "
                "by days of usage. The next push of this release adds what is missing; entries of before stay without."
            )
        for what, source in (("runs", self.runs), ("differences", self.differences)):
            if source is None:
                said.append(f"The setting names no {what}_table, so nothing is known of {what}.")
            elif source.table is None:
                said.append(
                    f"There is no table {source.name}: no task has made it yet, or the setting names another."
                )
            elif source.missing:
                names = ", ".join(sorted(source.missing))
                said.append(
                    f"The table {source.name} holds no {what} of this release: it has no column {names}."
                )
        return said


def _usable(source: Source | None) -> Any:
    return None if source is None or source.missing else source.table


class Pages:
    """
    Models of the pages of each deployment.

    What is the same for every user is remembered for a minute; rows of customers never are.

    :param now: gives the time.
    """

    def __init__(self, now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)) -> None:
        self._now = now
        self._cache = Cache()

    def asked(self, query: Query) -> Asked:
        """Parse the filters of an address."""
        return Asked.parse(query, self._now().date())

    def overview(self, deployment: Deployment, query: Query) -> Model:
        """Days, reasons, differences, and runs that need a look."""
        sources, scope = self._start(deployment, query)
        now = self._now()
        key = (deployment, "overview", scope)
        found: Model = self._cache.get(
            key, lambda: self._read(deployment, lambda c: _overview(c, sources, scope, now))
        )
        return self._frame(deployment, sources, scope, query) | found

    def runs(self, deployment: Deployment, query: Query) -> Model:
        """List the last tries."""
        sources, scope = self._start(deployment, query)
        table = _usable(sources.runs)
        task = {name: query.get(name, "")[:1000] or None for name in ("dag_id", "task_id", "run_id")}
        map_index = whole_number(query.get("map_index"))
        wanted = {
            # A task's link leads to its tries, whatever the account and the kind of events.
            **(
                {}
                if any(task.values())
                else {"account": scope.account, "resource": one_of(query.get("resource"), queries.RESOURCES)}
            ),
            "outcome": one_of(query.get("outcome"), OUTCOMES),
            "operation": one_of(query.get("operation"), OPERATIONS),
            **task,
            "map_index": None if map_index == -1 else map_index,
        }
        key = (deployment, "runs", tuple(sorted(wanted.items())))
        found = (
            []
            if table is None
            else self._cache.get(
                key, lambda: self._read(deployment, lambda c: queries.newest_runs(c, table, **wanted))
            )
        )
        now = self._now()
        model = {"runs": [figures.make_run(row, now) for row in found], "wanted": wanted, "outcomes": OUTCOMES,
                 "operations": OPERATIONS, "has_table": table is not None}  # fmt: skip
        return self._frame(deployment, sources, scope, query) | model

    def rejected(self, deployment: Deployment, query: Query) -> Model:
        """List rejected entries, of one reason or of all."""
        sources, scope = self._start(deployment, query)
        log, key = sources.usable_log, query.get("reason", "")[:32]

        def read(connection: Connection) -> tuple[str | None, Sequence[Any]]:
            if log is None:
                return None, []
            if not key:
                return None, queries.rejected_rows(connection, log, scope, None)
            texts = [
                text
                for text, *_ in queries.reasons(connection, log, scope)
                if figures.reason_key(text) == key
            ]
            return (texts[0], queries.rejected_rows(connection, log, scope, texts[0])) if texts else ("", [])

        reason, rows = self._read(deployment, read)
        return self._frame(deployment, sources, scope, query) | {
            "reason": reason,
            "rows_found": rows,
        }

    def body(self, deployment: Deployment, query: Query) -> Model:
        """Show the body of an event that was rejected."""
        sources, scope = self._start(deployment, query)
        event_id, log = query.get("event_id", "")[:_MAX_ID], sources.log.table if sources.usable_log else None
        body = (
            None
            if log is None
            else self._read(
                deployment,
                lambda c: queries.rejected_body(c, log, scope.account, scope.resource, event_id),
            )
        )
        return self._frame(deployment, sources, scope, query) | {"event_id": event_id, "body": body}

    def differences(self, deployment: Deployment, query: Query) -> Model:
        """List events that differ."""
        sources, scope = self._start(deployment, query)
        table = _usable(sources.differences)
        rows = (
            []
            if table is None
            else self._read(deployment, lambda c: queries.difference_rows(c, table, scope))
        )
        return self._frame(deployment, sources, scope, query) | {"rows_found": rows}

    def event(self, deployment: Deployment, query: Query) -> Model:
        """Find an event by its id."""
        sources, scope = self._start(deployment, query)
        event_id, log = query.get("event_id", "").strip()[:_MAX_ID], sources.usable_log
        rows = (
            self._read(deployment, lambda c: queries.entries(c, log, scope.account, event_id))
            if event_id and log is not None
            else []
        )
        return self._frame(deployment, sources, scope, query) | {"event_id": event_id, "rows_found": rows}

    def _start(self, deployment: Deployment, query: Query) -> tuple[Sources, Scope]:
        sources = self._cache.get(
            (deployment, "sources"), lambda: self._read(deployment, lambda c: _sources(c, deployment))
        )
        return sources, self.asked(query).scope(sources.accounts)

    def _frame(self, deployment: Deployment, sources: Sources, scope: Scope, query: Query) -> Model:
        """What every page of a deployment has."""
        return {
            "deployment": deployment,
            "scope": scope,
            "asked": self.asked(query),
            "accounts": sources.accounts,
            "notices": sources.notices(),
            "max_shown": queries.MAX_SHOWN,
        }

    def _read(self, deployment: Deployment, work: Callable[[Connection], Any]) -> Any:
        with reading(deployment.conn_id) as connection:
            return work(connection)


def _sources(connection: Connection, deployment: Deployment) -> Sources:
    log = queries.find_log(connection, deployment.delivery_log_table)
    runs = queries.find_runs(connection, deployment.runs_table) if deployment.runs_table else None
    differences = (
        queries.find_differences(connection, deployment.differences_table)
        if deployment.differences_table
        else None
    )
    tables = [table for table in (log.table, _usable(runs)) if table is not None and "account" in table.c]
    readable = [] if "account" in log.missing else tables
    return Sources(log, runs, differences, queries.accounts(connection, readable))


def _overview(connection: Connection, sources: Sources, scope: Scope, now: dt.datetime) -> Model:
    log, runs, differences = sources.usable_log, _usable(sources.runs), _usable(sources.differences)
    tries = None if runs is None else queries.runs_of_days(connection, runs, scope)
    usage_log = sources.usage_log
    counts = [] if usage_log is None else queries.day_counts(connection, usage_log, scope)
    days = figures.make_days(scope.days, counts, tries, now)
    troubles = [run for run in tries or () if state_of(run, now) != "success"]
    return {
        "days": days,
        "bars": figures.make_bars(days),
        "has_usage": usage_log is not None,
        "without_time": usage_log is not None
        and queries.has_entries_without_time(connection, usage_log, scope),
        "longer_pushes": figures.longer_pushes(tries or ()),
        "too_many_runs": len(tries or ()) == queries.MAX_RUNS,
        "reasons": [] if log is None else figures.make_reasons(queries.reasons(connection, log, scope)),
        "windows": [] if differences is None else queries.difference_windows(connection, differences, scope),
        "troubles": [figures.make_run(run, now) for run in troubles[:_TROUBLES]],
        "troubles_count": len(troubles),
    }
