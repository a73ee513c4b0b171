"""How much is tried, from the environment, and what was measured, for the report."""

from __future__ import annotations

import json
import os
import random
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Campaign:
    """How much is tried.

    :param kills: processes killed, in a push and again in a pull.
    :param terms: pushes that are told to end.
    :param others: processes killed, and as many told to end, in each further kind of task.
    :param mixtures: random mixtures of faults, of a push and again of a pull.
    :param cuts: times that the database goes away at a random instant, in a push and again in a pull.
    :param values: rows of awkward values.
    :param full: 1 to try each fault with each kind of request, and not with some of them.
    :param haste: how many times as fast as the clock the ten minutes go in which tasks share a limit.
    :param seed: of all random choices.
    """

    kills: int
    terms: int
    others: int
    mixtures: int
    cuts: int
    values: int
    full: int
    haste: int
    seed: int

    def __str__(self) -> str:
        words = " ".join(f"SEQUENCE_FAULTS_{name.upper()}={value}" for name, value in vars(self).items())
        return f"{words} (to repeat it)"


#: ``SEQUENCE_FAULTS`` names one of these; single numbers are set by ``SEQUENCE_FAULTS_KILLS`` and the like.
SIZES: dict[str, dict[str, int]] = {
    "quick": {"kills": 3, "terms": 1, "others": 1, "mixtures": 1, "cuts": 1, "values": 300, "full": 0, "haste": 10},
    "usual": {"kills": 6, "terms": 4, "others": 1, "mixtures": 6, "cuts": 4, "values": 10_000, "full": 0, "haste": 10},
    "long": {"kills": 50, "terms": 20, "others": 5, "mixtures": 40, "cuts": 15, "values": 10_000, "full": 1, "haste": 1},
}  # fmt: skip
SIZE = os.environ.get("SEQUENCE_FAULTS") or "usual"


def _campaign() -> Campaign:
    os.environ.setdefault(
        "SEQUENCE_FAULTS_SEED", str(random.SystemRandom().randrange(10**6))
    )  # xdist's workers, too
    seed = int(os.environ["SEQUENCE_FAULTS_SEED"])
    given = {
        name: int(os.environ.get(f"SEQUENCE_FAULTS_{name.upper()}") or number)
        for name, number in SIZES[SIZE].items()
    }
    return Campaign(**given, seed=seed)


CAMPAIGN = _campaign()


def measured(task: str, how: str, **figures: float) -> None:
    """
    Note figures for the report, where there is to be one.

    Of most tests: ``tried``, how often (once, if left out); ``repeats``, how many events were sent once more; ``most``, how
    many of them after one try.

    :param how: what went wrong with it.
    """
    if path := os.environ.get("SEQUENCE_FAULTS_FIGURES"):
        with Path(path).open("a") as file:
            file.write(json.dumps({"task": task, "how": how, **figures}) + "\n")
