"""Plugins of Airflow's UI. They are imported in every process, each task's too: nothing heavy at the top of a module."""
