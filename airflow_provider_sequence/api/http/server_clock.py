"""Clock of the server, as the ``Date`` of its responses tells it: the worker's own may be wrong."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Mapping

from airflow_provider_sequence.api.http.error_response import parse_date
from airflow_provider_sequence.api.timestamps import utc_text

log = logging.getLogger(__name__)

#: Differences up to the first are none: ``Date`` has no fraction, and travels. Those beyond the second are warned of.
_TOLERANCE, _WARN_BEYOND = dt.timedelta(seconds=5), dt.timedelta(minutes=1)


class ServerClock:
    """Clock of the server; the worker's own until a response tells the time."""

    def __init__(self) -> None:
        self._ahead = dt.timedelta()
        self._warned = False
        self._text = ""
        #: Whether a response has told the time.
        self.known = False

    def now(self) -> dt.datetime:
        """What time it is, in UTC."""
        return dt.datetime.now(dt.UTC) + self._ahead

    def read(self, headers: Mapping[str, str]) -> None:
        """Read the time of a response that has just come."""
        text = headers.get("Date", "")
        if text == self._text or "Age" in headers:  # the same second again, or a cache's answer, which is old
            return
        self._text = text
        date = parse_date(text)
        if date is None:
            return
        own = dt.datetime.now(dt.UTC)
        ahead = date - own
        self._ahead = ahead if abs(ahead) > _TOLERANCE else dt.timedelta()
        self.known = True
        if abs(ahead) > _WARN_BEYOND and not self._warned:
            self._warned = True
            log.warning(
                "This worker's clock says %s, Sequence's says %s: max_future, late_after and the waits that Sequence asks "
                "for go by Sequence's. Set the worker's clock: the times in logs and tables are its own",
                utc_text(own.replace(microsecond=0)),
                utc_text(date),
            )
