"""The demos on the terminal: where they live, what they say on the way, and the table in the end."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

CHECKOUT = Path(__file__).parents[2]

_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

#: Columns of a terminal that nobody has made wider, and of a table's figures.
_COLUMNS, _FIGURE = 80, 8

_started = time.monotonic()


def run(
    main: Callable[[Path], int], home: str, stopped: str = "Stopped. Run it again: it goes on where it was."
) -> NoReturn:
    """
    Run a demo, and end with what it returns; a signal that asks for the end ends it as Ctrl-C does.

    :param main: the demo; it is given its home.
    :param home: the name of the home in the checkout, if the command line names no other.
    :param stopped: what is said after Ctrl-C.
    """
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--home", type=Path, default=CHECKOUT / home, help="what the demo makes is kept here")
    folder = parser.parse_args().home.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    for name in _ENDINGS:
        signal.signal(name, _end)
    os.environ["no_proxy"] = "*"  # all of it is on this machine
    try:
        sys.exit(main(folder))
    except KeyboardInterrupt:
        print(stopped)
        sys.exit(130)


def _end(*_: object) -> None:
    """End as Ctrl-C does; one that comes again must not interrupt the stopping of what was started."""
    for name in _ENDINGS:
        signal.signal(name, signal.SIG_IGN)
    print("\nStopping ...", flush=True)
    raise KeyboardInterrupt


def say(text: str) -> None:
    """Print a line, and how long the demo has been running."""
    print(f"{time.monotonic() - _started:6.1f} s  {text}", flush=True)


def print_table(title: str, lines: Sequence[tuple[str, object]], differences: Sequence[str]) -> None:
    """Print what came of it: a label and a number on each line, and the first of the differences."""
    print(f"\n{title}")
    width = _COLUMNS - _FIGURE - len("    ")
    for label, found in lines:
        # A reason of Sequence's may be longer than a line.
        *first, last = textwrap.wrap(label, width, subsequent_indent=" " * 8)
        figure = found if isinstance(found, str) else format(found, ",")
        print("".join(f"  {part}\n" for part in first) + f"  {last:<{width}}  {figure:>{_FIGURE}}")
    for difference in differences[:10]:
        print(f"  ! {difference}")


def shown(path: Path) -> str:
    """Write a path as seen from where the demo was started."""
    return os.path.relpath(path)
