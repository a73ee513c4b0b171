"""The environment of a test run, with an Airflow home of its own, and the sandbox.

Nothing here imports Airflow, which takes seconds; it reads the environment when a test imports it. Fixtures that need
Airflow or a database are in the conftest files of the folders that use them.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import tempfile
from pathlib import Path

_IS_WORKER = "PYTEST_XDIST_WORKER" in os.environ
# a worker's folders lie in those of the process that started it, which removes them even if the worker was killed
_PARENT = Path(
    os.environ["AIRFLOW_HOME"] if _IS_WORKER else Path(__file__).resolve().parents[1] / ".cache/tests"
)
HOME = _PARENT / str(os.getpid())
TEMP = Path(tempfile.mkdtemp(prefix="sq"))  # short: a Unix socket's path has about 100 characters

for name in [name for name in os.environ if name.startswith(("AIRFLOW_", "_AIRFLOW_"))]:
    del os.environ[name]
os.environ["AIRFLOW_HOME"] = str(HOME)
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["TMPDIR"] = os.environ["XDG_RUNTIME_DIR"] = tempfile.tempdir = str(TEMP)
(HOME / "dags").mkdir(parents=True)


def _clean_up(owner: int = os.getpid()) -> None:
    if os.getpid() == owner:  # a fork has no business here
        for folder in (HOME, TEMP):
            shutil.rmtree(folder, ignore_errors=True)


atexit.register(_clean_up)  # registered first, so it comes after everybody else's
signal.signal(signal.SIGTERM, signal.default_int_handler)  # a time limit ends the run as Ctrl-C does

import pytest

from tests.support.server import Server, sequence_server

__all__ = ["sandbox", "sequence_server"]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "contract(off): whether the sandbox holds what the test sends to the contract"
    )


@pytest.fixture
def sandbox(request: pytest.FixtureRequest, sequence_server: Server):
    """An empty sandbox with its settings as at the start. The test fails where something broke the contract."""
    sequence_server.start_over()
    mark = request.node.get_closest_marker("contract")
    if mark is not None and mark.kwargs["off"]:
        sequence_server.check(check_requests=False, check_answers=False)
    yield sequence_server
    assert sequence_server.violations() == []
