"""Summary of a push, and the limit of rejected rows that fails it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_sequence.exceptions import RejectedRowsError, SequenceConfigurationError
from airflow_provider_sequence.pipelines.push.outcomes import Outcome, RowFlag, Status

#: Rejected rows that a summary shows.
MAX_ROWS_SHOWN = 10


@dataclass
class PushSummary:
    """
    Counts of a push.

    :param rows: rows the query gave.
    :param counts: rows by their status.
    :param flags: rows by their flags.
    :param requests: requests sent, each attempt counted.
    :param throttled: requests that got a 429.
    :param seconds: how long it took.
    :param first_rejected: the first rejected rows.
    :param first_conflicting: the first rows whose id an earlier row has, with another body.
    :param watermark: the newest timestamp of a row that was delivered or is unchanged, in ISO 8601.
    """

    rows: int = 0
    counts: Counter[Status] = field(default_factory=Counter)
    flags: Counter[RowFlag] = field(default_factory=Counter)
    requests: int = 0
    throttled: int = 0
    seconds: float = 0.0
    first_rejected: list[Outcome] = field(default_factory=list)
    first_conflicting: list[Outcome] = field(default_factory=list)
    watermark: str | None = None

    def add(self, outcome: Outcome) -> None:
        """Count a row's outcome."""
        self.counts[outcome.status] += 1
        for flag in outcome.flags:
            # A row that is sent late or as a correction counts as such once it is delivered.
            if outcome.status is Status.DELIVERED or flag in {RowFlag.CONFLICTING, RowFlag.VOIDED}:
                self.flags[flag] += 1
        if outcome.status is Status.REJECTED and len(self.first_rejected) < MAX_ROWS_SHOWN:
            self.first_rejected.append(outcome)
        if RowFlag.CONFLICTING in outcome.flags and len(self.first_conflicting) < MAX_ROWS_SHOWN:
            self.first_conflicting.append(outcome)

    @property
    def not_tried(self) -> int:
        """Rows whose outcome is not known: the push ended before."""
        return self.rows - self.counts.total()

    def by_status(self) -> dict[str, int]:
        """Rows by the names of their status."""
        return {status.value: self.counts[status] for status in Status}

    def as_table(self, *, is_dry_run: bool = False) -> str:
        """
        Return the table for the task's log.

        :param is_dry_run: whether nothing was sent.
        """
        by_status = self.by_status()
        if is_dry_run:
            would_be = {Status.DELIVERED: "would be delivered", Status.REJECTED: "would be rejected"}
            by_status = {would_be.get(Status(name), name): count for name, count in by_status.items()}
        lines: dict[str, float] = {
            "rows": self.rows,
            **by_status,
            **({"not tried": self.not_tried} if self.not_tried else {}),
            **{flag.value: count for flag, count in self.flags.items()},
            "requests": self.requests,
            "seconds": round(self.seconds, 1),
        }
        return "\n".join(f"  {name:<20} {number:>12,}" for name, number in lines.items())

    def as_dict(self) -> dict[str, Any]:
        """Return the XCom value: numbers, and reasons without customers' data."""
        return {
            "rows": self.rows,
            **self.by_status(),
            "not_tried": self.not_tried,
            **{flag.value: self.flags[flag] for flag in RowFlag},
            "requests": self.requests,
            "throttled": self.throttled,
            "seconds": round(self.seconds, 3),
            "rejected_rows": [
                {"row": o.row, "customer_event_id": o.shown_id, "reason": o.reason}
                for o in self.first_rejected
            ],
            "conflicting_rows": [
                {"row": o.row, "customer_event_id": o.shown_id} for o in self.first_conflicting
            ],
        }


@dataclass(frozen=True, slots=True)
class RejectionLimit:
    """
    Limit of rejected rows, above which the task fails.

    :param number: this many rows, or None where ``share`` counts.
    :param share: this part of all rows, 0 to 1.
    """

    number: int | None = 0
    share: float = 0.0

    @classmethod
    def parse(cls, value: object, name: str = "max_rejected") -> RejectionLimit:
        """
        Read a whole number of rows (``10``), or a part of them (``0.01``); text is read alike.

        :param name: the setting's name.

        :raises SequenceConfigurationError: if it is neither.
        """
        text = str(value).strip()
        try:
            if text.isdigit():
                return cls(number=int(text))
            share = float(text)
        except ValueError:
            share = -1.0
        if isinstance(value, bool) or not 0 <= share <= 1:
            raise SequenceConfigurationError(
                f"{name}={value!r} is neither a number of rows (10) nor a part of them (0.01)"
            )
        return cls(number=None, share=share)

    def allowed(self, rows: int) -> float:
        """The number that is allowed of so many rows."""
        return self.number if self.number is not None else self.share * rows

    def __str__(self) -> str:
        return f"{self.number}" if self.number is not None else f"{self.share * 100:g} %"

    def enforce(self, summary: PushSummary, where_to_look: str = "", *, done: str = "delivered") -> None:
        """
        Fail if more rows were rejected than may be.

        :param where_to_look: how to see all that were.
        :param done: what happened to the others.
        :raises RejectedRowsError: it names the first rows and reasons.
        """
        rejected = summary.counts[Status.REJECTED]
        if rejected <= self.allowed(summary.rows):
            return
        first = "\n".join(f"  {o.shown_row}: {o.reason}" for o in summary.first_rejected)
        others = f"The others have been {done}. " if rejected < summary.rows else ""
        more = f"\nAll that have an id:\n  {where_to_look}" if where_to_look else ""
        raise RejectedRowsError(
            f"{rejected} of {summary.rows} rows were rejected, {self} are allowed (max_rejected)\n"
            f"{others}The first that were rejected:\n{first}{more}"
        )
