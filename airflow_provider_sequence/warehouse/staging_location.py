"""Place that a user names for files of rows, which the database reads from there: a bucket, or a volume."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import IO, Protocol

#: Execution option of connections: the place, a :class:`Bucket` or the path of a volume.
STAGING = "sequence_staging"


class Bucket(Protocol):
    """Bucket that the database can read."""

    #: Role in which it does so; None for its default one.
    role: str | None

    def hold(self, file: IO[bytes]) -> AbstractContextManager[str]:
        """Put a file into the bucket for the context; give its URL."""
