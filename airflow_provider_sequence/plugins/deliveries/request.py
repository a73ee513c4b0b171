"""What a request asks for; whatever is no answer to a question of the page's becomes the page's own default."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from airflow_provider_sequence.pipelines.runs import RunOutcome
from airflow_provider_sequence.plugins.deliveries.queries import RESOURCES, Scope

#: How many days a page may show; the second is the default.
DAYS = (7, 14, 31)
_EARLIEST, _LATEST = dt.date(2000, 1, 1), dt.date(2100, 1, 1)
OUTCOMES = tuple(outcome.value for outcome in RunOutcome)
OPERATIONS = ("push", "void", "pull", "reconcile", "metric")


@dataclass(frozen=True, slots=True)
class Asked:
    """
    Filters of a page.

    :param account: whose events; empty for the first.
    :param resource: kind of events.
    :param days: how many days.
    :param end: the last of them.
    """

    account: str
    resource: str
    days: int
    end: dt.date

    @classmethod
    def parse(cls, query: Mapping[str, str], today: dt.date) -> Asked:
        """Parse the query of an address."""
        days, resource = query.get("days", ""), query.get("resource", "")
        try:
            end = dt.date.fromisoformat(query.get("end", ""))
        except ValueError:
            end = today
        return cls(
            query.get("account", "")[:64],
            resource if resource in RESOURCES else RESOURCES[0],
            int(days) if days in map(str, DAYS) else DAYS[1],
            min(max(end, _EARLIEST), _LATEST),
        )

    def scope(self, accounts: Sequence[str]) -> Scope:
        """What is read for it; of an account that is not there, the first one instead."""
        account = self.account if self.account in accounts else next(iter(accounts), "")
        end = dt.datetime.combine(self.end, dt.time.min, dt.UTC) + dt.timedelta(days=1)
        return Scope(account, self.resource, end - dt.timedelta(days=self.days), end)


def one_of(value: str | None, allowed: Sequence[str]) -> str | None:
    """Return a value if it is allowed."""
    return value if value in allowed else None


def whole_number(value: str | None) -> int | None:
    """Return a small whole number, or None."""
    try:
        number = int(value or "")
    except ValueError:
        return None
    return number if -1 <= number < 2**31 else None
