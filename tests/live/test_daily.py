"""A scheduled run of ``schedule="@daily"``: its interval is empty, which is no success."""

from __future__ import annotations

from tests.live.support.airflow import Airflow


def test_scheduled_run_without_an_interval_fails_in_words(airflow: Airflow) -> None:
    airflow.eventually(
        "the scheduler has made a run", lambda: airflow.has_dag("daily") and airflow.runs("daily")
    )
    (run,) = airflow.runs("daily")
    run_id = run["dag_run_id"]
    assert (run["run_type"], run["data_interval_start"]) == ("scheduled", run["data_interval_end"])
    airflow.eventually("the run has failed", lambda: airflow.run_states("daily") == ["failed"])

    path = f"/dags/daily/dagRuns/{run_id}/taskInstances"
    instances = {each["task_id"]: each for each in airflow.get(path)["task_instances"]}
    assert {name: each["state"] for name, each in instances.items()} == {"push": "failed", "pull": "failed"}
    for task_id, instance in instances.items():
        log = str(airflow.get(f"{path}/{task_id}/logs/{instance['try_number']}"))
        assert "this run has a data interval of length zero" in log
        assert "CronDataIntervalTimetable" in log
