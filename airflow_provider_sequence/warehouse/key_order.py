"""Keys that come in order are all different, and nobody has to count them."""

from __future__ import annotations

from collections.abc import Iterable
from operator import gt, lt


class KeyOrder:
    """Notices whether the keys of a list come in order."""

    def __init__(self) -> None:
        #: Keys so far.
        self.number = 0
        #: Whether each was less than the one before.
        self.falls = True
        self._rises = True
        self._last: list[str] = []

    def take(self, keys: Iterable[str]) -> None:
        """Look at the keys that come next."""
        keys = [*self._last, *keys]
        following = keys[1:]
        self.number += len(keys) - len(self._last)
        self.falls = self.falls and all(map(gt, keys, following))
        self._rises = self._rises and all(map(lt, keys, following))
        self._last = keys[-1:]

    @property
    def all_different(self) -> bool:
        """Whether no key can have come twice."""
        return self.falls or self._rises
