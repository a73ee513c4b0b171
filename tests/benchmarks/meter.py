"""What a piece of work costs the process that does it; nothing but Python is needed, so that peers use it too."""

from __future__ import annotations

import json
import re
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def measure(work: Callable[[], Any]) -> None:
    """
    Do a piece of work, and print what it cost as the last line.

    ``seconds`` of the clock, ``cpu`` seconds of the processor over all threads and children, ``ended`` on the machine's monotonic
    clock, ``peak_mb``, the most memory that the process has had, and the work's own ``value``.
    """
    began, cpu_before = time.monotonic(), _cpu()
    value = work()
    ended = time.monotonic()
    cost = {
        "seconds": ended - began,
        "cpu": _cpu() - cpu_before,
        "ended": ended,
        "peak_mb": peak_mb(),
        "value": value,
    }
    sys.stdout.flush()
    print(json.dumps(cost, default=str), flush=True)


def _cpu() -> float:
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def peak_mb() -> float:
    """Return the most memory that this process has had, in MB; a process starts at none, whoever started it."""
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text()).group(1)) / 1024
