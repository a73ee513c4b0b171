"""Reconciliation of a usage metric, alias by alias, with the warehouse's own figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from airflow_provider_sequence.api.client import SequenceClient
from airflow_provider_sequence.api.lossless_json import format_decimal
from airflow_provider_sequence.api.usage_metrics import TooManyDigitsError, add_exactly
from airflow_provider_sequence.api.windows import Window
from airflow_provider_sequence.exceptions import SequenceConfigurationError
from airflow_provider_sequence.pipelines.push.summary import MAX_ROWS_SHOWN


@dataclass
class MetricSummary:
    """
    Result of a comparison.

    :param aliases: aliases that were compared.
    :param different: those whose values differ by more than the tolerance.
    :param warehouse: sum of the warehouse's values.
    :param sequence: sum of the metric's values.
    :param requests: requests sent, each attempt counted.
    :param different_rows: the first that differ: number, the warehouse's value and the metric's.
    """

    aliases: int = 0
    different: int = 0
    warehouse: Decimal = Decimal(0)
    sequence: Decimal = Decimal(0)
    requests: int = 0
    different_rows: list[dict[str, Any]] = field(default_factory=list)

    def describe(self, tolerance: Decimal) -> str:
        """Say what differs, for an error; aliases are customers' data, so rows go by their numbers in the query."""
        lines = [("row of the query", "the warehouse has", "the metric counts")]
        lines += [(str(each["row"]), each["warehouse"], each["sequence"]) for each in self.different_rows]
        table = "\n".join(f"  {row:<16} {expected:>18} {counted:>18}" for row, expected, counted in lines)
        return (
            f"{self.different:,} of {self.aliases:,} aliases differ by more than {tolerance}\n{table}\n"
            f"In all: the warehouse has {format_decimal(self.warehouse)}, the metric counts {format_decimal(self.sequence)}"
        )

    def as_table(self) -> str:
        """Return the table for the task's log."""
        counts = {name: value for name, value in self.as_dict().items() if name != "different_rows"}
        return "\n".join(f"  {name:<12} {value:>12}" for name, value in counts.items())

    def as_dict(self) -> dict[str, Any]:
        """Return the XCom value; sums as text with every digit."""
        return {
            "aliases": self.aliases,
            "different": self.different,
            "warehouse": format_decimal(self.warehouse),
            "sequence": format_decimal(self.sequence),
            "requests": self.requests,
            "different_rows": list(self.different_rows),
        }


def reconcile_metric(
    rows: Iterable[tuple[str, Decimal]],
    client: SequenceClient,
    metric_id: str,
    period: Window,
    summary: MetricSummary,
    *,
    tolerance: Decimal,
    custom_parameters: Mapping[str, Any] | str | None = None,
) -> None:
    """
    Compare what the warehouse has of each alias with what a metric counts for it.

    :param rows: aliases and the warehouse's values.
    :param summary: where the comparison is counted.
    :param tolerance: by how much the two may differ.
    :param custom_parameters: values of the metric's parameters, where not the defaults.
    :raises SequenceConfigurationError: if a value has too many digits to be compared exactly.
    """
    for alias, expected in rows:
        summary.aliases += 1
        counted = Decimal(client.calculate_metric(metric_id, alias, period, custom_parameters)["value"])
        try:
            difference = add_exactly(expected, counted.copy_negate())
            summary.warehouse = add_exactly(summary.warehouse, expected)
            summary.sequence = add_exactly(summary.sequence, counted)
        except TooManyDigitsError:
            raise SequenceConfigurationError(
                f"row {summary.aliases}: the values have too many digits to be compared\nRound them in the query"
            ) from None
        if difference.copy_abs() > tolerance:
            summary.different += 1
            if len(summary.different_rows) < MAX_ROWS_SHOWN:
                summary.different_rows.append({
                    "row": summary.aliases,
                    "warehouse": format_decimal(expected),
                    "sequence": format_decimal(counted),
                })
        summary.requests = client.requests_sent


def metric_rows(
    rows: Iterable[Mapping[str, Any]], parse: Callable[[str, object], Decimal]
) -> Iterable[tuple[str, Decimal]]:
    """
    Aliases and values of a query's rows; NULL is 0.

    :param parse: parses a number, and names it in the error.
    """
    for number, row in enumerate(rows, 1):
        yield row["customer_alias"], parse(f"value of row {number}", row["value"] or 0)
