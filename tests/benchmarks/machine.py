"""What the figures were taken on."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path

from tests.benchmarks.world import PEERS_PYTHON, World

_PACKAGES = (
    "apache-airflow",
    "apache-airflow-providers-http",
    "apache-airflow-providers-postgres",
    "msgspec",
    "psycopg",
    "requests",
    "sqlalchemy",
    "urllib3",
)
_PEERS = ("dlt", "singer-sdk", "meltanolabs-target-postgres")


def about(world: World) -> dict[str, str]:
    """Name the machine and the versions of what ran on it."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    code = f"from importlib.metadata import version; print(*map(version, {_PEERS!r}))"
    peers = subprocess.run(
        [str(PEERS_PYTHON), "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    return {
        "CPU": f"{cpu.group(1) if cpu else platform.processor()}, {os.cpu_count()} cores",
        "memory": f"{int(memory.group(1)) / 2**20:.0f} GB",
        "system": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "PostgreSQL": f"{world.sql('SHOW server_version')[0][0]}, `fsync` off, over a Unix socket",
        "packages": ", ".join(f"{name} {version(name)}" for name in _PACKAGES),
        "peers": ", ".join(f"{name} {number}" for name, number in zip(_PEERS, peers, strict=True)),
    }
