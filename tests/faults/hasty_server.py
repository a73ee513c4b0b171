"""``python -m tests.faults.hasty_server --haste=10 …``: the sandbox, whose minutes of limits are so much shorter."""

from __future__ import annotations

import functools
import sys
import time

from airflow_provider_sequence.sandbox import sandbox
from airflow_provider_sequence.sandbox.limits import Limits
from tests.support.contract_server import main

if __name__ == "__main__":
    (given,) = [word for word in sys.argv if word.startswith("--haste=")]
    haste = int(given.partition("=")[2])
    sandbox.Limits = functools.partial(Limits, clock=lambda: time.time() * haste)
    main([word for word in sys.argv[1:] if word != given])
