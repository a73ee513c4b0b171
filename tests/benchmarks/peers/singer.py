"""``tap | target-postgres``: what runs both, and measures them together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.benchmarks.meter import measure


def _pipe() -> None:
    folder = Path(os.environ["BENCH_FOLDER"])
    config = folder / "target.json"
    config.write_text(
        json.dumps({
            "sqlalchemy_url": os.environ["BENCH_POSTGRES"],
            "default_target_schema": "singer",
            "add_record_metadata": False,
            "activate_version": False,
            "validate_records": False,
            "use_copy": True,
        })
    )
    target = [str(Path(sys.executable).with_name("target-postgres")), "--config", str(config)]
    with (
        subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.peers.singer_tap"], stdout=subprocess.PIPE
        ) as tap,
        subprocess.Popen(target, stdin=tap.stdout, stdout=subprocess.DEVNULL) as loader,
    ):
        tap.stdout.close()
        if loader.wait() or tap.wait():
            raise SystemExit("the tap or the target failed")


if __name__ == "__main__":
    measure(_pipe)
