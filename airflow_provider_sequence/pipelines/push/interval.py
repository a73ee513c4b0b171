"""Count of a push's events that lie outside the interval that its run is about: the WHERE and the zone may not fit."""

from __future__ import annotations

from dataclasses import dataclass, field

from airflow_provider_sequence.api.events import Event
from airflow_provider_sequence.api.timestamps import utc_text
from airflow_provider_sequence.api.windows import Window


@dataclass(slots=True)
class OutsideCount:
    """
    Count of events outside a run's interval.

    :param interval: the interval.
    :param before: how many lie before it; a query that looks back for late rows has some.
    :param after: how many lie after it.
    """

    interval: Window
    before: int = 0
    after: int = 0
    _start: str = field(init=False)
    _end: str = field(init=False)

    def __post_init__(self) -> None:
        # As an event's time is: text that is in the order of time.
        self._start, self._end = (
            utc_text(bound).removesuffix("Z") for bound in (self.interval.start, self.interval.end)
        )

    def add(self, event: Event) -> None:
        """Count an event that is about to be sent."""
        if event.time:  # an event that voids another may have none
            self.before += event.time < self._start
            self.after += event.time > self._end  # a total at the interval's end is one of this run
