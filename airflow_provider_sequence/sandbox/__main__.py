"""``python -m airflow_provider_sequence.sandbox``: a Sequence API on this machine."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence

from airflow_provider_sequence.sandbox.settings import SWITCHES, SandboxSettings

_NEEDS = ("fastapi", "uvicorn")


def main(arguments: Sequence[str] | None = None) -> int:
    """Start the sandbox and return the exit code of its process."""
    parser = _parser()
    options = vars(parser.parse_args(arguments))
    try:
        settings = SandboxSettings(**{name: options[name] for name in SWITCHES})
    except ValueError as error:
        parser.error(str(error))
    missing = [name for name in _NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        return _fail(
            f"the sandbox needs {' and '.join(missing)}: pip install 'airflow-provider-sequence[sandbox]'"
        )
    # after the check, because these import what may be missing
    from airflow_provider_sequence.sandbox.app import create_app
    from airflow_provider_sequence.sandbox.server import announcement, bind, is_loopback, serve

    address = f"{options['host']}:{options['port']}"
    try:
        bound = bind(options["host"], options["port"])
    except (OSError, OverflowError) as error:
        return _fail(f"cannot listen on {address}: {error}; --port 0 picks a free port")
    try:
        app = create_app(settings, options["database"])
    except OSError as error:
        return _fail(str(error))
    if not is_loopback(bound) and settings.client_secret == SWITCHES["client_secret"].default:
        print(
            f"Sequence sandbox: warning: {options['host']} can be reached from other machines, and the secret is the one that "
            "everybody knows; set --client-secret",
            file=sys.stderr,
        )
    try:
        serve(app, bound, announcement(bound, settings))
    except KeyboardInterrupt:  # Ctrl-C is how it is meant to be stopped
        return 130
    return 0


def _fail(reason: str) -> int:
    print(f"Sequence sandbox: {reason}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_sequence.sandbox",
        description="A local server that behaves as the public documents say the Sequence API does.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port", type=int, default=8484, help="port to listen on; 0 picks a free one (default: %(default)s)"
    )
    parser.add_argument(
        "--database",
        default=":memory:",
        metavar="PATH",
        help="SQLite file that keeps what is stored over restarts (default: in memory)",
    )
    for switch in SWITCHES.values():
        meaning = switch.about.meaning.replace("%", "%%")
        if switch.kind is bool:
            parser.add_argument(
                switch.option, action=argparse.BooleanOptionalAction, default=switch.default, help=meaning
            )
        else:
            parser.add_argument(
                switch.option,
                type=switch.kind,
                default=switch.default,
                choices=switch.choices or None,
                metavar=None if switch.choices else switch.kind.__name__.upper(),
                help=f"{meaning} (default: %(default)s)",
            )
    return parser


if __name__ == "__main__":
    sys.exit(main())
