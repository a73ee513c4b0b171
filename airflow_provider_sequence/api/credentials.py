"""Secret: a credential that no traceback, log or debugger shows by accident."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Secret:
    """
    Secret that is not part of its own text: tools that report errors show the local variables of each frame.

    :param value: what it is.
    """

    value: str = field(repr=False)

    def __bool__(self) -> bool:
        return bool(self.value)
