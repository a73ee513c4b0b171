"""Real operators in processes of their own: a parent that has imported Airflow forks a child for each run.

``python -m tests.faults.runner`` is the parent. It reads a job a line on standard input, and answers each with the
pid of the child. A child leaves what became of its run in a folder: ``output``, all that was printed or logged at
level DEBUG, and ``result.json``, which is missing where the child was killed.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import gc
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

#: What runs would import one by one, most of it in the middle of their work.
IMPORTED_ONCE = [
    "airflow.providers.postgres.hooks.postgres",
    "airflow.sdk.execution_time.supervisor",
    "airflow_provider_sequence.operators.sequence",
    "airflow_provider_sequence.transfers.sequence_to_sql",
    "psycopg2.extras",
    "sqlalchemy.dialects.postgresql.psycopg",
    "tests.integration.support.values",
]
ROOT = Path(__file__).resolve().parents[2]
#: Longest and first wait between two tries: the client's own, twenty times as fast.
INITIAL_BACKOFF, MAX_BACKOFF = 0.05, 0.4


# --- in the test's process -------------------------------------------------------------------------------------


@dataclass
class Run:
    """How a run ended.

    :param value: what ``execute`` returned.
    :param classes: names of the classes of the error that it raised, and of those it came from.
    :param message: the error's own words.
    :param said: all that a log shows of it, the traceback included.
    :param output: what was printed and logged.
    :param was_killed: whether it left no word.
    """

    value: Any = None
    classes: list[str] = field(default_factory=list)
    message: str = ""
    said: str = ""
    output: str = ""
    was_killed: bool = False
    seconds: float = 0.0

    @property
    def is_right(self) -> bool:
        return not self.was_killed and not self.classes

    def everything(self) -> str:
        return "\n".join([self.output, self.said, self.message, json.dumps(self.value, ensure_ascii=False)])


class Running:
    """A run under way."""

    def __init__(self, pid: int, folder: Path) -> None:
        self.pid, self.folder = pid, folder
        self.started = time.monotonic()
        try:
            self._handle: int | None = os.pidfd_open(pid)
        except ProcessLookupError:
            self._handle = None

    def signal(self, number: int) -> None:
        if self._handle is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, number)

    def is_over(self, within: float = 0) -> bool:
        if self._handle is None:
            return True
        poll = select.poll()
        poll.register(self._handle, select.POLLIN)
        return bool(poll.poll(within * 1000))

    def wait(self, within: float = 90) -> Run:
        if not self.is_over(within):
            self.signal(signal.SIGKILL)
            self.is_over(10)
            output = (self.folder / "output").read_text(errors="replace")
            raise AssertionError(f"a run did not end within {within} s:\n{output[-5000:]}")
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
        output = (self.folder / "output").read_text(errors="replace")
        result = self.folder / "result.json"
        seconds = time.monotonic() - self.started
        if not result.exists():
            return Run(output=output, was_killed=True, seconds=seconds)
        return Run(**json.loads(result.read_text()), output=output, seconds=seconds)


class Runner:
    """The parent, as the tests see it."""

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="runs")
        self._number = 0
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, self._folder.name],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()
        self._folder.cleanup()

    def start(self, job: dict[str, Any]) -> Running:
        """Begin a run; see :func:`_work` for what a job is."""
        self._number += 1
        folder = Path(self._folder.name) / str(self._number)
        folder.mkdir()
        self._process.stdin.write(json.dumps(job | {"folder": str(folder)}) + "\n")
        self._process.stdin.flush()
        return Running(int(self._process.stdout.readline()), folder)


# --- in the parent and its children ----------------------------------------------------------------------------


def _main() -> None:
    # all that a run needs; a fork has it for nothing
    for name in IMPORTED_ONCE:
        importlib.import_module(name)
    gc.freeze()

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    print("ready", flush=True)
    for line in iter(sys.stdin.readline, ""):
        pid = os.fork()
        if pid == 0:
            _child(json.loads(line))
        print(pid, flush=True)


def _child(job: dict[str, Any]) -> None:
    import logging
    import traceback

    from tests.integration.support.values import error_text

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    folder = Path(job["folder"])
    output = os.open(folder / "output", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    logging.basicConfig(level=logging.DEBUG, stream=sys.stderr, force=True)
    # Every one, those that set a level of their own, too.
    for name in list(logging.root.manager.loggerDict):
        logging.getLogger(name).setLevel(logging.DEBUG)
    result: dict[str, Any] = {}
    try:
        result["value"] = _work(job)
    except BaseException as error:
        result["classes"], cause = [], error
        while cause is not None:
            result["classes"] += [kind.__name__ for kind in type(cause).__mro__[:-1]]
            cause = cause.__cause__ or cause.__context__
        result["message"] = str(error)
        result["said"] = error_text(error) + "\n" + traceback.format_exc()
        logging.exception("the task failed")  # noqa: LOG015
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    text = json.dumps(result, default=str)
    (folder / "result.part").write_text(text)
    (folder / "result.part").rename(folder / "result.json")
    os._exit(0)


def _work(job: dict[str, Any]) -> Any:
    """
    Do a job.

    :param job: ``kind``; ``options`` of the operator or the question, lengths of time in days; ``client``, options of the client, such as its
        ``deadline``; ``environment``, where the connections are;
        ``record_after``, how many outcomes go into the log at a time, where there are to be fewer than usual;
        ``slice_items``, how many items a slice of a list has at least, where there are to be fewer than usual;
        ``as_patient_as_users``, whether it waits between tries as long as it does for users;
        ``haste``, how many times as fast as the clock its time goes where a limit a minute is kept.
    """
    from airflow_provider_sequence.api.http import transport
    from airflow_provider_sequence.hooks.sequence import SequenceHook
    from airflow_provider_sequence.pipelines.pull import scans
    from airflow_provider_sequence.pipelines.push import pipeline as push

    os.environ.update(job["environment"])
    if not job["as_patient_as_users"]:
        transport.INITIAL_BACKOFF, transport.MAX_BACKOFF = INITIAL_BACKOFF, MAX_BACKOFF
    if job["haste"] != 1:
        transport.RateLimiter = _hurried(job["haste"])
    if job["slice_items"]:
        scans._MIN_SLICE_ITEMS = job["slice_items"]
        scans._EXTRA_REQUESTS = 100.0  # however many more requests that costs
    if job["record_after"]:
        push.RECORD_AFTER_OUTCOMES = job["record_after"]
    options, client = job["options"], job["client"]
    for name in {"late_after", "max_future", "lookback"} & options.keys():
        options[name] = None if options[name] is None else dt.timedelta(days=options[name])
    if job["kind"] == "check":
        return SequenceHook("sequence", **client).test_connection()
    if job["kind"] == "calculate":
        return {
            name: str(value)
            for name, value in SequenceHook("sequence", **client).calculate_metric(**options).items()
        }
    if job["kind"] == "list":
        return list(SequenceHook("sequence", **client).list(**options))

    operator = _operator(job["kind"])(task_id="task", sequence_conn_id="sequence", **options)
    connections = {"connections": int(operator.concurrency)} if hasattr(operator, "concurrency") else {}
    operator.__dict__["hook"] = SequenceHook("sequence", **connections, **client)
    signal.signal(signal.SIGTERM, lambda *_: operator.on_kill())  # what Airflow's task runner does
    (Path(job["folder"]) / "begun").touch()
    return operator.execute(_context())


def _hurried(haste: int) -> Any:
    """A rate limiter for which time goes faster than the clock."""
    from airflow_provider_sequence.api.http.rate_limit import RateLimiter

    def make(per_minute: float, *, wait: Callable[[float], object]) -> RateLimiter:
        return RateLimiter(
            per_minute, wait=lambda seconds: wait(seconds / haste), clock=lambda: time.monotonic() * haste
        )

    return make


def _operator(kind: str) -> Any:
    from airflow_provider_sequence.operators import sequence
    from airflow_provider_sequence.transfers import sequence_to_sql, sql_to_sequence

    return {
        "push": sql_to_sequence.SqlToSequenceUsageEventsOperator,
        "seats": sql_to_sequence.SqlToSequenceSeatEventsOperator,
        "void": sequence.SequenceVoidUsageEventsOperator,
        "reconcile": sequence.SequenceReconcileOperator,
        "pull": sequence_to_sql.SequenceToSqlOperator,
    }[kind]


def _context() -> Any:
    start = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    return {
        "ti": SimpleNamespace(dag_id="faults", task_id="task", run_id="run", try_number=1, map_index=-1),
        "data_interval_start": start,
        "data_interval_end": start + dt.timedelta(days=1),
        "outlet_events": {},
    }


if __name__ == "__main__":
    os.environ["TMPDIR"] = tempfile.tempdir = sys.argv[1]
    _main()
