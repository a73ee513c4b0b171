"""Sphinx: the guides in Markdown, and the reference from docstrings. ``make docs`` builds both."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[1]

# Airflow writes to its home as soon as it is imported.
os.environ.setdefault("AIRFLOW_HOME", str(CHECKOUT / ".cache" / "airflow"))

from airflow_provider_sequence import __version__

project = "airflow-provider-sequence"
author = "The airflow-provider-sequence authors"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_logo = html_favicon = "logo.svg"
html_title = f"airflow-provider-sequence {release}"

# Headings can be linked to by the names that GitHub gives them.
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
# What Airflow calls, and nobody else.
CALLED_BY_AIRFLOW = (
    "condition_type, execute, execute_complete, get_conn, get_connection_form_widgets, "
    "get_openlineage_facets_on_complete, get_ui_field_behaviour, hook, on_kill, poke, run, serialize, trigger_name"
)
autodoc_default_options = {"members": True, "exclude-members": CALLED_BY_AIRFLOW}
# What a module has beside its classes, as far as it is public.
PUBLIC_FUNCTIONS = {"sequence_asset", "split_window"}
autodoc_preserve_defaults = True

# Every name that is referred to must be found, but for those of other projects, whose indexes would have to be
# downloaded, and of this one's inner modules.
nitpick_ignore_regex = [
    (r"py:.*", r"(Decimal|(airflow|collections|datetime|dt)\..*)"),
    (r"py:.*", r"airflow_provider_sequence\.(api|hooks|pipelines|utils|warehouse)\b.*"),
]


def name_the_connection_page(app: Any, env: Any) -> None:
    """Give the connection's page the label by which Airflow's documentation refers to such pages."""
    env.domaindata["std"]["anonlabels"]["howto/connection:sequence"] = ("connection", "")


def leave_out(app: Any, what: str, name: str, member: Any, skip: bool, options: Any) -> bool | None:
    """Leave out a module's constants, and functions that are its own affair."""
    if what == "module" and not isinstance(member, type):
        return name not in PUBLIC_FUNCTIONS
    return None


def setup(app: Any) -> None:
    """Let Sphinx know."""
    app.connect("autodoc-skip-member", leave_out)
    app.connect("env-updated", name_the_connection_page)
