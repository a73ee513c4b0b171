"""Hypothesis strategies and settings that several files use."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

#: For properties of plain functions.
few_examples = settings(max_examples=30, deadline=None)

#: For properties that send requests to the sandbox; each example has to empty it first.
few_examples_with_sandbox = settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

#: Text of all characters that UTF-8 can hold.
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
