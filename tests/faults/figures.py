"""How much is tried, from the environment, and what was measured, for the report."""

from __future__ import annotations

import json
import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Campaign:
    """How much is tried.

    :param kills: processes killed, in a push and again in a pull.
    :param terms: pushes that are told to end.
    :param mixtures: random mixtures of faults, of a push and again of a pull.
    :param cuts: times that the database goes away at a random instant, in a push and again in a pull.
    :param values: rows of awkward values.
    :param full: 1 to try each fault with each list, and not with two of them.
    :param seed: of all random choices.
    """

    kills: int
    terms: int
    mixtures: int
    cuts: int
    values: int
    full: int
    seed: int

    def __str__(self) -> str:
        words = " ".join(f"SEQUENCE_FAULTS_{name.upper()}={value}" for name, value in vars(self).items())
        return f"{words} (to repeat it)"


def _campaign() -> Campaign:
    def given(name: str, default: int) -> int:
        return int(os.environ.get(f"SEQUENCE_FAULTS_{name}") or default)

    seed = given("SEED", random.SystemRandom().randrange(10**6))
    os.environ["SEQUENCE_FAULTS_SEED"] = str(seed)  # xdist's workers take it from here
    return Campaign(
        given("KILLS", 6),
        given("TERMS", 4),
        given("MIXTURES", 6),
        given("CUTS", 4),
        given("VALUES", 10_000),
        given("FULL", 0),
        seed,
    )


CAMPAIGN = _campaign()


def measured(what: str, **figures: Any) -> None:
    """Note figures for the report, where there is to be one."""
    if path := os.environ.get("SEQUENCE_FAULTS_FIGURES"):
        with Path(path).open("a") as file:
            file.write(json.dumps({"what": what, **figures}) + "\n")
