"""``python -m tests.support.contract_server``: the sandbox on 127.0.0.1, every request and answer held to the contract.

Beside the sandbox's own paths it serves ``GET`` and ``DELETE /_contract/violations``, and ``PATCH
/_contract/settings`` with ``check_requests`` and ``check_answers``. ``ready http://127.0.0.1:PORT`` on standard output
says that it listens. SIGTERM and SIGINT stop it, and so does the end of standard input with ``--with-parent``.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Any

from airflow_provider_sequence.sandbox.app import create_app
from airflow_provider_sequence.sandbox.server import bind
from airflow_provider_sequence.sandbox.server import serve as serve_sandbox
from airflow_provider_sequence.sandbox.settings import SandboxSettings
from tests.support.contract_check import App, ContractCheck

__all__ = ["ContractCheck", "arguments", "main", "serve"]


def serve(app: App, port: int, with_parent: bool = False) -> None:
    """Run an app behind the check, the way the sandbox runs its own, until a signal stops it."""
    listener = bind("127.0.0.1", port)
    if with_parent:
        threading.Thread(target=_stop_at_end_of_input, daemon=True).start()
    serve_sandbox(ContractCheck(app), listener, f"ready http://127.0.0.1:{listener.getsockname()[1]}")


def _stop_at_end_of_input() -> None:
    while os.read(0, 4096):  # ends when the process that started this one is gone, whatever became of it
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def setting(text: str) -> tuple[str, Any]:
    """``name=value``; the value is JSON where it reads as such, and text otherwise."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"expected name=value, got {text!r}")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.support.contract_server", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--database", default=":memory:", help="where the sandbox keeps its state")
    parser.add_argument(
        "--set", type=setting, action="append", default=[], metavar="NAME=VALUE", dest="settings"
    )
    parser.add_argument("--with-parent", action="store_true", help="stop at the end of standard input")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    chosen = arguments(argv)
    try:
        settings = SandboxSettings(**dict(chosen.settings))
    except (TypeError, ValueError) as error:
        sys.exit(f"the sandbox refused these settings: {error}")
    serve(create_app(settings, chosen.database), chosen.port, chosen.with_parent)


if __name__ == "__main__":
    main()
