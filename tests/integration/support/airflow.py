"""DAGs that run from end to end in this process: ``dag.test()`` with all that Airflow wants done before."""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import inspect
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from airflow import __version__

#: Major and minor.
AIRFLOW_VERSION = tuple(int(part) for part in __version__.split(".")[:2])

Moment = dt.datetime | str

_number = itertools.count()


@dataclass
class DagResult:
    """How a run ended.

    :param state: the run's state.
    :param states: each task's state.
    :param tries: how often each task was tried.
    :param xcoms: what each task returned; of a mapped one a list.
    :param errors: what each task's tries ended with, in order, where they failed.
    """

    state: str
    states: dict[str, str]
    tries: dict[str, int]
    xcoms: dict[str, Any]
    errors: dict[str, list[BaseException]]

    def error(self, task_id: str) -> BaseException:
        """The one error that a task ended with."""
        (error,) = self.errors[task_id]
        return error


def moment(value: Moment) -> dt.datetime:
    """A time, UTC where it has no zone."""
    time = value if isinstance(value, dt.datetime) else dt.datetime.fromisoformat(value)
    return time if time.tzinfo else time.replace(tzinfo=dt.UTC)


def manual_dag(schedule: Any = None, **options: Any) -> Any:
    """A DAG, with an id of its own, that nothing but a person starts; its runs have no data interval to speak of."""
    from airflow import DAG

    start_date = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    return DAG(f"dag_{next(_number)}", schedule=schedule, start_date=start_date, catchup=False, **options)


def interval_dag(start: Moment, end: Moment, **options: Any) -> Any:
    """A DAG whose run at ``end`` has the data interval from ``start`` to ``end``."""
    from airflow.timetables.interval import DeltaDataIntervalTimetable

    return manual_dag(DeltaDataIntervalTimetable(moment(end) - moment(start)), **options)


@pytest.fixture(scope="session")
def airflow_db() -> Iterator[None]:
    """Airflow's own database, made once for each process."""
    from airflow.utils.db import initdb

    initdb()
    _speed_up_and_mend()
    yield
    from airflow.settings import dispose_orm

    dispose_orm()


def _speed_up_and_mend() -> None:
    """Give older lines of Airflow 3 what ``dag.test()`` has on later ones."""
    try:
        from airflow.sdk.execution_time import supervisor, task_runner
    except ImportError:  # Airflow 2 runs tasks without any of it
        return
    # since 3.3 the tasks of a process share one API; to make one takes seconds
    supervisor.in_process_api_server = functools.cache(supervisor.in_process_api_server)
    # 3.0's dag.test() calls callbacks without the error; its workers give it
    finalize = task_runner.finalize

    def finalize_with_error(ti: Any, state: Any, context: Any, log: Any, error: Any = None) -> None:
        context.setdefault("exception", error)
        finalize(ti, state, context, log, error)

    task_runner.finalize = finalize_with_error
    if AIRFLOW_VERSION == (
        3,
        0,
    ):  # a sensor's first start stays text there, which a real worker reads as a time
        from airflow.sdk.api import client

        client.TaskRescheduleStartDate.model_construct = client.TaskRescheduleStartDate


@pytest.fixture
def run_dag(airflow_db: None) -> Callable[..., DagResult]:
    """Run a DAG as ``dag.test()`` does; see :func:`run`."""
    return run


def run(
    dag: Any,
    logical_date: Moment | None,
    *,
    conf: dict[str, Any] | None = None,
    run_after: Moment | None = None,
    between_tries: Callable[[], object] = lambda: None,
) -> DagResult:
    """Run a DAG once; a run of the same logical date is done again.

    :param dag: the DAG; for :func:`interval_dag` the logical date is the interval's end.
    :param logical_date: None is what a manual run of Airflow 3 has.
    :param conf: the run's own parameters.
    :param run_after: the same one gives the run the same id again; on Airflow 2 the logical date alone does.
    :param between_tries: called after a try that is followed by another.
    """
    for task in dag.tasks:
        task.on_retry_callback = [lambda context: between_tries()]
        task.retry_delay = dt.timedelta(0)

    _sync(dag)
    date = None if logical_date is None else moment(logical_date)
    takes = inspect.signature(dag.test).parameters
    dates = {
        "logical_date" if "logical_date" in takes else "execution_date": date
    }  # Airflow 2 says the latter
    if run_after is not None and "run_after" in takes:
        dates["run_after"] = moment(run_after)
    with _errors() as errors:
        finished = dag.test(**dates, run_conf=conf)
    instances = finished.get_task_instances()
    xcoms: dict[str, Any] = {}
    for each in instances:
        value = each.xcom_pull(task_ids=each.task_id, map_indexes=each.map_index)
        if each.map_index < 0:
            xcoms[each.task_id] = value
        else:
            xcoms.setdefault(each.task_id, []).append(value)
    return DagResult(
        state=str(finished.state),
        states={each.task_id: str(each.state) for each in instances},
        tries={each.task_id: each.try_number for each in instances},
        xcoms=xcoms,
        errors=errors,
    )


@contextlib.contextmanager
def _errors() -> Iterator[dict[str, list[BaseException]]]:
    """What the tries of each task end with. ``dag.test()`` tells it to callbacks on some lines, to listeners on all."""
    from airflow.listeners import hookimpl

    try:
        from airflow.sdk.listener import get_listener_manager
    except ImportError:  # before 3.2
        from airflow.listeners.listener import get_listener_manager

    errors: dict[str, list[BaseException]] = {}

    class Listener:
        @hookimpl
        def on_task_instance_failed(self, task_instance: Any, error: BaseException) -> None:
            errors.setdefault(task_instance.task_id, []).append(error)

    listener, manager = Listener(), get_listener_manager()
    manager.add_listener(listener)
    try:
        yield errors
    finally:
        manager.pm.unregister(listener)


def _sync(dag: Any) -> None:
    """Write a DAG that is in no file into the database; Airflow 3 runs none that is not there."""
    try:
        from airflow.dag_processing.bundles.manager import DagBundlesManager
    except ImportError:
        dag.fileloc = __file__  # Airflow 2 stores its code, and a guide's is in no file
        dag.sync_to_db()
        return
    from airflow.dag_processing.collection import update_dag_parsing_results_in_db
    from airflow.serialization import serialized_objects
    from airflow.utils.session import create_session

    written_as = serialized_objects.LazyDeserializedDAG
    since_3_1: dict[str, Any] = {}
    if AIRFLOW_VERSION == (3, 0):
        dag.relative_fileloc = "in_no_file.py"  # the row of the DAG wants one
        written = written_as(data=serialized_objects.SerializedDAG.to_dict(dag))
    else:
        written = written_as.from_dag(dag)
        since_3_1["parse_duration"] = None

    with create_session() as session:
        DagBundlesManager().sync_bundles_to_db(session=session)
        session.commit()
        update_dag_parsing_results_in_db(
            "dags-folder", None, [written], {}, warnings=set(), session=session, **since_3_1
        )
