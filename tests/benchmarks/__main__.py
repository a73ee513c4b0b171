"""``python -m tests.benchmarks [part …]``: measures, keeps what was found, and writes docs/performance.md from it."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from tests.benchmarks import dag_file, deliveries, load, machine, million, page, pull, push
from tests.benchmarks.report import circumstances
from tests.benchmarks.world import CACHE, World

#: In the order of the page.
PARTS = {
    "push-limited": push.limited,
    "push": push.unlimited,
    "changed": million.changed,
    "requests": pull.requests,
    "pull": pull.beside_others,
    "slices": pull.in_slices,
    "pull-limited": pull.limited,
    "memory": million.memory,
    "load": load.load,
    "dag-file": dag_file.dag_file,
    "page": deliveries.deliveries_page,
}
RESULTS = CACHE / "results.json"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)}; all, if none is named"
    )
    parser.add_argument("--repeats", type=int, default=3, help="turns of what is measured in turns")
    given = parser.parse_args()
    if unknown := set(given.parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started ends, too
    CACHE.mkdir(parents=True, exist_ok=True)
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        os.environ["TMPDIR"] = os.environ["XDG_RUNTIME_DIR"] = tempfile.tempdir = folder
        with World() as world:
            about = machine.about(world)
            for name in given.parts or PARTS:
                began, now = time.monotonic(), circumstances()
                print(f"{name} …", flush=True)
                found = PARTS[name](world, given.repeats)
                results[name] = {**now, "minutes": (time.monotonic() - began) / 60, **asdict(found)}
                RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False))
                page.write({part: results[part] for part in PARTS if part in results}, about)
                for line in found.lines:
                    mark = {True: "met", False: "MISSED", None: ""}[line.met]
                    print(
                        f"  {line.what}\n    {line.target or 'no target'}: {line.measured}  {mark}",
                        flush=True,
                    )
                for title, table in found.tables.items():
                    print(f"  {title}")
                    for row in table:
                        print("    " + " | ".join(row))
    print(f"{page.PAGE.relative_to(Path.cwd())} is written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
