"""Setting ``[sequence] deliveries``, as text, and where its page is: what every process may import."""

from __future__ import annotations

SECTION, OPTION = "sequence", "deliveries"
#: Where the page is, below Airflow's base URL.
URL_PREFIX = "/sequence-deliveries"


def setting_text() -> str:
    """Text of the setting; empty where Airflow has no place for the page, which is before 3.1."""
    # As late as this: a DAG file needs no configuration.
    from airflow import __version__
    from airflow.configuration import conf

    major, minor = __version__.split(".")[:2]
    if (int(major), int(minor)) < (3, 1):
        return ""
    return str(conf.get(SECTION, OPTION, fallback="") or "")
